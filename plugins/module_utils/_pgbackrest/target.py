# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The moment to which a server shall be recovered, in the words of whoever asks, and in those of the server."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import format_lsn, parse_lsn

KINDS = ("newest", "time", "lsn", "xid", "name", "immediate")
_XID = re.compile(r"[0-9]{1,20}")
#: The longest name that pg_create_restore_point takes.
_NAME_BYTES = 63


@dataclasses.dataclass(frozen=True)
class Target:
    """``newest``: all that was archived; ``immediate``: the end of the base backup.

    :ivar value: as asked; empty for ``newest`` and ``immediate``.
    :ivar inclusive: whether what happened at the very target is still wanted.
    :ivar timeline: ``latest``, ``current`` (that of the base) or a number.
    """

    kind: str
    value: str = ""
    inclusive: bool = True
    timeline: str = "latest"

    @property
    def moment(self) -> datetime.datetime | None:
        """Of a time."""
        return _clock.parse_time(self.value) if self.kind == "time" else None

    @property
    def position(self) -> int | None:
        """Of a position in the log."""
        return parse_lsn(self.value) if self.kind == "lsn" else None

    def settings(self) -> dict[str, str]:
        """The server's ``recovery_target*``, without the timeline (the caller knows its number)."""
        if self.kind == "newest":
            return {}
        if self.kind == "immediate":
            return {"recovery_target": "immediate"}
        named = {"recovery_target_inclusive": "on" if self.inclusive else "off"}
        moment = self.moment
        if moment is not None:
            # With the offset: the server would read it in its own time zone.
            return {**named, "recovery_target_time": moment.strftime("%Y-%m-%d %H:%M:%S.%f+00")}
        if self.kind == "lsn":
            return {**named, "recovery_target_lsn": format_lsn(parse_lsn(self.value))}
        if self.kind == "xid":
            # The server compares 32 bits of it.
            return {**named, "recovery_target_xid": str(int(self.value) & 0xFFFFFFFF)}
        return {"recovery_target_name": self.value}

    def words(self) -> str:
        """For messages: ``2026-11-21T05:10:00.000000Z``, ``position 0/3000148``."""
        if self.kind == "newest":
            return "the newest moment in the archive"
        if self.kind == "immediate":
            return "the end of the base backup"
        until = "" if self.inclusive or self.kind == "name" else "just before "
        named = {"time": "", "lsn": "position ", "xid": "transaction ", "name": "restore point "}[self.kind]
        return f"{until}{named}{self.value}"

    def facts(self) -> dict[str, t.Any]:
        return {"kind": self.kind, "value": self.value, "inclusive": self.inclusive, "timeline": self.timeline}


def target_from(params: t.Mapping[str, t.Any]) -> Target:
    """The target in a module's ``target_*`` options; without any, ``newest``. Raises :class:`InvalidInput`."""
    given = {kind: str(params[f"target_{kind}"]).strip() for kind in KINDS[1:5] if params.get(f"target_{kind}")}
    if params.get("target_immediate"):
        given["immediate"] = ""
    if len(given) > 1:
        raise InvalidInput(
            "more than one target",
            expected="one of " + ", ".join(f"target_{kind}" for kind in KINDS[1:]),
            found=" and ".join(f"target_{kind}" for kind in given),
        )
    timeline = str(params.get("target_timeline") or "latest").strip().lower()
    if timeline not in ("latest", "current") and not (timeline.isdigit() and 0 < int(timeline) < 2**32):
        raise InvalidInput("not a timeline", expected="latest, current or a number", found=repr(timeline[:100]))
    inclusive = params.get("target_inclusive")
    for kind, value in given.items():
        return Target(kind, _checked(kind, value), True if inclusive is None else bool(inclusive), timeline)
    return Target("newest", timeline=timeline)


def _checked(kind: str, value: str) -> str:
    if kind == "time":
        return _clock.format_time(_clock.parse_time(value, "restore_target_time"))
    if kind == "lsn":
        return format_lsn(parse_lsn(value))
    if kind == "xid" and not (_XID.fullmatch(value) and 3 <= int(value) < 2**64):
        raise InvalidInput("not a transaction's number", expected="a number from 3 on", found=repr(value[:100]))
    if kind == "name" and not (value.isprintable() and 0 < len(value.encode()) <= _NAME_BYTES):
        raise InvalidInput("not a restore point's name", expected=f"1 to {_NAME_BYTES} bytes", found=repr(value[:100]))
    return value
