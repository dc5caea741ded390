# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rebuilds damaged indexes from their tables, while the application goes on wherever the server can do that."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.amcheck import Index, amcheck, indexes
from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.finding import one_line
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

    Session = psycopg.Connection[tuple[t.Any, ...]]

_FIRST_CONCURRENT = 12
_FAILED_REBUILD = ("_ccnew", "_ccold")


@dataclass(frozen=True)
class Rebuilt:
    """What was (or, in check mode, would be) done to one index: ``reindexed``, ``dropped`` or ``kept``."""

    database: str
    name: str
    action: str
    reason: str


def rebuild(
    address: PostgresqlAddress,
    database: str,
    names: t.Sequence[str],
    lock_timeout: int,
    check_mode: bool,
    progress: Progress,
) -> list[Rebuilt]:
    """Let every index in ``names`` (as the diagnosis names them) be sound.

    A sound one is left alone, so that a second run changes nothing.

    :arg lock_timeout: milliseconds to wait for a lock where there is no way without one (system catalogues, before 12).
    :raises EngineError: a rebuild failed; a unique index whose table holds duplicates cannot be rebuilt.
    """
    with connect(address, database) as connection:
        there = {index.qualified: index for index in indexes(connection)}
        missing = [name for name in names if name not in there]
        # What is gone was dropped by somebody or by an earlier run of ours; only a leftover may be gone.
        unknown = [name for name in missing if not _is_leftover(name)]
        if unknown:
            raise InvalidInput(
                f"{database} has no such index", expected=", ".join(unknown), found=f"{len(there)} other indexes"
            )
        chosen = [there[name] for name in names if name in there]
        progress.step(f"rebuilding indexes of {database}", sum(index.size for index in chosen))
        done = []
        for index in chosen:
            done.append(_rebuild_one(connection, index, lock_timeout, check_mode))
            progress.add(index.size)
    return done


def _is_leftover(name: str) -> bool:
    return name.strip('"').rstrip("0123456789").endswith(_FAILED_REBUILD)


def _rebuild_one(connection: Session, index: Index, lock_timeout: int, check_mode: bool) -> Rebuilt:
    database = connection.info.dbname
    problem = _problem(connection, index)
    if problem is None:
        return Rebuilt(database, index.qualified, "kept", "it is sound")
    if not index.valid and _is_leftover(index.name):
        if not check_mode:
            _execute(connection, f"DROP INDEX {_maybe_concurrently(connection, index)}", index, lock_timeout)
        return Rebuilt(database, index.qualified, "dropped", "a rebuild that was killed left it")
    if not check_mode:
        _execute(connection, f"REINDEX INDEX {_maybe_concurrently(connection, index)}", index, lock_timeout)
        left = _problem(connection, index)
        if left is not None:
            raise EngineError(
                f"{index.qualified} is still damaged after its rebuild",
                expected="an index that amcheck finds sound",
                found=left,
                next_command="restore: the table itself is damaged, or the storage is",
            )
    return Rebuilt(database, index.qualified, "reindexed", problem)


def _maybe_concurrently(connection: Session, index: Index) -> str:
    """System catalogues, and servers before 12, are only rebuilt under a lock."""
    able = connection.info.server_version // 10000 >= _FIRST_CONCURRENT and index.schema != "pg_catalog"
    return "CONCURRENTLY" if able else ""


def _problem(connection: Session, index: Index) -> str | None:
    valid = connection.execute(
        "SELECT indisvalid AND indisready FROM pg_catalog.pg_index WHERE indexrelid = ("
        " SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s)",
        (index.schema, index.name),
    ).fetchone()
    if valid is None or not valid[0]:
        return "is invalid: no query uses it"
    if index.method != "btree":
        return None
    # Rebuilt concurrently, it is another relation under the same name.
    now = next((other for other in indexes(connection) if other.qualified == index.qualified), index)
    with amcheck(connection) as checker:
        if checker is None:
            return "amcheck is not to be had, so nothing says that it is sound"
        found = checker.check_index(now, "")
    return found.detail if found else None


def _execute(connection: Session, statement: str, index: Index, lock_timeout: int) -> None:
    import psycopg
    from psycopg import sql

    connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", (str(lock_timeout),))
    try:
        connection.execute(sql.SQL(statement + " {}").format(sql.Identifier(index.schema, index.name)))
    except psycopg.errors.UniqueViolation as error:
        raise EngineError(
            f"{index.qualified} cannot be rebuilt: its table holds rows that it forbids",
            expected="no duplicates",
            found=one_line(error.diag.message_detail or error),
            next_command="remove the duplicates (they are the damage), or restore",
        ) from None
    except psycopg.errors.LockNotAvailable:
        raise EngineError(
            f"{index.qualified} is in use",
            expected=f"a lock within {lock_timeout} ms",
            found="somebody else's lock",
            next_command="stop the consumers, or give a longer lock_timeout",
        ) from None
    except psycopg.Error as error:
        raise EngineError(
            f"{index.qualified} could not be rebuilt",
            expected="a table that can be read",
            found=one_line(error),
            next_command="restore: the table itself may be damaged",
        ) from None
