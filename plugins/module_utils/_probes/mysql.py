# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mysql kind: a query, replication, connections and open transactions of a MySQL or MariaDB server, all read-only."""

from __future__ import annotations

import contextlib
import re
import shlex
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    integer,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.mysql_judgement import (
    State,
    Transaction,
    channel,
    judge,
    measured,
    values_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.query import (
    QUERY,
    ROW_LIMIT,
    check_query,
    problem_of,
    query_in_words,
    value_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._words import said

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: The server's numbers for a statement that one has no right to, and for one that it does not know.
_NO_RIGHT = (1044, 1142, 1143, 1227)
_SYNTAX = 1064
_NO_ANSWER = 2013
# No text of a query: its literals can be secrets.
_TRANSACTIONS = """
SELECT trx.trx_mysql_thread_id, list.user, list.host, list.db, list.command = 'Sleep',
    timestampdiff(SECOND, trx.trx_started, now()), list.time
FROM information_schema.innodb_trx AS trx
LEFT JOIN information_schema.processlist AS list ON list.id = trx.trx_mysql_thread_id
WHERE trx.trx_mysql_thread_id <> connection_id() ORDER BY trx.trx_started LIMIT 1000
"""
# Not the server's own threads; who may not see all sees those of the same account.
_STATES = """
SELECT lower(command), count(*) FROM information_schema.processlist
WHERE user <> 'system user' AND command <> 'Daemon' GROUP BY 1 ORDER BY 2 DESC, 1
"""
_REPLICAS = "SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"


class MysqlCheck(BlockingCheck):
    libraries = ("pymysql",)

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        self._context = session.tls_context(options) if options["tls"] else None
        check_query(options)
        if options["role"] != "any" and not options["replication"]:
            raise ValueError("role needs replication: true, by which it is known")
        self._query: str | None = options["query"]
        self.expected = _in_words(options)
        # Pasted, what somebody else wrote is as read-only as it was here.
        own = f"SET SESSION TRANSACTION READ ONLY; {self._query}" if self._query else None
        self.hint = self._command(own or "SHOW GLOBAL STATUS LIKE 'Threads%'")

    def look(self) -> Reading:
        try:
            import pymysql
        except ImportError as error:
            raise missing_library("PyMySQL", "PyMySQL 1.1 or newer", error) from None
        password = password_of(self._options)
        started = time.perf_counter()
        try:
            connection = self._connect(pymysql, password)
        except (pymysql.err.Error, OSError, RuntimeError) as error:
            return self.reading("failed", "no connection", _said(error))
        with contextlib.closing(connection):
            # PyMySQL 1.1 goes on without where the server offers none, or who stands in between says so.
            if self._context is not None and not connection._secure:
                return self.reading("failed", "no TLS connection", "it does not offer TLS")
            try:
                return self._ask(pymysql, connection.cursor(), started)
            except pymysql.err.Error as error:
                if error.args and error.args[0] == _NO_ANSWER:
                    limit = format_duration(self._options["timeout"])
                    message = f"did not answer within {limit}, or closed the connection"
                    return self.reading("failed", "no answer", message, timed_out=True)
                return self.reading("failed", "a failed query", _said(error))

    def _connect(self, pymysql: t.Any, password: str | None) -> t.Any:
        options = self._options
        tls = {"ssl": self._context} if self._context is not None else {"ssl_disabled": True}
        place = {"unix_socket": options["socket"]} if options["socket"] else {}
        return pymysql.connect(
            host=options["host"],
            port=options["port"],
            user=options["user"],
            password=password or "",
            database=options["database"],
            connect_timeout=options["timeout"],
            read_timeout=options["timeout"],
            write_timeout=options["timeout"],
            program_name="sre.runbooks-probe",
            **place,
            **tls,
        )

    def _ask(self, pymysql: t.Any, cursor: t.Any, started: float) -> Reading:
        options = self._options
        cursor.execute("SELECT version(), @@max_connections, @@read_only")
        version, limit, read_only = cursor.fetchone()
        mariadb = "MariaDB" in str(version)
        # The server ends what we no longer wait for; each has its own name and unit for that.
        if mariadb:
            cursor.execute(f"SET SESSION max_statement_time = {options['timeout']:f}")
        else:
            cursor.execute(f"SET SESSION max_execution_time = {max(1, int(options['timeout'] * 1000))}")
        # Beginnings of transactions are told in the system's time zone, whatever the session's is.
        cursor.execute("SET SESSION time_zone = 'SYSTEM'")
        # The second alone would not do: what defines things ends the transaction first, and then is in the session's mode.
        cursor.execute("SET SESSION TRANSACTION READ ONLY")
        cursor.execute("START TRANSACTION READ ONLY")
        findings: list[Finding] = []
        values: dict[str, t.Any] = {}
        if self._query is not None:
            cursor.execute(self._query)
            rows = [list(row) for row in cursor.fetchmany(ROW_LIMIT + 1)] if cursor.description else []
            values["value"] = value_of(rows)
            problem = problem_of(rows, values["value"], options)
            if problem is not None:
                findings.append(Finding("failed", "query", problem))
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        state = State(str(version), int(cursor.fetchone()[1]), int(limit), bool(read_only))
        cursor.execute(_STATES)
        state.states = {str(command): int(count) for command, count in cursor.fetchall()}
        hidden = state.connections - sum(state.states.values())
        if hidden > 0:
            state.states["hidden"] = hidden

        def look(what: str, right: str, fill: t.Callable[[], None]) -> None:
            try:
                fill()
            except pymysql.err.Error as error:
                if not error.args or error.args[0] not in _NO_RIGHT:
                    raise
                words = f"the {what} cannot be seen, which needs the privilege {right}"
                cursor.execute("SELECT current_user()")
                hint = self._grant(right, str(cursor.fetchone()[0]))
                findings.append(Finding("unknown", "right to look", words, hint))

        def replication() -> None:
            state.channels = None
            state.channels = [channel(row) for row in _replica_status(pymysql, cursor, mariadb)]

        def replicas() -> None:
            state.replicas = None
            # The list of processes is shorter for who may not see all of them; this is refused.
            cursor.execute("SELECT count(*) FROM information_schema.innodb_trx")
            cursor.execute(_REPLICAS)
            state.replicas = int(cursor.fetchone()[0])

        def transactions() -> None:
            cursor.execute(_TRANSACTIONS)
            state.transactions = [Transaction.of(row) for row in cursor.fetchall()]

        if options["replication"]:
            look("replication", _replication_right(str(version)), replication)
            if options["replicas"]:
                look("replicas", "PROCESS", replicas)
        if options["transactions"]:
            look("transactions", "PROCESS", transactions)
        findings += judge(state, options, self._command)
        values = {**values, **values_of(state), "latency_s": round(time.perf_counter() - started, 6)}
        found = f"{shown(values['value'])}, {measured(state)}" if "value" in values else measured(state)
        return with_hints(sum_up(self, found, findings, **values), findings, options["hint"])

    def _grant(self, right: str, account: str) -> str:
        """The command with which an administrator gives a right to an account, such as ``probe@%``."""
        user, _, host = account.rpartition("@")
        return self._command(f"GRANT {right} ON *.* TO {_quoted(user)}@{_quoted(host)}", administrator="root")

    def _command(self, statement: str, administrator: str | None = None) -> str:
        """The client's command line, with no password in it.

        :arg administrator: who may, where the probe's user may not; asked for a password.
        """
        options = self._options
        words = ["mysql"]
        if options["socket"]:
            words.append(f"--socket={options['socket']}")
        else:
            words += [f"--host={options['host']}", f"--port={options['port']}", "--protocol=tcp"]
        words.append(f"--user={administrator or options['user']}")
        if options["ca_cert"]:
            words.append(f"--ssl-ca={options['ca_cert']}")
        if administrator or options["password"] is not None:
            words.append("--password")
        words += ["--execute", statement]
        line = " ".join(shlex.quote(word) for word in words)
        if administrator is None and options["password"] is None and options["password_file"]:
            return f'MYSQL_PWD="$(cat {shlex.quote(options["password_file"])})" {line}'
        return line


def _replication_right(version: str) -> str:
    """What shows a replica's state: MariaDB since 10.5 has a privilege of its own for that."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    newer = numbers is not None and (int(numbers[1]), int(numbers[2])) >= (10, 5)
    return "REPLICA MONITOR" if "MariaDB" in version and newer else "REPLICATION CLIENT"


def _quoted(text: str) -> str:
    """A text of SQL; no server takes a quote in the name of an account for more."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _replica_status(pymysql: t.Any, cursor: t.Any, mariadb: bool) -> list[dict[str, t.Any]]:
    """One row for each channel, under the names that both servers had once."""
    try:
        cursor.execute("SHOW ALL SLAVES STATUS" if mariadb else "SHOW REPLICA STATUS")
    except pymysql.err.Error as error:
        if mariadb or not error.args or error.args[0] != _SYNTAX:
            raise
        cursor.execute("SHOW SLAVE STATUS")  # MySQL before 8.0.22
    keys = [column[0].replace("Source", "Master").replace("Replica", "Slave") for column in cursor.description]
    return [dict(zip(keys, row)) for row in cursor.fetchall()]


def _in_words(options: dict[str, t.Any]) -> str:
    parts = ["a connection" if options["role"] == "any" else f"a connection to a {options['role']}"]
    parts += query_in_words(options)
    parts.append(f"less than {options['connections_warning']:g} % of the connections in use")
    if options["replication"]:
        parts.append(f"replication that runs and lags at most {format_duration(options['lag_limit'])}")
    if options["transactions"]:
        parts.append(f"no transaction that is open for {format_duration(options['transaction_warning'])}")
    return ", ".join(parts)


def _said(error: BaseException) -> str:
    """The server's own words, or those of the client library; neither ever quotes the password."""
    return said(error.args[1] if len(error.args) > 1 and isinstance(error.args[1], str) else error)


MYSQL = Kind(
    name="mysql",
    options={
        "host": Option(text, default="127.0.0.1"),
        "port": Option(integer(1, 65535), default=3306),
        "socket": Option(text),
        "user": Option(text, default="root"),
        **PASSWORD,
        "database": Option(text),
        "tls": Option(boolean, default=False),
        **TLS_OPTIONS,
        "role": Option(choice("any", "primary", "replica"), default="any"),
        **QUERY,
        "connections_warning": Option(percentage, default=80.0),
        "connections_percent": Option(percentage, default=95.0),
        "replication": Option(boolean, default=True),
        "replicas": Option(integer(0, 1000), default=0),
        "lag_warning": Option(parse_duration, default=60.0),
        "lag_limit": Option(parse_duration, default=300.0),
        "transactions": Option(boolean, default=True),
        "transaction_warning": Option(parse_duration, default=1800.0),
        "transaction_limit": Option(parse_duration),
        "idle_warning": Option(parse_duration, default=300.0),
        "ignore": Option(names, default=()),
    },
    prepare=MysqlCheck,
    target=lambda options: t.cast(str, options["socket"] or f"{options['host']}:{options['port']}"),
)
