# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgresql_backup where it cannot be: what it refuses beforehand, and what is left when it fails or dies."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time

import psutil
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.servers.deadline import wait_for
from tests.servers.module_call import start_module
from tests.servers.postgresql import Server, postgresql_server, postgresql_system, postgresql_wheel  # noqa: F401
from tests.servers.site import COMPONENT, Site, create, simple, site  # noqa: F401
from tools.local_environment import free_port


def test_wrong_password(simple: Site) -> None:  # noqa: F811
    result = simple.back_up(login_password="guessed-wrongly")
    assert result["failed"] and "authentication failed" in result["msg"]
    assert "guessed-wrongly" not in json.dumps({**result, "invocation": None})
    assert not simple.points()


def test_unreachable_server(simple: Site) -> None:  # noqa: F811
    result = simple.back_up(login_port=free_port())
    assert (
        result["failed"] and result["error"]["kind"] == "connection" and "pg_isready" in result["error"]["next_command"]
    )


def test_older_tools(postgresql_system: Server, postgresql_wheel: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    if postgresql_system.major >= postgresql_wheel.major:
        pytest.skip("the system's PostgreSQL is not the older one")
    result = Site(postgresql_wheel, tmp_path).back_up(bin_dir=postgresql_system.bin_dir)
    assert result["failed"] and result["error"]["kind"] == "missing_requirement"
    assert str(postgresql_wheel.major) in result["error"]["expected"]
    assert postgresql_system.tools.version_text in result["error"]["found"]


def test_no_repository_or_another_environment(simple: Site) -> None:  # noqa: F811
    nowhere = simple.back_up(repository=f"file://{simple.path}/nowhere")
    assert nowhere["failed"] and nowhere["error"]["kind"] == "repository"
    other = simple.back_up(environment_name="production")
    assert other["failed"] and "local" in other["msg"]


def test_roles_that_cannot_see_everything(simple: Site) -> None:  # noqa: F811
    server = simple.server
    server.execute("CREATE ROLE weak LOGIN PASSWORD 'feeble'")
    try:
        login = {"login_user": "weak", "login_password": "feeble"}
        result = simple.back_up(**login)
        assert result["failed"] and "ALTER ROLE weak BYPASSRLS" in result["error"]["next_command"]
        server.execute("ALTER ROLE weak BYPASSRLS")
        result = simple.back_up(**login)
        assert result["failed"] and "pg_read_all_data" in result["error"]["next_command"]
        assert "public.f" in result["error"]["found"] and not simple.points()
        server.execute("GRANT pg_read_all_data TO weak")
        result = simple.back_up(**login)
        assert result.get("changed"), result
        assert any("no canary in 'flights'" in str(warning) for warning in result["warnings"])
        (point,) = simple.points()
        assert point.content["databases"][0]["tables"]["public.f"]["rows"] == 1000
    finally:
        server.execute("DROP ROLE weak")


class Pooler:
    """As much of a pooler as matters: it forwards, but tells a process number of its own."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                inside, _address = self._listener.accept()
                outside = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._pump, args=(inside, outside, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(outside, inside, True), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket, disguise: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if disguise:
                    data = re.sub(rb"K\x00\x00\x00\x0c....", b"K\x00\x00\x00\x0c\x7f\xff\x00\x01", data, flags=re.S)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


def test_pooler_is_refused(simple: Site) -> None:  # noqa: F811
    pooler = Pooler(simple.server.instance.port)
    try:
        result = simple.back_up(login_port=pooler.port, ssl_mode="disable")
    finally:
        pooler.close()
    assert result["failed"] and result["error"]["kind"] == "refused" and "pooler" in result["msg"]


def test_second_operator_is_refused(simple: Site) -> None:  # noqa: F811
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding

    with holding(simple.repository, COMPONENT, None, describe_holder(None), 600):
        result = simple.back_up()
        assert result["failed"] and result["error"]["kind"] == "lease_held"
    assert not simple.points() and simple.back_up()["changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_repository(postgresql_system: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)], check=False)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        site = Site(postgresql_system, tmp_path)
        create(
            site.server,
            "large",
            "CREATE TABLE noise AS SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 500000) i GROUP BY i % 50",
        )
        result = site.back_up()
        assert result["failed"] and result["error"]["kind"] == "repository", result
        assert "space" in result["msg"].lower()
        assert not site.points() and not [name for name in site.files() if "/objects/" in name]
        assert result["error"]["expected"] or result["error"]["found"]
    finally:
        postgresql_system.execute('DROP DATABASE IF EXISTS "large"')
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_scratch_directory(postgresql_system: Server, tmp_path: pathlib.Path) -> None:  # noqa: F811
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(scratch)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        site = Site(postgresql_system, tmp_path)
        create(site.server, "large", "CREATE TABLE zeros AS SELECT repeat('0', 1000) FROM generate_series(1, 20000)")
        result = site.back_up(scratch_dir=str(scratch))
        assert result["failed"] and "scratch_dir" in result["error"]["next_command"], result
        assert not site.points() and not list(scratch.iterdir())
    finally:
        postgresql_system.execute('DROP DATABASE IF EXISTS "large"')
        subprocess.run(["umount", str(scratch)], check=True)


def test_table_that_stays_locked(simple: Site) -> None:  # noqa: F811
    with client.connect(simple.server.address, "flights", autocommit=False) as blocker:
        blocker.execute("LOCK TABLE f IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        result = simple.back_up(lock_timeout="1s")
        assert time.monotonic() - began < 60
        blocker.rollback()
    assert result["failed"] and "lock_timeout" in result["error"]["next_command"], result
    assert not simple.points()


def descendants(path: pathlib.Path) -> list[psutil.Process]:
    """Dump tools that work for the repository at ``path``: their scratch directory is below it."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        with contextlib.suppress(psutil.Error):
            if any(str(path) in word for word in process.info["cmdline"] or []) and process.status() != "zombie":
                found.append(process)
    return found


@pytest.mark.parametrize("moment", [0.3, 0.6, 0.9, 1.3])
def test_killed_at_any_moment(site: Site, moment: float) -> None:  # noqa: F811
    """Nothing is listed, no child stays, and the next run clears up and succeeds."""
    create(
        site.server,
        "large",
        "CREATE TABLE one AS SELECT i, repeat(md5(i::text), 40) AS pad FROM generate_series(1, 60000) i;"
        "CREATE TABLE two AS SELECT * FROM one",
    )
    scratch = site.path / "scratch"
    scratch.mkdir()
    process = start_module("postgresql_backup", site.params(scratch_dir=str(scratch)))
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    listed = len(site.points())
    wait_for(lambda: not descendants(scratch), "the dump tools to end")
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'large'"
    wait_for(lambda: site.server.execute(sessions) == [(0,)], "their sessions to end")
    for leftover in scratch.iterdir():  # a moment's grace is given to a directory that is being made
        os.utime(leftover)
    result = site.back_up(scratch_dir=str(scratch))
    assert not result.get("failed"), result
    assert result["changed"] is (listed == 0)
    assert len(site.points()) == 1 and not list_points(site.repository, COMPONENT).incomplete
    assert verify_point(site.repository, site.points()[0], Identities(), None).ok
    assert not site.back_up()["changed"]
