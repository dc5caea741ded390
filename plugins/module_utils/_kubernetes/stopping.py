# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a consumer of a component is stopped and brought back: the changes to its object, and what it has to remember.

What it was before lies in annotations of the object itself, written in the same request that stops it, so that whoever
comes next finishes the work of a run that was killed. Several components can hold one consumer; it comes back when the
last of them lets it go. Nothing here talks to a server.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

Object = t.Mapping[str, t.Any]

#: The components, separated by commas, for which it is stopped.
STOPPED_FOR = "sre.runbooks/stopped-for"
#: A node label that no node has.
NOWHERE = "sre.runbooks/stopped"
_KEDA_PAUSED = "autoscaling.keda.sh/paused"


@dataclasses.dataclass(frozen=True)
class Way:
    """How one kind is stopped.

    :ivar remembered: the annotation that holds what it was before.
    :ivar running: what it is now, as text to remember; None when it is stopped.
    :ivar stopped: the change that stops it.
    :ivar back: the change that makes it what the text says. Raises ValueError for a text that says nothing.
    """

    remembered: str
    running: t.Callable[[Object], str | None]
    stopped: t.Callable[[], dict[str, t.Any]]
    back: t.Callable[[str], dict[str, t.Any]]


@dataclasses.dataclass(frozen=True)
class Change:
    """:ivar patch: a JSON merge patch, which only fits the object as it was read. :ivar after: what it then is."""

    patch: dict[str, t.Any]
    before: str
    after: str


def _replicas(item: Object) -> str | None:
    count = item["spec"].get("replicas", 1)
    return str(count) if count else None


def _scaled(text: str) -> dict[str, t.Any]:
    count = int(text)
    if count < 1:
        raise ValueError(text)
    return {"spec": {"replicas": count}}


def _resumed(text: str) -> dict[str, t.Any]:
    if text != "false":
        raise ValueError(text)
    return {"spec": {"suspend": False}}


def _somewhere(item: Object) -> str | None:
    return None if NOWHERE in (item["spec"]["template"]["spec"].get("nodeSelector") or {}) else "scheduled"


def _scheduled(value: str | None) -> dict[str, t.Any]:
    return {"spec": {"template": {"spec": {"nodeSelector": {NOWHERE: value}}}}}


def _scales_from_zero(item: Object) -> str | None:
    """Any other autoscaler leaves a target alone that is scaled to 0."""
    behavior = item["spec"].get("behavior") or {}
    if item["spec"].get("minReplicas", 1) != 0 or (behavior.get("scaleUp") or {}).get("selectPolicy") == "Disabled":
        return None
    return json.dumps(behavior, sort_keys=True)


def _scaling_again(text: str) -> dict[str, t.Any]:
    behavior = json.loads(text)
    if not isinstance(behavior, dict):
        raise ValueError(text)
    if not behavior:
        return {"spec": {"behavior": None}}
    up = behavior.get("scaleUp")
    return {"spec": {"behavior": {"scaleUp": {**up, "selectPolicy": up.get("selectPolicy")} if up else None}}}


def _paused(value: str | None) -> dict[str, t.Any]:
    return {"metadata": {"annotations": {_KEDA_PAUSED: value}}}


_BY_REPLICAS = Way("sre.runbooks/former-replicas", _replicas, lambda: {"spec": {"replicas": 0}}, _scaled)
WAYS: dict[str, Way] = {
    "Deployment": _BY_REPLICAS,
    "StatefulSet": _BY_REPLICAS,
    "ReplicaSet": _BY_REPLICAS,
    "CronJob": Way(
        "sre.runbooks/former-suspend",
        lambda item: None if item["spec"].get("suspend") else "false",
        lambda: {"spec": {"suspend": True}},
        _resumed,
    ),
    "DaemonSet": Way(
        "sre.runbooks/former-place", _somewhere, lambda: _scheduled("true"), lambda text: _scheduled(None)
    ),
    # What would scale a consumer up again.
    "HorizontalPodAutoscaler": Way(
        "sre.runbooks/former-behavior",
        _scales_from_zero,
        lambda: {"spec": {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}}},
        _scaling_again,
    ),
    "ScaledObject": Way(
        "sre.runbooks/former-paused",
        lambda item: None if (item["metadata"].get("annotations") or {}).get(_KEDA_PAUSED) == "true" else "false",
        lambda: _paused("true"),
        lambda text: _paused(None),
    ),
}
#: What can be declared as a consumer.
CONSUMER_KINDS = ("Deployment", "StatefulSet", "CronJob", "DaemonSet", "ReplicaSet")


def holders(item: Object) -> list[str]:
    """The components for which it is stopped."""
    text = str((item["metadata"].get("annotations") or {}).get(STOPPED_FOR, ""))
    return [name for name in text.split(",") if name]


def former(kind: str, item: Object) -> str | None:
    """What it was before it was stopped; None when nothing remembers."""
    found = (item["metadata"].get("annotations") or {}).get(WAYS[kind].remembered)
    return None if found is None else str(found)


def is_stopped(kind: str, item: Object) -> bool:
    """Whether it is told to run nothing."""
    return WAYS[kind].running(item) is None


def stop(kind: str, item: Object, component: str) -> Change | None:
    """The change that stops a consumer for a component; None when it is stopped, for this component or for good.

    What is stopped is never remembered as what it was before, so a second stop forgets nothing. What runs although it
    was stopped was started by somebody meanwhile, and that is what will be remembered.
    """
    way = WAYS[kind]
    running = way.running(item)
    held = holders(item)
    if running is None and (component in held or not held):
        return None
    annotations: dict[str, str | None] = {STOPPED_FOR: ",".join(sorted({*held, component}))}
    if running is None:
        return Change(_patch(item, annotations, {}), "stopped", "stopped")
    annotations[way.remembered] = running
    return Change(_patch(item, annotations, way.stopped()), running, "stopped")


def start(kind: str, item: Object, component: str) -> Change | None:
    """The change that lets a consumer go; None when it is not held for this component.

    It brings the consumer back unless another component still holds it.

    :raises InvalidInput: somebody changed what was remembered.
    """
    way = WAYS[kind]
    held = holders(item)
    if component not in held:
        return None
    rest = [name for name in held if name != component]
    before = way.running(item) or "stopped"
    if rest:
        return Change(_patch(item, {STOPPED_FOR: ",".join(rest)}, {}), before, before)
    text = former(kind, item)
    try:
        back = way.back(text or "")
    except ValueError:
        metadata = item["metadata"]
        resource, name, namespace = f"{kind.lower()}s", metadata["name"], metadata.get("namespace")
        raise InvalidInput(
            f"{kind} {namespace}/{name} does not say what it was before it was stopped",
            expected=f"the annotation {way.remembered}, as it was written",
            found=repr(text) if text is not None else "none",
            next_command=f"bring it back by hand, then: kubectl annotate {resource} {name} --namespace {namespace}"
            f" {STOPPED_FOR}- {way.remembered}-",
        ) from None
    return Change(_patch(item, {STOPPED_FOR: None, way.remembered: None}, back), before, t.cast(str, text))


def _patch(item: Object, annotations: t.Mapping[str, str | None], change: Object) -> dict[str, t.Any]:
    metadata = {"resourceVersion": item["metadata"]["resourceVersion"], **(change.get("metadata") or {})}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    return {**change, "metadata": metadata}
