# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds tcp, disk and process, and postgresql where no server is needed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._background import kernel
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import in_units, size
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.unit.probes.conftest import Ask


def test_tcp_connects(server: HttpServer, ask: Ask) -> None:
    assert ask("tcp", host="127.0.0.1", port=server.port).reading.outcome == "ok"
    assert ask("tcp", host="127.0.0.1", port=closed_port()).reading.message == "connection refused"


def test_tcp_conversation(server: HttpServer, ask: Ask) -> None:
    request = "GET /until-close HTTP/1.1\r\nHost: x\r\n\r\n"
    port = server.port
    assert ask("tcp", host="127.0.0.1", port=port, send=request, expect="all of it").reading.outcome == "ok"
    other = ask("tcp", host="127.0.0.1", port=port, send=request, expect="220 ready").reading
    assert (other.outcome, other.message) == ("failed", "closed without the expected answer")
    assert "HTTP/1.0 200 OK" in other.measured


def test_tcp_silence(ask: Ask) -> None:
    with silent_listener() as port:
        reading = ask("tcp", host="127.0.0.1", port=port, expect="hello", timeout=0.2).reading
    assert (reading.outcome, reading.values["timed_out"]) == ("failed", True)


def test_disk(ask: Ask, tmp_path: pathlib.Path) -> None:
    found = os.statvfs(tmp_path)
    reading = ask("disk", path=str(tmp_path), free_percent=0, free_bytes="1k").reading
    assert reading.outcome == "ok"
    frees = sorted(one.f_bavail * one.f_frsize for one in (found, os.statvfs(tmp_path)))
    assert 0.95 * frees[0] <= reading.values["free_bytes"] <= 1.05 * frees[1]
    assert ask("disk", path=str(tmp_path), free_bytes="900P").reading.message == f"too little space for {tmp_path}"
    assert ask("disk", path=str(tmp_path), free_percent=100).reading.outcome == "failed"
    assert ask("disk", path=str(tmp_path), free_percent=0, warning_percent="100%").reading.outcome == "warning"
    assert ask("disk", path=str(tmp_path / "none")).reading.measured == "no such path"


@pytest.mark.parametrize(
    ("text", "count"), [("10", 10), (2048, 2048), ("1k", 1024), ("1.5 GiB", 1610612736), ("2MB", 2 << 20)]
)
def test_sizes(text: t.Any, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes_for_people(count: int, shown: str) -> None:
    assert in_units(count) == shown


#: Nobody else's, such as another run of these tests.
MARK = f"probe me {os.getpid()} 4711"


@contextlib.contextmanager
def sleeping(argument: str) -> t.Iterator[subprocess.Popen[bytes]]:
    """A process that is the program it was started as."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", argument]) as process:
        try:
            wait_for(lambda: argument in kernel.arguments(process.pid), "the program")
            yield process
        finally:
            process.kill()


@pytest.fixture
def sleeper() -> t.Iterator[subprocess.Popen[bytes]]:
    with sleeping(MARK) as process:
        yield process


def test_process_by_pattern(ask: Ask, sleeper: subprocess.Popen[bytes]) -> None:
    reading = ask("process", pattern=MARK.replace("4711", r"4\d+1")).reading
    assert (reading.outcome, reading.values["pids"]) == ("ok", [sleeper.pid])
    assert ask("process", pattern=MARK, minimum=2).reading.message == "too few processes"
    assert ask("process", pattern=MARK, user="nobody").reading.outcome == "failed"
    with sleeping(MARK + " too"):
        assert ask("process", pattern=MARK, maximum=1).reading.message == "too many processes"


def test_process_by_pid_file(ask: Ask, sleeper: subprocess.Popen[bytes], tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{sleeper.pid}\n/data\n12345\n")  # as PostgreSQL writes it
    assert ask("process", pid_file=str(path)).reading.outcome == "ok"
    found = kernel.process(sleeper.pid)
    assert found is not None
    record: dict[str, t.Any] = {"pid": sleeper.pid, "started": found.started, "boot_id": kernel.boot_id()}
    path.write_text(json.dumps(record))
    assert ask("process", pid_file=str(path)).reading.outcome == "ok"
    path.write_text(json.dumps({**record, "started": found.started + 1}))
    assert "another one" in ask("process", pid_file=str(path)).reading.measured
    path.write_text(json.dumps({**record, "boot_id": "an earlier one"}))
    assert ask("process", pid_file=str(path)).reading.outcome == "failed"
    sleeper.kill()
    sleeper.wait()
    path.write_text(str(sleeper.pid))
    assert ask("process", pid_file=str(path)).reading.outcome == "failed"
    path.write_text("nothing of use")
    assert ask("process", pid_file=str(path)).reading.outcome == "unknown"
    path.unlink()
    assert ask("process", pid_file=str(path)).reading.measured == "no pid file"


def test_a_zombie_does_not_run(ask: Ask, tmp_path: pathlib.Path) -> None:
    process = subprocess.Popen(["true"])
    wait_for(lambda: (found := kernel.process(process.pid)) is not None and found.dead, "its end")
    path = tmp_path / "pid"
    path.write_text(str(process.pid))
    assert ask("process", pid_file=str(path)).reading.outcome == "failed"
    process.wait()


def test_postgresql_without_a_server(ask: Ask, tmp_path: pathlib.Path) -> None:
    reading = ask("postgresql", port=closed_port(), password="hunter2", query="SELECT 1").reading
    assert (reading.outcome, reading.measured) == ("failed", "no connection")
    assert "hunter2" not in repr(reading)
    missing = ask("postgresql", password_file=str(tmp_path / "none")).reading
    assert missing.outcome == "unknown"


def test_postgresql_without_the_library_is_unknown(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    reading = ask("postgresql").reading
    assert (reading.outcome, reading.hint) == ("unknown", "ansible-playbook sre.runbooks.prepare_hosts")
    assert "psycopg cannot be imported" in reading.message


def test_postgresql_that_hangs_is_given_up_in_time(ask: Ask) -> None:
    with silent_listener() as port:
        started = time.monotonic()
        reading = ask("postgresql", port=port, timeout=0.5).reading
    assert (reading.outcome, reading.values["timed_out"]) == ("failed", True)
    assert time.monotonic() - started < 30
