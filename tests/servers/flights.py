# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A marked server with one small database, a recovery point of it, and live data that has changed since."""

from __future__ import annotations

import collections.abc
import pathlib
import typing as t

import pytest

from tests.servers.component import Component
from tests.servers.postgresql import Server

FLIGHTS = "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i"


@pytest.fixture
def flights(postgresql_system: Server, tmp_path: pathlib.Path) -> collections.abc.Iterator[Component]:
    """A marked server with one small database and a recovery point of it; what is live has changed since."""
    found = Component(postgresql_system, tmp_path)
    try:
        found.create("flights", FLIGHTS)
        assert found.mark()["changed"]
        assert "error" not in found.back_up()
        found.server.execute("INSERT INTO f VALUES (0)", "flights")
        yield found
    finally:
        found.clear()


def rows(component: Component, database: str = "flights") -> int:
    return t.cast(int, component.server.execute("SELECT count(*) FROM f", database)[0][0])


def refused(result: dict[str, t.Any], kind: str) -> str:
    """The message of a failure of that kind, which names what was expected or found and what to do."""
    assert result.get("failed"), result
    assert result["error"]["kind"] == kind, result["msg"]
    assert result["error"]["expected"] or result["error"]["found"]
    return t.cast(str, result["msg"])


def untouched(component: Component, count: int = 1001) -> None:
    """The live data is as it was, takes connections, and nothing stands beside it."""
    assert rows(component) == count
    assert component.databases() == {"flights"}
    assert list(component.scratch.iterdir()) == []
