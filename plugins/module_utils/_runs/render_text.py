# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last lines on the screen: one aligned table, the verdict, what went wrong, where the page is."""

from __future__ import annotations

import typing as t
import unicodedata

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    VERDICT_TITLES,
    duration_text,
    measured_text,
    printable,
    rows_lost_text,
)

_HEADINGS = ("component", "RPO", "measured", "RTO", "measured", "rows lost", "proof", "verdict")
_FINDINGS_SHOWN = 10
_LINE_LIMIT = 240


def summary_lines(report: t.Mapping[str, t.Any], paths: t.Sequence[str] = ()) -> list[str]:
    """The lines; ``paths`` are where the report was written."""
    rows = [_HEADINGS, *(_row(component, report["kind"]) for component in report["components"])]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["   ".join(_padded(cell, width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "   ".join("─" * width for width in widths))
    lines += ["", f"{report['runbook']} of {report['environment']}: {VERDICT_TITLES[report['verdict']].lower()}"]
    if report["verdict_reason"]:
        lines[-1] += f" ({printable(report['verdict_reason'])[:_LINE_LIMIT]})"
    lines[-1] += f" in {duration_text(report['duration_s'])}"
    notable = [finding for finding in report["findings"] if finding["severity"] != "note"]
    for finding in notable[:_FINDINGS_SHOWN]:
        subject = f"{finding['component']}: " if finding["component"] else ""
        lines.append(f"  {finding['severity']}: {printable(subject + finding['text'])[:_LINE_LIMIT]}")
    if len(notable) > _FINDINGS_SHOWN:
        lines.append(f"  and {len(notable) - _FINDINGS_SHOWN} more in the report")
    lines += [f"report: {path}" for path in paths]
    return lines


def _row(component: t.Mapping[str, t.Any], kind: str) -> tuple[str, ...]:
    cells = (
        component["name"],
        duration_text(component["rpo"]["target_s"]),
        measured_text(component["rpo"]),
        duration_text(component["rto"]["target_s"]),
        measured_text(component["rto"]),
        rows_lost_text(component, kind),
        component["proof"] or NOTHING,
        component["verdict"],
    )
    return tuple(printable(cell)[:80] for cell in cells)


def _width(text: str) -> int:
    """Columns on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
