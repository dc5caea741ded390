# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bookkeeping of restores in the maintenance database: which point a database shows, and what was kept."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.marker import SCHEMA

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]


@dataclasses.dataclass(frozen=True)
class Kept:
    """A database that a restore put aside. ``id`` is its row in the bookkeeping."""

    id: int
    database: str
    before_name: str
    before_oid: int
    point_id: str
    since: datetime.datetime

    def facts(self) -> dict[str, t.Any]:
        return {
            "database": self.database,
            "kept_as": self.before_name,
            "replaced_by": self.point_id,
            "since": self.since.isoformat(),
        }


def has_tables(session: Session) -> bool:
    row = session.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.restored",)).fetchone()
    return bool(row and row[0])


def interrupted(session: Session, component: str) -> bool:
    """Whether a killed run left live databases that refuse connections."""
    if not has_tables(session):
        return False
    row = session.execute(
        f"SELECT EXISTS (SELECT FROM {SCHEMA}.swapping WHERE component = %s)", (component,)
    ).fetchone()
    return bool(row and row[0])


def shown_points(session: Session, component: str) -> dict[str, str]:
    """Database → the point that was last restored into it, for databases that are still the restored ones."""
    if not has_tables(session):
        return {}
    rows = session.execute(
        f"SELECT DISTINCT ON (r.database) r.database, r.point, d.oid IS NOT NULL FROM {SCHEMA}.restored r"
        " LEFT JOIN pg_database d ON d.datname = r.database AND d.oid = r.database_oid"
        " WHERE r.component = %s ORDER BY r.database, r.id DESC",
        (component,),
    )
    return {database: point for database, point, there in rows if there}


def kept_databases(session: Session, component: str) -> list[Kept]:
    """What restores of the component have put aside and nobody has released or dropped, oldest first.

    Compared by OID: a database that merely has the name is none of ours.
    """
    if not has_tables(session):
        return []
    rows = session.execute(
        "SELECT r.id, r.database, r.before_name, r.before_oid::bigint, r.point, r.restored_at"
        f" FROM {SCHEMA}.restored r JOIN pg_database d ON d.datname = r.before_name AND d.oid = r.before_oid"
        " WHERE r.component = %s AND r.released_at IS NULL ORDER BY r.id",
        (component,),
    )
    return [Kept(*row) for row in rows]


def record(
    session: Session,
    component: str,
    database: str,
    point_id: str,
    run_id: str | None,
    before: str | None,
) -> None:
    """Inside the transaction that renames, after the renames: ``database`` now shows ``point_id``."""
    session.execute(
        f"INSERT INTO {SCHEMA}.restored (component, database, database_oid, point, run_id, before_name, before_oid)"
        " SELECT %s, d.datname, d.oid, %s, %s, %s, (SELECT oid FROM pg_database WHERE datname = %s)"
        " FROM pg_database d WHERE d.datname = %s",
        (component, point_id, run_id, before, before, database),
    )


def release(session: Session, kept: Kept, component: str) -> None:
    """Drop a kept database. Killed between the two statements, the row merely names what is gone.

    :raises EngineError: it is in use, or a subscription lives in it.
    """
    import psycopg
    from psycopg import sql

    try:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(kept.before_name)))
    except psycopg.Error as error:
        raise EngineError(
            f"the kept database {kept.before_name} could not be dropped",
            component,
            expected="a database that nobody uses",
            found=" ".join(str(error).split()),
            next_command="end what uses it (sessions, subscriptions, replication slots), then: the same command with -e restore_release=true",
        ) from None
    session.execute(f"UPDATE {SCHEMA}.restored SET released_at = now() WHERE id = %s", (kept.id,))
