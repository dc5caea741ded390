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
    judge_component,
    runbook_kind,
    worst_verdict,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import plain, read_events
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord
from ansible_collections.sre.runbooks.plugins.module_utils._runs.timeline import build_timeline, unresolved_failures

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: The version of report.json.
REPORT_FORMAT = 1
PROBE_OUTCOMES = ("ok", "warning", "failed", "unknown")
_LOST_ROWS_SHOWN = 1000
_TEXT_LIMIT = 4000


@dataclasses.dataclass
class ComponentOutcome:
    """What the playbook says about a component at the end of a run; None where it does not know.

    :ivar outcome: ok, changed, skipped or failed; None when the run did not get to the component.
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
    recovery_point: str | None = None
    hardware: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    depends_on: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class ReportContext:
    """What is said of the run as a whole.

    :ivar record: the run as recorded, or made up from the parameters when nothing could be recorded.
    :ivar problems: what kept the record or the repository from being read.
    :ivar interrupted: the report is about a killed run and written by a later one.
    """

    record: RunRecord
    finished: datetime.datetime
    recorded: bool = True
    check_mode: bool = False
    interrupted: bool = False
    problems: list[str] = dataclasses.field(default_factory=list)
    sign_offs: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    retest_date: str | None = None


def build_report(
    repository: Repository | None, context: ReportContext, outcomes: t.Sequence[ComponentOutcome]
) -> dict[str, t.Any]:
    """Everything that ``report.json`` holds. Never raises for what can't be read: it becomes a finding."""
    record = context.record
    kind = runbook_kind(record.runbook)
    timeline = _read_timeline(repository, context)
    components = [
        _component(repository, context, kind, outcome, timeline)
        for outcome in _with_missing(record, outcomes, timeline)
    ]
    previous = compare_with_previous(repository, record, components)
    verdict, reason = _run_verdict(context, components, timeline)
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
        "hardware": describe_hardware(),
        "previous": previous,
    }
    report["findings"] = build_findings(report, context.problems)
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
) -> dict[str, t.Any]:
    own = [entry for entry in timeline if entry["component"] == outcome.name]
    seen = PointsSeen()
    if not context.interrupted:  # a killed run's points may have changed since
        seen = look_at_points(repository, outcome.name, outcome.engine, outcome.recovery_point)
    started = context.record.started
    rpo = measure_rpo(kind, outcome.engine, outcome.rpo_s, outcome.rpo_measured_s, seen, started, context.finished)
    failed = outcome.outcome == "failed"
    rto = measure_rto(kind, outcome.rto_s, outcome.rto_measured_s, seen, started, own, failed)
    probes = [_probe(probe) for probe in outcome.probes]
    message = outcome.message.removeprefix(f"{outcome.name}: ")
    verdict, reason = judge_component(kind, outcome.engine, outcome.outcome, rpo, rto, probes, message)
    if context.check_mode and verdict in ("met", "missed"):
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
        "message": outcome.message[:_TEXT_LIMIT],
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
        "hardware": outcome.hardware or None,
    }


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


def _run_verdict(
    context: ReportContext, components: t.Sequence[dict[str, t.Any]], timeline: t.Sequence[dict[str, t.Any]]
) -> tuple[str, str]:
    if context.interrupted:
        return "failed", "interrupted: the run was killed before it could report"
    general = [entry["step"] for entry in unresolved_failures(timeline) if entry["component"] is None]
    if general:
        return "failed", f"failed outside the components: {', '.join(sorted(set(general)))}"
    verdict = worst_verdict(component["verdict"] for component in components)
    if not components:
        return verdict, "no component was part of this run"
    guilty = [component for component in components if component["verdict"] == verdict]
    if verdict == "met":
        return verdict, "every objective that applies was met" if len(components) > 1 else guilty[0]["reason"]
    names: dict[str, list[str]] = {}
    for component in guilty:
        names.setdefault(component["reason"], []).append(component["name"])
    return verdict, "; ".join(f"{', '.join(names[reason])}: {reason}" for reason in names)
