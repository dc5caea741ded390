# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component as the modules see it: a server with its environment's marker, and a repository of its own."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server

NAME = "flights_db"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Component:
    """``flights_db`` of the environment ``local``; its modules called with the parameters that they need."""

    def __init__(self, server: Server, path: pathlib.Path) -> None:
        self.server = server
        self.path = path
        self.url = f"file://{path}/repository"
        repository, _created = initialise_repository(self.url, "local", check_mode=False)
        assert repository is not None
        self.repository = repository
        self.scratch = path / "scratch"
        self.scratch.mkdir()
        self.scratch.chmod(0o755)

    def _call(self, module: str, params: dict[str, t.Any], check: bool) -> dict[str, t.Any]:
        own = {"repository": self.url, "environment_name": "local", "component": NAME}
        return call_module(module, {**own, **params}, check)

    def mark(self, **params: t.Any) -> dict[str, t.Any]:
        given = {"environment_name": "local", "confirm": "local", **self.server.params(), **params}
        return call_module("environment_marker", given)

    def back_up(self, **params: t.Any) -> dict[str, t.Any]:
        return self._call("postgresql_backup", {**self.server.params(), "force": True, **params}, False)

    def restore(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        """Confirmed, unless said otherwise."""
        given = {**self.server.params(), "confirm": NAME, "scratch_dir": str(self.scratch), **params}
        return self._call("postgresql_restore", given, check)

    def drill(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        return self._call("postgresql_drill", params, check)

    def listing(self) -> PointListing:
        return list_points(self.repository, NAME)

    def newest(self) -> RecoveryPoint:
        return self.listing().points[0]

    def create(self, database: str, sql: str = "") -> None:
        self.server.execute(f"CREATE DATABASE {quoted(database)}")
        if sql:
            self.server.execute(sql, database)

    def databases(self) -> set[str]:
        rows = self.server.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")
        return {row[0] for row in rows} - {"postgres"}

    def clear(self) -> None:
        """Make the server empty again."""
        for name in self.databases():
            self.server.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
        self.server.execute("DROP SCHEMA IF EXISTS sre_runbooks CASCADE")
        for (name,) in self.server.execute("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND oid > 16383"):
            self.server.execute(f"DROP ROLE {quoted(name)}")

    def object_file(self, suffix: str = "toc.dat.zst") -> pathlib.Path:
        """The file of one of the newest point's objects."""
        (key, *_others) = [stored.key for stored in self.newest().objects if stored.name.endswith(suffix)]
        return self.path / "repository" / key
