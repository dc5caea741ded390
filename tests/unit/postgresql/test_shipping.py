# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files leave only when their writer has closed them; a tool and its workers end with us."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import psutil
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    EngineError,
    MissingRequirement,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.dump import scratch_directory
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.shipping import Shipping
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
from tests.servers.deadline import wait_for

# Two workers write files slowly, in pieces; the parent writes the table of contents at the end, once half of the files
# are gone or nobody takes them.
WRITER = """
import os, sys, time
for worker in range(2):
    if os.fork() == 0:
        for number in range(5):
            with open(f"{sys.argv[1]}/{worker}{number}.dat", "wb", buffering=0) as file:
                for piece in range(4):
                    file.write(b"x" * 1000)
                    time.sleep(0.01)
        os._exit(0)
for worker in range(2):
    os.wait()
end = time.monotonic() + 60
while len(os.listdir(sys.argv[1])) > 5 and time.monotonic() < end:
    time.sleep(0.01)
open(sys.argv[1] + "/toc.dat", "w").write("toc")
"""


def writer(path: pathlib.Path, program: str = WRITER) -> ProcessGroup:
    return ProcessGroup([sys.executable, "-c", program, str(path)], "writing")


def nothing() -> None:
    pass


def test_each_file_is_shipped_whole_and_once_and_the_contents_last(tmp_path: pathlib.Path) -> None:
    shipped: list[tuple[str, int]] = []
    early = 0
    with writer(tmp_path) as group:
        with Shipping(
            str(tmp_path),
            group,
            lambda name: shipped.append((name, (tmp_path / name).stat().st_size)),
            "toc.dat".__eq__,
        ) as shipping:
            shipping.while_running(nothing)
            early = len(shipped)
            group.finish()
            names = shipping.the_rest(nothing)
    assert sorted(shipped) == sorted([(f"{w}{n}.dat", 4000) for w in range(2) for n in range(5)] + [("toc.dat", 3)])
    assert shipped[-1][0] == "toc.dat" and names == {name for name, _size in shipped}
    assert early >= 5, "nothing left while the tool was running"
    assert not list(tmp_path.iterdir())


def test_failure_to_store_ends_it(tmp_path: pathlib.Path) -> None:
    def full(name: str) -> None:
        raise RepositoryError("full")

    with pytest.raises(RepositoryError), writer(tmp_path) as group:
        with Shipping(str(tmp_path), group, full, "toc.dat".__eq__) as shipping:
            shipping.while_running(nothing)
    assert not group.running()


def test_what_waits_is_bounded(tmp_path: pathlib.Path) -> None:
    """A slow repository makes the writer wait instead of filling the scratch directory."""
    gate, hurry, written = threading.Event(), tmp_path / "hurry", tmp_path / "written"
    written.mkdir()
    # For as long as a loaded machine may stand still, it would go on writing.
    program = f"""
import os, sys, time
for number in range(1500):
    open(f"{{sys.argv[1]}}/{{number:04d}}.dat", "wb").write(b"x" * 10000)
    if not os.path.exists({str(hurry)!r}):
        time.sleep(0.02)
"""
    counted: list[tuple[float, int]] = []

    def ship(name: str) -> None:
        gate.wait(60)

    def watch() -> None:
        if gate.is_set():
            return
        counted.append((time.monotonic(), len(list(written.iterdir()))))
        now, count = counted[-1]
        since = next(moment for moment, other in counted if other == count)
        if count and now - since > 1:  # it stands still
            hurry.touch()
            gate.set()

    with writer(written, program) as group:
        with Shipping(str(written), group, ship, lambda name: False, waiting_limit=200_000) as shipping:
            shipping.while_running(watch)
            stood_still = gate.is_set()
            gate.set()
            group.finish()
            assert len(shipping.the_rest(nothing)) == 1500
    assert stood_still and max(count for _moment, count in counted) < 750, "it was not made to wait"


def test_workers_die_with_us(tmp_path: pathlib.Path) -> None:
    program = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
worker = "import os, time\\nos.fork()\\nos.fork()\\ntime.sleep(60)"
with ProcessGroup([sys.executable, "-c", worker, {str(tmp_path)!r}], "sleeping") as group:
    while len(group.pids()) < 4:
        time.sleep(0.01)
    print(*group.pids(), flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 4
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    wait_for(lambda: not any(running(pid) for pid in pids), "the workers to end")


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_errors_of_the_tool_are_told() -> None:
    with ProcessGroup([sys.executable, "-c", "import sys; sys.exit('went wrong')"], "dumping") as group:
        with pytest.raises(EngineError, match=r"dumping failed.*exit code 1: went wrong"):
            group.finish()
    with pytest.raises(MissingRequirement):
        ProcessGroup(["/nowhere/pg_dump"], "dumping")


def test_scratch_directories_of_the_dead_are_removed(tmp_path: pathlib.Path) -> None:
    dead = tmp_path / "srb-dump-dead"
    dead.mkdir()
    (dead / "file").touch()
    with scratch_directory(str(tmp_path)) as live:
        assert not dead.exists()
        with scratch_directory(str(tmp_path)):
            assert os.path.isdir(live)
    assert not list(tmp_path.iterdir())


def test_a_scratch_directory_that_was_swept_while_it_was_made_is_made_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = tempfile.mkdtemp

    def swept(**arguments: str) -> str:
        made.append(real(**arguments))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with scratch_directory(str(tmp_path)) as live:
        assert live == made[1] and os.path.isdir(live)
    assert not list(tmp_path.iterdir())
