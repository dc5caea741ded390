# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody should look at, in one list: failures first, then warnings, then notes."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import ARCHIVING_ENGINES
from ansible_collections.sre.runbooks.plugins.module_utils._runs.service_objectives import findings_of
from ansible_collections.sre.runbooks.plugins.module_utils._runs.timeline import failure_text, unresolved_failures
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import part_text, row_text, told_beside
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_ROWS_NAMED = 5
_TOLD_SHOWN = 100
_TOLD_LENGTH = 2000
_NO_OBJECTIVE = (
    "no objective was evaluated; expected: at least one; found: none, as the variable objectives is empty; "
    "next: define objectives in the inventory (docs/objectives.md)"
)
#: The inventory has none, or the limit leaves out those that it has: the runbook tells which.
_NO_OBJECTIVE_OF_PART = (
    "no objective was evaluated; expected: at least one; found: none that is about this run's components; "
    "next: define objectives in the inventory (docs/objectives.md), or repeat without --limit"
)
#: Of a loss that a restore measured, no backup makes less.
_RENEWED = [("rpo", kind) for kind in ("backup", "health", "objectives", "verify", "other")]
SEVERITIES = ("failure", "warning", "note")


def build_findings(
    report: t.Mapping[str, t.Any],
    problems: t.Iterable[str],
    told: t.Mapping[str, t.Sequence[t.Mapping[str, t.Any]]] | None = None,
) -> list[dict[str, t.Any]]:
    """``{severity, component, text}``, the worst first.

    :arg problems: what kept the record from being read.
    :arg told: by component, what the runbook itself found.
    """
    found = [_finding("warning", None, problem) for problem in problems]
    if report["left_out"]:
        found.append(_finding("note", None, f"this run was {part_text(report)}, and says nothing of the others"))
    if report["interrupted"]:
        found.append(_finding("failure", None, "the run was cut off; this is what it had done and found by then"))
    elif report["kind"] == "objectives" and not report["service_objectives"]:
        found.append(_finding("failure", None, _NO_OBJECTIVE_OF_PART if report["left_out"] else _NO_OBJECTIVE))
    for component in report["components"]:
        found += _component_findings(component, report["kind"])
        found += _told_findings(component, (told or {}).get(component["name"], ()))
    found += [_finding(*item) for item in findings_of(report["service_objectives"])]
    failed = {
        component["name"]: component["message"]
        for component in report["components"]
        if component["outcome"] == "failed"
    }
    for entry in unresolved_failures(report["timeline"]):
        why = failure_text(entry)
        if why and why in failed.get(entry["component"], ""):
            continue  # the component's own message says it, and what to do next
        text = f"step \u201c{entry['step']}\u201d {entry['outcome']}" + (f": {why}" if why else "")
        grave = entry["component"] is None or entry["component"] in failed
        found.append(_finding("failure" if grave else "warning", entry["component"], text))
    return sorted(found, key=lambda finding: SEVERITIES.index(finding["severity"]))


def _component_findings(component: t.Mapping[str, t.Any], kind: str) -> list[dict[str, t.Any]]:
    found = []

    def add(severity: str, text: str) -> None:
        found.append(_finding(severity, component["name"], text))

    troubled = [probe for probe in component["probes"] if probe["outcome"] not in ("ok", "skipped")]
    # A failed health check says in its message what its probes say one by one.
    if component["outcome"] == "failed" and component["message"] and not any(probe["critical"] for probe in troubled):
        add("failure", component["message"])
    if component["outcome"] is None:
        add("warning", component["reason"])
    # Of a component that a checklist passes over, nothing is judged.
    for name in () if (kind, component["outcome"]) == ("health", "skipped") else ("rpo", "rto"):
        _add_objective(name, component[name], _renewal(component) if (name, kind) in _RENEWED else "", add)
    said = [damaged for damaged in component["damaged_points"] if damaged["point_id"] in component["message"]]
    if said and component["outcome"] != "failed":
        add("warning", component["message"])  # which point was taken in its place, and what that loses
    for damaged in component["damaged_points"]:
        if damaged not in said:
            # Beside a failure it is the explanation and not another one.
            severity = "warning" if component["outcome"] == "failed" else "failure"
            add(severity, f"recovery point {damaged['point_id']} is damaged: {damaged['reason']}")
    if component["points_problem"]:
        add("warning", f"the recovery points could not be read: {component['points_problem']}")
    if component["incomplete_points"]:
        add(
            "note",
            f"{counted(len(component['incomplete_points']), 'unfinished recovery point')}, which the next backup removes",
        )
    if component["rows_lost"]:
        named = ", ".join(row_text(row) for row in component["lost_rows"][:_ROWS_NAMED])
        more = ", ..." if component["rows_lost"] > _ROWS_NAMED else ""
        add(
            "warning",
            f"{counted(component['rows_lost'], 'acknowledged row')} lost" + (f": {named}{more}" if named else ""),
        )
    for probe in troubled:
        add("failure" if probe["critical"] else "warning", _probe_text(probe))
    if component["recovery_point"] and component["proof"] == "taken":
        add("warning", f"recovery point {component['recovery_point']} was never read back")
    return found


def _told_findings(
    component: t.Mapping[str, t.Any], told: t.Sequence[t.Mapping[str, t.Any]]
) -> t.Iterator[dict[str, t.Any]]:
    for item in told[:_TOLD_SHOWN]:
        text = str(item.get("text") or "")[:_TOLD_LENGTH]
        severity = item.get("severity")
        # Why a component failed is its message already.
        if text and not (component["outcome"] == "failed" and text in component["message"]):
            yield _finding(str(severity) if severity in SEVERITIES else "warning", component["name"], text)
    if len(told) > _TOLD_SHOWN:
        yield _finding("note", component["name"], f"{len(told) - _TOLD_SHOWN} more findings of the runbook")


def _probe_text(probe: t.Mapping[str, t.Any]) -> str:
    """As an error says it: what is wrong, then what was expected, found and is next."""
    wrong = f"probe \u201c{probe['name']}\u201d: {probe['message'] or probe['outcome']}"
    return "; ".join([wrong, *told_beside(wrong, probe)])


def _renewal(component: t.Mapping[str, t.Any]) -> str:
    """What makes the loss that a disaster now would mean smaller."""
    runbook = "prepare_archiving" if component["engine"] in ARCHIVING_ENGINES else "back_up_components"
    return f"; next: ansible-playbook sre.runbooks.{runbook} --limit {shlex.quote(component['name'])}"


def _add_objective(
    name: str, objective: t.Mapping[str, t.Any], next_step: str, add: t.Callable[[str, str], None]
) -> None:
    """A missed objective; an unknown one is in the component's reason already where it matters."""
    if objective["verdict"] == "missed":
        add(
            "warning",
            f"{name.upper()} missed: {format_duration(objective['measured_s'])} measured, "
            f"{format_duration(objective['target_s'])} allowed ({objective['basis']})" + next_step,
        )


def _finding(severity: str, component: str | None, text: str) -> dict[str, t.Any]:
    return {"severity": severity, "component": component, "text": text}
