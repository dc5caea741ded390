# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes by the cluster's own snapshots: taken, waited for, kept when the namespace goes, and claims made from them."""

from __future__ import annotations

import contextlib
import hashlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Conflict

GROUP = "snapshot.storage.k8s.io"
_API = f"/apis/{GROUP}/v1"
#: Labels of the snapshots that are ours; an annotation of claims that came from one.
REPOSITORY_LABEL = "sre.runbooks/repository"
COMPONENT_LABEL = "sre.runbooks/component"
POINT_LABEL = "sre.runbooks/recovery-point"
RESTORED_FROM = "sre.runbooks/restored-from"
_DEFAULT_CLASS = f"{GROUP}/is-default-class"
READY_S = 900.0


def snapshot_classes(cluster: Cluster) -> dict[str, str]:
    """The class of snapshots for each driver, the default one where there are several; empty without snapshots."""
    if not cluster.exists(_API):
        return {}
    found: dict[str, str] = {}
    for item in cluster.get(f"{_API}/volumesnapshotclasses").get("items") or []:
        preferred = (item["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true"
        if preferred or item["driver"] not in found:
            found[str(item["driver"])] = str(item["metadata"]["name"])
    return found


def snapshot_name(claim: str, point_id: str) -> str:
    """A name that no other claim's snapshot of that point has."""
    digest = hashlib.sha256(claim.encode()).hexdigest()[:8]
    return f"sre-runbooks-{claim[:100].rstrip('-.')}-{digest}-{point_id.lower()}"


def take_snapshot(
    cluster: Cluster,
    namespace: str,
    claim: str,
    class_name: str,
    labels: t.Mapping[str, str],
    check: t.Callable[[], None],
) -> dict[str, t.Any]:
    """Take one and wait until a claim can be made from it; what it needs later, for the manifest.

    It outlives its namespace: its content is retained. What fails is removed again.

    :arg labels: REPOSITORY_LABEL, COMPONENT_LABEL and POINT_LABEL.
    :arg check: called now and then while waiting; raises when this run may not go on.
    """
    name = snapshot_name(claim, labels[POINT_LABEL])
    path = f"{_API}/namespaces/{namespace}/volumesnapshots"
    spec = {"volumeSnapshotClassName": class_name, "source": {"persistentVolumeClaimName": claim}}
    metadata = {"name": name, "labels": dict(labels)}
    cluster.create(path, {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": metadata, "spec": spec})
    try:
        content_name = _wait_ready(cluster, f"{path}/{name}", f"{namespace}/{name}", check)
        content_path = f"{_API}/volumesnapshotcontents/{content_name}"
        change = {"metadata": {"labels": dict(labels)}, "spec": {"deletionPolicy": "Retain"}}
        content = cluster.patch(content_path, change)
    except BaseException:
        with contextlib.suppress(ApiFailure):
            cluster.delete(f"{path}/{name}")
        raise
    state = content.get("status") or {}
    return {
        "name": name,
        "class": class_name,
        "driver": content["spec"]["driver"],
        "handle": state.get("snapshotHandle"),
        "content": content_name,
        "restore_size": _restore_size(state, cluster, f"{path}/{name}"),
    }


def _restore_size(state: t.Mapping[str, t.Any], cluster: Cluster, path: str) -> str | None:
    """As a quantity; the snapshot's where it has one, which is one in words, else the content's in bytes."""
    found = (cluster.get(path).get("status") or {}).get("restoreSize") or state.get("restoreSize")
    return str(found) if found is not None else None


def _wait_ready(cluster: Cluster, path: str, name: str, check: t.Callable[[], None]) -> str:
    deadline = time.monotonic() + READY_S
    while True:
        status = cluster.get(path).get("status") or {}
        if status.get("readyToUse") and status.get("boundVolumeSnapshotContentName"):
            return str(status["boundVolumeSnapshotContentName"])
        problem = (status.get("error") or {}).get("message")
        if problem or time.monotonic() > deadline:
            raise EngineError(
                f"the snapshot {name} did not become ready",
                expected=f"readyToUse within {READY_S:.0f} s",
                found=str(problem or "still not ready")[:500],
                next_command=f"kubectl describe volumesnapshot -n {name.replace('/', ' ')}; or take the claim's files"
                " (component_kubernetes_volumes_by_claim)",
            )
        check()
        time.sleep(0.5)


def claim_from_snapshot(
    cluster: Cluster,
    namespace: str,
    claim: str,
    spec: t.Mapping[str, t.Any],
    taken: t.Mapping[str, t.Any],
    point_id: str,
) -> bool:
    """Make sure that the claim exists with the snapshot's data; whether it was made now.

    :arg spec: of the claim as it was. :arg taken: what :func:`take_snapshot` returned.
    :raises Refused: there is a claim with other data: what it holds is not thrown away.
    """
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    there = cluster.find(f"{path}/{claim}")
    if there is not None:
        if (there["metadata"].get("annotations") or {}).get(RESTORED_FROM) == point_id:
            return False
        raise Refused(
            f"claim {namespace}/{claim} exists; a snapshot only ever becomes a new one",
            expected="no such claim",
            found=f"claim {claim}, {(there.get('status') or {}).get('phase') or 'of unknown state'}",
            next_command=f"keep its data first if anybody wants it, then: kubectl delete pvc -n {namespace} {claim}",
        )
    name = f"{snapshot_name(claim, point_id)}-{hashlib.sha256(namespace.encode()).hexdigest()[:6]}"
    _provide_snapshot(cluster, namespace, name, taken)
    size = (spec.get("resources") or {}).get("requests") or {}
    wanted = {
        **{key: value for key, value in spec.items() if key not in ("volumeName", "dataSource", "dataSourceRef")},
        "resources": {"requests": {"storage": size.get("storage") or taken.get("restore_size")}},
        "dataSource": {"apiGroup": GROUP, "kind": "VolumeSnapshot", "name": name},
    }
    metadata = {"name": claim, "annotations": {RESTORED_FROM: point_id}}
    cluster.create(path, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted})
    return True


def _provide_snapshot(cluster: Cluster, namespace: str, name: str, taken: t.Mapping[str, t.Any]) -> None:
    """A snapshot in that namespace with the handle that was recorded, wherever its first one has gone."""
    reference = {"apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "namespace": namespace, "name": name}
    content = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "VolumeSnapshotContent",
        "metadata": {"name": name},
        "spec": {
            # The data belongs to the content of the recovery point, not to this second way to it.
            "deletionPolicy": "Retain",
            "driver": taken["driver"],
            "source": {"snapshotHandle": taken["handle"]},
            "volumeSnapshotClassName": taken["class"],
            "volumeSnapshotRef": reference,
        },
    }
    snapshot = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name, "labels": {POINT_LABEL: "restoring"}},
        "spec": {"volumeSnapshotClassName": taken["class"], "source": {"volumeSnapshotContentName": name}},
    }
    for path, item in (
        (f"{_API}/volumesnapshotcontents", content),
        (f"{_API}/namespaces/{namespace}/volumesnapshots", snapshot),
    ):
        try:
            cluster.create(path, item)
        except Conflict as error:
            if error.reason != "AlreadyExists":
                raise


def remove_unreferenced(cluster: Cluster, repository: str, component: str, points: t.Container[str]) -> list[str]:
    """Delete the component's snapshots of recovery points that its repository has no more; the names of their contents."""
    if not cluster.exists(_API):
        return []
    selector = {"labelSelector": f"{REPOSITORY_LABEL}={repository},{COMPONENT_LABEL}={component}"}
    removed = []
    for content in cluster.get(f"{_API}/volumesnapshotcontents", selector).get("items") or []:
        metadata, reference = content["metadata"], content["spec"]["volumeSnapshotRef"]
        if metadata["labels"].get(POINT_LABEL) in points:
            continue
        path = f"{_API}/volumesnapshotcontents/{metadata['name']}"
        # Only now may the driver delete the data with it.
        cluster.patch(path, {"spec": {"deletionPolicy": "Delete"}})
        for doomed in (f"{_API}/namespaces/{reference.get('namespace')}/volumesnapshots/{reference.get('name')}", path):
            if cluster.exists(doomed):
                cluster.delete(doomed)
        removed.append(str(metadata["name"]))
    return removed
