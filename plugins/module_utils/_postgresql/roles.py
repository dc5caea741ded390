# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles' part: what the role that backs up must be allowed, and how it is said what it lacks."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.catalog import quoted

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_NAMED = 5
_UNREADABLE = """
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
   AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND CASE c.relkind
            WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
            ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END)
 ORDER BY 1 LIMIT %s
"""


def refuse_weak_role(session: Session, component: str | None = None) -> None:
    """Raise :class:`Refused` unless the session's role sees every row, whatever row-level security says.

    ``row_security=off`` makes ``pg_dump`` fail where rows would be hidden; this says so before anything began.
    """
    row = session.execute(
        "SELECT rolname, rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None or not row[1]:
        role = row[0] if row else session.info.user
        raise Refused(
            f"role {role!r} cannot back up every row",
            component,
            expected="a role with BYPASSRLS or a superuser",
            found="a role for which row-level security hides rows",
            next_command=f"as a superuser: ALTER ROLE {quoted(role)} BYPASSRLS",
        )


def refuse_unreadable(session: Session, component: str | None = None) -> None:
    """Raise :class:`Refused` when the session's database holds something that its role may not read."""
    unreadable = [name for (name,) in session.execute(_UNREADABLE, (_NAMED,))]
    if unreadable:
        role, database = session.info.user, session.info.dbname
        fix = f"GRANT pg_read_all_data TO {quoted(role)}"
        if session.info.server_version < 140000:
            fix = f"GRANT USAGE ON SCHEMA …, SELECT ON ALL TABLES IN SCHEMA … TO {quoted(role)}"
        raise Refused(
            f"role {role!r} may not read all of database {database!r}",
            component,
            expected="SELECT on every table and sequence, USAGE on every schema",
            found="no right on " + ", ".join(unreadable) + (" and more" if len(unreadable) == _NAMED else ""),
            next_command=f"as a superuser: {fix}",
        )
