# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report for a ticket. What others wrote (names, messages) is escaped, so that it stays text."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.markdown_text import plain, said
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    burn_text,
    changes_worst_first,
    clock_text,
    duration_text,
    former_verdict_text,
    measured_text,
    moment_text,
    passed_over,
    printable,
    row_text,
    rows_lost_text,
    run_title,
    run_word,
    said_once,
    share_text,
    verdict_title,
    verdict_word,
    worst_first,
)

_ROWS_LISTED = 100
_STEPS_LISTED = 200
_CHANGES_LISTED = 100
_PROBES_LISTED = 500


def render_markdown(report: t.Mapping[str, t.Any]) -> str:
    """GitHub-flavoured Markdown."""
    sections = [
        _head(report),
        _changes(report),
        _objectives(report),
        _service_objectives(report),
        _passed_over(report),
        _findings(report),
        _lost_rows(report),
        _probes(report),
        _disabled(report),
        _checklist(report),
        _timeline(report),
        _audit(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(report: t.Mapping[str, t.Any]) -> str:
    facts = [
        f"Run {_code(report['run_id'])}",
        f"started {moment_text(report['started'])}",
        f"took {duration_text(report['duration_s'])}",
        f"by {plain(report['operator'])}",
    ]
    title = f"# {verdict_title(report)}: {plain(run_title(report))}"
    return "\n\n".join(
        [title, f"**{run_word(report)}** {NOTHING} {plain(report['verdict_reason'])}", " · ".join(facts)]
    )


def _objectives(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            plain(item["name"]),
            plain(f"{item['engine']} {item['engine_version'] or ''}".strip() or NOTHING),
            duration_text(item["rpo"]["target_s"]),
            measured_text(item["rpo"]),
            duration_text(item["rto"]["target_s"]),
            measured_text(item["rto"]),
            plain(rows_lost_text(item, report["kind"])),
            item["proof"] or NOTHING,
            _code(item["recovery_point"]) if item["recovery_point"] else NOTHING,
            f"**{verdict_word(item, report['kind'])}**",
        )
        for item in report["components"]
    ]
    headings = ("Component", "Engine", "RPO", "measured", "RTO", "measured", "Rows lost", "Proof", "Point", "Verdict")
    return "## Objectives\n\n" + _table(headings, rows) if rows else ""


def _changes(report: t.Mapping[str, t.Any]) -> str:
    previous = report["previous"]
    if previous is None and report["previous_problem"]:
        return f"## Changed since the run before\n\n{plain(report['previous_problem'])}"
    if previous is None:
        return ""
    texts = [text for text, _now in changes_worst_first(previous)]
    lines = [f"- {plain(text)}" for text in texts[:_CHANGES_LISTED]] or ["Nothing notable."]
    if len(texts) > _CHANGES_LISTED:
        lines.append(f"- {len(texts) - _CHANGES_LISTED} more in `report.json`")
    since = f"{_code(previous['run_id'])}, {plain(former_verdict_text(previous))}, finished {moment_text(previous['finished'])}"
    return f"## Changed since the run before\n\n{since}\n\n" + "\n".join(lines)


def _service_objectives(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            plain(item["name"]),
            plain(item["service"] or item["component"] or NOTHING),
            plain(item["measured"]) or NOTHING,
            plain(item["expected"]) or NOTHING,
            share_text(item["budget"]["left"]) if item["budget"] else NOTHING,
            "; ".join(burn_text(rate) for rate in item["burn_rates"]) or NOTHING,
            share_text(item["coverage"]),
            f"**{item['outcome']}**",
        )
        for item in report["service_objectives"]
    ]
    headings = ("Objective", "Service", "Measured", "Expected", "Budget left", "Burn rates", "Covered", "Outcome")
    return "## Service level objectives\n\n" + _table(headings, rows) if rows else ""


def _disabled(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (plain(item["name"]), plain(name), plain(reason))
        for item in report["components"]
        for name, reason in item.get("probes_disabled", {}).items()
    ]
    return "## Probes that are left out\n\n" + _table(("Component", "Probe", "Reason"), rows) if rows else ""


def _checklist(report: t.Mapping[str, t.Any]) -> str:
    checklist = report["checklist"]
    if not checklist:
        return ""
    lines = [f"- [ ] {plain(item)}" for item in checklist["review"]]
    head = f"## Checklist {plain(checklist['name'])}"
    return "\n\n".join(part for part in (head, plain(checklist["description"]), "\n".join(lines)) if part)


def _findings(report: t.Mapping[str, t.Any]) -> str:
    lines = [
        f"- **{finding['severity']}** "
        + (f"{plain(finding['component'])}: " if finding["component"] else "")
        + said(finding["text"])
        for finding in said_once(report["findings"])
    ]
    return "## Findings\n\n" + ("\n".join(lines) if lines else "None.")


def _passed_over(report: t.Mapping[str, t.Any]) -> str:
    lines = [f"- {plain(reason['component'])}: {said(reason['text'])}" for reason in passed_over(report)]
    return "## Skipped\n\n" + "\n".join(lines) if lines else ""


def _lost_rows(report: t.Mapping[str, t.Any]) -> str:
    lines = [
        f"- {plain(item['name'])}: {plain(', '.join(row_text(row) for row in item['lost_rows'][:_ROWS_LISTED]))}"
        for item in report["components"]
        if item["lost_rows"]
    ]
    return "## Rows lost\n\n" + "\n".join(lines) if lines else ""


def _probes(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            plain(probe["component"]),
            plain(probe["name"]),
            plain(probe["outcome"]),
            duration_text(probe["duration_s"]),
            plain(probe["measured"]) or NOTHING,
            plain(probe["message"]) or NOTHING,
        )
        for probe in worst_first(report["probes"])[:_PROBES_LISTED]
    ]
    left = len(report["probes"]) - len(rows)
    more = f"\n\n{left} more probes are in `report.json`." if left else ""
    headings = ("Component", "Probe", "Outcome", "Took", "Measured", "Message")
    return "## Probes\n\n" + _table(headings, rows) + more if rows else ""


def _timeline(report: t.Mapping[str, t.Any]) -> str:
    rows = [
        (
            clock_text(entry["at"]),
            duration_text(entry["duration_s"]),
            plain(entry["component"] or NOTHING),
            plain(entry["step"]),
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
    signed = [f"{plain(item['name'])} ({plain(item['role'])}) {plain(item['date'])}" for item in audit["sign_offs"]]
    rows = [
        ("Test", _code(audit["test_id"])),
        ("Scenario", plain(audit["scenario"])),
        ("Participants", plain(", ".join(audit["participants"]))),
        ("Systems", plain(", ".join(audit["systems"]))),
        ("Integrity", audit["integrity"]["result"]),
        ("Hardware", plain(f"{hardware['host']}: {hardware['cpus']} × {hardware['cpu_model'] or 'CPU'}")),
        ("Retest by", plain(audit["retest_date"] or NOTHING)),
        ("Signed off", "; ".join(signed) or NOTHING),
    ]
    return "## Evidence\n\n" + _table(("", ""), rows)


def _table(headings: t.Sequence[str], rows: t.Iterable[t.Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(text: str) -> str:
    return f"`{printable(text).replace('`', '´').replace('|', '¦')}`"
