# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When which backup is due: full, differential, incremental, or none."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration

#: Our words → pgBackRest's.
TYPES = {"full": "full", "differential": "diff", "incremental": "incr"}
#: What counts for each: a full backup is a differential one too.
_COVERS = {"full": ("full",), "differential": ("full", "diff"), "incremental": ("full", "diff", "incr")}


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How old the newest backup of each kind may become, in seconds; ``interval_s`` is the time until the next run."""

    full_s: float
    differential_s: float
    incremental_s: float
    interval_s: float

    def limit_s(self, kind: str) -> float:
        return {"full": self.full_s, "differential": self.differential_s, "incremental": self.incremental_s}[kind]


def due(
    history: t.Iterable[tuple[str, datetime.datetime]],
    schedule: Schedule,
    now: datetime.datetime,
    wanted: str = "auto",
    force: bool = False,
) -> tuple[str, str] | None:
    """The kind of backup to take and why; None when none is due.

    :arg history: pgBackRest's type and the end of each usable backup of this server and generation.
    :arg wanted: a kind in our words, or ``auto`` for the largest that is due.
    """
    ends = list(history)
    kinds = list(TYPES) if wanted == "auto" else [wanted]
    if not any(kind == "full" for kind, _end in ends):
        return "full", "there is no usable full backup"
    for kind in kinds:
        age = min((now - end).total_seconds() for found, end in ends if found in _COVERS[kind])
        limit = schedule.limit_s(kind)
        # At the next run it would be too late; but never twice within half of the limit.
        if age + min(schedule.interval_s, limit / 2) > limit:
            return kind, (
                f"the newest {kind} backup is {format_duration(age)} old and would be older than"
                f" {format_duration(limit)} before the next run"
            )
    if force:
        return kinds[-1], "force was asked for"
    return None
