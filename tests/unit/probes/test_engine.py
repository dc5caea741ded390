# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many probes at once: time, order, retries, interruption, verdict; nothing is left open."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import sys
import threading
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import OUTCOMES, Check, Probe, Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import (
    Result,
    Turnstile,
    counts,
    run_probes,
    verdict,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, silent_listener
from tests.unit.probes.conftest import ask_all


class Scripted(Check):
    """Gives what the test says: readings one after the other, or an exception."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)

    async def ask(self) -> Reading:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Reading(answer, "found", "wanted", "because")


def probe(*answers: str | Exception, attempts: int = 1, interval: float = 0.01, critical: bool = True) -> Probe:
    return Probe("p", "scripted", None, critical, 5.0, attempts, interval, Scripted(*answers))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def wait_until_closed(before: int) -> None:
    """The server lives in this process too, so it gets time to notice what we closed."""
    wait_for(lambda: open_descriptors() <= before, "every descriptor to be closed")


def test_a_thousand_probes_with_hanging_ones_among_them() -> None:
    before = open_descriptors()
    with HttpServer() as server:
        hanging = {"kind": "http", "url": server.url + "/hang", "timeout": 3}
        quick = {"kind": "http", "url": server.url}
        results = ask_all([hanging, quick] * 500)
        # 64 at a time would take 24 s.
        assert server.most_hanging > 128
    assert [result.reading.outcome for result in results] == ["failed", "ok"] * 500
    wait_until_closed(before)


def test_loading_libraries_is_not_charged_to_any_probe(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of a megabyte takes seconds on a machine that has much else to do, and nothing else is done meanwhile."""
    (tmp_path / "sre_slow_library.py").write_text("import time\ntime.sleep(0.5)\nloaded = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Asked(Check):
        """Whoever is asked, and so has its timeout running, before the library is loaded, fails."""

        async def ask(self) -> Reading:
            loaded = hasattr(sys.modules.get("sre_slow_library"), "loaded")
            return Reading("ok" if loaded else "failed", "found", "wanted", "because")

    class Loading(Asked):
        libraries = ("sre_slow_library", "sre_no_such_library")

    checks: list[Check] = [Loading(), Asked()]
    results, interrupted = run_probes([Probe("p", "x", None, True, 60, 1, 0.01, check) for check in checks])
    assert not interrupted and [result.reading.outcome for result in results] == ["ok", "ok"]


def test_waiting_for_its_turn_is_not_charged_to_a_probe(server: HttpServer) -> None:
    class Late(Scripted):
        """Its turn comes after more than its timeout."""

        async def admit(self) -> None:
            await asyncio.sleep(0.3)

    (late,), _ = run_probes([Probe("p", "x", None, True, 0.1, 1, 0.01, Late("ok"))])
    assert late.reading.outcome == "ok" and late.attempts == 1
    # 64 at a time at first, and no more before 0.1 s are over: the last one waits at least so long.
    session = Session()
    probes = declare_all([{"kind": "http", "url": server.url + "/slow", "timeout": 60}] * 600, session)
    started = time.perf_counter()
    results, _ = run_probes(probes, session.close)
    assert {result.reading.outcome for result in results} == {"ok"}
    assert time.perf_counter() - started - results[-1].duration_s > 0.1


def test_a_turnstile_never_lets_more_in_than_a_target_has_room_for() -> None:
    async def hang() -> int:
        turnstile = Turnstile(places=4, period=0.01, most=12)
        waiting = [asyncio.ensure_future(turnstile.enter()) for _ in range(20)]
        while sum(one.done() for one in waiting) < 12:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        inside = sum(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return inside

    assert asyncio.run(asyncio.wait_for(hang(), 60)) == 12


def test_no_descriptor_is_left_whatever_happens(server: HttpServer) -> None:
    with silent_listener() as port:
        declarations: list[dict[str, t.Any]] = [
            {"kind": "http", "url": server.url + path, "timeout": 0.2}
            for path in ("/", "/hang", "/reset", "/huge", "/short", "/no-http")
        ]
        declarations += [{"kind": "tcp", "host": "127.0.0.1", "port": port, "expect": "x", "timeout": 0.2}]
        declarations += [{"kind": "postgresql", "port": port, "timeout": 0.2}]
        declarations += [{"kind": "disk", "path": "/"}, {"kind": "process", "pattern": "x"}]
        ask_all(declarations)
        before = open_descriptors()
        for _ in range(5):
            ask_all(declarations)
        wait_until_closed(before)


def test_attempts_go_on_until_one_is_good() -> None:
    results, _ = run_probes([probe("failed", "unknown", "ok", attempts=5)])
    assert (results[0].reading.outcome, results[0].attempts) == ("ok", 3)


def test_attempts_end_with_the_last_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(asyncio, "sleep", noted)
    results, _ = run_probes([probe("failed", attempts=4, interval=0.1)])
    assert (results[0].reading.outcome, results[0].attempts) == ("failed", 4)
    assert [seconds for seconds in slept if seconds] == [0.1, 0.2, 0.4]


def test_a_probe_that_breaks_is_unknown_and_says_no_secret() -> None:
    results, _ = run_probes(
        [probe(ValueError("password=hunter2")), probe(RepositoryError("no repository")), probe("ok")]
    )
    assert [result.reading.outcome for result in results] == ["unknown", "unknown", "ok"]
    assert "hunter2" not in results[0].reading.message
    assert "ValueError" in results[0].reading.message
    assert results[1].reading.message == "no repository"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_ran_is_reported(number: signal.Signals) -> None:
    session = Session()
    handler = signal.getsignal(number)
    with HttpServer() as server:
        declarations = [{"kind": "http", "url": server.url, "name": "quick", "timeout": "1m"}]
        declarations += [{"kind": "http", "url": server.url + "/hang", "timeout": "10m"}] * 5

        def stop() -> None:
            # Three at a time hang when the quick one has had its answer.
            wait_for(lambda: server.hanging == 3, "three that hang")
            os.kill(os.getpid(), number)

        threading.Thread(target=stop, daemon=True).start()
        started = time.monotonic()
        results, interrupted = run_probes(declare_all(declarations, session), session.close, concurrency=3)
    assert interrupted
    assert time.monotonic() - started < 120
    assert [result.reading.outcome for result in results] == ["ok"] + ["unknown"] * 5
    assert signal.getsignal(number) == handler


def test_nothing_asked_is_a_failure() -> None:
    assert run_probes([]) == ([], False)
    assert verdict([]) == "failed"


@given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.booleans()), min_size=1))
def test_the_verdict_is_never_better_than_a_critical_probe(outcomes: list[tuple[str, bool]]) -> None:
    results = [
        Result(probe(outcome, critical=critical), Reading(outcome, "", "", ""), 0, 1) for outcome, critical in outcomes
    ]
    found = verdict(results)
    critical_outcomes = {outcome for outcome, critical in outcomes if critical}
    assert (found == "failed") == ("failed" in critical_outcomes)
    assert (found == "ok") == ({outcome for outcome, _ in outcomes} == {"ok"})
    assert found != "unknown" or "unknown" in critical_outcomes
    assert sum(counts(results).values()) == len(outcomes)
