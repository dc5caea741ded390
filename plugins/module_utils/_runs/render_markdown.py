# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report for a ticket. What others wrote (names, messages) is escaped, so that it stays text."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    VERDICT_TITLES,
    clock_text,
    duration_text,
    measured_text,
    moment_text,
    printable,
    row_text,
    rows_lost_text,
)

_ROWS_LISTED = 100
_STEPS_LISTED = 200


def render_markdown(report: t.Mapping[str, t.Any]) -> str:
    """GitHub-flavoured Markdown."""
    sections = [
        _head(report),
        _objectives(report),
        _findings(report),
        _lost_rows(report),
        _probes(report),
        _timeline(report),
        _audit(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(report: t.Mapping[str, t.Any]) -> str:
    facts = [
        f"Run {_code(report['run_id'])}",
        f"started {moment_text(report['started'])}",
        f"took {duration_text(report['duration_s'])}",
        f"by {_text(report['operator'])}",
    ]
    title = f"# {VERDICT_TITLES[report['verdict']]}: {_text(report['runbook'])} of {_text(report['environment'])}"
    return "\n\n".join(
        [title, f"**{report['verdict']}** {NOTHING} {_text(report['verdict_reason'])}", " · ".join(facts)]
    )


def _objectives(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            _text(item["name"]),
            _text(f"{item['engine']} {item['engine_version'] or ''}".strip() or NOTHING),
            duration_text(item["rpo"]["target_s"]),
            measured_text(item["rpo"]),
            duration_text(item["rto"]["target_s"]),
            measured_text(item["rto"]),
            _text(rows_lost_text(item, report["kind"])),
            item["proof"] or NOTHING,
            _code(item["recovery_point"]) if item["recovery_point"] else NOTHING,
            f"**{item['verdict']}**",
        )
        for item in report["components"]
    ]
    headings = ("Component", "Engine", "RPO", "measured", "RTO", "measured", "Rows lost", "Proof", "Point", "Verdict")
    return "## Objectives\n\n" + _table(headings, rows) if rows else ""


def _findings(report: t.Mapping[str, t.Any]) -> str:
    lines = [
        f"- **{finding['severity']}** "
        + (f"{_text(finding['component'])}: " if finding["component"] else "")
        + _text(finding["text"])
        for finding in report["findings"]
    ]
    return "## Findings\n\n" + ("\n".join(lines) if lines else "None.")


def _lost_rows(report: t.Mapping[str, t.Any]) -> str:
    lines = [
        f"- {_text(item['name'])}: {_text(', '.join(row_text(row) for row in item['lost_rows'][:_ROWS_LISTED]))}"
        for item in report["components"]
        if item["lost_rows"]
    ]
    return "## Rows lost\n\n" + "\n".join(lines) if lines else ""


def _probes(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            _text(probe["component"]),
            _text(probe["name"]),
            _text(probe["outcome"]),
            duration_text(probe["duration_s"]),
            _text(probe["message"]) or NOTHING,
        )
        for probe in report["probes"]
    ]
    return "## Probes\n\n" + _table(("Component", "Probe", "Outcome", "Took", "Message"), rows) if rows else ""


def _timeline(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            clock_text(entry["at"]),
            duration_text(entry["duration_s"]),
            _text(entry["component"] or NOTHING),
            _text(entry["step"]),
            entry["outcome"],
        )
        for entry in report["timeline"][:_STEPS_LISTED]
    ]
    if not rows:
        return ""
    left = len(report["timeline"]) - len(rows)
    more = f"\n\n{left} more steps are in `report.json`." if left else ""
    return "## Timeline (UTC)\n\n" + _table(("At", "Took", "Component", "Step", "Outcome"), rows) + more


def _audit(report: t.Mapping[str, t.Any]) -> str:
    audit, hardware = report["audit"], report["hardware"]
    signed = [f"{_text(item['name'])} ({_text(item['role'])}) {_text(item['date'])}" for item in audit["sign_offs"]]
    rows = [
        ("Test", _code(audit["test_id"])),
        ("Scenario", _text(audit["scenario"])),
        ("Participants", _text(", ".join(audit["participants"]))),
        ("Systems", _text(", ".join(audit["systems"]))),
        ("Integrity", audit["integrity"]["result"]),
        ("Hardware", _text(f"{hardware['host']}: {hardware['cpus']} × {hardware['cpu_model'] or 'CPU'}")),
        ("Retest by", _text(audit["retest_date"] or NOTHING)),
        ("Signed off", "; ".join(signed) or NOTHING),
    ]
    return "## Evidence\n\n" + _table(("", ""), rows)


def _table(headings: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Plain text in Markdown, table cells included: no markup, no link, no mention, no line break."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#|~!])", r"\\\1", printable(text))
    # An @name would call somebody, a bare address would become a link.
    return re.sub(r"@(?=\w)", "@\u200b", escaped).replace("://", ":\u200b//")


def _code(text: str) -> str:
    return f"`{printable(text).replace('`', '´').replace('|', '¦')}`"
