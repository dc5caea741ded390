# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Indexes and tables looked into with the server's own extension amcheck.

Where the extension is not installed it is created in a transaction that is rolled back: nothing stays.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.finding import Finding, one_line

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_FIRST_WITH_HEAP = 14
_SCHEMA = "sre_runbooks_amcheck"
#: A borrowed extension's transaction is begun anew after so many seconds: an old one keeps dead rows from being removed.
_LONGEST_TRANSACTION_S = 60
_DAMAGE = ("XX000", "XX001", "XX002")  # internal_error, data_corrupted, index_corrupted

INDEXES = """
SELECT c.oid, n.nspname, c.relname, c.oid::pg_catalog.regclass::text, a.amname, i.indisvalid AND i.indisready,
       pg_catalog.pg_relation_size(c.oid)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE c.relkind = 'i' AND c.relpersistence <> 't'
 ORDER BY c.oid
"""
TABLES = """
SELECT c.oid, n.nspname, c.relname, c.oid::pg_catalog.regclass::text, c.relkind::text,
       pg_catalog.pg_relation_size(c.oid), pg_catalog.current_setting('block_size')::int
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am a ON a.oid = c.relam
 WHERE c.relkind IN ('r', 'm', 't') AND c.relpersistence <> 't' AND a.amname = 'heap'
 ORDER BY c.oid
"""


@dataclass(frozen=True)
class Index:
    """An index; ``size`` in bytes."""

    oid: int
    schema: str
    name: str
    qualified: str
    method: str
    valid: bool
    size: int


@dataclass(frozen=True)
class Table:
    """A table, materialised view or TOAST table (``kind`` r, m or t); ``size`` in bytes, of its main file."""

    oid: int
    schema: str
    name: str
    qualified: str
    kind: str
    size: int
    block_size: int


def indexes(connection: Session) -> list[Index]:
    return [Index(*row) for row in connection.execute(INDEXES).fetchall()]


def tables(connection: Session) -> list[Table]:
    return [Table(*row) for row in connection.execute(TABLES).fetchall()]


class Amcheck:
    """The extension in one database, installed or borrowed. Use through :func:`amcheck`."""

    def __init__(self, connection: Session, schema: str, borrowed: bool) -> None:
        self._connection = connection
        self._borrowed = borrowed
        self._schema = schema
        self._began = time.monotonic()
        self.looks_into_tables = connection.info.server_version // 10000 >= _FIRST_WITH_HEAP

    def check_index(self, index: Index, database: str) -> Finding | None:
        """Whether a B-tree is in order and holds every row of its table."""
        from psycopg import sql

        problem = self._problem(
            sql.SQL("SELECT {}.bt_index_check({}::pg_catalog.oid::pg_catalog.regclass, true)"), sql.Literal(index.oid)
        )
        if problem is None:
            return None
        return Finding(database, index.qualified, "index", problem, "reindex")

    def check_table(self, table: Table, database: str) -> Finding | None:
        """Whether every tuple and TOAST pointer of a table is what it should be; needs PostgreSQL 14."""
        import psycopg
        from psycopg import sql

        query = sql.SQL(
            "SELECT blkno, msg FROM {}.verify_heapam({}::pg_catalog.oid::pg_catalog.regclass, check_toast := true)"
            " LIMIT 1000"
        )
        rows: list[tuple[t.Any, ...]] = []
        with self._kept():
            try:
                with self._connection.transaction():
                    rows = self._connection.execute(
                        query.format(sql.Identifier(self._schema), sql.Literal(table.oid))
                    ).fetchall()
            except psycopg.Error as error:
                if error.sqlstate not in _DAMAGE:
                    if error.sqlstate == "42P01":  # dropped since
                        return None
                    raise
                return Finding(database, table.qualified, "heap", one_line(error), "restore")
        if not rows:
            return None
        blocks = tuple(sorted({row[0] for row in rows if row[0] is not None})[:100])
        return Finding(database, table.qualified, "heap", one_line(rows[0][1]), "restore", blocks)

    def _problem(self, query: psycopg.sql.SQL, argument: psycopg.sql.Literal) -> str | None:
        import psycopg
        from psycopg import sql

        with self._kept():
            try:
                with self._connection.transaction():
                    self._connection.execute(query.format(sql.Identifier(self._schema), argument))
            except psycopg.errors.UndefinedTable:  # dropped since
                return None
            except psycopg.Error as error:
                if error.sqlstate not in _DAMAGE and not isinstance(error, psycopg.errors.UndefinedFile):
                    raise
                return one_line(error)
        return None

    @contextlib.contextmanager
    def _kept(self) -> t.Iterator[None]:
        """A borrowed extension is there; savepoints inside keep it through errors."""
        if self._borrowed and time.monotonic() - self._began > _LONGEST_TRANSACTION_S:
            self._connection.execute("ROLLBACK")
            borrow(self._connection)
            self._began = time.monotonic()
        yield


def borrow(connection: Session) -> None:
    """Begin a transaction that has the extension."""
    connection.execute("BEGIN")
    connection.execute(f"CREATE SCHEMA {_SCHEMA}")
    connection.execute(f"CREATE EXTENSION amcheck SCHEMA {_SCHEMA}")


@contextlib.contextmanager
def amcheck(connection: Session) -> t.Iterator[Amcheck | None]:
    """The extension for a session in autocommit; None where it is not to be had: not on the server, a standby, no right."""
    import psycopg

    row = connection.execute(
        "SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'amcheck'"
    ).fetchone()
    if row is not None:
        yield Amcheck(connection, row[0], borrowed=False)
        return
    try:
        borrow(connection)
    except psycopg.Error as error:
        connection.execute("ROLLBACK")
        if isinstance(
            error,
            (
                psycopg.errors.FeatureNotSupported,
                psycopg.errors.UndefinedFile,
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.ReadOnlySqlTransaction,
            ),
        ):
            yield None
            return
        raise
    try:
        yield Amcheck(connection, _SCHEMA, borrowed=True)
    finally:
        if not connection.closed:
            connection.execute("ROLLBACK")
