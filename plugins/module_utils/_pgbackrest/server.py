# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server whose log is archived: what it is, whose it is, and how it is set."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.catalog import in_recovery
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    PostgresqlAddress,
    connect,
    refuse_pooler,
    server_major,
    server_version,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import said

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

SETTINGS = ("archive_mode", "archive_command", "archive_timeout", "archive_library", "wal_level")
_RELOAD_S = 10.0


@dataclasses.dataclass(frozen=True)
class ServerFacts:
    """``settings``: as the server runs now. ``configured``: as its files say, which differs until it is restarted."""

    version: str
    major: int
    system_id: int
    data_dir: str
    socket_dir: str | None
    port: int
    segment_size: int
    os_user: str | None
    settings: dict[str, str]
    configured: dict[str, str]

    def cluster(self, address: PostgresqlAddress) -> Cluster:
        return Cluster(self.data_dir, self.port, self.socket_dir, address.user, address.database, self.os_user)

    @property
    def archiving(self) -> bool:
        """Whether it archives at all now."""
        return self.settings["archive_mode"] in ("on", "always")


def look_at_server(address: PostgresqlAddress, component: str) -> ServerFacts:
    """Ask the server about itself. Refuses a pooler, a standby, and a server of another host or account."""
    with contextlib.closing(connect(address)) as session:
        refuse_pooler(session, address)
        if in_recovery(session):
            raise Refused(
                "the server is a standby",
                component,
                expected="the primary: its log is what is archived",
                found=f"a server in recovery at {address.place}",
                next_command="name the primary in the inventory (component_login_host, and the host itself)",
            )
        data_dir = _one(session, "SELECT pg_catalog.current_setting('data_directory')")
        sockets = _one(session, "SELECT pg_catalog.current_setting('unix_socket_directories')")
        running = dict(
            session.execute(
                "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)", (list(SETTINGS),)
            ).fetchall()
        )
        return ServerFacts(
            version=server_version(session),
            major=server_major(session),
            system_id=int(_one(session, "SELECT system_identifier FROM pg_catalog.pg_control_system()")),
            data_dir=data_dir,
            socket_dir=next((path.strip() for path in sockets.split(",") if path.strip().startswith("/")), None),
            port=int(_one(session, "SELECT pg_catalog.current_setting('port')")),
            segment_size=int(_one(session, "SELECT bytes_per_wal_segment FROM pg_catalog.pg_control_init()")),
            os_user=_account(data_dir, component, address),
            settings=running,
            configured={**running, **_configured(session, running["archive_mode"] != "off")},
        )


def _configured(session: Session, archiving: bool) -> dict[str, str]:
    """What the server's files say where it runs with something else until it is restarted."""
    # While nothing is archived, the server does not tell the command either.
    names = ["archive_mode", "wal_level"] + ([] if archiving else ["archive_command"])
    rows = session.execute(
        "SELECT DISTINCT ON (name) name, setting FROM pg_catalog.pg_file_settings"
        " WHERE name = ANY(%s) ORDER BY name, seqno DESC",
        (names,),
    ).fetchall()
    return {str(name): str(setting) for name, setting in rows}


def _account(data_dir: str, component: str, address: PostgresqlAddress) -> str | None:
    """Whose the data is; pgBackRest has to act as that account, on that host."""
    try:
        owner = os.stat(os.path.join(data_dir, "PG_VERSION") if os.geteuid() == 0 else data_dir).st_uid
    except OSError as error:
        raise Refused(
            "the server's data is not on this host",
            component,
            expected=f"{data_dir} of the server at {address.place}",
            found=str(error.strerror),
            next_command="run this on the server's own host, as its account or as root (become)",
        ) from None
    if os.geteuid() == 0:
        return pwd.getpwuid(owner).pw_name
    if owner != os.geteuid():
        raise Refused(
            "the server's data belongs to another account",
            component,
            expected=f"to run as user number {owner}, or as root",
            found=f"user number {os.geteuid()}",
            next_command="set become and become_user for the component",
        )
    return None


def alter_settings(address: PostgresqlAddress, component: str, wanted: t.Mapping[str, str | None]) -> None:
    """``ALTER SYSTEM``, and have the server read it; None resets. Settings that need a restart stay as they are until then."""
    import psycopg
    from psycopg import sql

    try:
        with contextlib.closing(connect(address)) as session:
            for name, value in wanted.items():
                if value is None:
                    session.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
                else:
                    session.execute(
                        sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                    )
            session.execute("SELECT pg_catalog.pg_reload_conf()")
    except psycopg.Error as error:
        raise EngineError(
            "the server's settings cannot be changed",
            component,
            expected="a superuser's ALTER SYSTEM",
            found=said(error),
            next_command="give the component a superuser (component_login_user) to prepare archiving",
        ) from None
    _await_reload(address, component, {name: value for name, value in wanted.items() if value is not None})


def _await_reload(address: PostgresqlAddress, component: str, wanted: t.Mapping[str, str]) -> None:
    """A reload is asynchronous: wait until a new session sees what needs no restart."""
    deadline = time.monotonic() + _RELOAD_S
    while True:
        with contextlib.closing(connect(address)) as session:
            rows = session.execute(
                "SELECT name, setting, context, source FROM pg_catalog.pg_settings WHERE name = ANY(%s)",
                ([*wanted, "archive_mode"],),
            ).fetchall()
        silent = "archive_command" if ("archive_mode", "off") in [row[:2] for row in rows] else None
        other = [row for row in rows if row[2] != "postmaster" and row[0] != silent and row[1] != wanted[row[0]]]
        if not other:
            return
        if time.monotonic() > deadline:
            name, setting, _context, source = other[0]
            raise EngineError(
                f"the server does not take the setting {name}",
                component,
                expected=wanted[name],
                found=f"{setting} (from: {source})",
                next_command="remove it from where it is set (the server's command line wins over its files)",
            )
        time.sleep(0.1)


def _one(session: Session, statement: str) -> str:
    row = session.execute(statement).fetchone()
    if row is None or row[0] is None:
        raise EngineError("the server does not answer", expected=statement, found="no row")
    return str(row[0])
