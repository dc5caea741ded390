# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds postgresql_connections, postgresql_transactions and postgresql_replication on real servers and a standby."""

from __future__ import annotations

import collections.abc
import contextlib
import os
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.deadline import wait_for
from tests.servers.http import closed_port
from tests.servers.postgresql import Server, postgresql_server, postgresql_system, postgresql_wheel, running_server
from tests.unit.probes.conftest import ask_all
from tools.local_environment import free_port

__all__ = ["postgresql_server", "postgresql_system", "postgresql_wheel"]

KINDS = ("postgresql_connections", "postgresql_transactions", "postgresql_replication")
SECRET = "4111-1111-1111-1111"


def ask(server: Server, kind: str, **options: t.Any) -> Reading:
    probe = {"kind": kind, "port": server.instance.port, "password": server.password}
    reading = ask_all([{**probe, **options}])[0].reading
    assert server.password not in repr(reading)
    return reading


def outcome(server: Server, kind: str, **options: t.Any) -> tuple[str, str]:
    reading = ask(server, kind, **options)
    return reading.outcome, reading.message


def next_command(reading: Reading, server: Server) -> str:
    """What it gives: hints are run as they are."""
    assert reading.hint is not None
    environment = {**os.environ, "PGPASSWORD": server.password, "PATH": f"{server.bin_dir}:{os.environ['PATH']}"}
    return subprocess.run(
        reading.hint, shell=True, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_server_that_is_well(postgresql_server: Server, kind: str) -> None:
    assert outcome(postgresql_server, kind) == ("ok", "as expected")
    assert outcome(postgresql_server, kind, port=closed_port())[0] == "failed"
    assert "password authentication failed" in outcome(postgresql_server, kind, password="wrong")[1]
    assert outcome(postgresql_server, kind, password=None, password_file="/nowhere")[0] == "unknown"


def test_a_query_changes_nothing_when_its_hint_is_pasted_either(postgresql_system: Server) -> None:
    server = postgresql_system
    with contextlib.closing(server.connect()) as console:
        console.execute("CREATE TABLE IF NOT EXISTS hinted AS SELECT 1 AS a")
        reading = ask(server, "postgresql", query="DELETE FROM hinted")
        assert "read-only transaction" in reading.message
        with pytest.raises(subprocess.CalledProcessError):
            next_command(reading, server)
        assert console.execute("SELECT count(*) FROM hinted").fetchone() == (1,)
        assert "(1 row)" in next_command(ask(server, "postgresql", query="SELECT a FROM hinted", expect=2), server)


def test_connections(postgresql_system: Server) -> None:
    server = postgresql_system
    with contextlib.ExitStack() as held:
        for _ in range(10):
            held.enter_context(contextlib.closing(server.connect())).execute("SET application_name = 'the web shop'")
        reading = ask(server, "postgresql_connections", warning_percent=10)
        assert reading.outcome == "warning"
        assert "in use, most by the web shop (user postgres, database postgres): 10" in reading.message
        assert reading.values["limit"] == 97
        assert reading.values["used"] >= 11
        assert reading.values["states"]["idle"] >= 10
        assert "the web shop" in next_command(reading, server)
        assert outcome(server, "postgresql_connections", failed_percent=10)[0] == "failed"
        # What others do is hidden from an ordinary user, but not that they are connected.
        with ordinary_user(server) as user:
            reading = ask(server, "postgresql_connections", **user)
            assert reading.outcome == "ok"
            assert reading.values["states"]["hidden"] >= 10


def test_no_place_left() -> None:
    settings = {"max_connections": 12, "superuser_reserved_connections": 3, "max_wal_senders": 2}
    with running_server("system", settings) as server, ordinary_user(server) as user, contextlib.ExitStack() as held:
        found = ("ok", "")

        def answered() -> bool:
            nonlocal found
            found = outcome(server, "postgresql_connections", **user)
            return "reserved" not in found[1]

        while "100.0 % are in use" not in found[1]:
            held.enter_context(contextlib.closing(server.connect()))
            # The session of the question before may have its place for a moment yet.
            wait_for(answered, "a place for the question")
        assert found[0] == "failed"
        while answered():
            held.enter_context(contextlib.closing(server.connect()))
        assert found[0] == "failed"


@contextlib.contextmanager
def ordinary_user(server: Server) -> collections.abc.Iterator[dict[str, t.Any]]:
    server.execute("CREATE ROLE onlooker LOGIN PASSWORD 'only looks'")
    try:
        yield {"user": "onlooker", "password": "only looks"}
    finally:
        server.execute("DROP ROLE onlooker")


def test_transactions(postgresql_server: Server) -> None:
    server = postgresql_server
    kind = "postgresql_transactions"
    with contextlib.closing(server.connect()) as idle, contextlib.closing(server.connect()) as dump:
        idle.execute("SET application_name = 'a forgotten console'")
        idle.execute("BEGIN")
        idle.execute(f"SELECT '{SECRET}'")
        dump.execute("SET application_name = 'pg_dump'")
        dump.execute("BEGIN")
        dump.execute("SELECT 1")
        pid = idle.info.backend_pid
        wait_for(lambda: ask(server, kind, idle_warning_after=1).outcome == "warning", "the transaction to be idle")
        reading = ask(server, kind, idle_warning_after=1)
        assert reading.message.startswith(
            f"pid {pid} (a forgotten console, user postgres, database postgres): open for "
        )
        assert ", idle in it for " in reading.message
        assert (reading.values["open"], reading.values["idle"], reading.values["ignored"]) == (1, 1, 1)
        assert str(pid) in next_command(reading, server)
        # Not even in what machines read: its literals can be secrets.
        assert SECRET not in repr(reading)
        assert outcome(server, kind, idle_failed_after=1)[0] == "failed"
        assert outcome(server, kind, warning_after=1)[0] == "warning"
        assert outcome(server, kind, failed_after=1)[0] == "failed"
        assert outcome(server, kind, failed_after=1, ignore="a forgotten *, pg_dump")[0] == "ok"
        assert ask(server, kind, ignore="none").values["open"] == 2
        assert outcome(server, kind) == ("ok", "as expected")
        with ordinary_user(server) as user:
            assert ask(server, kind, **user).outcome == "unknown"
            assert "pg_monitor" in outcome(server, kind, **user)[1]
            assert next_command(ask(server, kind, **user), server) == "GRANT ROLE\n"
            assert outcome(server, kind, **user)[0] == "ok"
            assert outcome(server, kind, **user, failed_after=1)[0] == "failed"


def test_a_transaction_that_others_wait_for(postgresql_system: Server) -> None:
    server = postgresql_system
    server.execute("CREATE TABLE IF NOT EXISTS contended (a int)")
    with contextlib.closing(server.connect()) as holder, contextlib.closing(server.connect()) as waiter:
        holder.execute("SET application_name = 'a migration'")
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE contended")
        waiter.execute("SET statement_timeout = '60s'")
        waiter.pgconn.send_query(b"SELECT * FROM contended")
        waiter.pgconn.flush()
        try:
            wait_for(
                lambda: (
                    "1 session waits for its locks"
                    in outcome(server, "postgresql_transactions", idle_warning_after=0)[1]
                ),
                "the wait to be seen",
            )
        finally:
            waiter.pgconn.finish()
            holder.execute("ROLLBACK")
    server.execute("DROP TABLE contended")


def test_prepared_transactions() -> None:
    with running_server("system", {"max_prepared_transactions": 2}) as server:
        with contextlib.closing(server.connect()) as session:
            session.execute("BEGIN")
            session.execute("CREATE TABLE never_committed ()")
            session.execute("PREPARE TRANSACTION 'orphan'")
        assert outcome(server, "postgresql_transactions") == ("ok", "as expected")
        reading = ask(server, "postgresql_transactions", warning_after=0, idle_warning_after=0)
        assert reading.outcome == "warning"
        assert "(user postgres, database postgres): neither committed nor rolled back for " in reading.message
        assert "orphan" in next_command(reading, server)


@contextlib.contextmanager
def standby_of(primary: Server, name: str, slot: str) -> collections.abc.Iterator[Server]:
    """A standby that streams from a slot; stopped and deleted at the end."""
    user = place.server_user()
    root = place.make_directory(user, "srt-")
    data = os.path.join(root, "data")
    port = primary.instance.port
    copied = f"host=127.0.0.1 port={port} user=postgres application_name={name}"
    try:
        _process.run(
            [
                os.path.join(primary.bin_dir, "pg_basebackup"),
                "-D",
                data,
                "-d",
                copied,
                "-R",
                "-C",
                "-S",
                slot,
                "-c",
                "fast",
            ],
            "copying the primary",
            environment={"PGPASSWORD": primary.password},
            user=user,
            cwd="/",
        )
        instance = Instance(data, os.path.join(root, "s"), free_port(), primary.bin_dir, user)
        instance.configure({"fsync": "off", "shared_buffers": "32MB", "wal_receiver_status_interval": "1s"})
        instance.start(tied=True)
        try:
            yield Server(primary.kind, instance, primary.tools, primary.password)
        finally:
            instance.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.mark.parametrize("version", ["system", "wheel"])
def test_replication(version: str) -> None:
    kind = "postgresql_replication"
    with running_server(version, {"wal_keep_size": "0"}) as primary:
        primary.execute("CREATE TABLE written (a text)")
        assert outcome(primary, kind, minimum=1) == ("failed", "standbys: 0 standbys are connected, not 1")
        with standby_of(primary, "second", "second_slot") as standby:
            wanted: dict[str, t.Any] = {"role": "primary", "standbys": "second", "minimum": 1}
            wait_for(lambda: outcome(primary, kind, **wanted) == ("ok", "as expected"), "the standby to stream")
            reading = ask(primary, kind)
            assert reading.measured == "primary, 1 standby, 1 slot"
            assert [known["name"] for known in reading.values["standbys"]] == ["second"]
            assert outcome(primary, kind, standbys=["second", "third"]) == (
                "failed",
                "standby third: it is not connected",
            )
            wait_for(lambda: outcome(standby, kind, role="standby") == ("ok", "as expected"), "the standby to follow")
            assert outcome(standby, kind, role="primary") == ("failed", "role: it is a standby")
            assert ask(standby, kind).values["replay"]["receiver"] == "streaming"
            with ordinary_user(primary) as user:
                hidden = ask(primary, kind, **user)
                assert (hidden.outcome, "pg_monitor" in hidden.message) == ("unknown", True)
                named = f"SELECT count(*) FROM pg_roles WHERE rolname = '{user['user']}'"
                wait_for(lambda: standby.execute(named) == [(1,)], "the standby to know the user")
                hidden = ask(standby, kind, **user)
                assert (hidden.outcome, hidden.message) == (
                    "unknown",
                    "right to look: whether anything is received cannot be seen, which needs the role pg_monitor",
                )
                assert hidden.hint is not None and hidden.hint.endswith(" # on the primary")
            # It receives and does not replay.
            primary.execute("INSERT INTO written VALUES ('first')")
            wait_for(lambda: standby.execute("SELECT count(*) FROM written") == [(1,)], "the standby to have caught up")
            standby.execute("SELECT pg_wal_replay_pause()")
            primary.execute("INSERT INTO written SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
            late: dict[str, t.Any] = {"lag_limit": 1, "lag_warning": 0}
            wait_for(lambda: " behind" in outcome(primary, kind, **late)[1], "the primary to see the lag")
            wait_for(lambda: outcome(standby, kind, **late)[0] == "failed", "the standby to see its lag")
            wait_for(lambda: " behind, 2." in outcome(standby, kind, **late)[1], "all of it to be received")
            found = ask(standby, kind, **late)
            assert "replay: it is paused" in found.message
            assert " received and not replayed" in found.message
            assert ask(standby, kind, lag_bytes="1M").outcome == "failed"
            assert outcome(standby, kind)[0] == "warning"
            assert outcome(primary, kind, lag_bytes="1M")[0] == "failed"
            standby.execute("SELECT pg_wal_replay_resume()")
            wait_for(lambda: outcome(standby, kind) == ("ok", "as expected"), "the standby to catch up")
            # The primary goes away.
            primary.instance.stop()
            wait_for(lambda: "nothing is received" in outcome(standby, kind)[1], "the silence to be noticed")
            assert outcome(standby, kind, streaming=False)[0] == "ok"
            primary.instance.start(tied=True)
            wait_for(lambda: outcome(primary, kind, minimum=1)[0] == "ok", "the standby to come back")
        primary.execute("INSERT INTO written SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
        unused = " of log, and nobody uses it"
        wait_for(lambda: outcome(primary, kind, slot_warning="1M")[1].endswith(unused), "the standby to have left")
        reading = ask(primary, kind, slot_warning="1M")
        assert reading.outcome == "warning"
        assert reading.message.startswith("slot second_slot: holds ")
        assert "second_slot" in next_command(reading, primary)
        assert outcome(primary, kind, slot_limit="1M")[0] == "failed"
        primary.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        primary.execute("SELECT pg_reload_conf()")
        for _ in range(4):
            primary.execute("SELECT pg_switch_wal()")
            primary.execute("INSERT INTO written SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
        lost = "slot second_slot: log that it needs was removed"

        def is_lost() -> bool:
            # Who does it may have read its new configuration only after the one before.
            primary.execute("CHECKPOINT")
            return outcome(primary, kind) == ("failed", lost)

        wait_for(is_lost, "the slot to be lost")
