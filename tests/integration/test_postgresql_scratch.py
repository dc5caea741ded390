# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scratch server of drills: harmless, gone in every case, leftovers of killed drills removed."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client, place, scratch
from tests.conftest import ROOT
from tests.servers.deadline import wait_for
from tests.servers.postgresql import KINDS, find_binaries


@pytest.mark.parametrize("kind", KINDS)
def test_it_serves_on_its_socket_only_and_leaves_nothing(kind: str) -> None:
    with scratch.scratch_server(find_binaries(kind)) as server:
        directory, pid = pathlib.Path(server.directory), server.instance.pid()
        with client.connect(server.address()) as session:
            shown = {
                name: session.execute("SELECT current_setting(%s)", (name,)).fetchone()
                for name in ("listen_addresses", "archive_mode", "max_logical_replication_workers", "autovacuum")
            }
        assert shown == {
            "listen_addresses": ("",),
            "archive_mode": ("off",),
            "max_logical_replication_workers": ("0",),
            "autovacuum": ("on",),
        }
        sockets = pathlib.Path(server.instance.socket_dir)
        assert directory.exists() and sockets.exists()
    assert not directory.exists() and not sockets.exists()
    assert pid is not None and not pathlib.Path(f"/proc/{pid}").exists()


def test_it_is_removed_when_the_drill_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        with scratch.scratch_server(find_binaries("system")) as server:
            directory = pathlib.Path(server.directory)
            raise ZeroDivisionError
    assert not directory.exists()


def test_a_killed_drill_leaves_no_server_and_the_next_removes_its_files() -> None:
    parent = place.make_directory(place.server_user(), "srt-")
    program = textwrap.dedent(f"""
        import sys, time
        sys.path[:0] = [{str(ROOT / ".local" / "collections")!r}, {str(ROOT)!r}]
        from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import scratch
        from tests.servers.postgresql import find_binaries
        with scratch.scratch_server(find_binaries("system"), {parent!r}) as server:
            print(server.directory, server.instance.pid(), flush=True)
            time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        directory, pid = child.stdout.readline().split()
        assert scratch.remove_leftovers(parent) == []  # somebody else's running drill
        os.kill(child.pid, signal.SIGKILL)
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the server, which outlived its drill, to end")
    assert pathlib.Path(directory).exists()
    assert scratch.remove_leftovers(parent) == [directory]
    assert os.listdir(parent) == []
    os.rmdir(parent)


def test_foreign_directories_are_left_alone() -> None:
    parent = pathlib.Path(place.make_directory(place.server_user(), "srt-"))
    (parent / "sre-drill-unsigned").mkdir()
    (parent / "sre-drill-elsewhere").mkdir()
    (parent / "sre-drill-elsewhere" / "owner.json").write_text('{"host": "elsewhere", "boot_id": "x", "pid": 1}')
    assert scratch.remove_leftovers(str(parent)) == []
    for path in ("sre-drill-elsewhere/owner.json",):
        (parent / path).unlink()
    for path in ("sre-drill-elsewhere", "sre-drill-unsigned", "."):
        (parent / path).rmdir()


def test_the_disk_is_described() -> None:
    assert scratch.disk_kind("/") is not None
