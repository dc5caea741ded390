# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pod is meant: one by name, or the only ready one that a selector finds."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import NotFound

_CHOICE = "component_kubernetes_pod or component_kubernetes_pod_selector"


class _Api(t.Protocol):
    """What is needed of a ``Cluster``."""

    def get(self, path: str, query: t.Any = None) -> t.Any: ...


def is_ready(pod: t.Mapping[str, t.Any]) -> bool:
    """Whether it serves: its condition Ready holds, and nobody is deleting it."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)


def choose_pod(
    cluster: _Api,
    namespace: str,
    name: str | None = None,
    selector: str | None = None,
    appears_s: float = 5.0,
    ready_s: float = 60.0,
) -> dict[str, t.Any]:
    """The pod, which is ready. Two ready ones are one too many: a stream may not go to either of two databases.

    :arg appears_s: for how long there may be none. :arg ready_s: for how long one that there is may not be ready.

    :raises InvalidInput: neither a name nor a selector.
    :raises EngineError: there is none, or it is not ready.
    :raises Refused: several are ready.
    :raises ApiFailure: see ``Cluster``.
    """
    if not name and not selector:
        raise InvalidInput("nothing says which pod is meant", expected=_CHOICE, found="neither")
    began = time.monotonic()
    while True:
        found = _found(cluster, namespace, name, selector)
        ready = [pod for pod in found if is_ready(pod)]
        if len(ready) == 1:
            return ready[0]
        if ready or time.monotonic() - began >= (ready_s if found else appears_s):
            break
        time.sleep(0.3)
    asked = f"pod {namespace}/{name}" if name else f"a pod of namespace {namespace} with {selector}"
    if ready:
        raise Refused(
            "several pods are ready where one is meant",
            expected=asked,
            found=", ".join(sorted(pod["metadata"]["name"] for pod in ready)),
            next_command=f"narrow the choice down, to the primary for instance: {_CHOICE}",
        )
    states = ", ".join(f"{pod['metadata']['name']} ({_state(pod)})" for pod in found[:5])
    raise EngineError(
        "no pod is ready to be reached",
        expected=f"{asked}, ready",
        found=states or "no pod",
        next_command=f"kubectl get pods -n {namespace}" + (f" -l {selector!r}" if selector and not name else ""),
    )


def _found(cluster: _Api, namespace: str, name: str | None, selector: str | None) -> list[dict[str, t.Any]]:
    path = f"/api/v1/namespaces/{namespace}/pods"
    if not name:
        return list(cluster.get(path, query={"labelSelector": selector, "limit": "500"}).get("items") or [])
    try:
        return [dict(cluster.get(f"{path}/{name}"))]
    except NotFound:
        return []


def _state(pod: t.Mapping[str, t.Any]) -> str:
    if pod["metadata"].get("deletionTimestamp"):
        return "being deleted"
    return f"{(pod.get('status') or {}).get('phase') or 'unknown'}, not ready"
