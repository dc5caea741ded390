# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is content, and what is left to whoever makes it again."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.ownership import is_marker, left_to


def live(kind: str, version: str = "v1", name: str = "a", managers: t.Sequence[str] = (), **content: t.Any) -> t.Any:
    metadata = {"name": name, "namespace": "shop", "managedFields": [{"manager": manager} for manager in managers]}
    return {"apiVersion": version, "kind": kind, **content, "metadata": {**metadata, **content.get("metadata", {})}}


def controlled(by: str, **content: t.Any) -> t.Any:
    kind, _slash, name = by.partition("/")
    return {"ownerReferences": [{"kind": kind, "name": name, "controller": True}], **content}


LEFT = [
    (live("Pod", metadata=controlled("ReplicaSet/web-1")), "ReplicaSet/web-1"),
    (live("Event"), "the past"),
    (live("Lease", "coordination.k8s.io/v1"), "whoever holds it"),
    (live("ConfigMap", name="kube-root-ca.crt"), "kube-apiserver"),
    (live("ConfigMap", managers=["kube-controller-manager"]), "kube-controller-manager"),
    (live("ServiceAccount", name="default"), "kube-controller-manager"),
    (live("Job", "batch/v1", status={"conditions": [{"type": "Complete", "status": "True"}]}), "nobody: it has finished"),
    (live("Pod", status={"phase": "Failed"}), "nobody: it has finished"),
    (live("EndpointSlice", "discovery.k8s.io/v1",
          metadata={"labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}}),
     "endpointslice-controller.k8s.io"),
    (live("ConfigMap", metadata={"deletionTimestamp": "2026-11-21T05:10:00Z"}), "its deletion, which had begun"),
    (live("ClusterRole", "rbac.authorization.k8s.io/v1", metadata={
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}), "kube-apiserver"),
    (live("PriorityClass", "scheduling.k8s.io/v1", name="system-node-critical"), "kube-apiserver"),
    (live("Service", name="kubernetes", metadata={"namespace": "default"}), "kube-apiserver"),
    (live("Namespace", name="kube-system", managers=["kube-apiserver"]), "kube-apiserver"),
    (live("Node"), "its kubelet"),
    (live("Pod", metadata={"labels": {"sre.runbooks/helper": "x"}}), "this collection, for its recovery points"),
]  # fmt: skip
CONTENT = [
    live("Pod", status={"phase": "Running"}),
    live("Pod", metadata={"ownerReferences": [{"kind": "ConfigMap", "name": "o"}]}),
    live("ConfigMap", managers=["kube-controller-manager", "kubectl"]),
    live("ServiceAccount", name="default", imagePullSecrets=[{"name": "x"}]),
    live("ServiceAccount", name="default", managers=["kube-controller-manager", "kubectl"]),
    live("Job", "batch/v1", status={"conditions": [{"type": "Suspended", "status": "True"}]}),
    live("EndpointSlice", "discovery.k8s.io/v1"),
    live("PersistentVolumeClaim", metadata=controlled("StatefulSet/db"), managers=["kube-controller-manager"]),
    live("PersistentVolume", managers=["kube-controller-manager"]),
    live("ClusterRole", "rbac.authorization.k8s.io/v1", metadata={
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}),
    live("Service", name="kubernetes"),
    live("Namespace", name="shop", managers=["kube-controller-manager"]),
    live("Namespace", name="default", managers=["kube-apiserver", "kubectl"]),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "whom"), LEFT, ids=[f"{number}-{case[1]}" for number, case in enumerate(LEFT)])
def test_what_is_left_and_to_whom(obj: t.Any, whom: str) -> None:
    assert left_to(obj) == whom


@pytest.mark.parametrize("obj", CONTENT, ids=[f"{number}-{obj['kind']}" for number, obj in enumerate(CONTENT)])
def test_what_is_content(obj: t.Any) -> None:
    assert left_to(obj) is None


def test_the_marker_is_neither() -> None:
    assert is_marker(live("ConfigMap", name="sre-runbooks-environment"))
    assert not is_marker(live("Secret", name="sre-runbooks-environment"))
