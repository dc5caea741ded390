# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report as one self-contained page: the verdict first, then the figures, the course of the run, the evidence."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_findings import findings_card
from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_health import (
    changes_card,
    checklist_card,
    objective_cards,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_objectives import component_card
from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_style import STYLE
from ansible_collections.sre.runbooks.plugins.module_utils._runs.html_timeline import timeline_card
from ansible_collections.sre.runbooks.plugins.module_utils._runs.markup import Html, page, tag
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import (
    NOTHING,
    could_lose_rows,
    duration_text,
    measured_text,
    moment_text,
    part_text,
    row_text,
    run_word,
    size_text,
    tone,
    verdict_title,
)

_SEALS = {
    "met": "M5 12.5l4.5 4.5L19 7.5",
    "missed": "M12 6v7M12 17.2v.3",
    "failed": "M7 7l10 10M17 7L7 17",
    "unknown": "M9 9.2a3 3 0 1 1 4.3 2.7c-.9.5-1.3 1-1.3 2.1M12 17.3v.2",
}
_INTEGRITY_TONES = {"intact": "met", "damaged": "failed", "unknown": "unknown"}
_ROWS_LISTED = 200


def render_html(report: t.Mapping[str, t.Any]) -> str:
    words = (verdict_title(report), report["runbook"], report["environment"], part_text(report))
    title = " · ".join(word for word in words if word)
    cards = [component_card(component, report["kind"]) for component in report["components"]]
    findings = [tag("h2", "Findings"), findings_card(report["findings"])]
    # Who asks for the health wants to know what is wrong, and of other runbooks first how far they came.
    asked = report["kind"] in ("health", "objectives")
    body = tag(
        "main",
        _top(report),
        _hero(report),
        changes_card(report["previous"], report["previous_problem"]),
        findings if asked else None,
        [tag("h2", "Components"), tag("div", cards, class_="components")] if cards else None,
        objective_cards(report["service_objectives"]),
        _lost_rows(report),
        None if asked else findings,
        tag("h2", "Timeline"),
        timeline_card(report),
        checklist_card(report["checklist"]),
        tag("h2", "Evidence"),
        _evidence(report),
        _footer(report),
    )
    return page(title, STYLE, body)


def _top(report: t.Mapping[str, t.Any]) -> Html:
    part = part_text(report)
    return tag(
        "div",
        tag(
            "span",
            tag("b", report["runbook"]),
            f" · environment {report['environment']}",
            f" · {part}" if part else None,
        ),
        tag("code", report["run_id"]),
        class_="top",
    )


def _hero(report: t.Mapping[str, t.Any]) -> Html:
    path = Html(f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{_SEALS[report["verdict"]]}"/></svg>')
    mode = " (check mode: nothing was done)" if report["check_mode"] else ""
    words = tag("div", tag("h1", verdict_title(report) + mode), tag("p", _sentence(report["verdict_reason"])))
    counts = [item["verdict"] for item in report["components"]]
    facts = [
        ("Started", moment_text(report["started"])),
        ("Took", duration_text(report["duration_s"])),
        (
            f"Components {run_word(report) if report['verdict'] == 'met' else 'met'}",
            f"{counts.count('met')} of {len(counts)}",
        ),
        _asked(report),
        ("Operator", report["operator"] or NOTHING),
    ]
    return tag(
        "section",
        tag("div", tag("div", path, class_="seal"), words, class_="hero-verdict"),
        tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts], class_="facts"),
        class_=f"card hero {tone(run_word(report))}",
    )


def _asked(report: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """The figure that the kind of runbook is about beside its verdict."""
    if report["kind"] == "health":
        passed = sum(probe["outcome"] == "ok" for probe in report["probes"])
        return "Probes ok", f"{passed} of {len(report['probes'])}"
    if report["kind"] == "objectives":
        met = sum(item["outcome"] == "met" for item in report["service_objectives"])
        return "Objectives met", f"{met} of {len(report['service_objectives'])}"
    return "Rows lost", _total_lost(report["components"], report["kind"])


def _sentence(text: str) -> str:
    """With a capital, unless it starts with a component's name."""
    if text.partition(" ")[0].endswith(":"):
        return text
    return text[:1].upper() + text[1:]


def _total_lost(components: t.Sequence[t.Mapping[str, t.Any]], kind: str) -> str:
    """The sum where every component that can lose rows was counted; "not counted" otherwise."""
    counts = [item["rows_lost"] for item in components if item["rows_lost"] is not None or could_lose_rows(item, kind)]
    if not counts:
        return NOTHING
    return "not counted" if None in counts else f"{sum(counts):,}"


def _lost_rows(report: t.Mapping[str, t.Any]) -> list[Html] | None:
    losers = [item for item in report["components"] if item["lost_rows"]]
    if not losers:
        return None
    rows = []
    for item in losers:
        named = [row_text(row) for row in item["lost_rows"][:_ROWS_LISTED]]
        left = item["rows_lost"] - len(named) if item["rows_lost"] is not None else 0
        text = ", ".join(named) + (f" and {left} more" if left > 0 else "")
        count = "unknown" if item["rows_lost"] is None else f"{item['rows_lost']:,}"
        rows.append(tag("tr", tag("td", item["name"]), tag("td", count), tag("td", tag("code", text))))
    heading = tag("tr", [tag("th", name) for name in ("Component", "Rows", "Which")])
    return [tag("h2", "Rows lost"), tag("div", tag("table", heading, rows), class_="card scroll")]


def _evidence(report: t.Mapping[str, t.Any]) -> Html:
    audit, integrity = report["audit"], report["audit"]["integrity"]
    proofs = ", ".join(f"{name} {level}" for name, level in integrity["proofs"].items())
    result = tag("b", integrity["result"], class_=_INTEGRITY_TONES[integrity["result"]], style="color:var(--tone)")
    rows: list[tuple[str, t.Any]] = [
        ("Test", tag("code", audit["test_id"])),
        ("Scenario", audit["scenario"]),
        ("Participants", ", ".join(audit["participants"]) or NOTHING),
        ("Systems", ", ".join(audit["systems"]) or NOTHING),
        ("Targets and actuals", [tag("div", _target_line(line)) for line in audit["targets_and_actuals"]] or NOTHING),
        ("Integrity", [result, f" ({proofs})" if proofs else None]),
        ("Measured on", _hardware_text(report["hardware"])),
    ]
    rows += [
        (f"{item['name']} on", _hardware_text(item["hardware"])) for item in report["components"] if item["hardware"]
    ]
    rows.append(("Retest by", audit["retest_date"] or NOTHING))
    # Two empty lines to sign on, where nobody has signed yet.
    signs = audit["sign_offs"] or [
        {"name": "", "role": "Operator", "date": ""},
        {"name": "", "role": "Approver", "date": ""},
    ]
    return tag(
        "div",
        tag("dl", [(tag("dt", name), tag("dd", value)) for name, value in rows]),
        tag("div", [_sign(sign) for sign in signs], class_="signs"),
        class_="card evidence",
    )


def _target_line(line: t.Mapping[str, t.Any]) -> str:
    objective = {"target_s": line["target_s"], "measured_s": line["actual_s"], "at_most_s": line["actual_at_most_s"]}
    target = duration_text(line["target_s"])
    return f"{line['component']} {line['objective']}: target {target}, actual {measured_text(objective)}"


def _hardware_text(hardware: t.Mapping[str, t.Any]) -> str:
    processors = f"{hardware.get('cpus') or '?'} × {hardware.get('cpu_model') or 'processor'}"
    parts = [hardware.get("host"), processors, size_text(hardware.get("memory_bytes")), hardware.get("system")]
    return ", ".join(str(part) for part in parts if part and part != NOTHING)


def _sign(sign: t.Mapping[str, t.Any]) -> Html:
    signed = " · ".join(part for part in (sign["name"], sign["date"]) if part)
    return tag("div", tag("b", signed) if signed else None, f"{sign['role'] or 'Signature'}: name, date", class_="sign")


def _footer(report: t.Mapping[str, t.Any]) -> Html:
    kept = f" · kept in {report['repository']}" if report["repository"] else ""
    version = report["controller"].get("ansible_version") or ""
    return tag("footer", f"sre.runbooks · ansible-core {version} · finished {moment_text(report['finished'])}{kept}")
