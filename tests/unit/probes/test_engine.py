# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many probes at once: time, order, retries, interruption, verdict; nothing is left open."""

from __future__ import annotations

import asyncio
import importlib
import os
import pathlib
import signal
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


def open_descriptors(expected: int = 0) -> int:
    """How many there are; the server lives in this process too, so it gets time to notice what we closed."""
    deadline = time.monotonic() + 3
    while len(os.listdir("/proc/self/fd")) > expected > 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    return len(os.listdir("/proc/self/fd"))


def test_a_thousand_probes_with_hanging_ones_among_them(server: HttpServer) -> None:
    before = open_descriptors()
    declarations = [
        {"kind": "http", "url": server.url + ("/hang" if n % 2 == 0 else "/"), "timeout": 3} for n in range(1000)
    ]
    started = time.monotonic()
    results = ask_all(declarations)
    # 64 at a time would take 24 s.
    assert time.monotonic() - started < 20
    assert [result.reading.outcome for result in results] == ["failed" if n % 2 == 0 else "ok" for n in range(1000)]
    assert open_descriptors(before) <= before


def test_loading_libraries_is_not_charged_to_any_probe(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library of a megabyte takes seconds on a machine that has much else to do, and nothing else is done meanwhile."""
    (tmp_path / "sre_slow_library.py").write_text("import time\ntime.sleep(1)\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Loading(Check):
        libraries = ("sre_slow_library", "sre_no_such_library")

        async def ask(self) -> Reading:
            importlib.import_module("sre_slow_library")
            return Reading("ok", "found", "wanted", "because")

    checks: list[Check] = [Loading(), Scripted("ok")]
    results, interrupted = run_probes([Probe("p", "x", None, True, 0.5, 1, 0.01, check) for check in checks])
    assert not interrupted and [result.reading.outcome for result in results] == ["ok", "ok"]
    assert max(result.duration_s for result in results) < 0.5


def test_waiting_for_its_turn_is_not_charged_to_a_probe(server: HttpServer) -> None:
    # 0.3 s each, 64 at a time at first: the last ones wait longer than their timeout.
    results = ask_all([{"kind": "http", "url": server.url + "/slow", "timeout": 1.5}] * 600)
    assert {result.reading.outcome for result in results} == {"ok"}


def test_a_turnstile_never_lets_more_in_than_a_target_has_room_for() -> None:
    async def hang() -> int:
        turnstile = Turnstile(places=4, period=0.01, most=12)
        waiting = [asyncio.ensure_future(turnstile.enter()) for _ in range(20)]
        await asyncio.sleep(0.3)
        inside = sum(one.done() for one in waiting)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return inside

    assert asyncio.run(hang()) == 12


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
        assert open_descriptors(before) <= before


def test_attempts_go_on_until_one_is_good() -> None:
    results, _ = run_probes([probe("failed", "unknown", "ok", attempts=5)])
    assert (results[0].reading.outcome, results[0].attempts) == ("ok", 3)


def test_attempts_end_with_the_last_reading() -> None:
    started = time.monotonic()
    results, _ = run_probes([probe("failed", attempts=4, interval=0.1)])
    assert (results[0].reading.outcome, results[0].attempts) == ("failed", 4)
    assert 0.7 <= time.monotonic() - started < 2  # 0.1 + 0.2 + 0.4


def test_a_probe_that_breaks_is_unknown_and_says_no_secret() -> None:
    results, _ = run_probes(
        [probe(ValueError("password=hunter2")), probe(RepositoryError("no repository")), probe("ok")]
    )
    assert [result.reading.outcome for result in results] == ["unknown", "unknown", "ok"]
    assert "hunter2" not in results[0].reading.message
    assert "ValueError" in results[0].reading.message
    assert results[1].reading.message == "no repository"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_what_ran_is_reported(server: HttpServer, number: signal.Signals) -> None:
    session = Session()
    declarations = [{"kind": "http", "url": server.url, "name": "quick"}]
    declarations += [{"kind": "http", "url": server.url + "/hang", "timeout": "60"}] * 5
    handler = signal.getsignal(number)
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    started = time.monotonic()
    results, interrupted = run_probes(declare_all(declarations, session), session.close, concurrency=3)
    assert interrupted
    assert time.monotonic() - started < 5
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
