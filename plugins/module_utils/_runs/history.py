# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run beside the run of the same runbook before it."""

from __future__ import annotations

import itertools
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objective_changes import (
    objective_changes,
    was_evaluated,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.probe_changes import (
    STATES,
    by_weight,
    probe_changes,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import REPORT_LIMIT, RunRecord, earlier_runs
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import moment_text

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: How many runs back a report is looked for.
_LOOK_BACK = 10
#: A duration that differs by less says nothing.
_NOTABLE = 0.1


def compare_with_previous(
    repository: Repository | None,
    record: RunRecord,
    components: t.Sequence[t.Mapping[str, t.Any]],
    service_objectives: t.Sequence[t.Mapping[str, t.Any]] = (),
    verdict: str = "",
) -> dict[str, t.Any] | None:
    """``{run_id, finished, verdict, components, changes, probes}`` of the previous report, or None when there is none.

    A component that the run before was not about (``--limit``) is compared with the last one that was, and its probes with
    those of the last one that asked any, and an objective with the last one that judged it.

    :arg verdict: of this run; another one than before is a change even where nothing else is.
    """
    names = {item["name"] for item in components}
    asking = {item["name"] for item in components if _asked(item)}
    judging = {item["name"] for item in service_objectives}
    reports = _previous_reports(repository, record, names, asking, judging) if repository is not None else []
    if not reports:
        return None
    previous = reports[0]
    before = {item["name"]: item for report in reversed(reports) for item in report["components"]}
    changes = [
        change
        for item in components
        for change in _changes(item, before.get(item["name"]), _last_asked(item["name"], reports))
    ]
    changes += objective_changes(service_objectives, [_objectives(report) for report in reports])
    probes: list[dict[str, t.Any]] = []
    for item in components:
        if item["name"] in before:
            found, said = _beside_last_asked(item, reports)
            probes += found
            # Another verdict says by itself that it was not looked at, or is not now.
            if said and (found or item["verdict"] == before[item["name"]]["verdict"]):
                changes.append(said)
    if verdict and verdict != previous["verdict"] and not changes and not probes:
        changes.append(f"this runbook: {previous['verdict']} → {verdict}")
    return {
        "run_id": previous["run_id"],
        "finished": previous["finished"],
        "verdict": previous["verdict"],
        "components": {
            name: {
                "verdict": item["verdict"],
                "rpo_measured_s": item["rpo"]["measured_s"],
                "rto_measured_s": item["rto"]["measured_s"],
            }
            for name, item in ((item["name"], item) for item in previous["components"])
        },
        "changes": changes,
        "probes": sorted(probes, key=by_weight),
    }


def _asked(item: t.Mapping[str, t.Any]) -> bool:
    """Whether there was anything to ask of the component, left out by name or not."""
    return bool(item.get("probes") or item.get("probes_disabled"))


def _beside_last_asked(
    item: t.Mapping[str, t.Any], reports: t.Sequence[t.Mapping[str, t.Any]]
) -> tuple[list[dict[str, t.Any]], str]:
    """What changed of a component's probes since they were last asked, and which run that was where it is not the last.

    :arg reports: the newest first.
    """
    known = [(report, other) for report in reports for other in report["components"] if other["name"] == item["name"]]
    if not _asked(item):
        # What is not asked on purpose says so itself, and what was not asked then is as it was.
        asked_then = item["outcome"] != "skipped" and _asked(known[0][1])
        return [], f"{item['name']}: none of its probes was asked this time" if asked_then else ""
    for report, other in known:
        if _asked(other):
            older = other is not known[0][1]
            then = f"{item['name']}: its probes were not asked then; compared with {moment_text(report['finished'])}"
            return probe_changes(item, other), then if older else ""
    wrong = [change for change in probe_changes(item, {"probes": []}) if change["now"] != "ok"]
    return wrong, f"{item['name']}: its probes were not asked before"


def _last_asked(name: str, reports: t.Sequence[t.Mapping[str, t.Any]]) -> t.Mapping[str, t.Any] | None:
    """The component as the newest of the reports has it of those whose runs asked its probes."""
    asked = (other for report in reports for other in report["components"] if other["name"] == name and _asked(other))
    return next(asked, None)


def _changes(
    item: t.Mapping[str, t.Any], before: t.Mapping[str, t.Any] | None, asked: t.Mapping[str, t.Any] | None
) -> list[str]:
    """:arg before: the component in the last run that was about it. :arg asked: in the last that asked its probes."""
    if before is None:
        return [f"{item['name']}: new in this runbook"]
    changes = []
    # What failed before it could be asked, and fails now that it is, has gone wrong since it was asked all the same.
    known = [before] + ([asked] if asked is not None and _asked(item) else [])
    other = next((one["verdict"] for one in known if one["verdict"] != item["verdict"]), None)
    if other is not None:
        changes.append(f"{item['name']}: {other} → {item['verdict']}")
    was, is_now = before["rto"]["measured_s"], item["rto"]["measured_s"]
    if was and is_now is not None and abs(is_now - was) > _NOTABLE * was:
        changes.append(
            f"{item['name']}: restore {format_duration(was)} → {format_duration(is_now)} ({(is_now - was) / was:+.0%})"
        )
    return changes


def _previous_reports(
    repository: Repository, record: RunRecord, names: set[str], asking: set[str], judging: set[str]
) -> list[dict[str, t.Any]]:
    """The report before, and those before it that are needed to have seen each of the components, asked some of them, and
    judged each of the objectives."""
    found: list[dict[str, t.Any]] = []
    missing, unasked, unjudged = set(names), set(asking), set(judging)
    try:
        for run_id in itertools.islice(earlier_runs(repository, record.runbook, record.run_id), _LOOK_BACK):
            try:
                content = repository.store.read(f"runs/{run_id}/report.json", limit=REPORT_LIMIT)
            except ObjectMissing:
                continue
            report = json.loads(content)
            # Half a health check is nothing to compare with.
            cut_off = isinstance(report, dict) and report.get("kind") == "health" and report.get("interrupted") is True
            if cut_off or not _comparable(report):
                continue
            seen = {item["name"] for item in report["components"]}
            asked = {item["name"] for item in report["components"] if _asked(item)}
            judged = {item["name"] for item in _objectives(report) if was_evaluated(item)}
            if not found or missing & seen or unasked & asked or unjudged & judged:
                found.append(report)
            missing -= seen
            unasked -= asked
            unjudged -= judged
            if not missing and not unasked and not unjudged:
                break
    except (RunbookError, ValueError, RecursionError):
        return found
    return found


def _objectives(report: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", report.get("service_objectives") or [])


def _comparable(report: t.Any) -> bool:
    """Whether what is compared is there and of the right type."""
    try:
        numbers = [item[name]["measured_s"] for item in report["components"] for name in ("rpo", "rto")]
        texts = [report["run_id"], report["finished"], report["verdict"]]
        texts += [item[name] for item in report["components"] for name in ("name", "verdict")]
        probes = [probe for item in report["components"] for probe in item.get("probes", [])]
        texts += [probe[name] for probe in probes for name in ("name", "message")]
        texts += [name for item in report["components"] for name in item.get("probes_disabled", {})]
        texts += [item[name] for item in _objectives(report) for name in ("name", "outcome")]
        outcomes = {probe["outcome"] for probe in probes}
    except (AttributeError, KeyError, TypeError):
        return False
    return (
        all(isinstance(text, str) for text in texts)
        and outcomes <= set(STATES)
        and all(number is None or (isinstance(number, (int, float)) and 0 <= number < 1e12) for number in numbers)
    )
