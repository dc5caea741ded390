# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No difference exactly when both say the same, and every difference with the path of its field."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.compare import ABSENT, differences, is_free_form

_KEYS = st.sampled_from(["name", "image", "spec", "data", "a.b/c", "port", "protocol", "items", "labels"])
_SCALARS = st.one_of(st.booleans(), st.integers(0, 3), st.sampled_from(["", "web", "TCP"]))
_VALUES = st.recursive(
    _SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(_KEYS, below, max_size=3)),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=4)


def deployment(**container: t.Any) -> dict[str, t.Any]:
    web = {
        "name": "web",
        "image": "web:1",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        **container,
    }
    return {"spec": {"replicas": 2, "template": {"spec": {"containers": [web, {"name": "log", "image": "log:1"}]}}}}


def equal(one: t.Any, other: t.Any) -> bool:
    """Equality that tells True from 1."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@given(_OBJECTS, _OBJECTS)
def test_no_difference_exactly_when_equal(one: dict[str, t.Any], other: dict[str, t.Any]) -> None:
    assert differences(one, copy.deepcopy(one)) == []
    assert (differences(one, other) == []) is equal(one, other)


@given(_OBJECTS, _OBJECTS)
def test_what_one_side_lacks_the_other_has(one: dict[str, t.Any], other: dict[str, t.Any]) -> None:
    forwards = {item.path for item in differences(one, other) if item.added}
    backwards = {item.path for item in differences(other, one) if item.live is ABSENT}
    assert forwards == backwards


def test_a_changed_item_is_one_difference() -> None:
    (found,) = differences(deployment(), deployment(image="web:2"))
    assert found.path == "spec.template.spec.containers[name=web].image"
    assert (found.desired, found.live, found.added) == ("web:1", "web:2", False)
    assert found.keys == ("spec", "template", "spec", "containers", 0, "image")


def test_an_item_in_front_does_not_shift_the_others() -> None:
    live = deployment()
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "sidecar", "image": "x"})
    (found,) = differences(deployment(), live)
    assert found.path == "spec.template.spec.containers[name=sidecar]" and found.added
    (lost,) = differences(live, deployment())
    assert lost.live is ABSENT


def test_order_counts() -> None:
    live = deployment(env=[{"name": "B", "value": "2"}, {"name": "A", "value": "1"}])
    (found,) = differences(deployment(), live)
    assert found.path == "spec.template.spec.containers[name=web].env (order)"
    assert found.desired == ["A", "B"]


@pytest.mark.parametrize(
    "desired, live",
    [
        ({"metadata": {"annotations": {}}}, {"metadata": {}}),
        ({"metadata": {"creationTimestamp": None}}, {"metadata": {}}),
        ({"metadata": {"finalizers": ["a", "b"]}}, {"metadata": {"finalizers": ["b", "a"]}}),
        ({"ports": [{"port": 80, "protocol": "TCP"}]}, {"ports": [{"port": 80, "protocol": "TCP"}]}),
    ],
)
def test_what_is_the_same_to_the_server(desired: dict[str, t.Any], live: dict[str, t.Any]) -> None:
    assert differences(desired, live) == []


@pytest.mark.parametrize(
    "desired, live, path",
    [
        ({"a": 1}, {"a": True}, "a"),
        ({"a": "1"}, {"a": 1}, "a"),
        ({"spec": {"emptyDir": {}}}, {"spec": {}}, "spec.emptyDir"),
        ({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}, {"metadata": {}}, "metadata.labels"),
        ({"data": {"a.b": "x"}}, {"data": {"a.b": "y"}}, "data[a.b]"),
        ({"verbs": ["get", "list"]}, {"verbs": ["get"]}, "verbs[1]"),
    ],
)
def test_what_is_not(desired: dict[str, t.Any], live: dict[str, t.Any], path: str) -> None:
    assert [item.path for item in differences(desired, live)] == [path]


def test_free_form_maps_have_no_defaults() -> None:
    (found,) = differences({"data": {}}, {"data": {"b": "2"}})
    assert found.added and is_free_form(found)
    (other,) = differences({"spec": {}}, {"spec": {"dnsPolicy": "ClusterFirst"}})
    assert other.added and not is_free_form(other)


def test_no_secret_in_facts() -> None:
    desired = {
        "data": {"password": "aHVudGVyMg=="},
        "metadata": {"annotations": {"note": "hunter2"}, "labels": {"a": "b"}},
    }
    live = {"data": {"password": "b2xk"}, "metadata": {"annotations": {"note": "old"}, "labels": {"a": "c"}}}
    told = str([item.facts(hidden=True) for item in differences(desired, live)])
    assert "hunter2" not in told and "aHVudGVyMg" not in told and "b2xk" not in told
    assert "data.password" in told and "'desired': 'b'" in told


def test_a_copy_of_the_whole_object_is_not_shown() -> None:
    name = "kubectl.kubernetes.io/last-applied-configuration"
    (found,) = differences({"metadata": {"annotations": {name: "hunter2"}}}, {"metadata": {"annotations": {name: "x"}}})
    assert found.facts()["desired"] == "(hidden)"


def test_long_values_are_cut() -> None:
    (found,) = differences({"data": {"a": "x" * 1000}}, {"data": {"a": "y"}})
    assert len(found.facts()["desired"]) < 260
