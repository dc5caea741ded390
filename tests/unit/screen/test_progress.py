# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the screen shows of a long task, and that nothing that is shown (or cannot be) harms the task."""

from __future__ import annotations

import json
import threading
import time
import types

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import _progress
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.plugin_utils import progress as screen

MIB = 1 << 20


def status(what="dumping flights", done=0, total=None, step_s=0.0):
    return {"what": what, "done": done, "total": total, "step_s": step_s}


@pytest.mark.parametrize(
    ("now", "before", "line"),
    [
        (None, None, "still running after 7.0 s"),
        (status(), None, "dumping flights · 7.0 s so far"),
        (status(done=500, step_s=2), None, "dumping flights · 500 B · 250 B/s · 7.0 s so far"),
        (
            status(done=100 * MIB, total=400 * MIB, step_s=5),
            None,
            "dumping flights · 100 MiB of 400 MiB (25 %) · 20.0 MiB/s · 15 s left · 7.0 s so far",
        ),
        (  # the rate is the recent one
            status(done=100 * MIB, total=400 * MIB, step_s=10),
            status(done=0, total=400 * MIB, step_s=9),
            "dumping flights · 100 MiB of 400 MiB (25 %) · 100 MiB/s · 3.0 s left · 7.0 s so far",
        ),
        (  # of the same step only
            status(done=100 * MIB, step_s=10),
            status("loading", done=0, step_s=9),
            "dumping flights · 100 MiB · 10.0 MiB/s · 7.0 s so far",
        ),
        (  # stuck: no promise about the rest
            status(done=MIB, total=2 * MIB, step_s=10),
            status(done=MIB, total=2 * MIB, step_s=5),
            "dumping flights · 1.0 MiB of 2.0 MiB (50 %) · 0 B/s · 7.0 s so far",
        ),
        (status(done=3 * MIB, total=2 * MIB, step_s=3), None, "dumping flights · 3.0 MiB · 1.0 MiB/s · 7.0 s so far"),
    ],
)
def test_a_line_says_what_how_far_how_fast_and_how_long(now, before, line):
    assert screen.describe(now, before, 7.0) == line


@given(
    st.one_of(
        st.binary(max_size=200), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps)
    )
)
def test_any_file_is_a_status_or_none(content):
    screen.parse_status(content)


@example(status("two\nlines \x1b[2J"), None)
@given(
    st.builds(status, st.text(), st.integers(-10, 1 << 70), st.none() | st.integers(-10, 1 << 70), st.floats(0, 1e9)),
    st.none() | st.builds(status, st.text(), st.integers(0, 1 << 70), st.none(), st.floats(0, 1e9)),
)
def test_any_status_can_be_described(now, before):
    parsed = screen.parse_status(json.dumps(now))
    assert parsed is not None
    line = screen.describe(parsed, before and screen.parse_status(json.dumps(before)), 1.0)
    assert "\n" not in line and "\x1b" not in line


def test_what_the_module_writes_is_what_the_screen_reads(tmp_path, monkeypatch):
    path = tmp_path / "progress"
    moment = 1000.0
    monkeypatch.setattr(_progress, "time", types.SimpleNamespace(monotonic=lambda: moment, time=time.time))
    progress = Progress(str(path), 10, "dumping")
    assert screen.parse_status(path.read_bytes()) == pytest.approx(status("dumping", 0, 10), abs=0.1)
    progress.add(3)
    assert screen.parse_status(path.read_bytes())["done"] == 0, "at most twice a second"
    moment += 0.55
    progress.add(4)
    assert screen.parse_status(path.read_bytes())["done"] == 7
    progress.step("loading", None)
    assert screen.parse_status(path.read_bytes()) == pytest.approx(status("loading", 0, None), abs=0.1)
    progress.close()
    assert list(tmp_path.iterdir()) == []


def test_a_progress_that_cannot_be_written_changes_nothing(tmp_path):
    with Progress(str(tmp_path / "missing" / "progress"), 10, "dumping") as progress:
        progress.add(4)
        assert progress.done == 4
    with Progress(None) as progress:
        progress.add(4)


def test_progress_counts_from_several_threads():
    progress = Progress(None)
    threads = [threading.Thread(target=lambda: [progress.add(1) for _ in range(10_000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.done == 40_000


def test_progress_does_not_write_through_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "progress"
    link.symlink_to(victim)
    Progress(str(link), 1, "x")
    assert victim.read_text() == "precious"


def test_the_watcher_survives_everything_and_stops(monkeypatch):
    monkeypatch.setattr(screen, "_FIRST_S", 0.01)
    contents = iter([None, b"garbage", json.dumps(status(done=1, step_s=1)).encode()])
    lines = []

    def fetch():
        return next(contents)  # then StopIteration, as any other error

    def show(line):
        lines.append(line)
        if len(lines) == 4:
            raise OSError("the screen is gone")

    with screen.Watcher(fetch, show) as watcher:
        deadline = time.monotonic() + 60
        while len(lines) < 6 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert [line.startswith("still running") for line in lines[:6]] == [True, True, False, True, True, True]
    assert watcher.seen
    count = len(lines)
    time.sleep(0.05)
    assert len(lines) == count


def test_lines_come_at_least_every_five_seconds_at_first():
    assert screen.next_look_s(0) <= 5 and screen.next_look_s(59) <= 5
    assert screen.next_look_s(10_000) <= 30
