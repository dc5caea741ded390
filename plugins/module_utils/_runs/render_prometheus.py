# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report as figures for Prometheus: valid both as its text format (textfile collector) and as OpenMetrics.

Every series carries environment and runbook, and what was not measured has no series: an absent figure is never 0.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import PROBE_OUTCOMES, VERDICTS
from ansible_collections.sre.runbooks.plugins.module_utils._runs.service_objectives import OUTCOMES

_PREFIX = "sre_runbooks_"
#: Name → help, in the order in which they are written. All of them are gauges.
_HELP = {
    "run_verdict": "1 for the verdict of the newest run, 0 for the others.",
    "run_finished_timestamp_seconds": "When the newest run ended.",
    "run_duration_seconds": "How long it took.",
    "component_verdict": "1 for the verdict on the component, 0 for the others.",
    "component_rpo_target_seconds": "Loss of data that is allowed.",
    "component_rpo_seconds": "Loss of data that was measured.",
    "component_rto_target_seconds": "Time for recovery that is allowed.",
    "component_rto_seconds": "Time for recovery that was measured.",
    "probe_success": "1 when the probe was ok or warned, 0 when it failed or could not be asked.",
    "probe_duration_seconds": "How long the last attempt of the probe took.",
    "probes": "Probes of the component by outcome.",
    "probes_disabled": "Probes of the component that are left out on purpose.",
    "objective_outcome": "1 for the outcome of the objective, 0 for the others.",
    "objective_sli": "Service level indicator over the window of the objective.",
    "objective_target": "What the indicator has to reach or to stay below.",
    "objective_error_budget_left_ratio": "Part of the error budget that is left; negative when it is overspent.",
    "objective_coverage_ratio": "Part of the window that there are data for.",
    "objective_burn_rate": "How many times faster than allowed the budget is spent, over the longer window of a pair.",
}
_SAMPLE = re.compile(rf"{_PREFIX}([a-z_]+)\{{(.*)\}} \S+")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class _Figures:
    """Samples by metric; those of one metric have to stand together."""

    def __init__(self, report: t.Mapping[str, t.Any]) -> None:
        self._samples: dict[str, list[str]] = {}
        self._common = _labels({"environment": report["environment"], "runbook": report["runbook"]})
        self._seen: dict[str, int] = {}

    def add(self, metric: str, value: float | None, **labels: str) -> None:
        if value is not None:
            labelled = ",".join(part for part in (self._common, _labels(labels)) if part)
            self._samples.setdefault(metric, []).append(f"{_PREFIX}{metric}{{{labelled}}} {_number(value)}")

    def unique(self, name: str, *place: str) -> str:
        """A name for a label: a second one in the same place gets a number, as no series may be there twice."""
        key = "\0".join((*place, name))
        self._seen[key] = count = self._seen.get(key, 0) + 1
        return name if count == 1 else f"{name} ({count})"

    def written(self) -> str:
        return _written(self._samples)


def render_prometheus(report: t.Mapping[str, t.Any]) -> str:
    figures = _Figures(report)
    for verdict in VERDICTS:
        figures.add("run_verdict", float(report["verdict"] == verdict), verdict=verdict)
    figures.add("run_finished_timestamp_seconds", parse_time(report["finished"]).timestamp())
    figures.add("run_duration_seconds", report["duration_s"])
    for component in report["components"]:
        _component(figures, component)
    for item in report["service_objectives"]:
        _objective(figures, item)
    return figures.written()


def with_former_figures(report: t.Mapping[str, t.Any], former: str) -> str:
    """The figures of a run of some components, with those of the run and of the other components as they were.

    :arg former: what is there; empty for nothing.
    """
    own = [(metric, labels, line) for metric, labels, line in _read(render_prometheus(report)) if _is_of_part(metric)]
    objectives = {labels["objective"] for _metric, labels, _line in own if "objective" in labels}
    others = {_escaped(name) for name in report["left_out"]}
    common = {name: _escaped(report[name]) for name in ("environment", "runbook")}
    samples: dict[str, list[str]] = {}
    for metric, labels, line in _read(former):
        component = labels.get("component")
        kept = component in others or (component == "" and labels.get("objective") not in objectives)
        if common.items() <= labels.items() and (kept or not _is_of_part(metric)):
            samples.setdefault(metric, []).append(line)
    for metric, _labels_of, line in own:
        samples.setdefault(metric, []).append(line)
    return _written(samples)


def _is_of_part(metric: str) -> bool:
    """Whether it is about a component or an objective, and not about the run."""
    return not metric.startswith("run_")


def _read(figures: str) -> t.Iterator[tuple[str, dict[str, str], str]]:
    """Metric, labels as they are escaped, and line of each of our samples."""
    for line in figures.split("\n"):
        sample = _SAMPLE.fullmatch(line)
        if sample is not None:
            yield sample[1], dict(_LABEL.findall(sample[2])), line


def _written(samples: t.Mapping[str, t.Sequence[str]]) -> str:
    lines = []
    for metric, text in _HELP.items():
        if metric in samples:
            lines += [f"# HELP {_PREFIX}{metric} {text}", f"# TYPE {_PREFIX}{metric} gauge", *samples[metric]]
    return "\n".join([*lines, "# EOF", ""])


def _component(figures: _Figures, component: t.Mapping[str, t.Any]) -> None:
    name = figures.unique(component["name"])
    for verdict in VERDICTS:
        figures.add("component_verdict", float(component["verdict"] == verdict), component=name, verdict=verdict)
    for objective in ("rpo", "rto"):
        figures.add(f"component_{objective}_target_seconds", component[objective]["target_s"], component=name)
        figures.add(f"component_{objective}_seconds", component[objective]["measured_s"], component=name)
    for probe in component["probes"]:
        labels = {
            "component": name,
            "probe": figures.unique(probe["name"], name),
            "kind": probe["kind"],
            "critical": "true" if probe["critical"] else "false",
        }
        figures.add("probe_success", float(probe["outcome"] in ("ok", "warning")), **labels)
        figures.add("probe_duration_seconds", probe["duration_s"], **labels)
    outcomes = [probe["outcome"] for probe in component["probes"]]
    for outcome in PROBE_OUTCOMES if outcomes else ():
        figures.add("probes", outcomes.count(outcome), component=name, outcome=outcome)
    disabled = component.get("probes_disabled", {})
    if disabled:
        figures.add("probes_disabled", len(disabled), component=name)


def _objective(figures: _Figures, item: t.Mapping[str, t.Any]) -> None:
    labels = {"objective": item["name"], "service": item["service"], "component": item["component"]}
    for outcome in OUTCOMES:
        figures.add("objective_outcome", float(item["outcome"] == outcome), **labels, outcome=outcome)
    figures.add("objective_sli", item["sli"], **labels)
    figures.add("objective_target", item["target"], **labels)
    figures.add("objective_coverage_ratio", item["coverage"], **labels)
    if item["budget"]:
        figures.add("objective_error_budget_left_ratio", item["budget"]["left"], **labels)
    for rate in {rate["long_s"]: rate for rate in item["burn_rates"] if rate["long_s"] is not None}.values():
        figures.add("objective_burn_rate", rate["long"], **labels, window_seconds=_number(rate["long_s"]))


def _labels(labels: t.Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(text: str) -> str:
    # A lone surrogate is no UTF-8, which both formats are.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
