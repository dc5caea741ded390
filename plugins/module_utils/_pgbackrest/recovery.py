# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The replay of the log on a private server: to the target, no further, and proven to have ended there."""

from __future__ import annotations

import contextlib
import datetime
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    EngineError,
    IntegrityError,
    Refused,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import stopping
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.private_server import PrivateServer
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore_command import RestoreCommand
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import parse_lsn
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_POLL_S = 0.05


class BrokenLog(IntegrityError):
    """A segment of the log was lost or altered; the base backup is none the worse for it."""


class TooEarly(AssertionFailed):
    """The target lies before the end of the base backup; an older one may do."""


class Recovery:
    """The replay on a private server, up to the target.

    :arg timeline: the number along which to go. :arg check: called now and then; what it raises ends the wait.
    """

    def __init__(
        self,
        server: PrivateServer,
        target: Target,
        timeline: int,
        fetch: RestoreCommand,
        component: str,
        progress: Progress | None = None,
        check: t.Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._target = target
        self._timeline = timeline
        self._fetch = fetch
        self._component = component
        self._progress = progress
        self._check = check

    def reach(self, timeout: float) -> dict[str, t.Any]:
        """Start the server and wait until it stands at the target, proven; it then answers, read-only.

        A server without a target (``newest``) cannot wait: it has begun its new timeline when this returns.

        :raises AssertionFailed: it stopped elsewhere, or the log ended before. :raises IntegrityError: a segment that
            the audit had seen was lost or altered. :raises EngineError: it does not start, or not in time.
        """
        self._server.start(
            {
                "restore_command": self._fetch.setting,
                "recovery_target_timeline": str(self._timeline),
                "recovery_target_action": "pause",
                "recovery_end_command": "",
                "archive_cleanup_command": "",
                **self._target.settings(),
            }
        )
        began = time.monotonic()
        position = self._wait(began + timeout, timeout)
        log = self._server.log_text()
        stop = stopping.find_stop(log)
        stopping.require_reached(self._target, stop, position, self._fetch.served_all(), self._component)
        return {
            "target": self._target.facts(),
            "timeline": self._timeline,
            "stopped": stop.facts() if stop else {"reason": "the archive's end", "position": None, "time": None},
            "reached": position.facts(),
            "segments_replayed": sum(kind == "served" for kind, _name in self._fetch.events()),
            "duration_s": round(time.monotonic() - began, 3),
        }

    def _wait(self, deadline: float, timeout: float) -> stopping.Position:
        position = stopping.Position(None, None)
        with contextlib.ExitStack() as stack:
            session: Session | None = None
            while True:
                self._check()
                if not self._server.running():
                    raise self._ended(position)
                if time.monotonic() > deadline:
                    raise EngineError(
                        f"recovery to {self._target.words()} did not end in time",
                        self._component,
                        expected=f"at most {timeout:g} s",
                        found=f"at position {position.facts()['lsn']}",
                        next_command="allow more time (restore_timeout)",
                    )
                if session is None and self._server.ready():
                    with contextlib.suppress(RunbookError):
                        session = stack.enter_context(contextlib.closing(connect(self._server.address())))
                if session is not None:
                    over, position = self._look(session, position)
                    if over:
                        return position
                self._show(position)
                time.sleep(_POLL_S)

    def _look(self, session: Session, before: stopping.Position) -> tuple[bool, stopping.Position]:
        """Whether the server stands still (or has gone on, with ``newest``), and where it is."""
        import psycopg

        try:
            row = session.execute(
                "SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN pg_catalog.pg_is_in_recovery() THEN"
                " pg_catalog.pg_is_wal_replay_paused() ELSE false END,"
                " pg_catalog.pg_last_wal_replay_lsn()::text, pg_catalog.pg_last_xact_replay_timestamp()"
            ).fetchone()
        except psycopg.Error:
            return False, before
        if row is None:
            return False, before
        recovering, paused, lsn, moment = row
        position = stopping.Position(
            parse_lsn(lsn) if lsn else before.lsn,
            moment.astimezone(datetime.timezone.utc) if moment else before.commit_time,
        )
        return (paused if recovering else True), position

    def _show(self, position: stopping.Position) -> None:
        if self._progress is not None:
            where = position.facts()
            served = sum(kind == "served" for kind, _name in self._fetch.events())
            self._progress.step(
                f"replaying to {self._target.words()}: {served} segments, position {where['lsn'] or 'unknown'},"
                f" {where['last_commit'] or 'no transaction yet'}"
            )

    def _ended(self, position: stopping.Position) -> RunbookError:
        """Why the server is gone, in our words."""
        log = self._server.log_text()
        trouble, fatal = self._fetch.trouble(), stopping.last_fatal(log)
        if trouble is not None:
            kind, segment = trouble
            return BrokenLog(
                f"segment {segment} {'is not what was archived' if kind == 'altered' else 'cannot be had'};"
                " recovery ended there, and the live data was not touched",
                self._component,
                expected="the content whose hash its name carries"
                if kind == "altered"
                else "a segment without a fault",
                found="another content" if kind == "altered" else "none, or one that cannot be read",
                next_command="choose an earlier target, or bring the segment back"
                " (restore_components --check says what can be reached)",
            )
        made = stopping.made_tablespace(log)
        if made is not None:
            return Refused(
                f"a tablespace was created after the base backup and before {self._target.words()};"
                " replaying that could write over the live one, so recovery ended there and nothing live was touched",
                self._component,
                expected="a base backup that holds all tablespaces of the target",
                found=f"CREATE TABLESPACE in {made[1]} at position {made[0]}",
                next_command="choose an earlier target (restore_target_lsn), or a later one after a new backup:"
                f" ansible-playbook sre.runbooks.back_up_components --limit {self._component} -e backup_force=true",
            )
        if fatal is not None and stopping.TOO_SHORT in fatal:
            return AssertionFailed(
                f"the archive ends before {self._target.words()}; the live data was not touched",
                self._component,
                expected=self._target.words(),
                found=f"an archive that ends at position {position.facts()['lsn'] or 'unknown'},"
                f" last transaction {position.facts()['last_commit'] or 'unknown'}",
                next_command="choose an earlier target, or the newest: ansible-playbook sre.runbooks.restore_components"
                f" --limit {self._component} -e restore_confirm={self._component}",
            )
        if fatal is not None and stopping.TOO_EARLY in fatal:
            return TooEarly(
                f"{self._target.words()} lies before the end of the base backup; the live data was not touched",
                self._component,
                expected="a target that is not before the base backup's end",
                found=fatal,
                next_command="name an older recovery point (restore_recovery_point)",
            )
        return EngineError(
            "the private server ended during recovery; the live data was not touched",
            self._component,
            expected=f"recovery to {self._target.words()}",
            found=fatal or _process.last_lines(log.encode()),
        )

    def promote(self, timeout: float = 120.0) -> int:
        """Let the server leave recovery; the number of its new timeline. Raises :class:`EngineError`."""
        deadline = time.monotonic() + timeout
        with contextlib.closing(connect(self._server.address())) as session:
            row = session.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
            if row and row[0]:
                session.execute("SELECT pg_catalog.pg_wal_replay_resume()")
            while row is None or row[0]:
                if not self._server.running() or time.monotonic() > deadline:
                    raise EngineError(
                        "the restored server did not leave recovery",
                        self._component,
                        expected=f"a new timeline within {timeout:g} s",
                        found=_process.last_lines(self._server.log_text().encode()),
                    )
                time.sleep(_POLL_S)
                row = session.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
            name = session.execute("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())").fetchone()
        return int(name[0][:8], 16) if name else 0
