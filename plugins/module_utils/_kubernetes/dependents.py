# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workloads read a ConfigMap or Secret, how their pods are started anew, and whether that went well."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import (
    READY,
    STOPPED,
    STUCK,
    Judgement,
    judge_workload,
    path_of,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

#: Kinds whose controllers replace their pods when the template changes.
ROLLED_OUT = ("Deployment", "StatefulSet", "DaemonSet")
_RESTARTED = "kubectl.kubernetes.io/restartedAt"
#: Which change a workload's pods were started anew for, so that it is done once.
_FOR = "sre.runbooks/restarted-for"
_PAUSE_S = 0.5

Reference = tuple[str, str]


@dataclasses.dataclass(frozen=True, order=True)
class Workload:
    """One that reads what changes."""

    kind: str
    name: str

    @property
    def label(self) -> str:
        return f"{self.kind} {self.name}"


def references(pod: t.Mapping[str, t.Any]) -> set[Reference]:
    """The ConfigMaps and Secrets that a pod's spec names: kind and name."""
    found: set[tuple[str, t.Any]] = set()
    for volume in pod.get("volumes") or []:
        for source in [volume, *((volume.get("projected") or {}).get("sources") or [])]:
            found.add(("ConfigMap", (source.get("configMap") or {}).get("name")))
            secret = source.get("secret") or {}
            found.add(("Secret", secret.get("secretName") or secret.get("name")))
    for container in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]:
        for source in container.get("envFrom") or []:
            found.add(("ConfigMap", (source.get("configMapRef") or {}).get("name")))
            found.add(("Secret", (source.get("secretRef") or {}).get("name")))
        for variable in container.get("env") or []:
            source = variable.get("valueFrom") or {}
            found.add(("ConfigMap", (source.get("configMapKeyRef") or {}).get("name")))
            found.add(("Secret", (source.get("secretKeyRef") or {}).get("name")))
    found.update(("Secret", secret.get("name")) for secret in pod.get("imagePullSecrets") or [])
    return {(kind, str(name)) for kind, name in found if name}


def readers(cluster: Cluster, namespace: str, wanted: t.Container[Reference]) -> list[Workload]:
    """The workloads of a namespace whose pods name one of the objects."""
    found = []
    for kind in ROLLED_OUT:
        for item in list_path(cluster, path_of(kind, namespace)):
            pod = ((item.get("spec") or {}).get("template") or {}).get("spec") or {}
            if any(reference in wanted for reference in references(pod)):
                found.append(Workload(kind, item["metadata"]["name"]))
    return sorted(found)


def restart(cluster: Cluster, namespace: str, workload: Workload, reason: str) -> bool:
    """Have new pods started, once for each ``reason``; False when that was done before, or there is no such workload."""
    path = path_of(workload.kind, namespace, workload.name)
    found = cluster.find(path)
    if found is None:
        return False
    template = (found["spec"].get("template") or {}).get("metadata") or {}
    if (template.get("annotations") or {}).get(_FOR) == reason:
        return False
    annotations = {_RESTARTED: _clock.format_time(_clock.now()), _FOR: reason}
    cluster.patch(path, {"spec": {"template": {"metadata": {"annotations": annotations}}}})
    return True


def follow(
    cluster: Cluster,
    namespace: str,
    workloads: t.Sequence[Workload],
    timeout_s: float,
    progress: Progress | None,
    check: t.Callable[[], None] = lambda: None,
) -> dict[Workload, Judgement]:
    """Wait until all are available; those that are not in the end, or whose controller has given up, and why."""
    if progress is not None:
        progress.step("waiting for " + ", ".join(workload.label for workload in workloads[:3]), len(workloads))
    deadline = time.monotonic() + timeout_s
    left = list(workloads)
    while left:
        check()
        judged = {workload: _judge(cluster, namespace, workload) for workload in left}
        waiting = {workload: found for workload, found in judged.items() if found.state not in (READY, STOPPED)}
        if progress is not None:
            progress.add(len(left) - len(waiting))
        left = list(waiting)
        if any(found.state == STUCK for found in waiting.values()) or (left and time.monotonic() > deadline):
            return waiting
        if left:
            time.sleep(_PAUSE_S)
    return {}


def _judge(cluster: Cluster, namespace: str, workload: Workload) -> Judgement:
    found = cluster.find(path_of(workload.kind, namespace, workload.name))
    if found is None:
        return Judgement(STOPPED, "gone")
    return judge_workload(workload.kind, found)
