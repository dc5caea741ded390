# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container in which a claim's volume can be read or filled: one that has it already, or a pod of ours for a while."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Forbidden, NotFound
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.exec_stream import Container, run_in_pod
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_choice import is_ready

#: A label of the pods that are ours: backups leave them out.
HELPER_LABEL = "sre.runbooks/helper"
_MOUNT = "/volume"
_READY_S = 300.0
_GONE_S = 60.0
_TOOLS = "for tool in tar find df sha256sum wc tee dd; do command -v $tool >/dev/null || { echo $tool; exit 1; }; done"


@dataclasses.dataclass(frozen=True)
class Mounted:
    """Where a volume is: a directory in a container."""

    container: Container
    path: str


def users_of(cluster: Cluster, namespace: str, claim: str) -> list[dict[str, t.Any]]:
    """The pods that have the claim and have not ended, ours not among them."""
    found = []
    for pod in cluster.get(f"/api/v1/namespaces/{namespace}/pods").get("items") or []:
        if HELPER_LABEL in (pod["metadata"].get("labels") or {}) or _phase(pod) in ("Succeeded", "Failed"):
            continue
        if any(claim == name for name, _volume in _claims(pod)):
            found.append(pod)
    return found


def refuse_users(cluster: Cluster, namespace: str, claim: str) -> None:
    """Raise :class:`Refused` while somebody could write to the claim's volume."""
    users = users_of(cluster, namespace, claim)
    if users:
        raise Refused(
            f"claim {namespace}/{claim} is in use; its files are not replaced under whoever has them open",
            expected="no pod that has it",
            found=", ".join(sorted(pod["metadata"]["name"] for pod in users)),
            next_command="declare what uses it as component_consumers, or scale it to 0: "
            f"kubectl scale -n {namespace} --replicas=0 deployment NAME",
        )


@contextlib.contextmanager
def mounted(cluster: Cluster, namespace: str, claim: str, image: str, fresh: bool = False) -> t.Iterator[Mounted]:
    """A place of the claim's volume: in a ready pod that has it, unless ``fresh``, else in a helper pod of ours.

    :arg image: of the helper pod; it needs sh, tar, find, df, sha256sum, wc, tee and dd, as busybox and most have.
    :raises EngineError: the helper pod does not become ready.
    """
    users = users_of(cluster, namespace, claim)
    found = None if fresh else _first_place(cluster, namespace, users, claim)
    if found is not None:
        yield found
        return
    node = next((str(pod["spec"]["nodeName"]) for pod in users if pod["spec"].get("nodeName")), None)
    with _helper(cluster, namespace, claim, image, node) as found:
        yield found


def place_of_user(cluster: Cluster, namespace: str, claim: str) -> Mounted | None:
    """As :func:`mounted`, only in a ready pod that has the claim; nothing is made."""
    return _first_place(cluster, namespace, users_of(cluster, namespace, claim), claim)


def _first_place(cluster: Cluster, namespace: str, users: t.Iterable[dict[str, t.Any]], claim: str) -> Mounted | None:
    places = (_place_in(cluster, namespace, pod, claim) for pod in users)
    return next((place for place in places if place is not None), None)


def _phase(pod: t.Mapping[str, t.Any]) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _claims(pod: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, str]]:
    """Claim and volume's name, of each volume of the pod that is a claim's."""
    for volume in pod["spec"].get("volumes") or []:
        source = volume.get("persistentVolumeClaim")
        if source:
            yield str(source.get("claimName")), str(volume["name"])


def _place_in(cluster: Cluster, namespace: str, pod: dict[str, t.Any], claim: str) -> Mounted | None:
    """Where a ready pod has the whole volume, in a container with the tools that reading it takes."""
    if not is_ready(pod):
        return None
    volumes = {volume for name, volume in _claims(pod) if name == claim}
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts") or []:
            whole = not mount.get("subPath") and not mount.get("subPathExpr")
            if mount["name"] in volumes and whole:
                place = Container(cluster.access, namespace, pod["metadata"]["name"], container["name"])
                with contextlib.suppress(RunbookError):  # a container without a shell; the helper pod has one
                    run_in_pod(place, ["sh", "-c", _TOOLS], "looking for tools")
                    return Mounted(place, mount["mountPath"])
    return None


def helper_name(claim: str) -> str:
    """Of the helper pod: the same for each run, so that the next one finds what a killed one left."""
    return f"sre-runbooks-{claim[:40].rstrip('-.')}-{hashlib.sha256(claim.encode()).hexdigest()[:8]}"


@contextlib.contextmanager
def _helper(cluster: Cluster, namespace: str, claim: str, image: str, node: str | None) -> t.Iterator[Mounted]:
    name = helper_name(claim)
    path = f"/api/v1/namespaces/{namespace}/pods"
    # Relative to the working directory of its container, which is the volume.
    place = Mounted(Container(cluster.access, namespace, name, "files"), ".")
    try:
        try:
            _remove(cluster, f"{path}/{name}")
            cluster.create(path, _helper_pod(name, claim, image, node))
            _wait_ready(cluster, f"{path}/{name}", f"{namespace}/{name}")
            run_in_pod(place.container, ["sh", "-c", _TOOLS], "looking for tools")
        except RunbookError as error:
            raise _unreachable(namespace, claim, image, error) from None
        yield place
    finally:
        with contextlib.suppress(ApiFailure):
            _remove(cluster, f"{path}/{name}")


def _unreachable(namespace: str, claim: str, image: str, error: RunbookError) -> EngineError:
    """Why nothing can be read or written in the claim: whoever has it has no shell, and the helper pod came to nothing."""
    next_command = (
        "let the helper pod run, or leave the claim out on purpose with component_kubernetes_volumes_by_claim: "
        f"kubectl get events -n {namespace}"
    )
    if isinstance(error, Forbidden) and " cannot " in error.api_message:
        # The identity itself may not; anything else is an admission or a quota.
        next_command = (
            "let the identity make and use pods there, or leave the claim out on purpose with "
            f"component_kubernetes_volumes_by_claim: kubectl create rolebinding -n {namespace} sre-runbooks-files"
            " --clusterrole sre-runbooks-files --serviceaccount sre-runbooks:sre-runbooks-backup"
        )
    return EngineError(
        f"the files of claim {namespace}/{claim} cannot be reached",
        expected="a ready pod that has it and a shell with tar, or else a helper pod"
        f" (component_kubernetes_helper_image: {image})",
        found=f"{error.message}: {error.found}" if error.found else error.message,
        next_command=next_command,
    )


def _helper_pod(name: str, claim: str, image: str, node: str | None) -> dict[str, t.Any]:
    container = {
        "name": "files",
        "image": image,
        # Ends by itself, when whoever started it cannot remove it any more.
        "command": ["sleep", "86400"],
        "workingDir": _MOUNT,
        "volumeMounts": [{"name": "volume", "mountPath": _MOUNT}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
    }
    spec: dict[str, t.Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "activeDeadlineSeconds": 86400,
        "containers": [container],
        "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}],
    }
    if node:
        # A volume of one node is readable beside the pod that has it.
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}  # fmt: skip
        spec["tolerations"] = [{"operator": "Exists"}]
    metadata = {"name": name, "labels": {HELPER_LABEL: "volume", "app.kubernetes.io/managed-by": "sre-runbooks"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _wait_ready(cluster: Cluster, path: str, name: str) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        pod = cluster.get(path)
        if is_ready(pod):
            return
        if time.monotonic() > deadline or _phase(pod) in ("Succeeded", "Failed"):
            raise EngineError(
                f"the helper pod {name} did not become ready",
                expected=f"ready within {_READY_S:.0f} s",
                found=f"{_phase(pod) or 'no phase'}: {_reason(pod)}",
                next_command=f"kubectl describe pod -n {name.replace('/', ' ')}; its image is component_kubernetes_helper_image",
            )
        time.sleep(0.3)


def _reason(pod: t.Mapping[str, t.Any]) -> str:
    status = pod.get("status") or {}
    for state in status.get("containerStatuses") or []:
        waiting = (state.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return f"{waiting['reason']} {waiting.get('message') or ''}".strip()[:300]
    for condition in status.get("conditions") or []:
        if condition.get("status") != "True" and condition.get("message"):
            return str(condition["message"])[:300]
    return "no reason given"


def _remove(cluster: Cluster, path: str) -> None:
    """Delete the pod and wait until it is gone; nothing happens where there is none."""
    with contextlib.suppress(NotFound):
        cluster.delete(path, {"gracePeriodSeconds": 0})
        deadline = time.monotonic() + _GONE_S
        while cluster.exists(path) and time.monotonic() < deadline:
            time.sleep(0.2)
