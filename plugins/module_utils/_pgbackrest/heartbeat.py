# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows that say what time it was: after a restore, the newest one tells what was lost, observed and not derived."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._words import said

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

SCHEMA = "sre_runbooks"
TABLE = "heartbeat"
_KEPT = 1000


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """One row: by the server's own clock; ``lsn`` is where the log was just before it."""

    id: int
    at: datetime.datetime
    lsn: str

    def facts(self) -> dict[str, t.Any]:
        return {"id": self.id, "at": format_time(self.at), "lsn": self.lsn}


def beat(session: Session, component: str) -> Heartbeat:
    """Write a row, and forget old ones. Raises :class:`EngineError` when that cannot be done."""
    import psycopg

    try:
        with session.transaction():
            session.execute("SET LOCAL lock_timeout = '5s'")
            # Who is lost with the server's last moment is what the row is about: it must not be lost by a setting.
            session.execute("SET LOCAL synchronous_commit = local")
            if not heartbeat_exists(session):
                session.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
                session.execute(
                    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{TABLE} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                    " component text NOT NULL, at timestamptz NOT NULL, lsn pg_lsn NOT NULL)"
                )
            row = session.execute(
                f"INSERT INTO {SCHEMA}.{TABLE} (component, at, lsn)"
                " VALUES (%s, pg_catalog.clock_timestamp(), pg_catalog.pg_current_wal_insert_lsn())"
                " RETURNING id, at, lsn::text",
                (component,),
            ).fetchone()
            session.execute(
                f"DELETE FROM {SCHEMA}.{TABLE} WHERE component = %s AND id <= %s",
                (component, row[0] - _KEPT if row else 0),
            )
    except psycopg.Error as error:
        raise EngineError(
            "the heartbeat cannot be written",
            component,
            expected=f"the right to make and fill {SCHEMA}.{TABLE}",
            found=said(error),
            next_command="grant it, or name another role in component_login_user; a superuser prepares archiving",
        ) from None
    if row is None:
        raise EngineError("the heartbeat cannot be written", component, expected="a row", found="none")
    return Heartbeat(int(row[0]), row[1].astimezone(datetime.timezone.utc), str(row[2]))


def newest_heartbeat(session: Session, component: str) -> Heartbeat | None:
    """The newest row of the component; None when there is none."""
    if not heartbeat_exists(session):
        return None
    row = session.execute(
        f"SELECT id, at, lsn::text FROM {SCHEMA}.{TABLE} WHERE component = %s ORDER BY id DESC LIMIT 1", (component,)
    ).fetchone()
    return Heartbeat(int(row[0]), row[1].astimezone(datetime.timezone.utc), str(row[2])) if row else None


def heartbeat_exists(session: Session) -> bool:
    """Whether a heartbeat was ever written in the session's database."""
    row = session.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.{TABLE}",)).fetchone()
    return bool(row and row[0])
