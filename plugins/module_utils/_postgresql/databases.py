# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to a database and not to its content: owner, locale, settings, ACL, comment, extensions, roles."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import names
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.catalog import in_recovery
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import server_version
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.marker import SCHEMA

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_DATABASE = """
SELECT d.datname, r.rolname, pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, {provider},
       {locale}, {rules}, {version}, d.datconnlimit, s.spcname, d.datacl::text[],
       pg_catalog.shobj_description(d.oid, 'pg_database'), pg_catalog.pg_database_size(d.oid)
  FROM pg_catalog.pg_database d
  JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
  JOIN pg_catalog.pg_tablespace s ON s.oid = d.dattablespace
 WHERE d.datname = %s
"""
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin", "d": "default"}
_USER_TABLES = """
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S') AND c.relpersistence <> 't'
                  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', %s)
                  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                                   WHERE d.classid = 'pg_catalog.pg_class'::regclass
                                     AND d.objid = c.oid AND d.deptype = 'e'))
"""
_ROLES = """
SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
       r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text,
       ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
              WHERE m.member = r.oid ORDER BY 1)
  FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1
"""
# The roles that the current database's content or the database itself refers to.
_ROLES_USED = """
SELECT DISTINCT r.rolname
  FROM pg_catalog.pg_shdepend s
  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
  JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid AND s.refclassid = 'pg_catalog.pg_authid'::regclass
 WHERE s.dbid = d.oid OR (s.dbid = 0 AND s.classid = 'pg_catalog.pg_database'::regclass AND s.objid = d.oid)
 UNION
SELECT r.rolname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
 WHERE d.datname = pg_catalog.current_database()
 UNION
SELECT r.rolname FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
  JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
 ORDER BY 1
"""
_COUNTED = {
    "publications": "SELECT count(*) FROM pg_catalog.pg_publication",
    "event_triggers": "SELECT count(*) FROM pg_catalog.pg_event_trigger",
    "foreign_servers": "SELECT count(*) FROM pg_catalog.pg_foreign_server",
    "policies": "SELECT count(*) FROM pg_catalog.pg_policy",
    "schemas": "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'",
}


def describe_server(session: Session) -> dict[str, t.Any]:
    """Version, role in replication, and the settings that a restored server should share."""
    row = session.execute(
        "SELECT pg_catalog.current_setting('server_version'), system_identifier::text"
        " FROM pg_catalog.pg_control_system()"
    ).fetchone()
    settings = session.execute(
        "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s) ORDER BY name",
        (
            [
                "server_encoding",
                "data_checksums",
                "block_size",
                "max_connections",
                "shared_preload_libraries",
                "wal_level",
            ],
        ),
    ).fetchall()
    return {
        "version": server_version(session),
        "version_text": row[0] if row else None,
        "system_identifier": row[1] if row else None,
        "standby": in_recovery(session),
        "settings": dict(settings),
    }


def position(session: Session) -> str:
    """Where the write-ahead log is: an LSN such as ``0/16B3748``."""
    function = "pg_last_wal_replay_lsn" if in_recovery(session) else "pg_current_wal_insert_lsn"
    row = session.execute(f"SELECT pg_catalog.{function}()::text".encode()).fetchone()
    return str(row[0]) if row else ""


def select_databases(
    session: Session, maintenance: str, wanted: t.Sequence[str] = (), excluded: t.Sequence[str] = ()
) -> list[str]:
    """The databases that a backup is about, by name.

    Without ``wanted``: all but templates, those being restored or kept aside, and those that accept no connections.
    The maintenance database (that of ``session``) counts only when it holds tables of its users.

    :raises InvalidInput: one that was named does not exist, or accepts no connections.
    """
    rows = session.execute(
        'SELECT datname, datistemplate, datallowconn FROM pg_catalog.pg_database ORDER BY datname COLLATE "C"'
    ).fetchall()
    there = {name: allowed for name, _template, allowed in rows}
    if wanted:
        for name in wanted:
            if not there.get(name):
                raise InvalidInput(
                    f"database {name!r} cannot be backed up",
                    expected="one of " + ", ".join(repr(other) for other in there if there[other]),
                    found="a database that accepts no connections" if name in there else "no such database",
                    next_command="correct component_databases in the inventory",
                )
        return [name for name in there if name in wanted and name not in excluded]
    selected = []
    for name, template, allowed in rows:
        if template or not allowed or name in excluded or names.stands_beside(name):
            continue
        if name == maintenance and not _has_user_tables(session):
            continue
        selected.append(name)
    return selected


def _has_user_tables(session: Session) -> bool:
    row = session.execute(_USER_TABLES, (SCHEMA,)).fetchone()
    return bool(row and row[0])


def describe_database(session: Session) -> dict[str, t.Any]:
    """The session's database: everything that recreating it beside needs, and what of it stays behind.

    ``settings`` are in full and may hold secrets (custom parameters): see :func:`without_secrets`.
    """
    major = session.info.server_version // 10000
    query = _DATABASE.format(
        provider="d.datlocprovider::text" if major >= 15 else "'c'",
        locale="d.datlocale" if major >= 17 else "d.daticulocale" if major >= 15 else "NULL",
        rules="d.daticurules" if major >= 16 else "NULL",
        version="d.datcollversion" if major >= 15 else "NULL",
    )
    name = session.info.dbname
    row = session.execute(query.encode(), (name,)).fetchone()
    if row is None:
        raise InvalidInput("no such database", expected=repr(name), found="none of that name")
    return {
        "name": row[0],
        "owner": row[1],
        "encoding": row[2],
        "collate": row[3],
        "ctype": row[4],
        "locale_provider": _PROVIDERS.get(row[5], row[5]),
        "locale": row[6],
        "icu_rules": row[7],
        "collation_version": row[8],
        "connection_limit": row[9],
        "tablespace": row[10],
        "acl": row[11],
        "comment": row[12],
        "size": row[13],
        "settings": database_settings(session, name),
        "extensions": extensions(session),
        "roles": [role for (role,) in session.execute(_ROLES_USED.encode())],
        "tablespaces": _tablespaces(session),
        "counts": {what: _count(session, query) for what, query in _COUNTED.items()},
        "subscriptions": [
            entry
            for (entry,) in session.execute(
                "SELECT s.subname::text FROM pg_catalog.pg_stat_subscription s JOIN pg_catalog.pg_database d"
                " ON d.datname = pg_catalog.current_database() WHERE s.subid IN"
                " (SELECT oid FROM pg_catalog.pg_subscription WHERE subdbid = d.oid) ORDER BY 1"
            )
        ],
        "replication_slots": [
            slot
            for (slot,) in session.execute(
                "SELECT slot_name::text FROM pg_catalog.pg_replication_slots"
                " WHERE database = pg_catalog.current_database() AND NOT temporary ORDER BY 1"
            )
        ],
    }


def database_settings(session: Session, database: str) -> list[dict[str, t.Any]]:
    """``ALTER DATABASE … SET`` and ``ALTER ROLE … IN DATABASE … SET``: ``[{"role": name or None, "values": {…}}]``."""
    rows = session.execute(
        "SELECT r.rolname, s.setconfig FROM pg_catalog.pg_db_role_setting s"
        " JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE d.datname = %s"
        " ORDER BY s.setrole <> 0, r.rolname",
        (database,),
    ).fetchall()
    return [{"role": role, "values": dict(entry.split("=", 1) for entry in values or ())} for role, values in rows]


def without_secrets(settings: t.Sequence[t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Settings for the manifest, which anybody may read: the values of custom parameters are None.

    Applications keep keys in parameters such as ``app.jwt_secret``.
    """
    return [
        {
            "role": entry["role"],
            "values": {name: None if "." in name else value for name, value in entry["values"].items()},
        }
        for entry in settings
    ]


def extensions(session: Session) -> list[dict[str, str]]:
    """Name, version and schema of what is installed in the session's database."""
    rows = session.execute(
        "SELECT e.extname::text, e.extversion, n.nspname::text FROM pg_catalog.pg_extension e"
        " JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace ORDER BY 1"
    ).fetchall()
    return [{"name": name, "version": version, "schema": schema} for name, version, schema in rows]


def describe_roles(session: Session) -> list[dict[str, t.Any]]:
    """Every role but the predefined ones, without passwords and without their settings."""
    keys = [
        "name",
        "superuser",
        "inherit",
        "create_role",
        "create_database",
        "login",
        "replication",
        "bypass_rls",
        "connection_limit",
        "valid_until",
        "member_of",
    ]
    return [dict(zip(keys, row)) for row in session.execute(_ROLES.encode()).fetchall()]


def _tablespaces(session: Session) -> list[str]:
    rows = session.execute(
        "SELECT DISTINCT s.spcname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace s"
        " ON s.oid = c.reltablespace WHERE s.spcname <> 'pg_global' ORDER BY 1"
    ).fetchall()
    return [name for (name,) in rows]


def _count(session: Session, query: str) -> int:
    row = session.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
