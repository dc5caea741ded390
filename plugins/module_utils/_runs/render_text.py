# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last lines on the screen: what changed, one aligned table, the verdict, what went wrong, where the page is."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.sre.runbooks.plugins.module_utils._runs.text_health import (
    change_lines,
    checklist_lines,
    probe_lines,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    duration_text,
    measured_text,
    passed_over,
    printable,
    rows_lost_text,
    run_title,
    said_once,
    verdict_title,
    verdict_word,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import shortened

_HEADINGS = ("component", "RPO", "measured", "RTO", "measured", "rows lost", "proof", "verdict")
_FINDINGS_SHOWN = 25
_PASSED_SHOWN = 20
_LINE_LIMIT = 400
# Of several mistakes in probes, each is a line of its own, too.
_PARTS = re.compile(r"; (?=(?:expected|found|next): |(?:[\w.-]+: )?probe \d+\b|and \d+ more\b)")


def summary_lines(
    report: t.Mapping[str, t.Any], paths: t.Sequence[str] = (), unwritten: t.Sequence[str] = (), kept: str = ""
) -> list[str]:
    """The lines; ``paths`` are where the report was written, ``unwritten`` why it is not where it was to be.

    :arg kept: what was left as it is on purpose, and why.
    """
    lines = [*change_lines(report), *_table(report), *probe_lines(report)]
    lines += [
        "",
        *checklist_lines(report),
        f"{printable(run_title(report))}: {verdict_title(report).lower()}",
    ]
    if report["verdict_reason"]:
        lines[-1] += f" ({shortened(printable(report['verdict_reason']), _LINE_LIMIT)})"
    lines[-1] += f" in {duration_text(report['duration_s'])}"
    said = {finding["text"] for finding in report["findings"]}
    for component in report["components"]:
        # What a table has no column for: which moment was drilled, how long nobody was served, the head of a history.
        if report["kind"] == "health":
            continue  # its probes have said it
        if component["outcome"] in ("ok", "changed") and component["message"] and component["message"] not in said:
            lines.append(f"{component['name']}: {printable(component['message'])}")
    passed = passed_over(report)
    for reason in passed[:_FINDINGS_SHOWN]:
        lines += _finding_lines(reason)
    if len(passed) > _FINDINGS_SHOWN:
        lines.append(f"  and {len(passed) - _FINDINGS_SHOWN} more in the report")
    notable = [finding for finding in said_once(report["findings"]) if finding["severity"] != "note"]
    # Where there is no report, this is all that anybody will ever know of them.
    shown = len(notable) if unwritten and not paths else _FINDINGS_SHOWN
    for finding in notable[:shown]:
        lines += _finding_lines(finding)
    if len(notable) > shown:
        lines.append(f"  and {len(notable) - shown} more in the report")
    for problem in unwritten:
        lines += _finding_lines({"severity": "warning" if paths else "failure", "component": None, "text": problem})
    lines += [printable(kept)] if kept else []
    lines += [f"report: {path}" for path in paths]
    return lines


def _table(report: t.Mapping[str, t.Any]) -> list[str]:
    kind = report["kind"]
    passed = [item["name"] for item in report["components"] if kind == "health" and item["outcome"] == "skipped"]
    lines = _aligned([_row(item, kind) for item in report["components"] if item["name"] not in passed])
    if passed:
        more = f" and {len(passed) - _PASSED_SHOWN} more" if len(passed) > _PASSED_SHOWN else ""
        lines.append(f"nothing was asked of {', '.join(map(printable, passed[:_PASSED_SHOWN]))}{more}")
    return lines


def _aligned(components: t.Sequence[tuple[str, ...]]) -> list[str]:
    """The table; of nothing there is none."""
    if not components:
        return []
    rows = [_HEADINGS, *components]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["   ".join(_padded(cell, width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [lines[0], "   ".join("─" * width for width in widths), *lines[1:]]


def _finding_lines(finding: t.Mapping[str, t.Any]) -> list[str]:
    """The message, then each on a line of its own what was expected, what was found and what to do."""
    text = printable(finding["text"])
    if finding["component"] and not text.startswith(f"{finding['component']}: "):
        text = f"{finding['component']}: {text}"
    first, *parts = _PARTS.split(text)
    # A command that is cut off is none.
    said = [part if part.startswith("next: ") else shortened(part, _LINE_LIMIT) for part in parts]
    return [f"{finding['severity']}: {shortened(first, _LINE_LIMIT)}", *(f"  {part}" for part in said)]


def _row(component: t.Mapping[str, t.Any], kind: str) -> tuple[str, ...]:
    cells = (
        component["name"],
        duration_text(component["rpo"]["target_s"]),
        measured_text(component["rpo"]),
        duration_text(component["rto"]["target_s"]),
        measured_text(component["rto"]),
        rows_lost_text({**component, "lost_rows": []}, kind),
        component["proof"] or NOTHING,
        verdict_word(component, kind),
    )
    return tuple(printable(cell)[:80] for cell in cells)


def _width(text: str) -> int:
    """Columns on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
