# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many backups, restores and expiries of one component at once: one acts at a time, the others wait, visibly and not for ever."""

from __future__ import annotations

import collections
import itertools
import json
import pathlib
import random
import subprocess
import threading
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Event, read_events
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import start_run
from tests.robustness.runbooks import ROWS, Disturbed
from tests.robustness.scale import SEED, SOAK, counted
from tests.robustness.waiting import problems_while_waiting
from tests.servers.component import NAME
from tests.servers.module_call import finish_module, start_module

ROUNDS = 20 if SOAK else 1
#: Who meets in a round: module → how many.
CROWD = {"postgresql_backup": 4, "postgresql_restore": 3, "recovery_point_expire": 3}
#: The patience of most, and of the one that has none; in seconds.
PATIENT, IMPATIENT = 300, 1


class Contender:
    """One module in a process of its own, with a run's record of its own."""

    def __init__(self, component: Disturbed, module: str, patience_s: int) -> None:
        self.module = module
        self.patience_s = patience_s
        run = start_run(component.repository, module, [NAME], describe_holder(None), "2.19", "a test")
        self.run_id = run.run_id
        self.progress = component.path / f"progress-{run.run_id}"
        params: dict[str, t.Any] = {
            "repository": component.url,
            "environment_name": "local",
            "component": NAME,
            "run_id": self.run_id,
            "lease_ttl": "60s",
            "lease_wait": f"{patience_s}s",
            "progress_path": str(self.progress),
            **EXTRA.get(module, lambda _component: {})(component),
        }
        self.began = time.monotonic()
        self.process: subprocess.Popen[bytes] = start_module(module, params)
        self.took_s = 0.0
        self.shown: set[str] = set()

    def look(self) -> None:
        if not self.took_s and self.process.poll() is not None:
            self.took_s = time.monotonic() - self.began
        try:
            self.shown.add(json.loads(self.progress.read_text(encoding="utf-8"))["what"])
        except (OSError, ValueError):
            pass

    def finish(self) -> dict[str, t.Any]:
        return finish_module(self.process, PATIENT * 2)

    @property
    def waited(self) -> bool:
        return any(text.startswith("waiting for run ") for text in self.shown)


def _postgresql(component: Disturbed) -> dict[str, t.Any]:
    return {**component.server.params(), "scratch_dir": str(component.scratch), "jobs": 1, "force": True}


EXTRA: dict[str, t.Callable[[Disturbed], dict[str, t.Any]]] = {
    "postgresql_backup": _postgresql,
    "postgresql_restore": lambda component: {**_postgresql(component), "confirm": NAME},
    "recovery_point_expire": lambda _component: {
        **dict.fromkeys(("hourly", "daily", "weekly", "monthly", "yearly"), 0),
        "keep_last": 1,
        "min_age": "0",
    },
}


class Watch(threading.Thread):
    """Looks at the lease and at the contenders' progress as often as it can."""

    def __init__(self, repository: Repository, contenders: list[Contender]) -> None:
        super().__init__(daemon=True)
        self.repository = repository
        self.contenders = contenders
        self.holders: dict[int, set[str | None]] = collections.defaultdict(set)
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.03):
            for contender in self.contenders:
                contender.look()
            try:
                lease = current_lease(self.repository, NAME)
            except RunbookError:  # being removed at this moment
                continue
            if lease is not None:
                self.holders[lease.epoch].add(lease.run_id)


def test_one_at_a_time(disturbed: Disturbed, results: t.Callable[..., None]) -> None:
    failures: list[str] = []
    outcomes: collections.Counter[str] = collections.Counter()
    for round_number in counted("concurrency", range(ROUNDS)):
        failures += [f"round {round_number}: {problem}" for problem in _round(disturbed, round_number, outcomes)]
    results("concurrency", ROUNDS * (sum(CROWD.values()) + 1), len(failures), rounds=ROUNDS, outcomes=dict(outcomes))
    assert not failures, "\n".join(failures)


def _round(component: Disturbed, number: int, outcomes: collections.Counter[str]) -> list[str]:
    if not component.listing().points:
        assert not component.back_up().get("failed")
    crowd = [(module, PATIENT) for module, count in CROWD.items() for _ in range(count)]
    random.Random(f"{SEED}-{number}").shuffle(crowd)
    # Everybody comes while the component is taken, so that all wait, and see what the others do meanwhile.
    with holding(component.repository, NAME, "a-test", describe_holder("a-test"), 600.0):
        contenders = [Contender(component, module, patience) for module, patience in crowd]
        contenders.append(Contender(component, "postgresql_backup", IMPATIENT))
        watch = Watch(component.repository, contenders)
        watch.start()
        until = time.monotonic() + 180
        while sum(contender.waited for contender in contenders) < len(crowd) and time.monotonic() < until:
            time.sleep(0.05)
        waiting = sum(contender.waited for contender in contenders)
        contenders[-1].process.wait(180)
    problems: list[str] = []
    for contender in contenders:
        result = contender.finish()
        message = result.get("msg", "")
        ending = (
            "done" if not result.get("failed") else "refused" if "somebody else operates on it" in message else "failed"
        )
        outcomes[f"{contender.module} {ending}"] += 1
        if ending != ("done" if contender.patience_s == PATIENT else "refused"):
            problems.append(f"{contender.module} of {contender.run_id}: {message or result}")
        if ending == "refused" and (contender.run_id in message or "held by run" not in message):
            problems.append(f"it is not said who holds the lease: {message}")
        if ending == "refused" and contender.took_s > PATIENT / 2:
            problems.append(f"{contender.module} waited {contender.took_s:.0f} s instead of {IMPATIENT} s")
    watch.ended.set()
    watch.join()
    problems += [f"epoch {epoch} was held by {runs}" for epoch, runs in watch.holders.items() if len(runs) > 1]
    problems += _overlaps(component.repository, contenders)
    if waiting < len(crowd):
        problems.append(f"only {waiting} of {len(crowd)} showed for whom they wait")
    return problems + _state(component)


def _overlaps(repository: Repository, contenders: list[Contender]) -> list[str]:
    """Two runs whose steps under the lease overlap in time; what a module records, it does under the lease."""
    spans = []
    for contender in contenders:
        events: list[Event] = read_events(repository, contender.run_id)
        if events:
            begin, end = min(event.at for event in events), max(event.written for event in events)
            spans.append((begin, end, contender.run_id))
    spans.sort()
    assert len(spans) >= 2
    return [
        f"{first[2]} and {second[2]} acted at the same time: until {first[1]}, from {second[0]}"
        for first, second in itertools.pairwise(spans)
        if second[0] < first[1]
    ]


def _state(component: Disturbed) -> list[str]:
    problems = layout_failures(component.repository)
    listing = component.listing()
    problems += [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
    problems += [f"never finished: {point_id}" for point_id in listing.incomplete]
    for point in listing.points:
        problems += [
            f"{point.point_id}: {text}" for text in verify_point(component.repository, point, Identities()).failures
        ]
    if component.server.execute("SELECT count(*), sum(id) FROM flights", "flights") != [(ROWS, ROWS * (ROWS + 1) // 2)]:
        problems.append("rows are missing")
    problems += [f"database {name}" for name in component.databases() if "restoring" in name]
    problems += [f"left in scratch: {path}" for path in pathlib.Path(component.scratch).iterdir()]
    return problems


def test_whoever_waits_shows_for_whom(disturbed: Disturbed) -> None:
    assert not disturbed.back_up(encryption_recipients=disturbed.recipients[:1]).get("failed")
    rewrap = {"encryption_recipients": disturbed.recipients[1:], "encryption_identity": disturbed.identities}
    modules: dict[str, dict[str, t.Any]] = {
        "lease": {"run_id": "20261121T052000Z-another-1a2b"},
        "postgresql_backup": _postgresql(disturbed),
        "postgresql_restore": {**_postgresql(disturbed), "confirm": NAME},
        "recovery_point_expire": {"keep_last": 1},
        "recovery_point_pin": {"reason": "a test"},
        "recovery_point_rewrap": rewrap,
    }
    progress = disturbed.path / "progress-waiting"
    problems = [
        problem
        for module, params in modules.items()
        for problem in problems_while_waiting(disturbed.repository, NAME, module, params, progress)
    ]
    assert not problems, "\n".join(problems)
