# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovering server says of itself in its log, and whether it stopped where it was told to."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import format_lsn, parse_lsn

_TRANSACTION = re.compile(
    r"recovery stopping (before|after) (?:commit|abort)(?: of prepared)?(?: of)?(?: transaction)? (\d+), time (.+)"
)
_PREPARED = re.compile(r"recovery stopping (before|after) (?:commit|abort) of prepared transaction (\d+), time (.+)")
_POSITION = re.compile(r'recovery stopping (before|after) WAL location \(LSN\) "([0-9A-F]+/[0-9A-F]+)"')
_POINT = re.compile(r'recovery stopping at restore point "(.*)", time (.+)')
_CONSISTENT = re.compile(r"recovery stopping after reaching consistency")
_DONE = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
#: The record that a replay ended at, of a tablespace that was made after the base backup.
_TABLESPACE = re.compile(r'WAL redo at ([0-9A-F]+/[0-9A-F]+) for Tablespace/CREATE: \d+ "(.*)"')
_FATAL = re.compile(r"(?:FATAL|PANIC): +(.*)")
#: The server's ways to say that the log ended, or that consistency came later than the target.
TOO_SHORT = "recovery ended before configured recovery target was reached"
TOO_EARLY = "requested recovery stop point is before consistent recovery point"


@dataclasses.dataclass(frozen=True)
class Stop:
    """Why the server stopped replaying, in its own words. ``side``: before or after; ``time`` of the stopping record."""

    line: str
    kind: str
    side: str = ""
    xid: int | None = None
    time: datetime.datetime | None = None
    lsn: int | None = None
    name: str | None = None

    def facts(self) -> dict[str, t.Any]:
        return {
            "reason": self.line,
            "transaction": self.xid,
            "time": _clock.format_time(self.time) if self.time else None,
            "position": format_lsn(self.lsn) if self.lsn is not None else None,
        }


@dataclasses.dataclass(frozen=True)
class Position:
    """Where replay stands: ``lsn`` is the end of the last record replayed, ``commit_time`` of the last commit or abort."""

    lsn: int | None
    commit_time: datetime.datetime | None

    def facts(self) -> dict[str, t.Any]:
        return {
            "lsn": format_lsn(self.lsn) if self.lsn is not None else None,
            "last_commit": _clock.format_time(self.commit_time) if self.commit_time else None,
        }


def find_stop(log: str) -> Stop | None:
    """The last reason in the log (C locale, UTC) why recovery stopped; None when it did not."""
    found = None
    for line in log.splitlines():
        found = _stop_in(line) or found
    return found


def _stop_in(line: str) -> Stop | None:
    start = line.find("recovery stopping ")
    if start < 0:
        return None
    text = line[start:].strip()
    match = _PREPARED.fullmatch(text) or _TRANSACTION.fullmatch(text)
    if match is not None:
        return Stop(text, "transaction", match.group(1), int(match.group(2)), _server_time(match.group(3)))
    match = _POSITION.match(text)
    if match is not None:
        return Stop(text, "position", match.group(1), lsn=parse_lsn(match.group(2)))
    match = _POINT.fullmatch(text)
    if match is not None:
        return Stop(text, "name", "after", time=_server_time(match.group(2)), name=match.group(1))
    return Stop(text, "immediate") if _CONSISTENT.match(text) else None


def last_fatal(log: str) -> str | None:
    """What ended the server, in its words."""
    found = _FATAL.findall(log)
    return str(found[-1]).strip() if found else None


def made_tablespace(log: str) -> tuple[str, str] | None:
    """(position, directory) of the CREATE TABLESPACE at which replay ended, and which no private server may replay."""
    found = _TABLESPACE.findall(log)
    return (str(found[-1][0]), str(found[-1][1])) if found else None


def redo_done(log: str) -> int | None:
    """The start of the last record that was replayed, once recovery is over."""
    found = _DONE.findall(log)
    return parse_lsn(found[-1]) if found else None


def _server_time(text: str) -> datetime.datetime | None:
    # 2026-11-21 08:30:00.12+00: Python 3.9 wants 3 or 6 digits of a fraction, and minutes in an offset.
    match = re.fullmatch(r"(\d+-\d+-\d+) (\d+:\d+:\d+)(\.\d+)?(?:\+00|\+00:00| UTC| GMT)", text.strip())
    if match is None:
        return None
    fraction = (match.group(3) or ".0")[1:].ljust(6, "0")
    moment = datetime.datetime.strptime(f"{match.group(1)} {match.group(2)}.{fraction}", "%Y-%m-%d %H:%M:%S.%f")
    return moment.replace(tzinfo=datetime.timezone.utc)


def require_reached(target: Target, stop: Stop | None, position: Position, served_all: bool, component: str) -> None:
    """Compare where the server stopped with where it was told to. Raises :class:`AssertionFailed`.

    :arg served_all: whether the whole archive was replayed, which is what ``newest`` means.
    """
    problem = _difference(target, stop, position, served_all)
    if problem is None:
        return
    at = format_lsn(position.lsn) if position.lsn is not None else "an unknown position"
    moment = _clock.format_time(position.commit_time) if position.commit_time else "unknown"
    raise AssertionFailed(
        f"recovery did not end at {target.words()}: {problem}; the live data was not touched",
        component,
        expected=target.words(),
        found=f"{stop.line if stop else 'no stop'}; position {at}, last transaction {moment}",
        next_command="choose a target that can be reached: ansible-playbook sre.runbooks.restore_components --check",
    )


def _difference(target: Target, stop: Stop | None, position: Position, served_all: bool) -> str | None:
    if target.kind == "newest":
        return None if served_all else "the log was not replayed to the end of the archive"
    if stop is None:
        return "the server told no reason"
    return _CHECKS[target.kind](target, stop, position)


def _time_differs(target: Target, stop: Stop, position: Position) -> str | None:
    wanted = t.cast(datetime.datetime, target.moment)
    if stop.kind != "transaction" or stop.side != "before" or stop.time is None:
        return "it did not stop before the first transaction after that time"
    if stop.time < wanted or (stop.time == wanted and target.inclusive):
        return "it stopped before a transaction that was still wanted"
    last = position.commit_time
    if last is not None and (last > wanted or (last == wanted and not target.inclusive)):
        return "it replayed a transaction that was not wanted any more"
    return None


def _lsn_differs(target: Target, stop: Stop, position: Position) -> str | None:
    wanted = t.cast(int, target.position)
    if stop.kind != "position" or stop.lsn is None or stop.lsn < wanted:
        return "it did not stop at a record behind that position"
    if stop.side != ("after" if target.inclusive else "before"):
        return "it stopped on the other side of the record"
    # Just before a record, the last one may end below the position: at the end of the page before.
    if position.lsn is None or (target.inclusive and position.lsn < wanted):
        return "it replayed too little"
    return None


def _xid_differs(target: Target, stop: Stop, position: Position) -> str | None:
    if stop.kind != "transaction" or stop.xid != int(target.value) & 0xFFFFFFFF:
        return "it stopped at another transaction"
    return None if stop.side == ("after" if target.inclusive else "before") else "it stopped on its other side"


def _name_differs(target: Target, stop: Stop, position: Position) -> str | None:
    return None if stop.kind == "name" and stop.name == target.value else "it stopped elsewhere"


def _immediate_differs(target: Target, stop: Stop, position: Position) -> str | None:
    return None if stop.kind == "immediate" else "it stopped elsewhere"


_CHECKS: dict[str, t.Callable[[Target, Stop, Position], str | None]] = {
    "time": _time_differs,
    "lsn": _lsn_differs,
    "xid": _xid_differs,
    "name": _name_differs,
    "immediate": _immediate_differs,
}
