# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting restored databases in the place of the live ones: renames in one transaction, all databases or none."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import marker, names, restored
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.marker import SCHEMA

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

#: How long sessions get to end once they have been told to.
_SESSIONS_END_S = 20.0


@dataclasses.dataclass(frozen=True)
class Replacement:
    """One database to put in place.

    :arg target: the live name. :arg restoring: the loaded and asserted database beside it.
    :arg allow_connections: what the target shall say afterwards.
    """

    target: str
    restoring: str
    allow_connections: bool = True


@dataclasses.dataclass(frozen=True)
class Swapped:
    """What a swap did. ``before`` is None where there was no live database; ``sessions`` were ended."""

    target: str
    before: str | None
    sessions: int


def swap(
    session: Session,
    replacements: t.Sequence[Replacement],
    component: str,
    point_id: str,
    epoch: int,
    run_id: str | None = None,
    step: t.Callable[[str], None] = lambda name: None,
) -> list[Swapped]:
    """Rename live → kept and restored → live for all ``replacements`` in one transaction, and record it there.

    New connections are refused and sessions ended first; a failure gives the live databases back as they were, and a
    kill is mended by :func:`mend_interrupted_swap` of the next run.

    :arg session: to the maintenance database, in autocommit, holding the component's advisory lock.
    :arg epoch: the lease's; an older one than the target has seen is refused inside the transaction.
    :arg step: told each inner step's name before it happens.
    :raises LeaseLost: see ``epoch``. :raises EngineError: the server refused.
    """
    import psycopg

    existing = _databases(session)
    live = [item.target for item in replacements if existing.get(item.target)]
    present = [item.target for item in replacements if item.target in existing]
    try:
        step("refuse connections")
        _close_doors(session, component, live)
        step("end sessions")
        ended = {name: _end_sessions(session, name, component) for name in present}
        for item in replacements:
            _end_sessions(session, item.restoring, component)
        step("rename")
        with session.transaction():
            session.execute("SELECT pg_advisory_xact_lock(%s)", (marker.lock_key(component),))
            session.execute("SET LOCAL lock_timeout = '30s'")
            marker.raise_fence(session, component, epoch)
            done = [_rename(session, item, component, point_id, run_id, present) for item in replacements]
            session.execute(f"DELETE FROM {SCHEMA}.swapping WHERE component = %s", (component,))
        step("renamed")
    except psycopg.Error as error:
        _undo(session, component)
        raise EngineError(
            "the swap failed and was undone; the live databases are as they were",
            component,
            expected="renames in one transaction",
            found=" ".join(str(error).split()),
            next_command="end what holds the databases, then: the same command",
        ) from None
    except RunbookError:
        _undo(session, component)
        raise
    return [Swapped(item.target, before, ended.get(item.target, 0)) for item, before in zip(replacements, done)]


def mend_interrupted_swap(session: Session, component: str) -> list[str]:
    """Let connections in again where a killed run had refused them; returns the names of those databases."""
    if not restored.has_tables(session):
        return []
    return _undo(session, component)


def drop_leftovers(session: Session, restoring: t.Sequence[str], component: str) -> list[str]:
    """Drop what a killed run had begun to load. Only ever names that end in ``__restoring``."""
    from psycopg import sql

    dropped = []
    for name in restoring:
        if name in _databases(session) and names.stands_beside(name):
            _end_sessions(session, name, component)
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
            dropped.append(name)
    return dropped


def _rename(
    session: Session, item: Replacement, component: str, point_id: str, run_id: str | None, present: list[str]
) -> str | None:
    from psycopg import sql

    before = None
    if item.target in present:
        before = names.before_name(item.target, point_id, _databases(session))
        session.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(item.target), sql.Identifier(before))
        )
    session.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(item.restoring), sql.Identifier(item.target))
    )
    _allow(session, item.target, item.allow_connections)
    restored.record(session, component, item.target, point_id, run_id, before)
    return before


def _close_doors(session: Session, component: str, live: list[str]) -> None:
    # Written down before it is done, so that a killed run's closed doors are known to be ours.
    for name in live:
        session.execute(
            f"INSERT INTO {SCHEMA}.swapping (component, database) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (component, name),
        )
        _allow(session, name, False)


def _undo(session: Session, component: str) -> list[str]:
    rows = session.execute(f"SELECT database FROM {SCHEMA}.swapping WHERE component = %s", (component,)).fetchall()
    databases = _databases(session)
    for (name,) in rows:
        if name in databases:
            _allow(session, name, True)
    session.execute(f"DELETE FROM {SCHEMA}.swapping WHERE component = %s", (component,))
    return [name for (name,) in rows]


def _allow(session: Session, database: str, allow: bool) -> None:
    from psycopg import sql

    session.execute(
        sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(
            sql.Identifier(database), sql.SQL("true" if allow else "false")
        )
    )


def _end_sessions(session: Session, database: str, component: str) -> int:
    """Tell every session in a database to end and wait until they have; returns how many there were."""
    deadline = time.monotonic() + _SESSIONS_END_S
    seen: set[int] = set()
    while True:
        rows = session.execute(
            "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'",
            (database,),
        ).fetchall()
        seen |= {row[0] for row in rows}
        if not rows:
            return len(seen)
        if time.monotonic() >= deadline:
            raise EngineError(
                f"sessions in {database} do not end",
                component,
                expected=f"all ended within {_SESSIONS_END_S:g} s",
                found=f"backends {', '.join(str(row[0]) for row in rows[:5])}",
                next_command="stop the component's consumers, then: the same command",
            )
        time.sleep(0.05)


def _databases(session: Session) -> dict[str, bool]:
    """Name → whether it allows connections."""
    return dict(session.execute("SELECT datname, datallowconn FROM pg_database").fetchall())
