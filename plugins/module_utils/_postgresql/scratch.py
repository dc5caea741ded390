# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A scratch server: where a drill restores a recovery point without anything else noticing.

No TCP, no archiving, nothing that leaves the machine; it ends when we end, and what a killed drill left is removed at
the next start.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import socket
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools

_PREFIX = "sre-drill-"
_OWNER = "owner.json"
#: Not durable: a scratch server that dies is made anew. The report says so, as it makes loading faster than it would
#: be on the live server.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
#: Nothing may reach out: no archive, no replication, no scheduler, no connection over TCP.
_HARMLESS = {
    "archive_mode": "off",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "max_logical_replication_workers": 0,
    "shared_preload_libraries": "",
    "log_min_messages": "warning",
}


class ScratchServer:
    """A running scratch server and the directory in which everything of it lies."""

    def __init__(self, instance: Instance, directory: str, password: str, tools: Tools) -> None:
        self.instance = instance
        self.directory = directory
        self.tools = tools
        self._password = password

    def address(self, database: str = "postgres") -> PostgresqlAddress:
        return self.instance.address(password=self._password, database=database)


@contextlib.contextmanager
def scratch_server(
    tools: Tools, near: str | None = None, settings: t.Mapping[str, t.Any] | None = None
) -> t.Iterator[ScratchServer]:
    """Make and start a scratch server; stopped and deleted in every case.

    :arg tools: whose ``bin_dir`` holds ``initdb`` and ``postgres``.
    :arg near: the directory below which it lies; by default that of temporary files.
    :arg settings: further server settings.
    :raises EngineError: it does not start.
    """
    remove_leftovers(near)
    user = place.server_user()
    directory = place.make_directory(user, _PREFIX, near)
    try:
        _sign(directory)
        # The socket's path has to be short, whatever scratch_dir is.
        sockets = place.make_directory(user, "srd-")
        try:
            port = _PORT
            instance = Instance(os.path.join(directory, "data"), sockets, port, tools.bin_dir, user)
            try:
                password = instance.initialise(durable=False)
                instance.configure({**_HARMLESS, **NOT_DURABLE, **_sized(), **(settings or {})}, tcp=False)
                instance.start(tied=True)
                yield ScratchServer(instance, directory, password, tools)
            finally:
                instance.remove()
        finally:
            shutil.rmtree(sockets, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def remove_leftovers(near: str | None = None) -> list[str]:
    """Remove the scratch servers of drills that were killed; returns their directories.

    Only directories that carry our file, belong to us, were made on this host and whose process is gone.
    """
    removed = []
    for parent in dict.fromkeys(filter(None, [near, *place_candidates()])):
        for directory in glob.glob(os.path.join(glob.escape(parent), _PREFIX + "*")):
            if _is_leftover(directory):
                data = os.path.join(directory, "data")
                with contextlib.suppress(RunbookError, OSError):
                    Instance(data, os.path.join(directory, "s"), _PORT, "", place.server_user()).remove()
                shutil.rmtree(directory, ignore_errors=True)
                removed.append(directory)
    return removed


def place_candidates() -> list[str]:
    """Where a scratch server may have been put."""
    import tempfile

    return [tempfile.gettempdir(), "/tmp", "/var/tmp"]


#: Part of the socket's name only: a scratch server has no TCP.
_PORT = 5432


def _sized() -> dict[str, t.Any]:
    """Memory for loading: a quarter of the machine at most, and never so much that a small one suffers."""
    megabytes = 128
    with contextlib.suppress(OSError, ValueError, AttributeError):
        megabytes = max(32, min(512, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 // 16))
    return {
        "shared_buffers": f"{megabytes}MB",
        "maintenance_work_mem": f"{max(64, megabytes // 2)}MB",
        "max_wal_size": "4GB",
        "max_connections": 60,
    }


def _sign(directory: str) -> None:
    with open(os.path.join(directory, _OWNER), "w", encoding="utf-8") as file:
        json.dump({"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}, file)


def _is_leftover(directory: str) -> bool:
    try:
        state = os.lstat(os.path.join(directory, _OWNER))
        with open(os.path.join(directory, _OWNER), encoding="utf-8") as file:
            owner = json.load(file)
        ours = state.st_uid == os.geteuid() and owner["host"] == socket.gethostname()
        return ours and (_started(int(owner["pid"])) != owner["started"])
    except FileNotFoundError:
        # Killed between making the directory and signing it: empty, ours, and not of this moment.
        with contextlib.suppress(OSError):
            return not os.listdir(directory) and time.time() - os.stat(directory).st_mtime > 3600
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _started(pid: int) -> str | None:
    """When a process started, in the kernel's own unit; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (OSError, IndexError):
        return None


def disk_kind(path: str) -> str | None:
    """``ssd``, ``rotational`` or the file system's kind (``tmpfs``, ``overlay``), for the report; None when unknown."""
    with contextlib.suppress(OSError):
        device = os.stat(path).st_dev
        base = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
        for candidate in (f"{base}/queue/rotational", f"{base}/../queue/rotational"):
            with contextlib.suppress(OSError):
                with open(candidate, encoding="ascii") as file:
                    return "rotational" if file.read().strip() == "1" else "ssd"
    with contextlib.suppress(RunbookError, OSError):
        return _process.run(["stat", "-f", "-c", "%T", path], "asking for the file system's kind").decode().strip()
    return None
