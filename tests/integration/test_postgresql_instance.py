# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_instance makes, changes, stops and removes a server, and touches none but its own."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import shutil
import signal
import typing as t

import psutil
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client, place
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import MARKER, Instance
from tests.servers.deadline import wait_for
from tests.servers.module_call import call_module, start_module
from tests.servers.postgresql import KINDS, find_binaries
from tools.local_environment import free_port


class Place:
    def __init__(self, root: str, kind: str) -> None:
        self.root = pathlib.Path(root)
        self.data_dir = self.root / "data"
        self.binaries = find_binaries(kind)
        self.port = free_port()
        password = self.root / "password"
        password.write_text("top-secret\n")
        password.chmod(0o600)
        self.params = {
            "data_dir": str(self.data_dir),
            "socket_dir": str(self.root / "s"),
            "port": self.port,
            "bin_dir": self.binaries.bin_dir,
            "superuser_password_file": str(password),
            "settings": {"shared_buffers": "16MB", "fsync": False},
        }

    def call(self, check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        return call_module("postgresql_instance", {**self.params, **changes}, check)

    def brief(self, state: str, check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        """Only what the removal of a server needs to know."""
        return call_module("postgresql_instance", {"data_dir": str(self.data_dir), "state": state, **changes}, check)

    def ask(self, sql: str) -> t.Any:
        address = client.PostgresqlAddress(host="127.0.0.1", port=self.port, password="top-secret")
        with client.connect(address) as session:
            return session.execute(sql.encode()).fetchone()[0]  # type: ignore[index]


@pytest.fixture(params=KINDS)
def spot(request: pytest.FixtureRequest) -> collections.abc.Iterator[Place]:
    root = place.make_directory(place.server_user(), "srt-")
    os.chmod(root, 0o711)
    spot = Place(root, request.param)
    yield spot
    if spot.data_dir.exists() and (spot.data_dir / MARKER).exists():
        spot.brief("absent", stop_mode="kill")
    shutil.rmtree(root)


def test_life_of_a_server(spot: Place) -> None:
    would = spot.call(check=True)
    assert would["changed"] and not spot.data_dir.exists()
    made = spot.call()
    assert made["changed"] and made["version"] == spot.binaries.version_text and made["address"]["port"] == spot.port
    assert spot.ask("SHOW shared_buffers") == "16MB" and spot.ask("SHOW listen_addresses") == "127.0.0.1"
    again = spot.call()
    assert not again["changed"] and again["pid"] == made["pid"]

    other = {"shared_buffers": "24MB"}
    assert spot.call(check=True, settings=other)["changed"] and spot.ask("SHOW shared_buffers") == "16MB"
    changed = spot.call(settings=other)
    assert changed["changed"] and "24MB" in changed["diff"]["after"] and spot.ask("SHOW shared_buffers") == "24MB"

    assert spot.brief("stopped", check=True)["changed"] and spot.ask("SELECT 1") == 1
    assert spot.brief("stopped")["changed"] and not spot.brief("stopped")["changed"]
    assert spot.call(settings=other)["changed"] and spot.ask("SELECT 1") == 1

    assert spot.brief("absent", check=True)["changed"] and spot.ask("SELECT 1") == 1
    assert spot.brief("absent")["changed"] and not spot.brief("absent")["changed"]
    assert sorted(path.name for path in spot.root.iterdir()) == ["password"]


def test_crash_leaves_nothing_that_prevents_a_start(spot: Place) -> None:
    first = spot.call()["pid"]
    assert spot.brief("stopped", stop_mode="kill")["changed"]
    assert not any(process.is_running() and process.status() != "zombie" for process in _processes(first))
    assert spot.call()["changed"] and spot.ask("SELECT 1") == 1
    memory = pathlib.Path("/proc/sysvipc/shm")
    assert spot.brief("absent", stop_mode="kill")["changed"]
    if memory.exists():
        # key, id, permissions, size, creator
        assert str(first) not in [line.split()[4] for line in memory.read_text().splitlines()]


def _processes(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return []


def _processes_in(directory: pathlib.Path) -> list[int]:
    """What works in it or below it."""
    found = []
    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"] and pathlib.Path(process.info["cwd"]).is_relative_to(directory):
            found.append(process.pid)
    return found


def test_killed_while_making_it(spot: Place) -> None:
    making = spot.root / "data.initialising"
    for _attempt in range(5):
        process = start_module("postgresql_instance", spot.params)
        wait_for(lambda: (making / "PG_VERSION").exists() or spot.data_dir.exists(), "initdb's first files")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        # initdb dies with the module, what it started at the end of its input.
        wait_for(lambda: not _processes_in(spot.root), "what was started to end")
        if not spot.data_dir.exists():
            break
        spot.brief("absent", stop_mode="kill")  # it was faster than we were
    assert not spot.data_dir.exists() and making.exists()
    assert spot.call()["changed"] and spot.ask("SELECT 1") == 1
    # The killed run's files, a password among them, are gone too.
    assert sorted(path.name for path in spot.root.iterdir()) == ["data", "data.log", "password", "s"]


def test_foreign_directories_are_refused(spot: Place) -> None:
    spot.data_dir.mkdir()
    (spot.data_dir / "precious").write_text("data")
    for state in ("absent", "started"):
        result = spot.call(state=state)
        assert result["failed"] and result["error"]["kind"] == "refused", state
    assert (spot.data_dir / "precious").read_text() == "data"
    # A marker that was copied along with somebody's files is no proof.
    (spot.data_dir / MARKER).write_text('{"data_dir": "/elsewhere"}')
    assert spot.brief("absent")["failed"] and (spot.data_dir / "precious").exists()
    shutil.rmtree(spot.data_dir)


def test_another_major_is_refused(spot: Place) -> None:
    spot.call()
    result = spot.call(major=9)
    assert result["failed"] and f"major {spot.binaries.version[0]}" in result["error"]["found"]


def test_password_is_needed_and_no_other_works(spot: Place) -> None:
    result = spot.call(superuser_password_file=None)
    assert result["failed"] and "superuser_password_file" in result["error"]["expected"] and not spot.data_dir.exists()
    made = spot.call()
    assert "top-secret" not in str({**made, "invocation": None})
    for host in ({"host": "127.0.0.1"}, {"socket": str(spot.root / "s")}):
        with pytest.raises(client.ConnectionFailed):
            client.connect(client.PostgresqlAddress(port=spot.port, password="wrong", **host))


def test_taken_port_is_told(spot: Place) -> None:
    import socket

    with socket.create_server(("127.0.0.1", spot.port)):
        result = spot.call()
    assert result["failed"] and "in use" in result["error"]["found"], result
    assert spot.call()["changed"]


def test_long_socket_paths_are_refused_early(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="107"):
        Instance(str(tmp_path / "d"), "/tmp/" + "x" * 100, 5432, "/bin")


@pytest.mark.skipif(os.geteuid() != 0, reason="as ourselves everything of ours can be reached")
def test_unreachable_places_are_told(tmp_path: pathlib.Path) -> None:
    binaries = find_binaries("system")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    socket_dir = place.make_directory(place.server_user())
    try:
        instance = Instance(str(closed / "data"), socket_dir, 5432, binaries.bin_dir, place.server_user())
        with pytest.raises(EngineError, match="cannot be reached"):
            instance.initialise()
        assert not list(closed.iterdir())
    finally:
        shutil.rmtree(socket_dir)
