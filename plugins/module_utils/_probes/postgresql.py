# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The postgresql kind: a connection, the server's role, and a query with its expected result, all read-only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import socket
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import Way
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    anything,
    choice,
    integer,
    mapping,
    number,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import as_number, same, shown

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_ROW_LIMIT = 1000


class PostgresqlCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._options = options
        self._host = options["socket"] or options["host"]
        self._transport = _transport(options)
        place = json.dumps(self._transport, sort_keys=True) if self._transport else self._host
        self._turnstile = session.turnstile(("postgresql", place, options["port"]), places=8, most=32)
        self._query: str | None = options["query"]
        if self._query is None and not all(options[key] is None for key in ("expect", "minimum", "maximum")):
            raise ValueError("expect, minimum and maximum need a query")
        self.expected = self._in_words()
        target = {"host": self._host, "port": options["port"], "user": options["user"], "dbname": options["database"]}
        conninfo = " ".join(f"{key}={value}" for key, value in target.items())
        self.hint = f"psql {shlex.quote(conninfo)} -c {shlex.quote(self._query or 'SELECT pg_is_in_recovery()')}"
        if self._transport:
            pod = self._transport.get("pod") or f"-l {shlex.quote(str(self._transport.get('pod_selector')))}"
            self.hint = f"kubectl get pods -n {self._transport.get('namespace')} {pod} -o wide"

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()

    async def ask(self) -> Reading:
        try:
            import psycopg
        except ImportError:
            return self.reading("unknown", "nothing", "the Python library psycopg is missing on this host")
        started = time.perf_counter()
        try:
            password = await self._password()
        except OSError as error:
            path = self._options["password_file"]
            return self.reading("unknown", "nothing", f"the password file {path} cannot be read: {error.strerror}")
        host, port, address = self._host, self._options["port"], None
        if self._transport:
            try:
                way = await asyncio.get_running_loop().run_in_executor(None, _way, self._transport)
            except RunbookError as error:
                return self.reading("failed", "no way to the pod", str(error))
            host, port, address = self._options["host"] or way.host, way.port, way.host
        try:
            connection = await psycopg.AsyncConnection.connect(
                host=host,
                hostaddr=address,
                port=port,
                user=self._options["user"],
                password=password,
                dbname=self._options["database"],
                sslmode=self._options["ssl_mode"],
                sslrootcert=self._options["ca_cert"],
                connect_timeout=max(2, round(self._options["timeout"]) + 1),
                application_name="sre.runbooks-probe",
            )
        except psycopg.Error as error:
            reason = _way(self._transport).failure if self._transport else ""
            return self.reading(
                "failed", "no connection", f"{reason}; {_first_line(error)}" if reason else _first_line(error)
            )
        try:
            return self._judge(*await self._measure(connection), time.perf_counter() - started)
        except psycopg.Error as error:
            return self.reading("failed", "a failed query", _first_line(error))
        finally:
            # Not close(), which waits for a server that may hang.
            connection.pgconn.finish()

    async def _password(self) -> str | None:
        path = self._options["password_file"]
        if self._options["password"] is not None or path is None:
            return t.cast("str | None", self._options["password"])
        content = await asyncio.get_running_loop().run_in_executor(None, _read, path)
        return content.rstrip("\r\n")

    async def _measure(self, connection: t.Any) -> tuple[bool, str, list[list[t.Any]]]:
        """Whether it is a standby, the version, and the rows; cut off at once when we are cancelled.

        psycopg answers a cancellation by asking the server to stop and waiting for that; one that hangs never does.
        """
        work = asyncio.ensure_future(self._queries(connection))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                with socket.socket(fileno=os.dup(connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)
            await asyncio.wait({work}, timeout=1)
            if work.done() and not work.cancelled():
                work.exception()
            raise

    async def _queries(self, connection: t.Any) -> tuple[bool, str, list[list[t.Any]]]:
        # Not with connection parameters, which a pooler may refuse; not with SET, which a pooler would keep.
        await connection.set_read_only(True)
        await connection.execute(f"SET LOCAL statement_timeout = {max(1, int(self._options['timeout'] * 1000))}")
        cursor = await connection.execute("SELECT pg_is_in_recovery(), current_setting('server_version')")
        standby, version = await cursor.fetchone()
        rows: list[list[t.Any]] = []
        if self._query is not None:
            cursor = await connection.execute(self._query)
            if cursor.description is not None:
                rows = [list(row) for row in await cursor.fetchmany(_ROW_LIMIT + 1)]
        return bool(standby), str(version), rows

    def _judge(self, standby: bool, version: str, rows: list[list[t.Any]], latency: float) -> Reading:
        role = "standby" if standby else "primary"
        values: dict[str, t.Any] = {"role": role, "version": version, "latency_s": round(latency, 6)}
        wanted = self._options["role"]
        if wanted != "any" and role != wanted:
            return self.reading("failed", role, f"it is a {role}", **values)
        if self._query is None:
            return self.reading("ok", f"{role}, version {version}", "as expected", **values)
        value: t.Any = rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows
        values["value"] = _plain(value)
        measured = shown(values["value"])
        problem = self._problem(rows, values["value"])
        return self.reading("ok" if problem is None else "failed", measured, problem or "as expected", **values)

    def _problem(self, rows: list[list[t.Any]], value: t.Any) -> str | None:
        options = self._options
        if len(rows) > _ROW_LIMIT:
            return f"the query gives more than {_ROW_LIMIT} rows"
        if options["expect"] is not None and not same(value, _plain(options["expect"])):
            return f"the query gives {shown(value)}"
        if options["minimum"] is not None or options["maximum"] is not None:
            found = as_number(value)
            if found is None:
                return f"the query gives {shown(value)}, which is no number"
            if options["minimum"] is not None and found < options["minimum"]:
                return f"{found:g} is less than {options['minimum']:g}"
            if options["maximum"] is not None and found > options["maximum"]:
                return f"{found:g} is more than {options['maximum']:g}"
        elif options["expect"] is None and not rows:
            return "the query gives no row"
        return None

    def _in_words(self) -> str:
        options = self._options
        parts = ["a connection" if options["role"] == "any" else f"a connection to a {options['role']}"]
        if options["expect"] is not None:
            parts.append(f"the query gives {shown(options['expect'])}")
        if options["minimum"] is not None:
            parts.append(f"at least {options['minimum']:g}")
        if options["maximum"] is not None:
            parts.append(f"at most {options['maximum']:g}")
        if self._query is not None and len(parts) == 1:
            parts.append("the query gives a row")
        return ", ".join(parts)


def _place(options: dict[str, t.Any]) -> str:
    transport = _transport(options)
    if transport:
        return f"{transport['namespace']}/{transport.get('pod') or transport['pod_selector']}:{transport['port']}"
    return f"{options['socket'] or options['host']}:{options['port']}"


def _transport(options: dict[str, t.Any]) -> dict[str, t.Any] | None:
    """What leads to a server in a pod; None for one that is reached as it is."""
    given: dict[str, t.Any] = options["transport"] or {}
    if given.get("kind", "direct") == "direct":
        return None
    if (
        given["kind"] != "kubernetes"
        or not given.get("namespace")
        or not (given.get("pod") or given.get("pod_selector"))
    ):
        raise ValueError("transport is kind: kubernetes with a namespace and a pod or pod_selector")
    return {**given, "port": integer(1, 65535)(given.get("port") or options["port"])}


def _way(transport: dict[str, t.Any]) -> Way:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_port import way_to

    # A probe asks how things are, not how they will be.
    return way_to({**transport, "timeout": "0"})


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(65536)


def _plain(value: t.Any) -> t.Any:
    """As JSON has it."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


POSTGRESQL = Kind(
    name="postgresql",
    options={
        "host": Option(text, default="127.0.0.1"),
        "port": Option(integer(1, 65535), default=5432),
        "socket": Option(text),
        "user": Option(text, default="postgres"),
        "password": Option(text, secret=True),
        "password_file": Option(text),
        "database": Option(text, default="postgres"),
        "ssl_mode": Option(
            choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full"), default="prefer"
        ),
        "ca_cert": Option(text),
        "transport": Option(mapping, secret=True),
        "role": Option(choice("any", "primary", "standby"), default="any"),
        "query": Option(text),
        "expect": Option(anything),
        "minimum": Option(number),
        "maximum": Option(number),
    },
    prepare=PostgresqlCheck,
    target=lambda options: f"{_place(options)}/{options['database']}",
)
