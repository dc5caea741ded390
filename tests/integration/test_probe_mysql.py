# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mysql kind on real MariaDB servers: queries, rights, connections, transactions, TLS, and a replica in trouble."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import signal
import time
import typing as t

import pymysql
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.certificates import make_certificates
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.servers.mariadb import MariadbServer, mariadb_server, running_mariadb
from tests.unit.probes.conftest import ask_all

__all__ = ["mariadb_server"]

SECRET = "4111-1111-1111-1111"


def ask(server: MariadbServer, **options: t.Any) -> Reading:
    reading = ask_all([{"kind": "mysql", "port": server.port, "password": server.password, **options}])
    assert server.password not in repr(reading[0].reading)
    return reading[0].reading


def outcome(server: MariadbServer, **options: t.Any) -> tuple[str, str]:
    reading = ask(server, **options)
    return reading.outcome, reading.message


def test_a_server_that_is_well(mariadb_server: MariadbServer, tmp_path: pathlib.Path) -> None:
    reading = ask(mariadb_server)
    assert (reading.outcome, reading.message) == ("ok", "as expected")
    assert reading.measured.startswith("primary, ")
    assert "MariaDB" in reading.values["version"]
    assert reading.values["connections_limit"] == 40
    assert outcome(mariadb_server, role="primary")[0] == "ok"
    assert outcome(mariadb_server, role="replica") == ("failed", "role: it is a primary")
    assert outcome(mariadb_server, replicas=1) == ("failed", "replication: 0 replicas are connected, not 1")
    path = tmp_path / "password"
    path.write_text(mariadb_server.password + "\n")
    by_file: dict[str, t.Any] = {"password": None, "password_file": str(path)}
    assert outcome(mariadb_server, **by_file)[0] == "ok"
    assert outcome(mariadb_server, **by_file, socket=mariadb_server.socket)[0] == "ok"
    assert outcome(mariadb_server, password=None, password_file=str(tmp_path / "none"))[0] == "unknown"
    assert outcome(mariadb_server, password="wrong")[1].startswith("Access denied for user 'root'")


def test_queries(mariadb_server: MariadbServer) -> None:
    server = mariadb_server
    server.execute("CREATE DATABASE IF NOT EXISTS shop", "CREATE TABLE IF NOT EXISTS shop.orders (id int)")
    assert outcome(server, query="SELECT 1", expect="1") == ("ok", "as expected")
    assert outcome(server, query="SELECT 2", expect=1) == ("failed", "query: the query gives 2")
    assert outcome(server, query="SELECT 1.50", expect=1.5)[0] == "ok"
    assert outcome(server, query="VALUES (1, 'a'), (2, NULL)", expect=[[1, "a"], [2, None]])[0] == "ok"
    assert outcome(server, query="SELECT count(*) FROM orders", database="shop", maximum=0)[0] == "ok"
    assert outcome(server, query="SELECT id FROM shop.orders") == ("failed", "query: the query gives no row")
    assert outcome(server, query="SELECT seq FROM mysql.no_such_table")[0] == "failed"
    assert "error in your SQL syntax" in outcome(server, query="SELEKT 1")[1]
    for query in ("INSERT INTO shop.orders VALUES (1)", "CREATE TABLE shop.probed (a int)", "DROP TABLE shop.orders"):
        reading = ask(server, query=query)
        assert "READ ONLY" in reading.message
        # Nor does it when it is pasted.
        assert reading.hint is not None
        assert shlex.split(reading.hint)[-1] == f"SET SESSION TRANSACTION READ ONLY; {query}"
    with contextlib.closing(server.connect()) as console, pytest.raises(pymysql.err.Error, match="READ ONLY"):
        for statement in ("SET SESSION TRANSACTION READ ONLY", "INSERT INTO shop.orders VALUES (1)"):
            console.cursor().execute(statement)
    assert server.execute("SHOW TABLES FROM shop") == [("orders",)]
    assert outcome(server, query="SELECT sleep(30)", timeout=1)[0] == "failed"


def test_rights(mariadb_server: MariadbServer) -> None:
    server = mariadb_server
    server.execute("CREATE USER onlooker@'127.0.0.1' IDENTIFIED BY 'only looks'")
    try:
        user = {"user": "onlooker", "password": "only looks"}
        with contextlib.closing(server.connect()):
            found = ask(server, **user)
        assert found.outcome == "unknown" and found.values["connections_by_state"]["hidden"] >= 1
        assert {finding["words"].split(",")[0] for finding in found.values["findings"]} == {
            "the replication cannot be seen",
            "the transactions cannot be seen",
        }
        # Whether it is a replica cannot be known then, and the hint is what an administrator has to say.
        for role in ("replica", "primary"):
            found = ask(server, **user, role=role, transactions=False)
            assert found.outcome == "unknown" and found.message.startswith(
                "right to look: the replication cannot be seen"
            )
            assert found.values["role"] == "unknown" and found.measured.startswith("of an unknown role, ")
        assert found.hint is not None
        command = shlex.split(found.hint)
        assert command[:4] == ["mysql", "--host=127.0.0.1", f"--port={server.port}", "--protocol=tcp"]
        assert command[4:7] == ["--user=root", "--password", "--execute"]
        server.execute(command[7])
        assert outcome(server, **user, role="primary", transactions=False) == ("ok", "as expected")
        hidden = ask(server, **user, replicas=1)
        assert (hidden.outcome, {finding["outcome"] for finding in hidden.values["findings"]}) == (
            "unknown",
            {"unknown"},
        )
        assert hidden.hint is not None and "GRANT PROCESS ON *.* TO 'onlooker'@'127.0.0.1'" in shlex.split(hidden.hint)
        # Who only wants an answer needs no privilege at all.
        server.execute("REVOKE REPLICA MONITOR ON *.* FROM onlooker@'127.0.0.1'")
        assert outcome(server, **user, replication=False, transactions=False, query="SELECT 1") == ("ok", "as expected")
        server.execute("GRANT PROCESS, REPLICA MONITOR ON *.* TO onlooker@'127.0.0.1'")
        assert outcome(server, **user, replicas=0) == ("ok", "as expected")
    finally:
        server.execute("DROP USER onlooker@'127.0.0.1'")


def test_connections(mariadb_server: MariadbServer) -> None:
    server = mariadb_server
    with contextlib.ExitStack() as held:
        for _ in range(33):
            held.enter_context(contextlib.closing(server.connect()))
        # The last one has been let in a moment before it sleeps.
        wait_for(lambda: ask(server).values["connections_by_state"].get("sleep", 0) >= 33, "the connections to sleep")
        reading = ask(server, connections_percent=100)
        assert (reading.outcome, reading.message.startswith("connections: ")) == ("warning", True)
        assert reading.values["connections_by_state"]["sleep"] >= 33 and " sleep, " in reading.message
        assert reading.hint is not None
        assert reading.hint.endswith(" --execute 'SHOW PROCESSLIST'")
        assert outcome(server, connections_percent=80)[0] == "failed"
        found = outcome(server)
        while "Too many connections" not in found[1]:
            # That of the question before may have its place for a moment yet.
            with contextlib.suppress(pymysql.err.OperationalError):
                held.enter_context(contextlib.closing(server.connect()))
            found = outcome(server)
        assert found[0] == "failed"
    wait_for(lambda: outcome(server) == ("ok", "as expected"), "the connections to be gone")


def test_transactions(mariadb_server: MariadbServer) -> None:
    server = mariadb_server
    server.execute("CREATE DATABASE IF NOT EXISTS shop", "CREATE TABLE IF NOT EXISTS shop.paid (card text)")
    with contextlib.closing(server.connect(autocommit=False, database="shop")) as console:
        console.cursor().execute(f"INSERT INTO paid VALUES ('{SECRET}')")
        pid = console.thread_id()
        # The server shows what it showed before to who looks again within a tenth of a second.
        time.sleep(0.3)
        wait_for(lambda: outcome(server, idle_warning=1)[0] == "warning", "the transaction to be idle")
        reading = ask(server, idle_warning=1)
        assert reading.message.startswith(f"connection {pid} (user root from 127.0.0.1:")
        assert ", database shop): open for " in reading.message
        assert ", idle in it for " in reading.message
        assert SECRET not in repr(reading)
        assert outcome(server, transaction_warning=1)[0] == "warning"
        assert outcome(server, transaction_limit=1)[0] == "failed"
        assert outcome(server, transaction_limit=1, ignore="ro*") == ("ok", "as expected")
        assert outcome(server) == ("ok", "as expected")


def test_replication(mariadb_server: MariadbServer) -> None:
    primary = mariadb_server
    primary.execute("CREATE USER copying@'127.0.0.1' IDENTIFIED BY 'copied'")
    primary.execute("GRANT REPLICATION SLAVE ON *.* TO copying@'127.0.0.1'")
    ((file, position, *_),) = primary.execute("SHOW MASTER STATUS")
    with running_mariadb(server_id="2", read_only="ON") as replica:
        place = f"MASTER_HOST = '127.0.0.1', MASTER_PORT = {primary.port}, MASTER_LOG_FILE = '{file}'"
        credential = "MASTER_USER = 'copying', MASTER_PASSWORD = 'copied', MASTER_CONNECT_RETRY = 1"
        replica.execute(f"CHANGE MASTER TO {place}, MASTER_LOG_POS = {position}, {credential}", "START SLAVE")
        wait_for(lambda: outcome(replica, role="replica") == ("ok", "as expected"), "the replica to follow")
        wait_for(lambda: outcome(primary, replicas=1) == ("ok", "as expected"), "the primary to know of it")
        assert ask(replica).values["channels"][0]["source"] == f"127.0.0.1:{primary.port}"
        primary.execute("CREATE DATABASE copied", "CREATE TABLE copied.cards (card varchar(40) PRIMARY KEY)")
        arrived = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'copied'"
        wait_for(lambda: replica.execute(arrived) == [("cards",)], "the table to arrive")
        # One applies nothing for a while.
        replica.execute("STOP SLAVE SQL_THREAD")
        thing = f"replication from 127.0.0.1:{primary.port}: "
        assert outcome(replica) == ("failed", thing + "applies nothing (No)")
        # A row that is there already stops it; which row it is, is nobody's business.
        replica.execute("SET GLOBAL read_only = OFF", f"INSERT INTO copied.cards VALUES ('{SECRET}')")
        primary.execute(f"INSERT INTO copied.cards VALUES ('{SECRET}')")
        replica.execute("START SLAVE SQL_THREAD")
        wait_for(lambda: outcome(replica)[1] == thing + "applies nothing (error 1062)", "the replica to stop")
        assert SECRET not in repr(ask(replica))
        replica.execute("SET GLOBAL sql_slave_skip_counter = 1", "START SLAVE SQL_THREAD")
        wait_for(lambda: outcome(replica) == ("ok", "as expected"), "the replica to go on")
        # It waits for a lock, and the primary goes on.
        with contextlib.closing(replica.connect()) as holder:
            holder.cursor().execute("LOCK TABLES copied.cards READ")
            primary.execute("INSERT INTO copied.cards VALUES ('another')")
            late: dict[str, t.Any] = {"lag_warning": 0, "lag_limit": 1}
            wait_for(lambda: outcome(replica, **late)[1].endswith(" behind"), "the replica to lag")
            wait_for(lambda: outcome(replica, **late)[0] == "failed", "the replica to lag too far")
        wait_for(lambda: outcome(replica, **late) == ("ok", "as expected"), "the replica to catch up")
        primary.execute("SET PASSWORD FOR copying@'127.0.0.1' = PASSWORD('changed')")
        replica.execute("STOP SLAVE IO_THREAD", "START SLAVE IO_THREAD")
        refused = thing + "receives nothing (error "
        wait_for(lambda: outcome(replica)[1].startswith(refused), "the refusal")


def test_tls(mariadb_server: MariadbServer, tmp_path: pathlib.Path) -> None:
    other = make_certificates(str(tmp_path / "other"))
    ca = mariadb_server.certificates.ca
    encrypted = {"query": "SHOW STATUS LIKE 'Ssl_cipher'", "expect": [["Ssl_cipher", ""]]}
    assert outcome(mariadb_server, **encrypted)[0] == "ok"
    assert outcome(mariadb_server, **encrypted, tls=True, ca_cert=ca)[0] == "failed"
    assert outcome(mariadb_server, tls=True, ca_cert=ca)[0] == "ok"
    assert "certificate verify failed" in outcome(mariadb_server, tls=True, ca_cert=other.ca)[1]
    assert outcome(mariadb_server, tls=True, validate_certs=False)[0] == "ok"


def test_what_is_no_server_or_does_not_answer(mariadb_server: MariadbServer) -> None:
    def asked(**options: t.Any) -> Reading:
        return ask_all([{"kind": "mysql", **options}])[0].reading

    assert (asked(port=closed_port()).outcome, asked(port=closed_port()).measured) == ("failed", "no connection")
    with HttpServer() as http:
        assert asked(port=http.port, timeout=2).outcome == "failed"
    descriptors = len(os.listdir("/proc/self/fd"))
    with silent_listener() as port:
        assert asked(port=port, timeout=0.5).outcome == "failed"
        os.kill(mariadb_server.process.pid, signal.SIGSTOP)
        try:
            assert ask(mariadb_server, timeout=0.5).outcome == "failed"
        finally:
            os.kill(mariadb_server.process.pid, signal.SIGCONT)
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the connections to be closed")
