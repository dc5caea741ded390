# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads every row of a table, its TOASTed values included, and says which blocks cannot be read."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.amcheck import Table
from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.finding import Finding, one_line

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

    Session = psycopg.Connection[tuple[t.Any, ...]]

_FIRST_WITH_TID_RANGES = 14  # before, each range would read the whole table
_MOST_BLOCKS = 100
_GONE = ("42P01", "3F000")  # dropped since we listed it
#: Why nothing can be said about a table's rows, by the server's code.
_UNKNOWN = {
    "42501": "this role may not read them",
    "58P01": "a file that belongs to it is missing",  # an index's; the table's own has been looked for
}


class CannotTell(Exception):
    """The rows could not be read for a reason that says nothing about them; the reason, in words."""


def unreadable(connection: Session, table: Table, database: str, progress: Progress | None = None) -> Finding | None:
    """The finding for a table of which not every row can be read; None when all can, or it has been dropped.

    Raises :class:`CannotTell`. ``progress`` counts bytes of the table's main file.
    """
    problem = _problem(connection, table)
    if progress is not None:
        progress.add(table.size)
    if problem is None:
        return None
    blocks: list[int] = []
    if connection.info.server_version // 10000 >= _FIRST_WITH_TID_RANGES:
        _damaged_blocks(connection, table, 0, max(1, table.size // table.block_size), blocks)
    return Finding(database, table.qualified, "read", problem, "restore", tuple(blocks))


def _damaged_blocks(connection: Session, table: Table, first: int, behind: int, found: list[int]) -> None:
    """Halve the range until single blocks are left."""
    if len(found) >= _MOST_BLOCKS or _problem(connection, table, first, behind) is None:
        return
    if behind - first == 1:
        found.append(first)
        return
    middle = (first + behind) // 2
    _damaged_blocks(connection, table, first, middle, found)
    _damaged_blocks(connection, table, middle, behind, found)


def _problem(connection: Session, table: Table, first: int | None = None, behind: int | None = None) -> str | None:
    """The server's complaint about reading the rows of all blocks, or of those from ``first`` to before ``behind``."""
    import psycopg
    from psycopg import sql

    rows = sql.SQL("SELECT * FROM ONLY {}").format(sql.Identifier(table.schema, table.name))
    if first is not None:
        rows += sql.SQL(" WHERE ctid >= {} AND ctid < {}").format(f"({first},0)", f"({behind},0)")
    try:
        with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY ({}) TO STDOUT").format(rows)) as copy:
            for _data in copy:
                pass
    except psycopg.Error as error:
        if error.sqlstate in _GONE:
            return None
        if error.sqlstate in _UNKNOWN:
            raise CannotTell(_UNKNOWN[error.sqlstate]) from None
        if connection.closed or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
            raise
        return one_line(error)
    return None
