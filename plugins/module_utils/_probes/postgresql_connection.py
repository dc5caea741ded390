# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the postgresql kinds reach a server, and ask it in one read-only transaction that ends when they must."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import socket
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError, missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._module import KUBERNETES_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import Way
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Option,
    Reading,
    choice,
    integer,
    mapping,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.password import PASSWORD, password_of

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: How a server is reached.
CONNECTION: dict[str, Option] = {
    "host": Option(text, default="127.0.0.1"),
    "port": Option(integer(1, 65535), default=5432),
    "socket": Option(text),
    "user": Option(text, default="postgres"),
    **PASSWORD,
    "database": Option(text, default="postgres"),
    "ssl_mode": Option(choice("disable", "allow", "prefer", "require", "verify-ca", "verify-full"), default="prefer"),
    "ca_cert": Option(text),
    "transport": Option(
        mapping,
        secret=True,
        keys=("kind", "namespace", "pod", "pod_selector", "port", "timeout", *KUBERNETES_OPTIONS),
    ),
}
#: For pg_stat_activity: sessions of clients, those too of which we may see no more than that they are there.
CLIENTS = "(backend_type = 'client backend' OR backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL)"


class PostgresqlQuestion(Check):
    """A kind asks in :meth:`question`, in a transaction that is read-only and ends with the probe's timeout."""

    libraries = ("psycopg",)

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._options = options
        self._host = options["socket"] or options["host"]
        self._transport = _transport(options)
        place = json.dumps(self._transport, sort_keys=True) if self._transport else self._host
        self._turnstile = session.turnstile(("postgresql", place, options["port"]), places=8, most=32)

    def psql(self, query: str, user: str | None = None, first: str | None = None) -> str:
        """The command for whoever looks further; to a server in a pod, the pod is what is looked at first.

        :arg user: who may, where the probe's user may not.
        :arg first: a statement before it, in the same session.
        """
        if self._transport:
            pod = self._transport.get("pod") or f"-l {shlex.quote(str(self._transport.get('pod_selector')))}"
            return f"kubectl get pods -n {self._transport.get('namespace')} {pod} -o wide"
        options = self._options
        target = {
            "host": self._host,
            "port": options["port"],
            "user": user or options["user"],
            "dbname": options["database"],
        }
        if options["ssl_mode"] != "prefer":
            target["sslmode"] = options["ssl_mode"]
        if options["ca_cert"]:
            target["sslrootcert"] = options["ca_cert"]
        conninfo = " ".join(f"{key}={_conninfo(str(value))}" for key, value in target.items())
        statements = " ".join(f"-c {shlex.quote(statement)}" for statement in (first, query) if statement)
        line = f"psql {shlex.quote(conninfo)} {statements}"
        own = user is None or user == options["user"]
        if own and options["password"] is None and options["password_file"]:
            return f'PGPASSWORD="$(cat {shlex.quote(options["password_file"])})" {line}'
        return line

    async def question(self, connection: t.Any) -> t.Any:
        """Ask; may raise psycopg.Error. What it returns goes to :meth:`answer`."""
        raise NotImplementedError

    def answer(self, found: t.Any, latency: float) -> Reading:
        """:arg latency: seconds from the start of connecting."""
        raise NotImplementedError

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()

    async def ask(self) -> Reading:
        try:
            import psycopg
        except ImportError as error:
            raise missing_library("psycopg", "psycopg 3.1 or newer", error) from None
        started = time.perf_counter()
        # What cannot be read makes the engine say "unknown".
        password = await asyncio.get_running_loop().run_in_executor(None, password_of, self._options)
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
            return self.answer(await self._measure(connection), time.perf_counter() - started)
        except psycopg.Error as error:
            return self.reading("failed", "a failed query", _first_line(error))
        finally:
            # Not close(), which waits for a server that may hang.
            connection.pgconn.finish()

    async def _measure(self, connection: t.Any) -> t.Any:
        """What :meth:`question` finds; cut off at once when we are cancelled.

        psycopg answers a cancellation by asking the server to stop and waiting for that; one that hangs never does.
        """
        work = asyncio.ensure_future(self._within_limits(connection))
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

    async def _within_limits(self, connection: t.Any) -> t.Any:
        # Not with connection parameters, which a pooler may refuse; not with SET, which a pooler would keep.
        await connection.set_read_only(True)
        await connection.execute(f"SET LOCAL statement_timeout = {max(1, int(self._options['timeout'] * 1000))}")
        return await self.question(connection)


def _conninfo(value: str) -> str:
    """As libpq reads it in a connection string."""
    if value and not set(value) & set(" '\\"):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def place(options: dict[str, t.Any]) -> str:
    """What is probed in a few characters."""
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


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
