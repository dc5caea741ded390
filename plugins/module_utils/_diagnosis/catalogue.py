# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a database's own catalogue holds together, and whether the files that it names are there.

The catalogue is read without its indexes: one of them may be what is damaged.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.finding import Finding, one_line

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_WITHOUT_INDEXES = "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off"

#: What must not be there: words, and the query that returns the offending rows' names.
_CONTRADICTIONS = (
    (
        "has another number of columns than its entry says",
        """SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c
             LEFT JOIN (SELECT attrelid, pg_catalog.count(*) AS columns FROM pg_catalog.pg_attribute
                         WHERE attnum > 0 GROUP BY attrelid) a ON a.attrelid = c.oid
            WHERE c.relnatts <> coalesce(a.columns, 0)""",
    ),
    (
        "lies in a schema that does not exist",
        """SELECT c.relname FROM pg_catalog.pg_class c
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = c.relnamespace)""",
    ),
    (
        "belongs to a role that does not exist",
        """SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid = c.relowner)""",
    ),
    (
        "has a column of a type that does not exist",
        """SELECT a.attrelid::pg_catalog.regclass || '.' || a.attname FROM pg_catalog.pg_attribute a
            WHERE NOT a.attisdropped AND a.atttypid <> 0
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid)""",
    ),
    (
        "columns of a relation that does not exist",
        """SELECT 'pg_attribute of ' || a.attrelid FROM pg_catalog.pg_attribute a
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = a.attrelid) GROUP BY a.attrelid""",
    ),
    (
        "an index without its relation or its table",
        """SELECT 'pg_index ' || i.indexrelid || ' on ' || i.indrelid FROM pg_catalog.pg_index i
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = i.indexrelid)
               OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = i.indrelid)""",
    ),
    (
        "has a TOAST table that does not exist",
        """SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c
            WHERE c.reltoastrelid <> 0
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid)""",
    ),
    (
        "a constraint of a relation that does not exist",
        """SELECT k.conname FROM pg_catalog.pg_constraint k
            WHERE k.conrelid <> 0 AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = k.conrelid)""",
    ),
    (
        "a default of a relation that does not exist",
        """SELECT 'pg_attrdef of ' || d.adrelid FROM pg_catalog.pg_attrdef d
            WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = d.adrelid)""",
    ),
    (
        "is there more than once",
        """SELECT 'pg_class ' || relname FROM pg_catalog.pg_class
            GROUP BY relname, relnamespace HAVING pg_catalog.count(*) > 1""",
    ),
    (
        "is there more than once",
        """SELECT 'pg_attribute ' || attrelid || '.' || attnum FROM pg_catalog.pg_attribute
            GROUP BY attrelid, attnum HAVING pg_catalog.count(*) > 1""",
    ),
    (
        "is there more than once",
        """SELECT 'pg_type ' || typname FROM pg_catalog.pg_type
            GROUP BY typname, typnamespace HAVING pg_catalog.count(*) > 1""",
    ),
)
# A relation that is dropped while we look loses its entry and its file at once; a second look tells the two apart.
_FILES = """
SELECT c.oid, c.oid::pg_catalog.regclass::text, c.relkind::text, pg_catalog.pg_relation_filepath(c.oid)
  FROM pg_catalog.pg_class c
 WHERE c.relkind IN ('r', 'i', 'm', 't', 'S') AND c.relpersistence <> 't'
   AND (pg_catalog.pg_stat_file(pg_catalog.pg_relation_filepath(c.oid), true)).size IS NULL
   AND pg_catalog.pg_relation_filepath(c.oid) IS NOT NULL
"""


def contradictions(connection: Session, database: str) -> list[Finding]:
    """Catalogue entries that contradict each other. A query that fails is a finding as well."""
    import psycopg

    found = []
    connection.execute(_WITHOUT_INDEXES)
    try:
        for words, query in _CONTRADICTIONS:
            try:
                rows = connection.execute(query).fetchall()
            except psycopg.Error as error:
                found.append(Finding(database, "the catalogue", "catalogue", one_line(error), "restore"))
                continue
            found += [Finding(database, str(row[0]), "catalogue", words, "restore") for row in rows[:100]]
    finally:
        connection.execute("RESET enable_indexscan; RESET enable_bitmapscan; RESET enable_indexonlyscan")
    return found


def missing_files(connection: Session, database: str) -> list[Finding] | None:
    """Relations whose file is gone; None when this role may not look (``pg_read_server_files`` or superuser)."""
    import psycopg

    try:
        first = connection.execute(_FILES).fetchall()
        again = {row[0] for row in connection.execute(_FILES).fetchall()} if first else set()
    except psycopg.errors.InsufficientPrivilege:
        return None
    return [
        Finding(
            database,
            name,
            "file",
            f"its file {path} is missing",
            "reindex" if kind == "i" else "restore",
        )
        for oid, name, kind, path in first
        if oid in again
    ]
