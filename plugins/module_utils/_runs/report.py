# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data of a run's report (``docs/report.md``): for people, tickets, machines and auditors the same facts."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.audit import build_audit
from ansible_collections.sre.runbooks.plugins.module_utils._runs.findings import build_findings
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware
from ansible_collections.sre.runbooks.plugins.module_utils._runs.history import compare_with_previous
from ansible_collections.sre.runbooks.plugins.module_utils._runs.measure import (
    PointsSeen,
    look_at_points,
    measure_rpo,
    measure_rto,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import (
    PROBE_OUTCOMES,
    judge_component,
    judge_cut_off,
    runbook_kind,
    was_judged,
    worst_verdict,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.probe_record import take_probes
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import plain, read_events
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord, left_out
from ansible_collections.sre.runbooks.plugins.module_utils._runs.service_objectives import judge, reduced
from ansible_collections.sre.runbooks.plugins.module_utils._runs.timeline import build_timeline, unresolved_failures
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import outcome_counts

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: The version of report.json.
REPORT_FORMAT = 1
_LOST_ROWS_SHOWN = 1000
_TEXT_LIMIT = 4000


@dataclasses.dataclass
class ComponentOutcome:
    """What the playbook says about a component at the end of a run; None where it does not know.

    :ivar outcome: ok, changed, skipped or failed; None when the run did not get to the component.
    :ivar probes_disabled: name of each probe that was left out on purpose → the reason.
    :ivar findings: what the runbook found, ``severity`` and ``text`` of each, beside what the report finds itself.
    :ivar rpo_s, rto_s, interval_s: objectives and the interval of the runbook, in seconds.
    """

    name: str
    engine: str = ""
    rpo_s: float | None = None
    rto_s: float | None = None
    interval_s: float | None = None
    outcome: str | None = None
    message: str = ""
    rpo_measured_s: float | None = None
    rto_measured_s: float | None = None
    rows_lost: int | None = None
    lost_rows: list[t.Any] = dataclasses.field(default_factory=list)
    probes: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    probes_disabled: dict[str, str] = dataclasses.field(default_factory=dict)
    recovery_point: str | None = None
    hardware: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    depends_on: list[str] = dataclasses.field(default_factory=list)
    findings: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class ReportContext:
    """What is said of the run as a whole.

    :ivar record: the run as recorded, or made up from the parameters when nothing could be recorded.
    :ivar problems: what kept the record or the repository from being read.
    :ivar interrupted: the report is about a killed run and written by a later one.
    :ivar objectives: results of ``objective_info``.
    :ivar checklist: name, description and review of the checklist that a health check went through.
    :ivar environment_components: every component that there is, whatever the run is about; empty where nobody knows.
    """

    record: RunRecord
    finished: datetime.datetime
    recorded: bool = True
    check_mode: bool = False
    interrupted: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)
    sign_offs: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    objectives: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    checklist: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    retest_date: str | None = None
    environment_components: list[str] = dataclasses.field(default_factory=list)


def build_report(
    repository: Repository | None, context: ReportContext, outcomes: t.Sequence[ComponentOutcome]
) -> dict[str, t.Any]:
    """Everything that ``report.json`` holds. Never raises for what can't be read: it becomes a finding."""
    record = context.record
    kind = runbook_kind(record.runbook)
    timeline = _read_timeline(repository, context)
    probed = take_probes(timeline)
    components = [
        _component(repository, context, kind, outcome, timeline, probed.get(outcome.name, []))
        for outcome in (outcomes if kind == "objectives" else _with_missing(record, outcomes, timeline))
    ]
    objectives = reduced(context.objectives)
    verdict, reason = _run_verdict(context, kind, components, objectives, timeline)
    every = context.environment_components
    missing = left_out(every, [*record.components, *(outcome.name for outcome in outcomes)])
    former = compare_with_previous(
        repository, record, components, objectives, verdict, every, missing, cut_off=context.interrupted
    )
    report: dict[str, t.Any] = {
        "format": REPORT_FORMAT,
        "run_id": record.run_id,
        "runbook": record.runbook,
        "kind": kind,
        "environment": record.environment,
        "repository": repository.url if repository is not None else None,
        "recorded": context.recorded,
        "check_mode": context.check_mode,
        "interrupted": context.interrupted,
        "started": format_time(record.started),
        "finished": format_time(context.finished),
        "duration_s": max(0.0, (context.finished - record.started).total_seconds()),
        "verdict": verdict,
        "verdict_reason": reason,
        "operator": record.operator,
        "controller": {**record.controller, "ansible_version": record.ansible_version},
        "components": components,
        "timeline": timeline,
        "probes": [{"component": item["name"], **probe} for item in components for probe in item["probes"]],
        "service_objectives": objectives,
        "checklist": _checklist(context.checklist),
        "hardware": describe_hardware(),
        "left_out": missing if every else None,
        "previous": former.previous,
        "previous_problem": former.problem,
    }
    told = {outcome.name: outcome.findings for outcome in outcomes}
    report["findings"] = build_findings(report, context.problems, told)
    report["audit"] = build_audit(report, record, context.sign_offs, context.retest_date)
    return t.cast("dict[str, t.Any]", plain(report))


def _read_timeline(repository: Repository | None, context: ReportContext) -> list[dict[str, t.Any]]:
    if repository is None or not context.recorded:
        return []
    try:
        return t.cast("list[dict[str, t.Any]]", plain(build_timeline(read_events(repository, context.record.run_id))))
    except RunbookError as error:
        context.problems.append(f"the timeline could not be read: {error}")
        return []


def _with_missing(
    record: RunRecord, outcomes: t.Sequence[ComponentOutcome], timeline: t.Sequence[dict[str, t.Any]]
) -> list[ComponentOutcome]:
    """Components that the run was started for and nothing was said about are reported too, never left out."""
    named = {outcome.name for outcome in outcomes}
    missing = [name for name in record.components if name not in named]
    failed = {entry["component"] for entry in unresolved_failures(timeline) if entry["outcome"] == "failed"}
    silent = [
        ComponentOutcome(name, outcome="failed" if name in failed else None, message="nothing was reported")
        for name in missing
    ]
    return [*outcomes, *silent]


def _component(
    repository: Repository | None,
    context: ReportContext,
    kind: str,
    outcome: ComponentOutcome,
    timeline: t.Sequence[dict[str, t.Any]],
    probed: t.Sequence[dict[str, t.Any]],
) -> dict[str, t.Any]:
    own = [entry for entry in timeline if entry["component"] == outcome.name]
    seen = PointsSeen()
    if not context.interrupted:  # a killed run's points may have changed since
        seen = look_at_points(repository, outcome.name, outcome.engine, outcome.recovery_point)
    started = context.record.started
    rpo = measure_rpo(kind, outcome.engine, outcome.rpo_s, outcome.rpo_measured_s, seen, started, context.finished)
    failed = outcome.outcome == "failed"
    rto = measure_rto(kind, outcome.rto_s, outcome.rto_measured_s, seen, started, own, failed)
    # A run that was cut off can tell nothing; what its probes had found is in its record.
    probes = [_probe(probe) for probe in outcome.probes or probed]
    said = _how_far(own, probes) if context.interrupted else outcome.message
    message = said.removeprefix(f"{outcome.name}: ")
    verdict, reason = judge_component(kind, outcome.engine, outcome.outcome, rpo, rto, probes, message)
    if context.interrupted:
        verdict, reason = judge_cut_off(kind, outcome.outcome, probes, message)
    # Asking is all that a health check does, and it asks in check mode as ever.
    if context.check_mode and kind not in ("health", "objectives") and verdict in ("met", "missed"):
        verdict, reason = "unknown", "check mode: nothing was done"
    shown = seen.shown
    proven = [proof for proof in shown.proofs if proof.outcome == "ok" and proof.level == shown.level] if shown else []
    return {
        "name": outcome.name,
        "engine": outcome.engine or (shown.engine if shown else ""),
        "engine_version": shown.engine_version if shown else None,
        "outcome": outcome.outcome,
        "verdict": verdict,
        "reason": reason,
        "message": said[:_TEXT_LIMIT],
        "rpo": rpo.facts(),
        "rto": rto.facts(),
        "proof": shown.level if shown else None,
        "proof_at": format_time(max(proof.at for proof in proven)) if proven else None,
        "recovery_point": shown.point_id if shown else outcome.recovery_point or None,
        "consistency_time": format_time(shown.consistency_time) if shown else None,
        "size_bytes": seen.size_bytes,
        "interval_s": outcome.interval_s,
        "points": seen.count,
        "damaged_points": seen.damaged,
        "incomplete_points": seen.incomplete,
        "points_problem": seen.problem,
        "rows_lost": outcome.rows_lost,
        "lost_rows": outcome.lost_rows[:_LOST_ROWS_SHOWN],
        "depends_on": outcome.depends_on,
        "probes": probes,
        "probes_disabled": {str(name): str(why)[:_TEXT_LIMIT] for name, why in outcome.probes_disabled.items()},
        "hardware": outcome.hardware or None,
    }


def _how_far(own: t.Sequence[t.Mapping[str, t.Any]], probes: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """How far a run that was cut off got with a component, by its steps and probes in the record."""
    if probes:
        return f"the run was interrupted; its probes by then: {outcome_counts(probes)}"
    if own:
        where = "in" if own[-1]["outcome"] == "interrupted" else "after"
        return f"the run was interrupted {where} the step \u201c{own[-1]['step']}\u201d"
    return "the run was interrupted before it got to this component"


def _probe(probe: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A probe's result reduced to what a report shows; see the module ``probe`` for all of it."""
    duration, outcome = probe.get("duration_s"), probe.get("outcome")
    return {
        "name": str(probe.get("name") or "unnamed"),
        "kind": str(probe.get("kind") or ""),
        # What does not say that it passed has not passed.
        "outcome": outcome if outcome in PROBE_OUTCOMES else "failed",
        "critical": probe.get("critical") is not False,
        "message": str(probe.get("message") or "")[:_TEXT_LIMIT],
        **{name: str(probe.get(name) or "")[:_TEXT_LIMIT] for name in ("expected", "measured", "hint")},
        "duration_s": duration if isinstance(duration, (int, float)) else None,
    }


def _checklist(given: t.Mapping[str, t.Any]) -> dict[str, t.Any] | None:
    if not given.get("name"):
        return None
    return {
        "name": str(given["name"]),
        "description": str(given.get("description") or "")[:_TEXT_LIMIT],
        "review": [str(item)[:_TEXT_LIMIT] for item in given.get("review") or []],
    }


def _run_verdict(
    context: ReportContext,
    kind: str,
    components: t.Sequence[dict[str, t.Any]],
    objectives: t.Sequence[dict[str, t.Any]],
    timeline: t.Sequence[dict[str, t.Any]],
) -> tuple[str, str]:
    if context.interrupted:
        return "failed", "interrupted: the run was cut off before it could report"
    general = [entry["step"] for entry in unresolved_failures(timeline) if entry["component"] is None]
    if general:
        return "failed", f"failed outside the components: {', '.join(sorted(set(general)))}"
    if kind == "objectives" and not objectives:
        return "failed", "no objective was evaluated"
    if kind == "health" and components and all(item["outcome"] == "skipped" for item in components):
        return "failed", "no probe ran"
    judged = judge(objectives)
    verdicts = [component["verdict"] for component in components] + ([judged[0]] if judged else [])
    verdict = worst_verdict(verdicts)
    if not verdicts:
        return verdict, "no component was part of this run"
    reasons: dict[str, list[str]] = {}
    for component in components:
        if component["verdict"] == verdict:
            reasons.setdefault(component["reason"], []).append(component["name"])
    if verdict == "met" and not judged and not any(was_judged(component, kind) for component in components):
        if all(component["outcome"] == "skipped" for component in components):
            return verdict, "every component was skipped"
        return verdict, "no objective was judged"
    if verdict == "met" and len(verdicts) > 1:
        return verdict, "every objective that applies was met"
    if verdict == "met":
        return verdict, judged[1] if judged else components[0]["reason"]
    said = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return verdict, "; ".join(said + ([judged[1]] if judged and judged[0] == verdict else []))
