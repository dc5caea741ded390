# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swap, the environment marker and the bookkeeping of restores, on real servers of two majors."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, LeaseHeld, LeaseLost, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client, marker, restored
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.assertions import SqlAssertion, ask
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.swap import (
    Replacement,
    drop_leftovers,
    mend_interrupted_swap,
    swap,
)
from tests.conftest import ROOT
from tests.servers.deadline import wait_for
from tests.servers.postgresql import Server, postgresql_server, postgresql_system, postgresql_wheel, running_server

__all__ = ["postgresql_server", "postgresql_system", "postgresql_wheel"]

POINT = "20261121T051000Z-a1b2"
NAMES = ["plain", 'with "quotes" and spaces', "Ünïcödé-数据库", "n" * 63]
STEPS = ("refuse connections", "end sessions", "rename", "renamed")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def make(server: Server, name: str, content: str) -> None:
    server.execute(f"CREATE DATABASE {quoted(name)}")
    server.execute(f"CREATE TABLE content AS SELECT '{content}'::text AS word", name)


def content(server: Server, name: str) -> str:
    return t.cast(str, server.execute("SELECT word FROM content", name)[0][0])


def databases(server: Server) -> set[str]:
    return {row[0] for row in server.execute("SELECT datname FROM pg_database")}


@pytest.fixture
def component(postgresql_server: Server) -> t.Iterator[str]:
    """A name for the test's component; every database and all bookkeeping is removed afterwards."""
    with postgresql_server.connect() as session:
        marker.ensure_tables(session)
    yield "flights_db"
    for name in databases(postgresql_server) - set(marker.STANDARD_DATABASES):
        postgresql_server.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
    postgresql_server.execute("DROP SCHEMA sre_runbooks CASCADE")


@pytest.mark.parametrize("name", NAMES)
def test_the_restored_takes_the_place_and_the_live_is_kept(
    postgresql_server: Server, component: str, name: str
) -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.names import restoring_name

    make(postgresql_server, name, "old")
    make(postgresql_server, restoring_name(name), "new")
    with postgresql_server.connect(name) as busy, postgresql_server.connect() as session:
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        wait_for(lambda: session.execute(count, (name,)).fetchone() == (1,), "the session that made it to end")
        done = swap(session, [Replacement(name, restoring_name(name))], component, POINT, epoch=3)
        assert done[0].sessions == 1 and busy.info.dbname == name
        assert content(postgresql_server, name) == "new"
        assert restored.shown_points(session, component) == {name: POINT}
        (kept,) = restored.kept_databases(session, component)
        assert kept.before_name == done[0].before and kept.database == name
        with pytest.raises(EngineError):  # nobody writes into what is kept
            content(postgresql_server, kept.before_name)
        restored.release(session, kept, component)
        assert kept.before_name not in databases(postgresql_server)
        assert restored.kept_databases(session, component) == []


def test_several_databases_are_swapped_together_or_not_at_all(postgresql_server: Server, component: str) -> None:
    for name in ("one", "two"):
        make(postgresql_server, name, "old")
    make(postgresql_server, "one__restoring", "new")
    pairs = [Replacement("one", "one__restoring"), Replacement("two", "two__restoring")]
    with postgresql_server.connect() as session:
        with pytest.raises(EngineError, match="undone"):
            swap(session, pairs, component, POINT, epoch=1)
        assert [content(postgresql_server, name) for name in ("one", "two")] == ["old", "old"]
        assert restored.shown_points(session, component) == {}
        make(postgresql_server, "two__restoring", "new")
        swap(session, pairs, component, POINT, epoch=1)
    assert [content(postgresql_server, name) for name in ("one", "two")] == ["new", "new"]


def test_an_older_lease_cannot_swap(postgresql_server: Server, component: str) -> None:
    make(postgresql_server, "plain", "old")
    make(postgresql_server, "plain__restoring", "new")
    with postgresql_server.connect() as session:
        marker.raise_fence(session, component, 8)
        with pytest.raises(LeaseLost):
            swap(session, [Replacement("plain", "plain__restoring")], component, POINT, epoch=7)
    assert content(postgresql_server, "plain") == "old"


def test_a_second_operator_on_the_server_is_seen(postgresql_server: Server, component: str) -> None:
    with postgresql_server.connect() as one, postgresql_server.connect() as other:
        marker.hold_advisory_lock(one, component)
        with pytest.raises(LeaseHeld, match="another session restores"):
            marker.hold_advisory_lock(other, component, wait_s=0.3)
        marker.hold_advisory_lock(other, "another_component", wait_s=0)


@pytest.mark.parametrize("killed_at", STEPS)
def test_killed_inside_the_swap_and_run_again(postgresql_server: Server, component: str, killed_at: str) -> None:
    make(postgresql_server, "plain", "old")
    make(postgresql_server, "plain__restoring", "new")
    program = textwrap.dedent(f"""
        import os, signal, sys
        sys.path[:0] = [{str(ROOT / ".local" / "collections")!r}]
        from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client, marker
        from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.swap import Replacement, swap
        address = client.PostgresqlAddress(host="127.0.0.1", port={postgresql_server.instance.port}, password=os.environ["SECRET"])
        session = client.connect(address)
        marker.hold_advisory_lock(session, {component!r})
        def step(name):
            if name == {killed_at!r}:
                os.kill(os.getpid(), signal.SIGKILL)
        swap(session, [Replacement("plain", "plain__restoring")], {component!r}, {POINT!r}, 1, step=step)
    """)
    environment = {**os.environ, "SECRET": postgresql_server.password}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    with postgresql_server.connect() as session:
        marker.hold_advisory_lock(session, component, wait_s=60)
        mended = mend_interrupted_swap(session, component)
        assert bool(mended) == (killed_at in ("end sessions", "rename"))
        if killed_at != "renamed":
            assert content(postgresql_server, "plain") == "old"
            assert restored.shown_points(session, component) == {}
            swap(session, [Replacement("plain", "plain__restoring")], component, POINT, epoch=2)
        assert content(postgresql_server, "plain") == "new"
        assert restored.shown_points(session, component) == {"plain": POINT}
        assert len(restored.kept_databases(session, component)) == 1
        assert mend_interrupted_swap(session, component) == []


def test_leftovers_are_dropped_and_nothing_else(postgresql_server: Server, component: str) -> None:
    make(postgresql_server, "plain", "old")
    make(postgresql_server, "plain__restoring", "half")
    with postgresql_server.connect() as session:
        assert drop_leftovers(session, ["plain__restoring", "plain", "absent__restoring"], component) == [
            "plain__restoring"
        ]
    assert content(postgresql_server, "plain") == "old"


def test_release_drops_only_what_the_bookkeeping_put_aside(postgresql_server: Server, component: str) -> None:
    make(postgresql_server, "plain", "old")
    make(postgresql_server, "plain__restoring", "new")
    with postgresql_server.connect() as session:
        swap(session, [Replacement("plain", "plain__restoring")], component, POINT, epoch=1)
        (kept,) = restored.kept_databases(session, component)
        # Somebody made another database of the very same name: it is not ours.
        session.execute(f"DROP DATABASE {quoted(kept.before_name)}")
        make(postgresql_server, kept.before_name, "theirs")
        assert restored.kept_databases(session, component) == []


def test_the_marker_on_empty_marked_and_foreign_servers() -> None:
    with running_server("system") as server, server.connect() as session:

        def check(environment: str) -> bool:
            return marker.require_environment(session, server.connect, environment, "flights_db")

        assert check("staging") is True
        server.execute("CREATE TABLE precious (id int)")
        with pytest.raises(Refused, match="no environment marker") as caught:
            check("staging")
        assert "public.precious" in str(caught.value)
        server.execute("DROP TABLE precious")
        server.execute("CREATE DATABASE flights")
        with pytest.raises(Refused, match="database flights"):
            check("staging")
        marker.stamp(session, "staging")
        assert check("staging") is False
        with pytest.raises(Refused, match="belongs to another environment"):
            check("production")
        found = marker.read_marker(session)
        assert found is not None and found.name == "staging"


def test_assertions_ask_the_database_beside(postgresql_server: Server, component: str) -> None:
    make(postgresql_server, "plain__restoring", "100 %")
    asked = [
        SqlAssertion("holds", "plain", "SELECT word, 7, true FROM content", "100 %\t7\tt"),
        SqlAssertion("percent", "plain", "SELECT word LIKE '100 %' FROM content", "true"),
        SqlAssertion("fails", "plain", "SELECT count(*) FROM content", "2"),
        SqlAssertion("broken", "plain", "SELECT nothing FROM nowhere", "2"),
        SqlAssertion("writes", "plain", "DELETE FROM content RETURNING 1", "1"),
        SqlAssertion("says nothing", "plain", "SET application_name = 'x'", "1"),
        SqlAssertion("elsewhere", "other", "SELECT 1", "1"),
    ]
    answers = ask(asked, postgresql_server.connect, {"plain": "plain__restoring"})
    assert [answer.outcome for answer in answers] == ["ok", "ok", "failed", "failed", "failed", "failed", "skipped"]
    assert answers[2].found == "1" and "nowhere" in str(answers[3].found) and "read-only" in str(answers[4].found)
    assert content(postgresql_server, "plain__restoring") == "100 %"


def test_no_password_appears_in_the_address() -> None:
    assert "hidden" not in repr(client.PostgresqlAddress(password="hidden"))
