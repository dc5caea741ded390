# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention, killed before and after every call that changes the store, and with every call failing once.

Whatever happens: what is listed is whole, what is to be kept is there, and the next run ends where an undisturbed one does.
"""

from __future__ import annotations

import dataclasses
import datetime
import multiprocessing
import pathlib
import random
import shutil
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import LeaseHeld, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import Question, examine
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expire import Expiry, Outcome
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import plan_expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import write_pin
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
    open_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.fault_store import FAULTS, FaultStore
from tests.robustness.scale import SEED, SOAK
from tests.unit.repository.taking import stored_point

DAY = datetime.timedelta(days=1)
POLICY = Policy(hourly=0, daily=2, weekly=0, monthly=0, yearly=0, min_age=0.0, stale_after=0.0)
CHANGES = ("create", "purge", "delete")


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class KillStore:
    """Dies at the change number ``at`` (from 0), before or after it was made; afterwards nothing works any more."""

    def __init__(self, store: t.Any, at: int | None, after: bool) -> None:
        self._store = store
        self._at = at
        self._after = after
        self.changes = 0

    def __getattr__(self, name: str) -> t.Any:
        found = getattr(self._store, name)
        if name not in CHANGES:
            return found

        def change(*arguments: t.Any) -> t.Any:
            number, self.changes = self.changes, self.changes + 1
            if self._at is not None and (number > self._at or (number == self._at and not self._after)):
                raise Killed
            result = found(*arguments)
            if number == self._at:
                raise Killed
            return result

        return change


@dataclasses.dataclass
class Site:
    """A repository of which each case gets a copy, and what a clean run makes of it."""

    repository: Repository
    pristine: pathlib.Path
    now: datetime.datetime
    kept: set[str]
    expected: dict[str, str]

    def reset(self) -> None:
        root = pathlib.Path(self.repository.store.path)
        shutil.rmtree(root)
        shutil.copytree(self.pristine, root)

    def expire(self, store: t.Any = None) -> Outcome:
        through = self.repository if store is None else dataclasses.replace(self.repository, store=store)
        with holding(through, "db", None, describe_holder(None), 60.0) as lease:
            return Expiry(through, plan_expiry(through, "db", POLICY, self.now), lease.check).run()

    def state(self) -> dict[str, str]:
        """What is there, but for leases, times and who wrote it."""
        found = {}
        for stat in self.repository.store.list("components/"):
            found[stat.key] = "tombstone" if "/tombstones/" in stat.key else str(stat.length)
        return found

    def check(self) -> None:
        """What must hold at any moment."""
        listing = list_points(self.repository, "db")
        assert {point.point_id for point in listing.points} >= self.kept
        assert not listing.damaged and not set(listing.expiring) & self.kept
        for point in listing.points:
            assert verify_point(self.repository, point, Identities()).ok
            assert set(point.needs) <= {other.point_id for other in listing.points}
        # A removal that was cut off is no tampering, and one that has ended leaves no hole.
        found = examine(self.repository, "db", Question(clock_bound_s=0)).findings
        assert [finding for finding in found if finding.kind != "back-dated"] == []  # as these points are, on purpose


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    place = tmp_path_factory.mktemp("expire")
    repository, _created = initialise_repository(f"file://{place}/repository", "testing", check_mode=False)
    assert repository is not None
    now = _clock.now()
    asserted, full, *others = (stored_point(repository, now - days * DAY) for days in (20, 9, 7, 6))
    differential = stored_point(repository, now - 5 * DAY, content={"needs": [full.point_id]})
    newest = [stored_point(repository, now - hours * DAY / 24) for hours in (26, 2)]
    write_proof(repository, asserted, "asserted", None, 1.0, {})
    write_pin(repository, "db", others[0].point_id, "pin", "over", "ana", now - 3 * DAY, now - 2 * DAY)
    pinned = stored_point(repository, now - 8 * DAY)
    write_pin(repository, "db", pinned.point_id, "hold", "case 17", "legal", now)
    left = begin_point(repository, "db", "postgresql", None)
    repository.store.create(left.object_key("a"), b"x")
    moved = pathlib.Path(repository.store.path) / "components" / "db" / "points"
    (moved / left.point_id).rename(moved / "20260101T000000Z-abcd")  # of a backup that was killed long ago
    kept = {point.point_id for point in (asserted, pinned, *newest)}
    made = Site(repository, place / "pristine", _clock.now() + datetime.timedelta(seconds=1), kept, {})
    shutil.copytree(repository.store.path, made.pristine)
    outcome = made.expire()
    assert set(outcome.expired) == {full.point_id, differential.point_id, *(point.point_id for point in others)}
    assert outcome.removed == ["20260101T000000Z-abcd"] and not outcome.failures
    made.expected = made.state()
    return made


def sample(cases: list[t.Any], most: int) -> list[t.Any]:
    return cases if SOAK or len(cases) <= most else random.Random(SEED).sample(cases, most)


def test_killed_anywhere_the_next_run_ends_the_same(site: Site, results: t.Callable[[str, int, int], None]) -> None:
    site.reset()
    counting = KillStore(site.repository.store, None, False)
    site.expire(counting)
    cases = sample([(at, after) for at in range(counting.changes) for after in (False, True)], 30)
    failed = []
    for at, after in cases:
        site.reset()
        try:
            with pytest.raises(Killed):
                site.expire(KillStore(site.repository.store, at, after))
            site.check()
            free_lease(site)
            site.expire()
            site.check()
            assert site.state() == site.expected
        except AssertionError as error:
            failed.append(f"killed {'after' if after else 'before'} change {at}: {error}")
    results("expire: killed at every change", len(cases), len(failed))
    assert not failed, "\n".join(failed)


def free_lease(site: Site) -> None:
    """In a test the holder is this living process."""
    shutil.rmtree(pathlib.Path(site.repository.store.path) / "control", ignore_errors=True)


def test_whatever_call_fails_nothing_is_lost_and_a_rerun_ends_the_same(
    site: Site, results: t.Callable[[str, int, int], None]
) -> None:
    site.reset()
    counting = FaultStore(site.repository.store)
    site.expire(counting)
    cases = sample([(at, fault) for at in range(counting.calls) for fault in FAULTS], 80)
    failed = []
    for at, fault in cases:
        site.reset()
        faulty = FaultStore(site.repository.store, at, fault)
        try:
            outcome: Outcome | None = None
            try:
                outcome = site.expire(faulty)
            except RunbookError:
                pass
            site.check()
            if outcome is not None and not outcome.failures:
                # Of a pin that seems damaged nobody can say that it is over: its point stays.
                missing = set(site.expected) - set(site.state())
                stays = (
                    fault == "short" and "/pins/" in faulty.failed[0] and all("/tombstones/" in key for key in missing)
                )
                assert stays or site.state() == site.expected, "no error, yet not done"
            free_lease(site)
            site.expire()
            assert site.state() == site.expected
        except AssertionError as error:
            failed.append(f"{fault} at call {at} ({', '.join(faulty.failed)}): {error}")
    results("expire: a fault at every call", len(cases), len(failed))
    assert not failed, "\n".join(failed)


def run_once(url: str, now: datetime.datetime, ready: t.Any, answers: t.Any) -> None:
    repository = open_repository(url, "testing")
    ready.wait()
    try:
        with holding(repository, "db", None, describe_holder(None), 60.0) as lease:
            outcome = Expiry(repository, plan_expiry(repository, "db", POLICY, now), lease.check).run()
            answers.put(("done", outcome.expired, outcome.failures))
    except LeaseHeld:
        answers.put(("refused", [], {}))


def test_of_runners_at_once_none_does_another_s_work(site: Site, results: t.Callable[[str, int, int], None]) -> None:
    runners, rounds = (10, 5) if SOAK else (4, 1)
    context = multiprocessing.get_context("spawn")
    failed = 0
    for _round in range(rounds):
        site.reset()
        ready, answers = context.Event(), context.Queue()
        processes = [
            context.Process(target=run_once, args=(site.repository.url, site.now, ready, answers))
            for _number in range(runners)
        ]
        for process in processes:
            process.start()
        ready.set()
        found = [answers.get(timeout=120) for _process in processes]
        for process in processes:
            process.join(timeout=60)
        expired = [point_id for _what, ids, _failures in found for point_id in ids]
        good = len(expired) == len(set(expired)) == 4 and not any(failures for _what, _ids, failures in found)
        failed += not (good and site.state() == site.expected)
    results("expire: runners at once", rounds * runners, failed)
    assert not failed
