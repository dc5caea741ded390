# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the figures of a report are said, the same on the screen, in a ticket and on the page."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, format_time, parse_time

#: What is not there, or does not apply.
NOTHING = "–"
_ROWS_NAMED = 5

VERDICT_TITLES = {
    "met": "Objectives met",
    "missed": "Objective missed",
    "failed": "Run failed",
    "unknown": "Not proven",
}


def duration_text(seconds: float | None) -> str:
    """``4 h``, ``3 m 05 s``; a dash for None. Zero remainders are left out, as targets are mostly round."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 0.05:
        return f"{max(1, round(seconds * 1000))} ms"
    return re.sub(r" 00 [hms]$|(?<=\d)\.0(?= s$)", "", format_duration(seconds))


def measured_text(objective: t.Mapping[str, t.Any]) -> str:
    """``12 s``, ``≤ 5 m``, ``unknown`` where there is a target but no measurement, else a dash."""
    if objective["measured_s"] is not None:
        return duration_text(objective["measured_s"])
    if objective["at_most_s"] is not None:
        return f"≤ {duration_text(objective['at_most_s'])}"
    return NOTHING if objective["target_s"] is None else "unknown"


def rows_lost_text(component: t.Mapping[str, t.Any], kind: str) -> str:
    """``0``, ``3 (118, 119, 120)``, ``unknown`` where rows could have been lost, else a dash."""
    count, rows = component["rows_lost"], component["lost_rows"]
    if count is None:
        return "unknown" if could_lose_rows(component, kind) else NOTHING
    named = ", ".join(row_text(row) for row in rows[:_ROWS_NAMED])
    more = f", … {count - _ROWS_NAMED} more" if named and count > _ROWS_NAMED else ""
    return f"{count} ({named}{more})" if named and count else str(count)


def could_lose_rows(component: t.Mapping[str, t.Any], kind: str) -> bool:
    """Whether the number of lost rows is a question at all: only going back to a recovery point loses rows."""
    restored = kind in ("restore", "rebuild") or (kind == "other" and component["rto"]["measured_s"] is not None)
    return component["rpo"]["target_s"] is not None and restored


def row_text(row: t.Any) -> str:
    """One lost row in a line: its key, or ``name=value`` pairs."""
    if isinstance(row, dict):
        return " ".join(f"{name}={value}" for name, value in row.items())
    return str(row)


def moment_text(time: str | None) -> str:
    """``2026-11-21 05:10:00 UTC``."""
    return f"{time[:19].replace('T', ' ')} UTC" if time else NOTHING


def clock_text(time: str) -> str:
    return format_time(parse_time(time))[11:19]


def size_text(length: float | None) -> str:
    """``12.3 MiB``."""
    if length is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if length < 1024:
            return f"{length:.0f} {unit}" if unit == "B" else f"{length:.1f} {unit}"
        length /= 1024
    return f"{length:.1f} TiB"


def printable(text: str) -> str:
    """On one line and without control characters: a component's message must not steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
