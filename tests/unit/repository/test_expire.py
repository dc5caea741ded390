# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The retention plan of a repository and its execution: what goes, in which order, and what a killed run leaves."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    LeaseLost,
    Refused,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expire import Expiry, Outcome
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import ExpiryPlan, plan_expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import write_pin
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import (
    read_tombstone,
    tombstone_ids,
    tombstone_key,
    write_tombstone,
)
from tests.unit.repository.locking_store import LockingStore

HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
#: What has just been stored is younger than any minimum age, so there is none here.
POLICY = Policy(hourly=0, daily=2, weekly=0, monthly=0, yearly=0, min_age=0.0, stale_after=0.0)


def plan(repository: Repository, policy: Policy = POLICY, **options: t.Any) -> ExpiryPlan:
    return plan_expiry(repository, "db", policy, options.pop("now", None) or _clock.now(), **options)


def expire(repository: Repository, policy: Policy = POLICY, **options: t.Any) -> Outcome:
    return Expiry(repository, plan(repository, policy, **options), lambda: None).run()


def actions(found: ExpiryPlan) -> dict[str, str]:
    return {row.point_id: row.action for row in found.rows}


def reasons(found: ExpiryPlan, point_id: str) -> list[str]:
    return next(row.reasons for row in found.rows if row.point_id == point_id)


def path_of(repository: Repository, key: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / key


def write_bytes(repository: Repository, key: str, content: bytes) -> None:
    path_of(repository, key).write_bytes(content)


@pytest.fixture
def days(take) -> list[RecoveryPoint]:
    """A point at the same hour of each of five days, oldest first, the last one an hour ago."""
    now = _clock.now()
    return [take(now - HOUR - number * DAY) for number in (4, 3, 2, 1, 0)]


def test_what_the_policy_does_not_keep_goes_without_a_trace_but_its_tombstone(
    repository: Repository, days: list[RecoveryPoint]
) -> None:
    outcome = expire(repository)
    assert outcome.expired == [point.point_id for point in days[:3]]  # oldest first
    assert not outcome.failures and outcome.bytes > sum(point.size for point in days[:3])
    listing = list_points(repository, "db")
    assert [point.point_id for point in listing.points] == [days[4].point_id, days[3].point_id]
    assert not listing.expiring and not listing.incomplete and not listing.damaged
    for point in days[:3]:
        assert not path_of(repository, point.prefix).exists()
        tombstone = read_tombstone(repository, "db", point.point_id)
        assert tombstone.manifest_sha256 == point.manifest_sha256 and tombstone.sequence == point.sequence
        assert (tombstone.size, tombstone.consistency_time) == (point.size, point.consistency_time)
        assert "daily" in tombstone.reason and tombstone.policy["daily"] == 2
    assert not expire(repository).changed


def test_the_plan_gives_all_reasons(repository: Repository, days: list[RecoveryPoint]) -> None:
    write_proof(repository, days[1], "asserted", None, 1.0, {})
    write_pin(repository, "db", days[0].point_id, "pin", "the audit", "ana", _clock.now(), _clock.now() + DAY)
    found = plan(repository)
    assert list(actions(found).values()) == ["keep", "keep", "expire", "keep", "keep"]
    newest, second, gone, asserted, pinned = (reasons(found, point.point_id) for point in reversed(days))
    assert newest[0] == "newest" and newest[1].startswith("daily 1 of 2 (")
    assert second[0].startswith("daily 2 of 2 (")
    assert gone[0].endswith("is not among the newest 2 days with a point")
    assert asserted == ["newest asserted"]
    assert pinned[0].startswith("pinned until ") and pinned[0].endswith(" by ana because the audit")
    after = plan(repository, now=_clock.now() + 2 * DAY)
    assert actions(after)[days[0].point_id] == "expire"  # the pin is over


def test_what_a_kept_point_needs_stays_and_what_needs_goes_first(repository: Repository, take) -> None:
    now = _clock.now()
    old_full = take(now - 9 * DAY)
    old_differential = take(now - 8 * DAY, content={"needs": [old_full.point_id]})
    full = take(now - 7 * DAY)
    take(now - 25 * HOUR, content={"needs": [full.point_id]})
    newest = take(now - HOUR, content={"needs": [full.point_id, "20200101T000000Z-0000"]})
    found = plan(repository)
    assert actions(found)[full.point_id] == "keep"
    assert reasons(found, full.point_id) == [f"needed by {newest.point_id} and 1 more"]
    assert any("20200101T000000Z-0000, which is not there" in warning for warning in found.warnings)
    order: list[str] = []
    outcome = Expiry(repository, found, lambda: order.append("check")).run()
    assert outcome.expired == [old_differential.point_id, old_full.point_id]


def test_when_a_point_cannot_go_what_it_needs_stays(
    repository: Repository, take, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = _clock.now()
    full = take(now - 9 * DAY)
    differential = take(now - 8 * DAY, content={"needs": [full.point_id]})
    other = take(now - 7 * DAY)
    take(now - 25 * HOUR), take(now - HOUR)
    purge = type(repository.store).purge

    def refusing(self: t.Any, key: str) -> None:
        if differential.point_id in key:
            raise RepositoryError("access denied")
        purge(self, key)

    monkeypatch.setattr(type(repository.store), "purge", refusing)
    outcome = expire(repository)
    assert outcome.expired == [other.point_id]
    assert set(outcome.failures) == {differential.point_id, full.point_id}
    assert differential.point_id in outcome.failures[full.point_id]
    monkeypatch.undo()
    again = expire(repository)
    assert again.finished == [differential.point_id] and again.expired == [full.point_id]


def test_a_point_that_the_store_got_just_now_stays_however_old_it_claims_to_be(
    repository: Repository, days: list[RecoveryPoint]
) -> None:
    found = plan(repository, dataclasses.replace(POLICY, min_age=3600.0))
    assert set(actions(found).values()) == {"keep"}
    assert "younger than the minimum age of 1h, stored" in reasons(found, days[0].point_id)[0]
    later = plan(repository, dataclasses.replace(POLICY, min_age=3600.0), now=_clock.now() + 2 * HOUR)
    assert actions(later)[days[0].point_id] == "expire"


def test_damaged_points_are_evidence_for_a_while(repository: Repository, days: list[RecoveryPoint]) -> None:
    write_proof(repository, days[4], "verified", None, 1.0, {}, outcome="failed")
    write_bytes(repository, days[3].manifest_key, b"{}")
    found = plan(repository)
    assert actions(found)[days[4].point_id] == actions(found)[days[3].point_id] == "keep"
    assert reasons(found, days[4].point_id)[0].startswith("damaged: kept as evidence until ")
    # It fills no slot: the two newest whole ones do.
    assert actions(found)[days[2].point_id] == actions(found)[days[1].point_id] == "keep"
    assert actions(found)[days[0].point_id] == "expire"
    later = plan(repository, now=_clock.now() + 40 * DAY)
    # The one with the unreadable manifest was begun just now, as its id says; both are older than what is whole.
    assert actions(later)[days[3].point_id] == "keep"
    assert reasons(later, days[3].point_id) == ["damaged: kept because no undamaged point is newer"]


def test_a_damaged_point_goes_by_its_own_age(repository: Repository, days: list[RecoveryPoint]) -> None:
    write_proof(repository, days[0], "verified", None, 1.0, {}, outcome="failed")
    policy = dataclasses.replace(POLICY, keep_damaged=3 * 86400.0, daily=5)
    found = plan(repository, policy)
    assert actions(found)[days[0].point_id] == "expire"
    assert reasons(found, days[0].point_id) == ["damaged: evidence is kept for 3d, and newer points are undamaged"]
    assert expire(repository, policy).expired == [days[0].point_id]
    assert read_tombstone(repository, "db", days[0].point_id).level == "damaged"


def test_what_reads_differently_twice_stops_the_run(
    repository: Repository, days: list[RecoveryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, once = type(repository.store).read, [True]

    def short(self: t.Any, key: str, limit: int, version: str | None = None) -> bytes:
        content = read(self, key, limit)
        if key == days[0].manifest_key and once:
            once.pop()
            return content[: len(content) // 2]
        return content

    monkeypatch.setattr(type(repository.store), "read", short)
    with pytest.raises(RepositoryError, match="now so and now so"):
        plan(repository)


def test_only_old_remains_of_killed_backups_go(repository: Repository, days: list[RecoveryPoint]) -> None:
    now = _clock.now()
    writer = begin_point(repository, "db", "postgresql", None)
    repository.store.create(writer.object_key("a"), b"x")
    found = plan(repository, dataclasses.replace(POLICY, daily=9))
    assert actions(found)[writer.point_id] == "leave" and found.of("remove") == []
    later = now + 2 * DAY
    assert expire(repository, dataclasses.replace(POLICY, daily=9), now=later).removed == [writer.point_id]
    assert list_points(repository, "db").incomplete == []
    assert tombstone_ids(repository.store, "db") == set()


def test_a_newest_point_that_is_too_old_stops_the_run(repository: Repository, days: list[RecoveryPoint]) -> None:
    policy = dataclasses.replace(POLICY, stale_after=30 * 86400.0)
    with pytest.raises(Refused, match="backups have stopped, or a clock is wrong"):
        plan(repository, policy, now=_clock.now() + 31 * DAY)
    assert plan(repository, policy, now=_clock.now() + 29 * DAY).of("expire")
    # A clock that is behind keeps everything.
    assert set(actions(plan(repository, policy, now=_clock.now() - 10 * DAY)).values()) == {"keep"}


def test_points_from_the_future_are_kept_and_stand_for_nothing(repository: Repository, take) -> None:
    now = _clock.now()
    others = [take(now - hours * HOUR) for hours in (49, 25, 1)][::-1]
    future = take(now + 400 * DAY)
    found = plan(repository)
    assert [actions(found)[point.point_id] for point in (future, *others)] == ["keep", "keep", "keep", "expire"]
    assert reasons(found, future.point_id)[0].startswith("from the future")
    assert reasons(found, others[0].point_id)[0] == "newest"
    assert any(future.point_id in warning for warning in found.warnings)


def test_a_tombstone_is_no_permission(repository: Repository, days: list[RecoveryPoint]) -> None:
    """Whoever may create objects could write one for the newest point; nothing is lost by that."""
    gone = sorted(point.point_id for point in days[:3])
    for point in (days[0], days[4]):
        forged = dataclasses.replace(_tombstone(repository, days[0]), point_id=point.point_id, sequence=99)
        write_tombstone(repository, forged)
    assert list_points(repository, "db").points[0].point_id == days[3].point_id
    found = plan(repository)
    assert actions(found)[days[4].point_id] == "withdraw" and actions(found)[days[0].point_id] == "finish"
    outcome = expire(repository)
    assert outcome.withdrawn == [days[4].point_id] and sorted(outcome.finished + outcome.expired) == gone
    assert list_points(repository, "db").points[0].point_id == days[4].point_id
    assert read_tombstone(repository, "db", days[0].point_id).sequence == days[0].sequence
    assert not expire(repository).changed


def _tombstone(repository: Repository, point: RecoveryPoint) -> t.Any:
    expiry = Expiry(repository, plan(repository), lambda: None)
    row = next(row for row in expiry.plan.rows if row.point_id == point.point_id)
    return expiry._tombstone(row)


def test_the_point_taken_last_stays_although_its_clock_was_behind(repository: Repository, take) -> None:
    now = _clock.now()
    for hours in (49, 25, 1):
        take(now - hours * HOUR)
    behind = take(now - 100 * DAY)
    assert reasons(plan(repository), behind.point_id) == ["last taken"]
    take(now)
    assert actions(plan(repository))[behind.point_id] == "expire"


def test_a_manifest_that_changed_since_it_was_listed_stays(repository: Repository, days: list[RecoveryPoint]) -> None:
    found = plan(repository)
    write_bytes(repository, days[0].manifest_key, b"{}")
    outcome = Expiry(repository, found, lambda: None).run()
    assert list(outcome.failures) == [days[0].point_id]
    assert "has changed" in outcome.failures[days[0].point_id]
    assert path_of(repository, days[0].manifest_key).exists()
    assert tombstone_ids(repository.store, "db") == {point.point_id for point in days[1:3]}


def test_first_the_tombstone_then_the_data_then_proofs_and_the_manifest_last(
    repository: Repository, days: list[RecoveryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []
    for name in ("create", "purge"):
        original = getattr(type(repository.store), name)

        def noted(self: t.Any, key: str, *rest: t.Any, name: str = name, original: t.Any = original) -> t.Any:
            calls.append((name, key))
            return original(self, key, *rest)

        monkeypatch.setattr(type(repository.store), name, noted)
    expire(repository, dataclasses.replace(POLICY, daily=4))
    prefix = days[0].prefix
    (proof,) = (key for _name, key in calls if "/proofs/" in key)
    assert calls == [
        ("create", tombstone_key("db", days[0].point_id)),
        ("purge", f"{prefix}RESTORE.md"),
        ("purge", f"{prefix}objects/a"),
        ("purge", f"{prefix}objects/b/c"),
        ("purge", proof),
        ("purge", f"{prefix}manifest.json"),
    ]


def test_a_lost_lease_stops_at_once(repository: Repository, days: list[RecoveryPoint]) -> None:
    calls = []

    def lost() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise LeaseLost("the lease was lost")

    with pytest.raises(LeaseLost):
        Expiry(repository, plan(repository), lost).run()
    listing = list_points(repository, "db")
    assert len(listing.points) + len(listing.expiring) == 4
    assert expire(repository).changed
    assert len(list_points(repository, "db").points) == 2


def test_locked_points_are_reported_and_kept_ones_locked_longer(
    repository: Repository, days: list[RecoveryPoint]
) -> None:
    now = _clock.now()
    store = LockingStore(repository.store)
    locking = dataclasses.replace(repository, store=store)
    for found in repository.store.list(days[0].prefix):
        store.locks[found.key] = now + (3 * DAY if found.key.endswith("/a") else HOUR)
    found = plan(locking, lock_horizon=10 * 86400.0)
    assert actions(found)[days[0].point_id] == "keep"
    assert reasons(found, days[0].point_id)[0].startswith("locked until ")
    assert set(found.extend_locks) == {point.point_id for point in (days[0], days[3], days[4])}
    expiry = Expiry(locking, found, lambda: None)
    expiry.extend_locks(now + 10 * DAY)
    outcome = expiry.run()
    assert outcome.expired == [days[1].point_id, days[2].point_id] and not outcome.failures
    kept = [stat.key for point in (days[0], days[3], days[4]) for stat in repository.store.list(point.prefix)]
    assert kept and all(store.locks[key] == now + 10 * DAY for key in kept)
    assert plan(locking, lock_horizon=10 * 86400.0).extend_locks == []
    assert len(plan(locking, lock_horizon=10 * 86400.0, now=now + 6 * DAY).extend_locks) == 3


def test_proofs_that_are_locked_later_do_not_keep_the_data(repository: Repository, days: list[RecoveryPoint]) -> None:
    """Each verification adds a proof, which gets the bucket's lock: else what is verified often would never expire."""
    now = _clock.now()
    store = LockingStore(repository.store)
    locking = dataclasses.replace(repository, store=store)
    for stat in repository.store.list(f"{days[0].prefix}proofs/"):
        store.locks[stat.key] = now + DAY
    outcome = Expiry(locking, plan(locking), lambda: None).run()
    assert outcome.waiting == [days[0].point_id] and days[0].point_id in outcome.expired and not outcome.failures
    assert not path_of(repository, f"{days[0].prefix}objects").exists()
    again = plan(locking)
    assert actions(again)[days[0].point_id] == "leave"
    assert reasons(again, days[0].point_id)[1].startswith("locked until ")
    assert not Expiry(locking, again, lambda: None).run().changed
    store.locks.clear()
    assert Expiry(locking, plan(locking), lambda: None).run().finished == [days[0].point_id]
    assert not path_of(repository, days[0].prefix).exists()


def test_what_needs_a_locked_point_keeps_its_base(repository: Repository, take) -> None:
    now = _clock.now()
    full = take(now - 9 * DAY)
    differential = take(now - 8 * DAY, content={"needs": [full.point_id]})
    take(now - 25 * HOUR), take(now - HOUR)
    store = LockingStore(repository.store)
    store.locks[f"{differential.prefix}objects/a"] = now + DAY
    found = plan(dataclasses.replace(repository, store=store))
    assert actions(found)[full.point_id] == "keep"
    assert reasons(found, full.point_id) == [f"needed by {differential.point_id}"]


def test_a_manifest_behind_a_delete_marker_is_no_incomplete_point(
    repository: Repository, days: list[RecoveryPoint]
) -> None:
    store = LockingStore(repository.store)
    store.hidden.add(days[4].manifest_key)
    found = plan(dataclasses.replace(repository, store=store), now=_clock.now() + 2 * DAY)
    assert actions(found)[days[4].point_id] == "leave"
    assert any("somebody deleted it" in warning for warning in found.warnings)


def test_an_unreadable_tombstone_of_a_whole_point_is_replaced(
    repository: Repository, days: list[RecoveryPoint]
) -> None:
    repository.store.create(tombstone_key("db", days[0].point_id), b"nothing")
    assert days[0].point_id in expire(repository).finished
    assert read_tombstone(repository, "db", days[0].point_id).sequence == days[0].sequence


def test_what_comes_back_while_it_is_removed_is_said(
    repository: Repository, days: list[RecoveryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    purge = type(repository.store).purge

    def racing(self: t.Any, key: str) -> None:
        purge(self, key)
        if key == days[0].manifest_key:
            self.create(f"{days[0].prefix}proofs/late.json", b"{}")

    monkeypatch.setattr(type(repository.store), "purge", racing)
    outcome = expire(repository)
    assert "is not gone" in outcome.failures[days[0].point_id]
    monkeypatch.undo()
    assert expire(repository).finished == [days[0].point_id]
    assert not path_of(repository, days[0].prefix).exists()


def test_a_store_that_cannot_be_read_damages_no_point(repository: Repository, days: list[RecoveryPoint]) -> None:
    """An error of the store while listing is loud: what cannot be read is not thereby damaged."""
    path = path_of(repository, days[0].manifest_key)
    path.unlink()
    path.mkdir()
    with pytest.raises((RepositoryError, IntegrityError)):
        plan(repository)
