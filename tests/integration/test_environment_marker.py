# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""environment_marker: what it marks, and what it refuses to mark."""

from __future__ import annotations

import collections.abc
import typing as t

import pytest

from tests.servers.module_call import call_module
from tests.servers.postgresql import Server, running_server


@pytest.fixture(scope="module")
def server() -> collections.abc.Iterator[Server]:
    with running_server("system") as found:
        yield found


@pytest.fixture(autouse=True)
def unmarked(server: Server) -> collections.abc.Iterator[None]:
    yield
    server.execute("DROP SCHEMA IF EXISTS sre_runbooks CASCADE; DROP TABLE IF EXISTS precious")
    server.execute("DROP DATABASE IF EXISTS flights")


def mark(server: Server, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    return call_module("environment_marker", {"environment_name": "staging", **server.params(), **params}, check)


def marked(server: Server) -> str | None:
    if server.execute("SELECT to_regclass('sre_runbooks.environment')") == [(None,)]:
        return None
    rows = server.execute("SELECT name FROM sre_runbooks.environment")
    return rows[0][0] if rows else None


def test_an_empty_server_is_marked_once(server: Server) -> None:
    predicted = mark(server, check=True)
    assert predicted["changed"] and marked(server) is None and predicted["stamped"] is None
    done = mark(server)
    assert done["changed"] and done["previous"] is None and done["content"] == [] and done["stamped"]
    assert done["diff"] == predicted["diff"] == {"before": {"environment": None}, "after": {"environment": "staging"}}
    assert marked(server) == "staging"
    again = mark(server)
    assert not again["changed"] and again["stamped"] == done["stamped"]


@pytest.mark.parametrize("content", ["CREATE DATABASE flights", "CREATE TABLE precious (id int)"])
def test_content_must_be_confirmed_by_name(server: Server, content: str) -> None:
    server.execute(content)
    for check in (True, False):
        for confirm in (None, "production"):
            result = mark(server, check, confirm=confirm)
            assert (
                result["failed"] and result["error"]["kind"] == "refused" and "adopt_confirm=staging" in result["msg"]
            )
    assert marked(server) is None
    assert mark(server, confirm="staging")["changed"] and marked(server) == "staging"


def test_another_environments_server_changes_hands_only_by_both_names(server: Server) -> None:
    mark(server, environment_name="production")
    for params in ({}, {"confirm": "staging"}, {"replaces": "production"}, {"confirm": "staging", "replaces": "other"}):
        assert mark(server, **params)["error"]["kind"] == "refused"
    assert marked(server) == "production"
    done = mark(server, confirm="staging", replaces="production")
    assert done["changed"] and done["previous"] == "production" and marked(server) == "staging"


def test_bad_input(server: Server) -> None:
    assert mark(server, environment_name="../x")["error"]["kind"] == "invalid_input"
    result = mark(server, login_password="wrong")
    assert result["error"]["kind"] == "connection" and server.password not in str(result)
