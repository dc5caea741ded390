# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collectors run beside each other: one that fails, hangs or brings too much takes nothing from the others."""

from __future__ import annotations

import threading
import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics import gathering
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.alerts import ALERTS, collectors_for
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk, bounded
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector, Gathered, gather
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._words import MASK


def run(
    *collect: t.Callable[[Desk], None], time_limit_s: float = 30, item: int = 1000, total: int = 10_000
) -> list[Gathered]:
    collectors = [Collector(f"c{position}", "a title", one) for position, one in enumerate(collect)]
    return gather(collectors, Masker(["hunter2"]), time_limit_s, item, total)


def fine(desk: Desk) -> None:
    desk.text("a.txt", "all is well")


def test_they_run_at_the_same_time() -> None:
    everyone = threading.Barrier(5, timeout=30)
    found = run(*[lambda _desk: everyone.wait() and None] * 5)
    assert [one.outcome for one in found] == ["collected"] * 5


def test_one_that_hangs_is_named_and_what_it_had_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    release, waits, quick_begun = threading.Event(), threading.Event(), threading.Event()
    late: list[str] = []

    def clock() -> float:
        """Stands still until one is ready and the other waits."""
        ready = quick_begun.is_set() and all(thread.name != "c1" for thread in threading.enumerate())
        return 10.0 if waits.is_set() and ready else 0.0

    def is_quick(desk: Desk) -> None:
        quick_begun.set()
        fine(desk)

    def hangs(desk: Desk) -> None:
        desk.text("early.txt", "early")
        desk.finding("warning", "seen early")
        waits.set()
        release.wait(60)
        try:
            desk.text("late.txt", "late")
        except BaseException as error:
            late.append(type(error).__name__)
            raise

    monkeypatch.setattr(gathering, "time", types.SimpleNamespace(monotonic=clock))
    slow, quick = run(hangs, is_quick, time_limit_s=0.5)
    release.set()
    assert (quick.outcome, slow.outcome) == ("collected", "late")
    assert slow.why == "not ready after 0.5 s; what there was by then is kept"
    assert [item.name for item in slow.items] == ["early.txt"]
    assert [finding.text for finding in slow.findings] == ["seen early"]
    for thread in threading.enumerate():
        if thread.name == "c0":
            thread.join(30)
    # It was told that nobody listens, and nothing of it came in afterwards.
    assert late == ["TimeIsUp"]
    assert [item.name for item in slow.items] == ["early.txt"]


@pytest.mark.parametrize(
    "error", [ValueError("with hunter2"), SystemExit("hunter2"), EngineError("gone", found="hunter2")]
)
def test_one_that_fails_says_why(error: BaseException) -> None:
    def fails(desk: Desk) -> None:
        raise error

    def half(desk: Desk) -> None:
        fine(desk)
        raise error

    bad, partly, good = run(fails, half, fine)
    assert (bad.outcome, partly.outcome, good.outcome) == ("failed", "partly", "collected")
    assert MASK in bad.why
    assert "hunter2" not in bad.why + partly.why


@pytest.mark.parametrize("kind", [ValueError, EngineError])
@pytest.mark.parametrize("before", [480, 484, 488, 990, 994, 998])
def test_what_failed_is_masked_before_it_is_cut(kind: type[Exception], before: int) -> None:
    def fails(desk: Desk) -> None:
        raise kind("x" * before + "hunter2" + "y" * 1000)

    (bad,) = run(fails)
    assert "h" not in bad.why.partition(": x")[2]


def test_a_key_in_an_error_is_masked_as_the_lines_that_it_is() -> None:
    body = "\n".join(["QUJD" * 16] * 4)

    def fails(desk: Desk) -> None:
        raise ValueError(f"not understood:\n{body}\n-----END RSA PRIVATE" + " KEY-----")

    (bad,) = run(fails)
    assert bad.why == f"ValueError: not understood: {MASK}"


def test_a_problem_leaves_the_rest() -> None:
    def has_problems(desk: Desk) -> None:
        desk.problem("one log could not be read: password=hunter3")
        desk.problem("one log could not be read: password=hunter3")
        fine(desk)

    (found,) = run(has_problems)
    assert (found.outcome, found.why) == ("partly", f"one log could not be read: password={MASK}")


def test_items_are_bounded_from_the_side_that_matters_less() -> None:
    def long(desk: Desk) -> None:
        desk.text("log", "".join(f"line {number}\n" for number in range(1000)), newest_last=True, note="x")
        desk.table("rows", ("number", "text"), [(number, "é" * 40) for number in range(100)])

    (found,) = run(long)
    log, rows = found.items
    assert log.content.endswith(b"line 999\n")
    assert len(log.content) <= 1000
    assert log.note == f"x; the first {log.length - len(log.content)} of {log.length} bytes are left out"
    assert rows.content.startswith(b"number")
    assert rows.content.decode()  # no character is cut in two
    assert "the last" in rows.note


def test_the_total_is_bounded_and_the_first_collectors_come_first() -> None:
    def much(desk: Desk) -> None:
        for number in range(5):
            desk.text(f"{number}.txt", "x" * 100)

    first, second = run(much, much, total=700)
    assert len(first.items) == 5
    assert [item.name for item in second.items] == ["0.txt", "1.txt"]
    assert second.outcome == "partly"
    assert second.why == "left out for the total limit of 700 bytes: 2.txt, 3.txt, 4.txt"


def test_secrets_are_masked_in_every_place() -> None:
    def talks(desk: Desk) -> None:
        desk.text("hunter2.txt", "hunter2", note="hunter2")
        desk.table("table", ("hunter", "two"), [("hunter2", "password=abcdef")])
        desk.document("document", {"hunter2": "hunter2", "token": "abcdef"})
        desk.finding("failure", "hunter2\nand more")
        desk.problem("hunter2")

    (found,) = run(talks)
    everything = repr(found)
    assert "hunter2" not in everything
    assert "abcdef" not in everything
    assert found.findings[0].text == f"{MASK} and more"


def test_bounded_keeps_whole_characters() -> None:
    content = "aé".encode() * 10
    for limit in range(len(content) + 1):
        for newest_last in (True, False):
            kept, note = bounded(content, limit, newest_last)
            assert len(kept) <= limit
            assert kept.decode() in content.decode()
            assert bool(note) == (kept != content)


def test_alerts_know_their_collectors() -> None:
    everything = {name for names in ALERTS.values() for name in names}
    assert set(collectors_for("all", everything)) == everything
    for alert, names in ALERTS.items():
        assert len(names) == len(set(names)), alert
        assert collectors_for(alert, everything) == list(names)
    assert collectors_for("disk_full", ["host_disks", "kubernetes_logs"]) == ["host_disks"]
