# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run beside the run of the same runbook before it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objective_changes import (
    is_of_another_window,
    objective_changes,
    was_evaluated,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import worst_verdict
from ansible_collections.sre.runbooks.plugins.module_utils._runs.probe_changes import (
    STATES,
    by_weight,
    probe_changes,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import (
    REPORT_LIMIT,
    RunRecord,
    earlier_runs,
    left_out,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.service_objectives import judge
from ansible_collections.sre.runbooks.plugins.module_utils._runs.words import moment_text

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: How many runs back a report is looked for.
_LOOK_BACK = 50
#: A duration that differs by less says nothing.
_NOTABLE = 0.1
_UNREADABLE = "the former runs could not be read: nothing to compare with"


@dataclasses.dataclass
class Former:
    """What a run is compared with.

    :ivar previous: ``{run_id, finished, verdict, left_out, components, changes, probes}``, or None when there is none.
    :ivar problem: that nobody knows whether there is one, as the runs before could not be read.
    """

    previous: dict[str, t.Any] | None = None
    problem: str = ""


@dataclasses.dataclass
class _Wanted:
    """What is looked for in the runs before.

    :ivar names, asking, judging: the components, those whose probes are asked, and the objectives of this run.
    :ivar every: the components of the environment; empty where nobody knows. ``left_out`` are those that this run is not about.
    """

    names: set[str]
    asking: set[str]
    judging: set[str]
    every: t.Sequence[str]
    left_out: t.Sequence[str]

    def is_met_by(self, report: t.Mapping[str, t.Any]) -> bool:
        """Whether the verdict of this run can be compared with that run's: whole with whole, a part with what has it."""
        if self.left_out:
            return self.names <= _names(report)
        return not _left_out(report, self.every)


def compare_with_previous(
    repository: Repository | None,
    record: RunRecord,
    components: t.Sequence[t.Mapping[str, t.Any]],
    service_objectives: t.Sequence[t.Mapping[str, t.Any]] = (),
    verdict: str = "",
    every: t.Sequence[str] = (),
    missing: t.Sequence[str] = (),
    cut_off: bool = False,
) -> Former:
    """The run beside the newest before it whose verdict is comparable, or beside the newest where none is.

    A component that the run before was not about (``--limit``) is compared with the last one that was, and its probes with
    those of the last one that asked any, and an objective with the last one that judged it.

    :arg verdict: of this run; another one than before is a change even where nothing else is.
    :arg every: the components of the environment; empty where nobody knows.
    :arg missing: those of them that this run is not about.
    :arg cut_off: what it did not come to is no change.
    """
    wanted = _Wanted(
        names={item["name"] for item in components},
        asking={item["name"] for item in components if _asked(item)},
        judging={item["name"] for item in service_objectives},
        every=every,
        left_out=missing,
    )
    reports, readable = _previous_reports(repository, record, wanted) if repository is not None else ([], False)
    if not reports:
        return Former(problem="" if readable else _UNREADABLE)
    previous: t.Mapping[str, t.Any] = next((one for one in reports if wanted.is_met_by(one)), reports[0])
    before = {item["name"]: item for report in reversed(reports) for item in report["components"]}
    changes = [
        change
        for item in components
        for change in _changes(item, before.get(item["name"]), _last_asked(item["name"], reports))
    ]
    judged = [_objectives(report, missing) for report in reports]
    changes += objective_changes(service_objectives, [] if cut_off and not service_objectives else judged)
    probes: list[dict[str, t.Any]] = []
    for item in components:
        if item["name"] in before:
            found, said = _beside_last_asked(item, reports)
            probes += found
            # Another verdict says by itself that it was not looked at, or is not now.
            if said and (found or item["verdict"] == before[item["name"]]["verdict"]):
                changes.append(said)
    comparable = wanted.is_met_by(previous)
    was = _verdict_of_part(wanted, previous, before) if missing else previous["verdict"]
    alike = not any(is_of_another_window(item, service_objectives) for item in _objectives(previous))
    if verdict and verdict != was and not changes and not probes and comparable and alike:
        changes.append(f"{'these components' if missing else 'this runbook'}: {was} → {verdict}")
    compared: dict[str, t.Any] = {
        "run_id": previous["run_id"],
        "finished": previous["finished"],
        "verdict": was,
        # Of these its verdict says nothing.
        "left_out": list(missing) if comparable else sorted({*missing, *_left_out(previous, every)}),
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
    return Former(compared)


def _verdict_of_part(
    wanted: _Wanted, previous: t.Mapping[str, t.Any], before: t.Mapping[str, t.Mapping[str, t.Any]]
) -> str:
    """What the verdict before was of the components that this run is about."""
    newest = all(item["name"] in before and before[item["name"]] is item for item in previous["components"])
    if newest and _names(previous) == wanted.names:
        return str(previous["verdict"])
    judged = judge([item for item in _objectives(previous) if item["name"] in wanted.judging])
    verdicts = [before[name]["verdict"] for name in wanted.names if name in before] + ([judged[0]] if judged else [])
    return worst_verdict(verdicts)


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
    repository: Repository, record: RunRecord, wanted: _Wanted
) -> tuple[list[dict[str, t.Any]], bool]:
    """The report before, and those before it that are needed to have one that is comparable, to have seen each of the
    components, asked some of them, and judged each of the objectives; and whether they could be read."""
    found: list[dict[str, t.Any]] = []
    missing, unasked, unjudged = set(wanted.names), set(wanted.asking), set(wanted.judging)
    comparable = False
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
            seen = _names(report)
            fits = wanted.is_met_by(report)
            asked = {item["name"] for item in report["components"] if _asked(item)}
            judged = {item["name"] for item in _objectives(report) if was_evaluated(item)}
            if not found or (fits and not comparable) or missing & seen or unasked & asked or unjudged & judged:
                found.append(report)
            comparable = comparable or fits
            missing -= seen
            unasked -= asked
            unjudged -= judged
            if comparable and not missing and not unasked and not unjudged:
                break
    except (RunbookError, ValueError, RecursionError):
        return found, False
    return found, True


def _names(report: t.Mapping[str, t.Any]) -> set[str]:
    return {item["name"] for item in report["components"]}


def _left_out(report: t.Mapping[str, t.Any], every: t.Sequence[str]) -> list[str]:
    """What a run before was not about of all that there was then, or where it does not say that, of all that there is."""
    said = report.get("left_out")
    if said is None:
        names = _names(report)
        return left_out(every, names) if names else []
    return t.cast("list[str]", said)


def _objectives(report: t.Mapping[str, t.Any], missing: t.Sequence[str] = ()) -> list[dict[str, t.Any]]:
    """Without those of the components that are missing now."""
    given = t.cast("list[dict[str, t.Any]]", report.get("service_objectives") or [])
    return [item for item in given if item.get("component") not in missing]


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
        texts += report.get("left_out") or []
        outcomes = {probe["outcome"] for probe in probes}
    except (AttributeError, KeyError, TypeError):
        return False
    return (
        all(isinstance(text, str) for text in texts)
        and outcomes <= set(STATES)
        and all(number is None or (isinstance(number, (int, float)) and 0 <= number < 1e12) for number in numbers)
    )
