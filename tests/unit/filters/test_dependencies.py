# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dependency order and waves, and the filters over them."""

from __future__ import annotations

import itertools
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.component_waves import component_waves
from ansible_collections.sre.runbooks.plugins.filter.dependency_order import dependency_order
from ansible_collections.sre.runbooks.plugins.filter.dependency_waves import dependency_waves
from ansible_collections.sre.runbooks.plugins.filter.duration_seconds import duration_seconds
from ansible_collections.sre.runbooks.plugins.filter.duration_text import duration_text

NAMES = st.sampled_from([f"c{number}" for number in range(9)])


@st.composite
def acyclic(draw: t.Callable[..., t.Any]) -> dict[str, dict[str, list[str]]]:
    names = draw(st.lists(NAMES, unique=True))
    return {
        name: {"depends_on": draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []}
        for place, name in enumerate(names)
    }


@hypothesis.given(acyclic())
def test_what_is_needed_comes_before(components: dict[str, dict[str, list[str]]]) -> None:
    order = dependency_order(components)
    assert sorted(order) == sorted(components)
    for name, component in components.items():
        assert all(order.index(needed) < order.index(name) for needed in component["depends_on"])


@hypothesis.given(acyclic())
def test_waves_are_earliest(components: dict[str, dict[str, list[str]]]) -> None:
    waves = dependency_waves(components)
    assert [name for wave in waves for name in wave] == dependency_order(components)
    place = {name: number for number, wave in enumerate(waves) for name in wave}
    for name, component in components.items():
        assert place[name] == max((place[needed] + 1 for needed in component["depends_on"]), default=0)


@hypothesis.given(st.dictionaries(NAMES, st.lists(NAMES)))
def test_every_graph_is_ordered_or_its_fault_is_real(graph: dict[str, list[str]]) -> None:
    try:
        dependency_order(graph)
    except AnsibleFilterError as error:
        text = str(error)
        if "circle" in text:
            circle = text.split("found: ")[1].split(";")[0].split(" → ")
            assert circle[0] == circle[-1] and len(set(circle)) == len(circle) - 1
            assert all(after in graph[before] for before, after in itertools.pairwise(circle))
        else:
            unknown = text.split("found: ")[1].split(";")[0].split(", ")
            assert unknown and not set(unknown) & set(graph)


def test_cycle_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="a → b → c → a"):
        dependency_order({"z": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]})


def test_cycle_is_named_the_same_however_it_is_found() -> None:
    with pytest.raises(AnsibleFilterError, match="found: b → c → b"):
        dependency_order({"a": ["c"], "c": ["b"], "b": ["c"]})


def test_itself_is_a_cycle() -> None:
    with pytest.raises(AnsibleFilterError, match="a → a"):
        dependency_order({"a": ["a"]})


def test_unknown_is_named_with_its_component() -> None:
    with pytest.raises(AnsibleFilterError, match="flights_api: depends on flights_dp, which is not a component"):
        dependency_waves({"flights_api": {"depends_on": ["flights_dp"]}, "flights_db": {}})


def test_text_is_not_a_list() -> None:
    with pytest.raises(AnsibleFilterError, match="not a list"):
        dependency_order({"a": {"depends_on": "b"}, "b": {}})


@pytest.mark.parametrize("wrong", [[], "a", 1, None])
def test_not_a_mapping(wrong: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="needs a mapping"):
        dependency_order(wrong)


def test_waves_of_hosts() -> None:
    hostvars: dict[str, t.Any] = {
        "api": {"component_depends_on": ["db"]},
        "db": {},
        "other": {"component_depends_on": ["x"]},
    }
    assert component_waves(hostvars, ["api", "db"]) == [["db"], ["api"]]
    assert component_waves(hostvars, []) == []
    with pytest.raises(AnsibleFilterError, match="which is not a component"):
        component_waves(hostvars, ["api"])
    with pytest.raises(AnsibleFilterError, match="not a host"):
        component_waves(hostvars, ["nowhere"])


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90), ("90", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172800), ("1w", 604800), (0.5, 0.5)],
)
def test_duration_seconds(given: t.Any, seconds: float) -> None:
    assert duration_seconds(given) == seconds


@pytest.mark.parametrize("wrong", ["", "soon", "-1", None, True, "1x", [], float("nan"), -3])
def test_not_a_duration(wrong: t.Any) -> None:
    for read in (duration_seconds, duration_text):
        with pytest.raises(AnsibleFilterError, match="not a duration"):
            read(wrong)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, "0 s"),
        (0.012, "12 ms"),
        (0.4, "0.4 s"),
        (7.0, "7 s"),
        (185, "3 m 05 s"),
        ("5m", "5 m"),
        ("24h", "1 d"),
        ("1h30m", "1 h 30 m"),
        ("100m", "1 h 40 m"),
        ("28h", "1 d 04 h"),
    ],
)
def test_duration_text(given: t.Any, text: str) -> None:
    assert duration_text(given) == text


@hypothesis.given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_duration_text_of_anything(seconds: float) -> None:
    assert duration_text(seconds).split()[-1] in ("ms", "s", "m", "h", "d")
