# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was done lately: runs of this environment and the component's recovery points, as the repository has them."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, format_time
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import parse_document

_RUNS = 30
_POINTS = 20
_REPORT_LIMIT = 16 << 20


def collector(params: t.Mapping[str, t.Any], component: str, since_s: float) -> Collector:
    """:arg params: ``repository``, ``environment_name`` and ``s3`` of a module. :arg since_s: how far back is lately."""
    return Collector(
        "recent_changes",
        "runs of this environment, recovery points of the component",
        lambda desk: _changes(desk, params, component, since_s),
    )


def _changes(desk: Desk, params: t.Mapping[str, t.Any], component: str, since_s: float) -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository

    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    moment = _clock.now()
    rows = []
    names = sorted((name.rstrip("/") for name in repository.store.children("runs/")), reverse=True)
    for run_id in names[:_RUNS]:
        row = _run(desk, repository, run_id)
        if row is None:
            continue
        rows.append(row)
        started, runbook, verdict, components, changed = row[1:6]
        if changed and component in components.split(", ") and _age_s(started, moment) <= since_s:
            desk.finding("note", f"{runbook} changed {changed} at {started} (verdict {verdict})")
    headings = ("run", "started", "runbook", "verdict", "components", "changed", "why")
    desk.table("runs_newest_first", headings, rows)
    _points(desk, repository, component, moment)


def _run(desk: Desk, repository: t.Any, run_id: str) -> tuple[str, str, str, str, str, str, str] | None:
    key = f"runs/{run_id}/report.json"
    try:
        report = parse_document(repository.store.read(key, _REPORT_LIMIT), key).data
        names = [str(item["name"]) for item in report["components"]]
        changed = [str(item["name"]) for item in report["components"] if item.get("outcome") == "changed"]
        return (
            run_id,
            str(report["started"]),
            str(report["runbook"]),
            str(report["verdict"]),
            ", ".join(names),
            ", ".join(changed),
            str(report.get("verdict_reason") or ""),
        )
    except ObjectMissing:
        return run_id, "", run_id[17:-5], "open", "", "", "it has no report yet"
    except (RunbookError, KeyError, TypeError) as error:
        desk.problem(f"{key}: {error}")
        return None


def _points(desk: Desk, repository: t.Any, component: str, moment: t.Any) -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points

    listing = list_points(repository, component)
    rows = [
        (point.point_id, point.level, format_time(point.consistency_time), format_duration(point.age_s(moment)))
        for point in listing.points[:_POINTS]
    ]
    desk.table("recovery_points_newest_first", ("recovery point", "level", "of", "age"), rows)
    for point in listing.damaged:
        desk.finding("failure", f"recovery point {point.point_id} is damaged")


def _age_s(started: str, moment: t.Any) -> float:
    try:
        return float((moment - _clock.parse_time(started)).total_seconds())
    except RunbookError:
        return float("inf")
