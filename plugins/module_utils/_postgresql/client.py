# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to a PostgreSQL server: one address, used by psycopg and by the server's own tools alike."""

from __future__ import annotations

import dataclasses
import os
import stat
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    EngineError,
    InvalidInput,
    Refused,
    missing_library,
)

if t.TYPE_CHECKING:
    import psycopg

#: How the server's activity view and log name us.
APPLICATION_NAME = "sre.runbooks"
#: Nothing that is set for the role or the database may end a long dump or load half way, or change what we read.
SESSION_SETTINGS = (
    ("statement_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("lock_timeout", "0"),
    ("default_transaction_read_only", "off"),
    ("client_min_messages", "warning"),
    # psycopg reads times in this style only.
    ("DateStyle", "ISO, YMD"),
)
# From the first statement on: a timeout of some milliseconds, set for a database, would end the one that lifts it.
UNTIMED = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
_UNDEFINED_OBJECT = "42704"
#: Seconds for a connection through a cluster's API, at least.
_TUNNEL_TIMEOUT_S = 30


class Way(t.Protocol):
    """How a server is reached that this host has no route to: a port of loopback that leads to it."""

    @property
    def host(self) -> str:
        """Where the way begins: an address of this host."""

    @property
    def port(self) -> int:
        """Its port here."""

    @property
    def place(self) -> str:
        """For messages: where it leads."""

    @property
    def failure(self) -> str:
        """Why the newest connection that failed did so; empty when none has."""

    @property
    def hint(self) -> str:
        """The command that shows whether somebody listens there."""


@dataclasses.dataclass(frozen=True)
class PostgresqlAddress:
    """Where a server listens and who we are there.

    :arg host: name or address; empty for a Unix socket.
    :arg socket: the directory of the Unix socket; wins over ``host``; None lets libpq choose its default.
    :arg connect_timeout: seconds.
    :arg way: leads to the server; ``port`` is then its port here, ``host`` only the name that its certificate has.
    """

    host: str = ""
    port: int = 5432
    user: str = "postgres"
    password: str | None = dataclasses.field(default=None, repr=False)
    socket: str | None = None
    database: str = "postgres"
    ssl_mode: str = "prefer"
    ca_cert: str | None = None
    connect_timeout: int = 10
    way: Way | None = dataclasses.field(default=None, repr=False)

    @property
    def place(self) -> str:
        """For messages: ``host:port``, the socket's path, or where a way leads."""
        if self.way is not None:
            return self.way.place
        if self.socket:
            return f"{self.socket}/.s.PGSQL.{self.port}"
        return f"{self.host or 'the default socket'}:{self.port}"

    def environment(self, database: str | None = None) -> dict[str, str]:
        """The variables that make ``pg_dump`` and its kin connect here: nothing secret, no database name, in argv."""
        variables = {
            "PGHOST": self.socket or self.host,
            "PGHOSTADDR": self.way.host if self.way is not None else "",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": database or self.database,
            "PGSSLMODE": self.ssl_mode,
            "PGCONNECT_TIMEOUT": str(self.connect_timeout),
            "PGAPPNAME": APPLICATION_NAME,
            "PGCLIENTENCODING": "UTF8",
            "PGOPTIONS": UNTIMED,
        }
        if self.password is not None:
            variables["PGPASSWORD"] = self.password
        if self.ca_cert:
            variables["PGSSLROOTCERT"] = self.ca_cert
        return variables


def address_from(params: t.Mapping[str, t.Any]) -> PostgresqlAddress:
    """The address in a module's ``login_*`` parameters. Raises :class:`InvalidInput` for an unreadable password file."""
    password = params.get("login_password")
    if password is None and params.get("login_password_file"):
        password = read_password_file(params["login_password_file"])
    host = params.get("login_host") or ""
    socket = params.get("login_unix_socket") or None
    if host.startswith("/") and socket is None:
        # libpq's own way to name a socket directory, as PGHOST often has it.
        host, socket = "", host
    way = _way(params)
    if way is not None:
        host, socket = host or way.host, None
    return PostgresqlAddress(
        host=host,
        port=way.port if way is not None else params.get("login_port") or 5432,
        user=params.get("login_user") or "postgres",
        password=password,
        socket=socket,
        database=params.get("login_db") or "postgres",
        ssl_mode=params.get("ssl_mode") or "prefer",
        ca_cert=params.get("ca_cert"),
        # The first bytes may be late where an API server and a kubelet are asked before: the tunnel says itself when it fails.
        connect_timeout=max(params.get("connect_timeout") or 10, _TUNNEL_TIMEOUT_S if way is not None else 0),
        way=way,
    )


def _way(params: t.Mapping[str, t.Any]) -> Way | None:
    """The way that ``transport`` asks for, opened; it stays open as long as this process."""
    transport = params.get("transport") or {}
    if transport.get("kind", "direct") == "direct":
        return None
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_port import way_to

    return way_to({**transport, "port": transport.get("port") or params.get("login_port") or 5432})


def read_password_file(path: str) -> str:
    """The first line of a file. Raises :class:`InvalidInput` when it cannot be read or is readable by everyone."""
    try:
        with open(path, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            password = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InvalidInput(
            "the password file cannot be read", expected=f"a readable file at {path}", found=str(reason)
        ) from None
    if stat.S_IMODE(mode) & 0o007:
        raise InvalidInput(
            "the password file is open to everyone",
            expected="mode 0600 or 0640",
            found=f"{path} with mode {stat.S_IMODE(mode):04o}",
            next_command=f"chmod 0600 {path}",
        )
    if not password:
        raise InvalidInput("the password file is empty", expected="the password in its first line", found=path)
    return password


def connect(
    address: PostgresqlAddress, database: str | None = None, autocommit: bool = True
) -> psycopg.Connection[tuple[t.Any, ...]]:
    """Open a session with no timeouts of its own.

    :raises EngineError: unreachable, refused or unknown; names the place and never the password.
    :raises MissingRequirement: psycopg is not installed for this Python.
    """
    try:
        import psycopg
    except ImportError as error:
        raise missing_library(
            "psycopg", "psycopg 3.1 or newer (psycopg[binary], or psycopg with libpq)", error
        ) from None
    name = database or address.database
    parameters: dict[str, t.Any] = {
        "host": address.socket or address.host,
        "port": address.port,
        "user": address.user,
        "dbname": name,
        "sslmode": address.ssl_mode,
        "connect_timeout": address.connect_timeout,
        "application_name": APPLICATION_NAME,
        "client_encoding": "UTF8",
    }
    if address.password is not None:
        parameters["password"] = address.password
    if address.ca_cert:
        parameters["sslrootcert"] = address.ca_cert
    if address.way is not None:
        parameters["hostaddr"] = address.way.host
    try:
        try:
            connection = psycopg.connect(autocommit=True, options=UNTIMED, **parameters)
        except psycopg.OperationalError as error:
            # A pooler; whether that is fine is for the caller to say.
            if "unsupported startup parameter" not in str(error):
                raise
            connection = psycopg.connect(autocommit=True, options="", **parameters)
    except psycopg.Error as error:
        raise _connection_error(address, name, str(error)) from None
    try:
        for setting, value in SESSION_SETTINGS:
            _apply(connection, setting, value)
        connection.autocommit = autocommit
    except psycopg.Error as error:
        connection.close()
        raise _connection_error(address, name, str(error)) from None
    return connection


def _apply(connection: psycopg.Connection[tuple[t.Any, ...]], setting: str, value: str) -> None:
    import psycopg

    try:
        connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (setting, value))
    except psycopg.Error as error:
        # An older server does not know every one of them.
        if error.sqlstate != _UNDEFINED_OBJECT:
            raise


def _connection_error(address: PostgresqlAddress, database: str, text: str) -> ConnectionFailed:
    reason = " ".join(text.split())
    if address.password:
        reason = reason.replace(address.password, "********")
    if "authentication failed" in reason or "no password supplied" in reason:
        expected = f"that the server accepts user {address.user!r} with the given password"
        next_command = "check component_login_user and component_login_password_file (or PGUSER and PGPASSWORD)"
    elif "does not exist" in reason:
        expected = f"a database {database!r} and a user {address.user!r}"
        next_command = "check component_login_db and component_login_user"
    else:
        expected = f"a PostgreSQL server that accepts connections at {address.place}"
        command = f"pg_isready -h {address.socket or address.host or '(socket)'} -p {address.port}"
        if address.way is not None:
            command = address.way.hint
            reason = f"{address.way.failure}; {reason}" if address.way.failure else reason
        next_command = f"check that the server runs: {command}"
    return ConnectionFailed(
        f"no connection to database {database!r} at {address.place}",
        expected=expected,
        found=reason,
        next_command=next_command,
    )


class ConnectionFailed(EngineError):
    """No session could be had at all: callers that probe tell it from a failing statement."""

    kind = "connection"


def refuse_pooler(connection: psycopg.Connection[tuple[t.Any, ...]], address: PostgresqlAddress) -> None:
    """Raise :class:`Refused` when a pooler stands between us and the server.

    A pooler hands out cancellation keys of its own, so that the process number told at login is not the one of the
    backend that answers. Through one, the snapshot that a dump shares with its helpers may belong to another session.
    """
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    if row is None or row[0] != connection.info.backend_pid:
        raise Refused(
            f"a connection pooler answers at {address.place}",
            expected="a direct connection to the server",
            found="the backend is another process than the one that logged us in",
            next_command="set component_login_host and component_login_port to the server itself (by default port 5432)",
        )


def server_major(connection: psycopg.Connection[tuple[t.Any, ...]]) -> int:
    """15 for a server of version 15.x."""
    return connection.info.server_version // 10000


def server_version(connection: psycopg.Connection[tuple[t.Any, ...]]) -> str:
    """``"15.13"``, without what a distribution adds."""
    major, minor = divmod(connection.info.server_version, 10000)
    return f"{major}.{minor}"
