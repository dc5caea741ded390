# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A scratch server: where a drill restores a recovery point without anything else noticing.

No TCP, no archiving, nothing that leaves the machine; it ends when we end, and what a killed drill left is removed at
the next start.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools
from ansible_collections.sre.runbooks.plugins.module_utils._recovery import workplace

_PREFIX = "sre-drill-"
# The path of a socket has to be short, whatever scratch_dir is.
_SOCKETS = "srd-"
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
    own = place.making_for(user)
    with workplace.workplace(_PREFIX, near, own) as directory, workplace.workplace(_SOCKETS, None, own) as sockets:
        instance = Instance(os.path.join(directory, "data"), sockets, _PORT, tools.bin_dir, user)
        try:
            password = instance.initialise(durable=False)
            instance.configure({**_HARMLESS, **NOT_DURABLE, **_sized(), **(settings or {})}, tcp=False)
            instance.start(tied=True)
            yield ScratchServer(instance, directory, password, tools)
        finally:
            instance.remove()


def remove_leftovers(near: str | None = None) -> list[str]:
    """Remove the scratch servers of drills that were killed; returns their directories."""

    def end_server(directory: str) -> None:
        with contextlib.suppress(RunbookError, OSError):
            data = os.path.join(directory, "data")
            Instance(data, os.path.join(directory, "s"), _PORT, "", place.server_user()).remove()

    workplace.remove_leftovers(_SOCKETS, None)
    return workplace.remove_leftovers(_PREFIX, near, end_server)


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
