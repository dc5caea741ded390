# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Definitions are read whole or refused by the name of what is wrong in them."""

from __future__ import annotations

import copy
import re
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import define, shortened
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.selection import Refusal, choose, define_all
from tests.conftest import ROOT

RATIO: dict[str, t.Any] = {
    "apiVersion": "openslo/v1",
    "kind": "SLO",
    "metadata": {
        "name": "api_availability",
        "labels": {"component": ["flights_api"], "kind": "availability"},
        "annotations": {"sre.runbooks/minimum_coverage": "0.9", "sre.runbooks/minimum_series": 2},
    },
    "spec": {
        "description": "Requests succeed",
        "service": "flights",
        "indicator": {
            "metadata": {"name": "requests"},
            "spec": {
                "ratioMetric": {
                    "counter": True,
                    "good": {"metricSource": {"type": "Prometheus", "spec": {"query": 'r_total{code!~"5.{2}"}'}}},
                    "total": "r_total",
                }
            },
        },
        "timeWindow": [{"duration": "4w", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"displayName": "nearly all", "target": 0.9995}],
    },
}
THRESHOLD: dict[str, t.Any] = {
    "metadata": {"name": "api_throughput"},
    "spec": {
        "service": "flights",
        "indicator": {"spec": {"thresholdMetric": "sum(rate(r_total[5m])) * 60"}},
        "timeWindow": [{"duration": "7d"}],
        "budgetingMethod": "Timeslices",
        "objectives": [
            {"op": "gte", "value": "45", "targetPercent": 99, "timeSliceTarget": 1, "timeSliceWindow": "5m"}
        ],
    },
}


def changed(document: dict[str, t.Any], path: str, value: t.Any) -> dict[str, t.Any]:
    """A copy with one place set, or removed where the value is ``...``."""
    result = copy.deepcopy(document)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: t.Any = result
    for step in steps:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return result


def test_a_ratio_as_openslo_writes_it() -> None:
    objective = define(RATIO)
    assert (objective.name, objective.component, objective.kind) == ("api_availability", "flights_api", "availability")
    assert objective.queries == ('r_total{code!~"5.{2}"}', "r_total")
    assert (objective.target, objective.window_s, objective.slice_s) == (0.9995, 28 * 86400, None)
    assert (objective.minimum_coverage, objective.minimum_series, objective.counter) == (0.9, 2, True)


def test_a_threshold_in_time_slices() -> None:
    objective = define(THRESHOLD)
    assert (objective.threshold, objective.operator, objective.value) == ("sum(rate(r_total[5m])) * 60", "gte", 45)
    assert (objective.target, objective.slice_s, objective.slice_target) == (0.99, 300, 1)
    assert (objective.kind, objective.component) == ("threshold", None)
    assert shortened(objective, 600).window_s == 600
    with pytest.raises(InvalidInput, match="at least two of its time slices"):
        shortened(objective, 500)


INDICATOR = "spec.indicator.spec"
TARGET = "spec.objectives.0"


@pytest.mark.parametrize(
    ("document", "path", "value", "message"),
    [
        (RATIO, "metadata.name", ..., "objective 1: bad metadata.name; expected: a text; found: nothing"),
        (RATIO, "metadata.name", "Not a name", "small letters"),
        (RATIO, "kind", "Service", "bad kind; expected: SLO"),
        (RATIO, "apiVersion", "openslo/v2alpha1", "bad apiVersion"),
        (RATIO, "metadata.labels.kind", "speed", "one of availability, latency"),
        (RATIO, "spec.servce", "x", "did you mean service?"),
        (RATIO, "spec.alertPolicies", [], "bad spec.alertPolicies"),
        (RATIO, "spec.service", ..., "bad spec.service"),
        (RATIO, "spec.timeWindow.0.duration", "1M", "such as 30d, 4w, 1h or 1m (minutes)"),
        (RATIO, "spec.timeWindow.0.duration", 3600, "such as 30d"),
        (RATIO, "spec.timeWindow.0.duration", "5s", "from 1m to 400d"),
        (RATIO, "spec.timeWindow.0.isRolling", False, "windows of the calendar are not supported"),
        (RATIO, "spec.timeWindow", [], "bad spec.timeWindow; expected: a list of one mapping"),
        (RATIO, "spec.objectives", [{"target": 0.9}, {"target": 0.99}], "a list of one mapping"),
        (RATIO, f"{TARGET}.target", 1, "more than 0 and less than 1"),
        (RATIO, f"{TARGET}.target", "most", "a number"),
        (RATIO, f"{TARGET}.target", float("nan"), "a number"),
        (RATIO, f"{TARGET}.targetPercent", 99, "either target or targetPercent"),
        (RATIO, f"{TARGET}.timeSliceTarget", 0.9, "where occurrences are counted"),
        (RATIO, f"{TARGET}.op", "lte", "nothing, for a ratio"),
        (RATIO, "spec.budgetingMethod", "RatioTimeslices", "Occurrences or Timeslices"),
        (RATIO, f"{INDICATOR}.thresholdMetric", "x", "either ratioMetric or thresholdMetric"),
        (RATIO, f"{INDICATOR}.ratioMetric.bad", "x", "total, and either good or bad"),
        (RATIO, f"{INDICATOR}.ratioMetric.total", ..., "total, and either good or bad"),
        (RATIO, f"{INDICATOR}.ratioMetric.total", "sum(r_total)", "a sum hides that one of them began anew"),
        (RATIO, f"{INDICATOR}.ratioMetric.total", "rate(r_total[5m])", "a selector of counters"),
        (RATIO, f"{INDICATOR}.ratioMetric.total", 'r_total{a="b"} or x', "a selector of counters"),
        (RATIO, f"{INDICATOR}.ratioMetric.good.metricSource.type", "Datadog", "expected: Prometheus"),
        (RATIO, f"{INDICATOR}.ratioMetric.good.metricSource.spec.query", " ", "a text"),
        (RATIO, f"{INDICATOR}.ratioMetric.total", "r_total offset 5m", 'without the modifier "offset"'),
        (
            RATIO,
            f"{INDICATOR}.ratioMetric.good.metricSource.spec.query",
            "r_total @ 5",
            "spec.query; expected: a query without",
        ),
        (THRESHOLD, f"{INDICATOR}.thresholdMetric", "sum(rate(r_total[5m] offset 1h))", "take it out"),
        (THRESHOLD, f"{INDICATOR}.thresholdMetric", "sum(r_total) or vector(50)", "without vector(…)"),
        (THRESHOLD, f"{INDICATOR}.thresholdMetric", "50", "names series"),
        (THRESHOLD, f"{INDICATOR}.thresholdMetric", "sum(r_total) > 40", "use op and value"),
        (THRESHOLD, f"{TARGET}.op", "eq", "one of lte, lt, gte, gt"),
        (THRESHOLD, f"{TARGET}.value", ..., "bad spec.objectives[0].value"),
        (THRESHOLD, f"{TARGET}.timeSliceWindow", "4d", "2 to 43200 slices a window"),
        (THRESHOLD, f"{TARGET}.timeSliceWindow", "1.5s", "whole seconds"),
        (THRESHOLD, f"{TARGET}.timeSliceTarget", 1.1, "at most 1"),
        (THRESHOLD, f"{TARGET}.timeSliceTarget", 95, "did you mean 0.95?"),
        (THRESHOLD, f"{TARGET}.targetPercent", 0.9995, "did you mean target: 0.9995?"),
        (THRESHOLD, f"{TARGET}.targetPercent", 1, "more than 1 and less than 100; found: 1"),
        (THRESHOLD, f"{TARGET}.targetPercent", 100, "more than 1 and less than 100; found: 100"),
        (RATIO, f"{TARGET}.target", 99.95, "did you mean targetPercent: 99.95?"),
        (RATIO, f"{TARGET}.target", 250, "more than 0 and less than 1; found: 250"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, t.Any], path: str, value: t.Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        define(changed(document, path, value))
    assert message in str(caught.value)
    assert "docs/objectives.md" in str(caught.value)


def test_percents_that_are_low() -> None:
    assert define(changed(THRESHOLD, f"{TARGET}.targetPercent", "1.5")).target == 0.015
    # Who asks for so little has to write it as a ratio.
    little = changed(changed(THRESHOLD, f"{TARGET}.targetPercent", ...), f"{TARGET}.target", 0.005)
    assert define(little).target == 0.005


def keys_of(value: t.Any, path: tuple[str, ...] = ()) -> t.Iterator[tuple[str, ...]]:
    """The path of every key, at every depth."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict):
            yield (*path, str(key))
        yield from keys_of(inner, (*path, str(key)))


EVERY_KEY = [(document, path) for document in (RATIO, THRESHOLD) for path in keys_of(document)]


@st.composite
def misspelt(draw: st.DrawFn, word: str) -> str:
    """One letter too few, too many, another, or two in the wrong order; of an annotation in the part that is its name."""
    place = draw(st.integers(word.rfind("/") + 1, len(word) - 2))
    letter = draw(st.sampled_from("aesx_"))
    before, here, after = word[:place], word[place : place + 2], word[place + 2 :]
    wrong = draw(st.sampled_from([here[1:], here[0] + letter + here[1], letter + here[1], here[::-1]]))
    hypothesis.assume(wrong != here)
    return before + wrong + after


@pytest.mark.parametrize(("document", "path"), EVERY_KEY, ids=[".".join(path) for _, path in EVERY_KEY])
@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=20)
def test_a_misspelt_key_is_refused_at_every_depth(
    document: dict[str, t.Any], path: tuple[str, ...], data: st.DataObject
) -> None:
    wrong = data.draw(misspelt(path[-1]))
    result = copy.deepcopy(document)
    place: t.Any = result
    for step in path[:-1]:
        place = place[int(step)] if isinstance(place, list) else place[step]
    hypothesis.assume(wrong not in place)
    place[wrong] = place.pop(path[-1])
    with pytest.raises(InvalidInput) as caught:
        define(result)
    assert wrong in caught.value.message


@pytest.mark.parametrize("document", [RATIO, THRESHOLD], ids=["ratio", "threshold"])
def test_an_unknown_key_is_refused_at_every_depth(document: dict[str, t.Any]) -> None:
    places = {path[:-1] for path in keys_of(document)} - {("metadata", "labels"), ("metadata", "annotations")}
    assert len(places) >= 6
    for path in places:
        with pytest.raises(InvalidInput, match="unheard_of"):
            define(changed(document, ".".join((*path, "unheard_of")), "x"))


@pytest.mark.parametrize(
    ("place", "key", "hint"),
    [
        ("annotations", "sre.runbooks/minimum_coverge", "did you mean sre.runbooks/minimum_coverage?"),
        ("annotations", "sre.runbook/minimum_series", "did you mean sre.runbooks/minimum_series?"),
        ("annotations", "minimum_series", "did you mean sre.runbooks/minimum_series?"),
        (
            "annotations",
            "sre.runbooks/owner",
            "of ours, sre.runbooks/minimum_coverage and sre.runbooks/minimum_series;",
        ),
        ("labels", "sre.runbooks/minimum_series", "of ours, component and kind;"),
        ("annotations", "SRE.runbooks/minimum_seres", "did you mean sre.runbooks/minimum_series?"),
        ("labels", "Component", "did you mean component?"),
        ("labels", "compnent", "did you mean component?"),
        ("labels", "kinds", "did you mean kind?"),
    ],
)
def test_a_key_that_was_meant_to_be_one_of_ours(place: str, key: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        define(changed(RATIO, f"metadata.{place}", {key: "1"}))
    assert hint in str(caught.value) and caught.value.message.endswith(f"bad metadata.{place}[{key}]")


def test_what_others_write_beside_ours_is_left_alone() -> None:
    labels = {"component": "flights_api", "component_id": "7", "team": ["a", "b"], "app.kubernetes.io/component": "x"}
    annotations = {"example.com/owner": "x", "other.example/minimum_coverage": "0.1"}
    objective = define(changed(changed(RATIO, "metadata.labels", labels), "metadata.annotations", annotations))
    assert (objective.component, objective.minimum_coverage, objective.minimum_series) == ("flights_api", None, 1)


@pytest.mark.parametrize("component", [["flights_api", "flights_db"], {"name": "flights_api"}])
def test_an_objective_is_about_one_component(component: t.Any) -> None:
    with pytest.raises(InvalidInput, match=r"metadata\.labels\.component; expected: a text, or a list of one"):
        define(changed(RATIO, "metadata.labels.component", component))


@pytest.mark.parametrize("part", ["good", "bad"])
def test_values_added_up_are_of_their_window_too(part: str) -> None:
    """Where queries are no counters, they are not bound to be selectors."""
    for key, other in ((part, "total"), ("total", part)):
        ratio = {"counter": False, key: "sum(rate(r_total[5m] offset 1h))", other: "sum(rate(r_total[5m]))"}
        with pytest.raises(InvalidInput, match=rf"ratioMetric\.{key}; .*offset"):
            define(changed(RATIO, f"{INDICATOR}.ratioMetric", ratio))


@pytest.mark.parametrize("coverage", [0, 1.5, "much"])
def test_a_coverage_that_is_none(coverage: t.Any) -> None:
    document = changed(RATIO, "metadata.annotations", {"sre.runbooks/minimum_coverage": coverage})
    with pytest.raises(InvalidInput, match="minimum_coverage"):
        define(document)


def test_two_of_one_name_and_what_is_no_mapping() -> None:
    with pytest.raises(InvalidInput, match="objective api_availability: objectives share this name"):
        define_all([RATIO, RATIO])
    with pytest.raises(InvalidInput, match=r"^objective 2: bad document"):
        define_all([RATIO, "api"])


def test_every_bad_definition_is_named_at_once() -> None:
    bad = [changed(RATIO, "spec.servce", "x"), {}, changed(THRESHOLD, f"{TARGET}.value", "much")]
    with pytest.raises(InvalidInput) as caught:
        define_all([*bad, changed(RATIO, "metadata.name", "good")])
    said = str(caught.value)
    assert said.startswith("3 objectives are badly defined; expected: ")
    for part in (
        "api_availability: bad spec.servce (",
        "did you mean service?",
        "objective 2: bad metadata (",
        "api_throughput: bad spec.objectives[0].value (expected: a number, found: 'much')",
        "next: mend them in the variable objectives of the inventory (docs/objectives.md), then: the same command",
    ):
        assert part in said
    assert "good" not in said


def test_a_bad_definition_keeps_no_other_from_being_judged() -> None:
    entries = choose([{}, RATIO, changed(THRESHOLD, "spec.service", ...)]).entries
    assert [entry.name for entry in entries] == ["objective 1", "api_availability", "api_throughput"]
    assert [isinstance(entry, Refusal) for entry in entries] == [True, False, True]
    (twice,) = choose([RATIO, changed(RATIO, "spec.service", "other")]).entries
    assert isinstance(twice, Refusal) and twice.error.found == "2 of them"


def test_what_is_asked_for_and_is_not_there() -> None:
    entries = choose([RATIO, THRESHOLD], only=["api_availabilty", "api_throughput"]).entries
    assert [entry.name for entry in entries] == ["api_throughput", "api_availabilty"]
    assert isinstance(entries[1], Refusal)
    assert entries[1].error.expected == "one of api_availability, api_throughput, did you mean api_availability?"
    assert "objectives_only" in str(entries[1].error)
    (nothing,) = choose([], only=["x"]).entries
    assert isinstance(nothing, Refusal)


def test_components_that_there_are_not_and_those_outside_of_the_limit() -> None:
    other = changed(changed(RATIO, "metadata.name", "other"), "metadata.labels.component", "flights_db")
    misspelt = changed(changed(RATIO, "metadata.name", "misspelt"), "metadata.labels.component", "flights_app")
    documents, components = [RATIO, THRESHOLD, other, misspelt], ["flights_api", "flights_db"]
    every = choose(documents, components=components)
    assert [entry.name for entry in every.entries if isinstance(entry, Refusal)] == ["misspelt"] and not every.left_out
    refused = every.entries[3]
    assert isinstance(refused, Refusal) and refused.component == "flights_app"
    assert "did you mean flights_api?" in str(refused.error) and "metadata.labels.component" in str(refused.error)
    limited = choose(documents, components=components, limit=["flights_api"])
    # What is about no component is about all of them; and whose a misspelt one is, nobody knows.
    assert [entry.name for entry in limited.entries] == ["api_availability", "api_throughput", "misspelt"]
    assert limited.left_out == [{"name": "other", "component": "flights_db"}]
    assert not any(isinstance(entry, Refusal) for entry in choose(documents).entries)


def test_a_window_that_does_not_suit_one_of_them() -> None:
    first, second = choose([RATIO, THRESHOLD], window=300).entries
    assert not isinstance(first, Refusal) and first.window_s == 300
    assert isinstance(second, Refusal) and second.error.message == "it cannot be judged over this window"
    assert "time slices of 5 m 00 s" in str(second.error) and "objectives_window" in str(second.error)


@pytest.mark.parametrize("environment", ["local", "production", "staging"])
def test_the_objectives_of_the_inventories_are_well_defined(environment: str) -> None:
    path = ROOT / "inventories" / environment / "group_vars" / "all.yml"
    variables = yaml.safe_load(path.read_text(encoding="utf-8"))
    objectives = define_all(variables["local_environment_objectives" if environment == "local" else "objectives"])
    assert [objective.kind for objective in objectives] == ["availability", "latency", "throughput"]


def test_the_objectives_of_the_documentation_are_well_defined() -> None:
    page = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(objectives:.*?)```", page, re.DOTALL)
    assert len(define_all(yaml.safe_load(block)["objectives"])) == 3
