# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with a repository of its own, from which recovery points are taken."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import catalog
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.conftest import ROOT
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server

DIFFICULT = 'Dïfficult "db" x'
COMPONENT = "flights_db"


class Site:
    """A server with its own repository."""

    def __init__(self, server: Server, path: pathlib.Path) -> None:
        self.server = server
        self.path = path
        self.url = f"file://{path}/repository"
        repository, _created = initialise_repository(self.url, "local", check_mode=False)
        assert repository is not None
        self.repository = repository

    def params(self, **changes: t.Any) -> dict[str, t.Any]:
        own = {"repository": self.url, "environment_name": "local", "component": COMPONENT, **self.server.params()}
        return {**own, **changes}

    def back_up(self, check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        return call_module("postgresql_backup", self.params(**changes), check)

    def points(self) -> list[t.Any]:
        return list_points(self.repository, COMPONENT).points

    def files(self) -> list[str]:
        root = self.path / "repository"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def create(server: Server, name: str, sql: str = "") -> None:
    server.execute(f"CREATE DATABASE {quoted(name)}")
    if sql:
        server.execute(sql, name)


def load_difficult(server: Server) -> None:
    create(server, DIFFICULT)
    subprocess.run(
        [
            server.tools.psql,
            "-qX",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            str(ROOT / "tests" / "integration" / "difficult_database.sql"),
        ],
        env={**os.environ, **server.address.environment(DIFFICULT)},
        check=True,
        capture_output=True,
    )
    with server.connect(DIFFICULT) as session:
        for (name,) in session.execute(
            "SELECT name FROM pg_available_extensions WHERE name IN"
            " ('hstore', 'citext', 'ltree', 'pg_trgm', 'postgres_fdw', 'pgcrypto', 'btree_gist')"
        ).fetchall():
            session.execute(f"CREATE EXTENSION {name}")
        session.execute('CREATE TABLE extended (h hstore, c citext COLLATE "C", l ltree)')
        session.execute("INSERT INTO extended VALUES ('b=>2, a=>NULL', 'MiXed', 'Top.Science')")


@pytest.fixture
def site(postgresql_server: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Site]:
    server = postgresql_server
    yield Site(server, tmp_path)
    for (name,) in server.execute(
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres') AND NOT datistemplate"
    ):
        server.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


@pytest.fixture
def simple(postgresql_system: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Site]:
    """One server is enough where nothing depends on the version."""
    create(postgresql_system, "flights", "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i")
    yield Site(postgresql_system, tmp_path)
    for (name,) in postgresql_system.execute(
        "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres') AND NOT datistemplate"
    ):
        postgresql_system.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")


def measured(server: Server, database: str) -> dict[str, t.Any]:
    with server.connect(database) as session:
        return catalog.measure_database(session, "all")


def comparable(measure: dict[str, t.Any]) -> dict[str, t.Any]:
    """Without what a reload may change: sizes."""
    return {
        "tables": {name: {**table, "size": None} for name, table in measure["tables"].items()},
        "sequences": measure["sequences"],
        "large_objects": measure["large_objects"],
    }
