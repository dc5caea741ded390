# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers stopped and brought back on objects alone, whatever happens in between and however many hold them."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import stopping
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.consumer_declaration import declared_from
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import label_selector

SPECS: dict[str, dict[str, t.Any]] = {
    "Deployment": {"replicas": 3},
    "StatefulSet": {},  # the API means 1
    "ReplicaSet": {"replicas": 2},
    "CronJob": {"suspend": False},
    "DaemonSet": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}},
    "HorizontalPodAutoscaler": {"minReplicas": 0, "behavior": {"scaleUp": {"selectPolicy": "Min"}}},
    "ScaledObject": {},
}


def item(kind: str, **spec: t.Any) -> dict[str, t.Any]:
    metadata = {"name": "api", "namespace": "shop", "resourceVersion": "1", "annotations": {"own": "kept"}}
    return {"metadata": metadata, "spec": copy.deepcopy({**SPECS[kind], **spec})}


def merged(target: t.Any, patch: t.Any) -> t.Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def after(found: dict[str, t.Any], change: stopping.Change | None) -> dict[str, t.Any]:
    if change is None:
        return found
    # Only as it was read.
    assert change.patch["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
    result = t.cast("dict[str, t.Any]", merged(found, change.patch))
    result["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)
    return result


def content(found: dict[str, t.Any]) -> t.Any:
    """Without what a server counts."""
    metadata = {key: value for key, value in found["metadata"].items() if key != "resourceVersion"}
    return {**found, "metadata": metadata}


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_stopped_it_runs_nothing_and_comes_back_as_it_was(kind: str) -> None:
    original = item(kind)
    stopped = after(original, stopping.stop(kind, original, "db"))
    assert stopping.is_stopped(kind, stopped) and not stopping.is_stopped(kind, original)
    assert stopping.holders(stopped) == ["db"]
    assert stopping.stop(kind, stopped, "db") is None
    back = after(stopped, stopping.start(kind, stopped, "db"))
    expected = copy.deepcopy(original)
    if kind == "StatefulSet":
        expected["spec"]["replicas"] = 1
    assert content(back) == content(expected)
    assert stopping.start(kind, back, "db") is None


@pytest.mark.parametrize("kind", sorted(SPECS))
def test_two_components_hold_it_and_the_last_brings_it_back(kind: str) -> None:
    found = item(kind)
    for component in ("db", "queue", "db"):
        found = after(found, stopping.stop(kind, found, component))
    assert stopping.holders(found) == ["db", "queue"]
    found = after(found, stopping.start(kind, found, "db"))
    assert stopping.is_stopped(kind, found) and stopping.holders(found) == ["queue"]
    found = after(found, stopping.start(kind, found, "queue"))
    assert not stopping.is_stopped(kind, found)
    assert "annotations" not in found["metadata"] or set(found["metadata"]["annotations"]) <= {"own"}


@given(
    st.integers(1, 9),
    st.lists(st.sampled_from(["stop a", "stop b", "start a", "start b", "scaled by somebody"]), max_size=12),
)
def test_no_order_of_events_forgets_the_count(replicas: int, events: list[str]) -> None:
    """Whatever happens: when nobody holds it any more it runs what it ran last of anybody's will, and never 0."""
    found, wanted, held = item("Deployment", replicas=replicas), replicas, set()
    for event in events:
        if event == "scaled by somebody":
            wanted = wanted % 9 + 1
            found = merged(found, {"spec": {"replicas": wanted}})
            continue
        verb, component = event.split()
        plan = stopping.stop if verb == "stop" else stopping.start
        last = verb == "start" and held == {component}
        held = held | {component} if verb == "stop" else held - {component}
        remembered = stopping.former("Deployment", found)
        found = after(found, plan("Deployment", found, component))
        if verb == "stop":
            assert found["spec"]["replicas"] == 0
        elif last:
            wanted = int(remembered or 0)
            assert found["spec"]["replicas"] == wanted > 0
    assert set(stopping.holders(found)) == held
    assert stopping.former("Deployment", found) != "0"


def test_what_was_scaled_to_0_for_good_stays_so() -> None:
    found = item("Deployment", replicas=0)
    assert stopping.stop("Deployment", found, "db") is None
    assert stopping.start("Deployment", found, "db") is None
    assert stopping.stop("CronJob", item("CronJob", suspend=True), "db") is None


def test_somebody_scaled_it_up_meanwhile_and_it_is_stopped_again() -> None:
    found = item("Deployment")
    found = after(found, stopping.stop("Deployment", found, "db"))
    found["spec"]["replicas"] = 5
    change = stopping.stop("Deployment", found, "db")
    assert change and change.before == "5"
    assert stopping.former("Deployment", after(found, change)) == "5"


@pytest.mark.parametrize("text", ["0", "-1", "many", None])
def test_what_was_remembered_and_damaged_is_named_with_the_way_out(text: str | None) -> None:
    found = item("Deployment")
    found = after(found, stopping.stop("Deployment", found, "db"))
    found["metadata"]["annotations"]["sre.runbooks/former-replicas"] = text
    if text is None:
        del found["metadata"]["annotations"]["sre.runbooks/former-replicas"]
    with pytest.raises(InvalidInput, match="kubectl annotate deployments api --namespace shop"):
        stopping.start("Deployment", found, "db")


def test_only_an_autoscaler_that_scales_from_zero_is_touched() -> None:
    usual = item("HorizontalPodAutoscaler", minReplicas=1)
    assert stopping.stop("HorizontalPodAutoscaler", usual, "db") is None
    plain = item("HorizontalPodAutoscaler")
    del plain["spec"]["behavior"]
    stopped = after(plain, stopping.stop("HorizontalPodAutoscaler", plain, "db"))
    # The server fills in the rest of a behaviour; nothing of it may stay.
    stopped["spec"]["behavior"]["scaleDown"] = {"selectPolicy": "Max"}
    back = after(stopped, stopping.start("HorizontalPodAutoscaler", stopped, "db"))
    assert content(back) == content(plain)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("api", "not a mapping"),
        ({"kind": "Pod", "name": "a"}, "bad kind"),
        ({"name": "a"}, "bad kind"),
        ({"kind": "Deployment"}, "found: neither"),
        ({"kind": "Deployment", "name": "a", "selector": "b"}, "found: both"),
        ({"kind": "Deployment", "name": "a", "nmae": 1}, "found: nmae"),
        ({"kind": "Deployment", "name": "a"}, "no namespace"),
    ],
)
def test_bad_declarations(raw: t.Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refusal:
        declared_from(raw, 3, None)
    assert "consumer 3" in str(refusal.value)


def test_declarations() -> None:
    assert str(declared_from({"kind": "Deployment", "name": "a"}, 1, "shop")) == "Deployment shop/a"
    found = declared_from({"kind": "CronJob", "selector": "a=b", "namespace": "x", "required": False}, 1, "shop")
    assert (found.namespace, found.selector, found.required) == ("x", "a=b", False)


def test_selectors() -> None:
    expressions = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "x", "operator": "NotIn", "values": ["c"]},
        {"key": "y", "operator": "Exists"},
        {"key": "z", "operator": "DoesNotExist"},
    ]
    found = label_selector({"matchLabels": {"app": "web"}, "matchExpressions": expressions})
    assert found == "app=web,tier in (a,b),x notin (c),y,!z"
