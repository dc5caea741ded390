# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Giving a database what belongs to it and not to its content, which ``pg_restore`` leaves out without ``--create``.

The dictionaries are those of :func:`databases.describe_database`.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError

if t.TYPE_CHECKING:
    import psycopg
    from psycopg import sql

    Session = psycopg.Connection[tuple[t.Any, ...]]

#: Settings whose value is a list of quoted names, as in PostgreSQL's own dumputils.c.
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(?:,|$)')


def create_database(
    session: Session, name: str, recorded: t.Mapping[str, t.Any], component: str, tablespace: bool = True
) -> None:
    """Create an empty database with the recorded encoding, locale, owner and tablespace.

    :arg tablespace: False puts it into the server's default one.
    :raises EngineError: the server cannot.
    """
    import psycopg
    from psycopg import sql

    major = session.info.server_version // 10000
    parts = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} OWNER {}").format(
            sql.Identifier(name),
            sql.Literal(recorded["encoding"]),
            sql.Literal(recorded["collate"]),
            sql.Literal(recorded["ctype"]),
            sql.Identifier(recorded["owner"]),
        )
    ]
    provider = recorded["locale_provider"]
    if major >= 15:
        parts.append(sql.SQL("LOCALE_PROVIDER {}").format(sql.Identifier(provider)))
    if provider == "icu":
        parts.append(sql.SQL("ICU_LOCALE {}").format(sql.Literal(recorded["locale"])))
        if recorded.get("icu_rules"):
            parts.append(sql.SQL("ICU_RULES {}").format(sql.Literal(recorded["icu_rules"])))
    elif provider == "builtin":
        parts.append(sql.SQL("BUILTIN_LOCALE {}").format(sql.Literal(recorded["locale"])))
    if tablespace and recorded["tablespace"] != "pg_default":
        parts.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(recorded["tablespace"])))
    try:
        session.execute(sql.SQL(" ").join(parts))
    except psycopg.Error as error:
        raise EngineError(
            f"the database {name} could not be created beside the live one",
            component,
            expected=f"{recorded['encoding']}, locale {recorded.get('locale') or recorded['collate']} ({provider}), "
            f"owner {recorded['owner']}, tablespace {recorded['tablespace']}",
            found=" ".join(str(error).split()),
            next_command="make the server able to hold such a database, then: the same command",
        ) from None


def apply_settings(session: Session, name: str, recorded: t.Mapping[str, t.Any]) -> list[str]:
    """``ALTER DATABASE … SET`` and ``ALTER ROLE … IN DATABASE … SET`` as recorded.

    Before the content is loaded, as functions may read settings. Returns the names of those that this server refuses
    (such as one that a newer major no longer knows) or whose value was not recorded.
    """
    import psycopg
    from psycopg import sql

    refused = []
    for entry in recorded["settings"]:
        for setting, value in entry["values"].items():
            subject = (
                sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(entry["role"]), sql.Identifier(name))
                if entry["role"] is not None
                else sql.SQL("DATABASE {}").format(sql.Identifier(name))
            )
            if value is None:
                refused.append(setting)
                continue
            try:
                session.execute(
                    sql.SQL("ALTER {} SET {} TO {}").format(
                        subject, sql.Identifier(*setting.split(".")), _value(setting, value)
                    )
                )
            except psycopg.Error:
                refused.append(setting)
    return refused


def apply_access(session: Session, name: str, recorded: t.Mapping[str, t.Any], component: str) -> None:
    """The database's ACL, comment and connection limit as recorded. Raises :class:`EngineError`."""
    import psycopg
    from psycopg import sql

    database = sql.Identifier(name)
    try:
        if recorded["acl"] is not None:
            session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
            session.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, sql.Identifier(recorded["owner"]))
            )
            rows = session.execute(
                "SELECT r.rolname, a.privilege_type, a.is_grantable FROM aclexplode(%s::aclitem[]) a"
                " LEFT JOIN pg_roles r ON r.oid = a.grantee",
                (recorded["acl"],),
            ).fetchall()
            for grantee, privilege, grantable in rows:
                session.execute(
                    sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                        sql.SQL(privilege),
                        database,
                        sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee),
                        sql.SQL(" WITH GRANT OPTION" if grantable else ""),
                    )
                )
        if recorded["comment"] is not None:
            session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(recorded["comment"])))
        if recorded["connection_limit"] != -1:
            session.execute(
                sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(
                    database, sql.Literal(recorded["connection_limit"])
                )
            )
    except psycopg.Error as error:
        raise EngineError(
            f"rights of the database {name} could not be applied",
            component,
            expected="the recorded ACL, comment and connection limit",
            found=" ".join(str(error).split()),
        ) from None


def split_list(value: str) -> list[str]:
    """``"$user", public`` → ``["$user", "public"]``: names as PostgreSQL stores them in list settings."""
    elements, position = [], 0
    while position < len(value):
        match = _ELEMENT.match(value, position)
        if match is None:
            return [value]
        quoted, plain = match.groups()
        elements.append(quoted.replace('""', '"') if quoted is not None else plain.strip())
        if match.end() == position:
            break
        position = match.end()
    return elements


def _value(setting: str, value: str) -> sql.Composable:
    from psycopg import sql

    if setting.lower() in _LISTS:
        return sql.SQL(", ").join([sql.Literal(element) for element in split_list(value)] or [sql.Literal("")])
    return sql.Literal(value)
