# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A row written into each database just before its snapshot, and sought after a restore: the RPO observed."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.catalog import in_recovery
from ansible_collections.sre.runbooks.plugins.module_utils._words import said

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

TABLE = "canary"
_KEPT = 20


def write_canary(session: Session, schema: str, component: str, point_id: str) -> dict[str, t.Any]:
    """Write the row ``point_id`` into ``schema.canary`` of the session's database, and forget old ones.

    :returns: ``{"schema", "table", "id", "written_at", "problem"}``; ``problem`` says why there is no canary (a
        standby, or a role that may not write), and then ``written_at`` is None. It never fails a backup.
    """
    import psycopg
    from psycopg import sql

    result: dict[str, t.Any] = {
        "schema": schema,
        "table": TABLE,
        "id": point_id,
        "written_at": None,
        "problem": None,
    }
    if in_recovery(session):
        return {**result, "problem": "the server is a standby"}
    table = sql.Identifier(schema, TABLE)
    try:
        with session.transaction():
            # Who waits for the canary's lock would make everybody behind wait too.
            session.execute("SET LOCAL lock_timeout = '5s'")
            if not _there(session, schema):
                # CREATE SCHEMA IF NOT EXISTS wants the right to create one even where it exists.
                if (
                    session.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (schema,)).fetchone()
                    is None
                ):
                    session.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
                session.execute(
                    sql.SQL(
                        "CREATE TABLE IF NOT EXISTS {} (component text NOT NULL, id text NOT NULL,"
                        " written_at timestamptz NOT NULL, PRIMARY KEY (component, id))"
                    ).format(table)
                )
            row = session.execute(
                sql.SQL("INSERT INTO {} VALUES (%s, %s, clock_timestamp()) RETURNING written_at").format(table),
                (component, point_id),
            ).fetchone()
            session.execute(
                sql.SQL(
                    "DELETE FROM {0} WHERE component = %s AND id NOT IN"
                    " (SELECT id FROM {0} WHERE component = %s ORDER BY written_at DESC LIMIT %s)"
                ).format(table),
                (component, component, _KEPT),
            )
    except psycopg.Error as error:
        return {**result, "problem": said(error)}
    if row is not None:
        result["written_at"] = _clock.format_time(row[0])
    return result


def find_canary(session: Session, canary: t.Mapping[str, t.Any], component: str) -> bool:
    """Whether the canary that :func:`write_canary` described is in the session's database."""
    from psycopg import sql

    if not _there(session, canary["schema"]):
        return False
    query = sql.SQL("SELECT 1 FROM {} WHERE component = %s AND id = %s").format(
        sql.Identifier(canary["schema"], canary["table"])
    )
    return session.execute(query, (component, canary["id"])).fetchone() is not None


def _there(session: Session, schema: str) -> bool:
    row = session.execute(
        "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s)",
        (schema, TABLE),
    ).fetchone()
    return bool(row and row[0])
