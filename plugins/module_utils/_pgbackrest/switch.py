# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archiving shown to work: a row, a forced switch of the segment, and that very segment in the repository."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive import has_segment
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest, PgbackrestError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.heartbeat import (
    SCHEMA,
    TABLE,
    Heartbeat,
    beat,
    heartbeat_exists,
)

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]


@dataclasses.dataclass(frozen=True)
class ArchivedMoment:
    """Everything up to the heartbeat is in the repository: its segment, and the seconds until it was there."""

    heartbeat: Heartbeat
    segment: str
    waited_s: float

    def facts(self) -> dict[str, t.Any]:
        return {"heartbeat": self.heartbeat.facts(), "segment": self.segment, "waited_s": round(self.waited_s, 3)}


def archive_now(
    session: Session,
    tool: Pgbackrest,
    component: str,
    archive_id: str,
    timeout: float = 60.0,
    check: t.Callable[[], None] | None = None,
) -> ArchivedMoment:
    """Write a heartbeat, end the segment, and wait until that segment is in the repository.

    :arg archive_id: such as ``15-1``. :arg timeout: seconds.
    :arg check: called while waiting; raises when the work must stop.
    :raises EngineError: it did not arrive, with what the server and pgBackRest say about it.
    """
    failures_before = _failures(session)[0]
    heartbeat = beat(session, component)
    row = session.execute("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_switch_wal())").fetchone()
    segment = str(row[0]) if row else ""
    began = time.monotonic()
    problem: PgbackrestError | None = None
    while True:
        if check is not None:
            check()
        left = timeout - (time.monotonic() - began)
        try:
            if left > 0 and has_segment(tool, archive_id, segment):
                return ArchivedMoment(heartbeat, segment, time.monotonic() - began)
            problem = None
        except PgbackrestError as error:
            problem = error
        left = timeout - (time.monotonic() - began)
        if left <= 0:
            raise _not_archived(session, component, segment, timeout, failures_before, problem)
        time.sleep(min(left, 0.2 if time.monotonic() - began < 5 else 1.0))


def lag_s(session: Session) -> float | None:
    """Seconds of changes that a disaster now would lose: 0 when all is archived, None when nothing ever was.

    What is not archived is younger than the newest archived segment. An idle server ends no segment however long it is
    idle, so that nothing is lost either when no transaction began since a heartbeat that is archived.
    """
    row = session.execute(
        "SELECT pg_catalog.clock_timestamp() - a.last_archived_time,"
        "       a.last_archived_wal ~ '^[0-9A-F]{24}$'"
        "   AND pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) <= a.last_archived_wal,"
        "       a.last_archived_wal"
        "  FROM pg_catalog.pg_stat_archiver a"
    ).fetchone()
    if row is None or row[0] is None:
        return None
    return 0.0 if row[1] or _idle_since_heartbeat(session, str(row[2])) else max(0.0, float(row[0].total_seconds()))


def _idle_since_heartbeat(session: Session, archived: str) -> bool:
    if not heartbeat_exists(session):
        return False
    row = session.execute(
        f"SELECT pg_catalog.mod(pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::numeric, 4294967296)"
        f"     = h.xmin::text::numeric + 1 AND pg_catalog.pg_walfile_name(h.lsn) <= %s"
        f"  FROM {SCHEMA}.{TABLE} h ORDER BY h.id DESC LIMIT 1",
        (archived,),
    ).fetchone()
    return bool(row and row[0])


def _failures(session: Session) -> tuple[int, str]:
    row = session.execute(
        "SELECT failed_count, last_failed_wal, last_failed_time::text FROM pg_catalog.pg_stat_archiver"
    ).fetchone()
    return (int(row[0]), f"{row[1]} at {row[2]}") if row else (0, "")


def _not_archived(
    session: Session,
    component: str,
    segment: str,
    timeout: float,
    failures_before: int,
    problem: PgbackrestError | None,
) -> EngineError:
    failures, last = _failures(session)
    found = [f"not there after {timeout:g} s"]
    if failures > failures_before:
        found.append(f"archive_command failed {failures - failures_before} times, last for {last}")
    if problem is not None and problem.found:
        found.append(problem.found)
    advice = problem.next_command if problem is not None else None
    return EngineError(
        "the log is not archived",
        component,
        expected=f"segment {segment} in the repository",
        found="; ".join(found),
        next_command=advice or "look at the server's log: it has what archive_command said",
    )
