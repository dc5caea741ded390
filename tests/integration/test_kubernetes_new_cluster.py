# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster is lost. What belongs to no namespace, then a namespace, come back in a new one, field for field."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from tests.servers.kubernetes import definitions
from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.fixtures import kubernetes_cluster
from tests.servers.kubernetes.server import KubernetesServer, running_cluster
from tests.servers.kubernetes_component import KubernetesComponent

__all__ = ["kubernetes_cluster"]

RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"


def cluster_objects() -> list[Object]:
    """Something of each class that belongs to no namespace."""

    def item(api: str, kind: str, name: str, **fields: t.Any) -> Object:
        metadata = {"name": name, "labels": {"team": "shop"}}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}

    hook = {
        "name": "guard.shop.example.test",
        "clientConfig": {"service": {"name": "guard", "namespace": "shop"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"], "operations": ["CREATE"]}],
        "namespaceSelector": {"matchLabels": {"guarded": "yes"}},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    aggregated = item(RBAC, "ClusterRole", "shop-all", aggregationRule={
        "clusterRoleSelectors": [{"matchLabels": {"team": "shop-part"}}]}, rules=[])  # fmt: skip
    part = item(RBAC, "ClusterRole", "shop-part", rules=[
        {"apiGroups": ["example.test"], "resources": ["widgets"], "verbs": ["get"]}])  # fmt: skip
    part["metadata"]["labels"] = {"team": "shop-part"}
    binding = item(
        RBAC,
        "ClusterRoleBinding",
        "shop-all",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "shop-all"},
        subjects=[{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}],
    )
    return [
        definitions.widget_definition(),
        part,
        aggregated,
        binding,
        item("scheduling.k8s.io/v1", "PriorityClass", "shop", value=1000, description="the shop comes first"),
        item("storage.k8s.io/v1", "StorageClass", "shop", provisioner="example.test/none"),
        item("networking.k8s.io/v1", "IngressClass", "shop", spec={"controller": "example.test/none"}),
        item("v1", "PersistentVolume", "shop-archive", spec={
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/archive"}}),
        item(ADMISSION, "ValidatingWebhookConfiguration", "shop", webhooks=[hook]),
    ]  # fmt: skip


class Components:
    """``cluster_objects`` and ``shop``, of one cluster after the other, in one repository."""

    def __init__(self, cluster: KubernetesServer, path: pathlib.Path) -> None:
        self.shop = KubernetesComponent(cluster, "shop", path)

    def move(self, cluster: KubernetesServer) -> None:
        self.shop.cluster, self.shop.kubeconfig = cluster, cluster.kubeconfig

    def call(self, module: str, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        own = {"component": "cluster_objects", "scope": "cluster", "namespace": None, **self.shop.keys}
        return self.shop.call(module, check, **{**own, **params})


@pytest.fixture
def components(kubernetes_cluster: KubernetesServer, tmp_path: pathlib.Path) -> Components:
    return Components(kubernetes_cluster, tmp_path)


def test_a_lost_cluster_comes_back_in_a_new_one(components: Components, kubernetes_cluster: KubernetesServer) -> None:
    api, shop = kubernetes_cluster.api, components.shop
    definition, *others = cluster_objects()
    definitions.define(api, definition)
    api.create(*others)
    kubernetes_cluster.make_namespace("shop", {"guarded": "no"})
    shop.fill()
    archive = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
    claim = {"metadata": {"name": "archive", "namespace": "shop"}, "spec": {**archive, "volumeName": "shop-archive"}}
    widget = {"metadata": {"name": "w", "namespace": "shop"}, "spec": {"size": 3, "colour": "red"}}
    api.create(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim},
        {"apiVersion": "example.test/v1", "kind": "Widget", **widget},
    )
    shop.await_bound("archive")
    before = shop.content()
    done = components.call("kubernetes_backup", force=True)
    assert "error" not in done, done
    shop.back_up()
    with running_cluster(nodes=1) as other:
        components.move(other)
        # The namespace's custom resources have no definition here yet: that is said, and nothing is touched.
        refused = shop.restore()
        assert "does not serve" in refused["msg"] and "Widget" in refused["error"]["found"], refused
        assert "shop" not in shop.namespaces()
        planned = components.call("kubernetes_restore", check=True, timeout="120s")
        assert planned["changed"], planned
        restored = components.call("kubernetes_restore", confirm="cluster_objects", timeout="120s")
        assert "error" not in restored and restored["changed"], restored
        assert restored["objects"]["created"] >= len(others) and not restored["objects"]["skipped"], restored
        again = components.call("kubernetes_restore", confirm="cluster_objects", timeout="120s")
        assert "error" not in again and not again["changed"], again
        done = shop.restore()
        assert "error" not in done and done["changed"], done
        shop.await_bound("archive")
        assert shop.content() == before
        assert other.api.get("example.test/v1", "Widget", "w", "shop")["spec"] == widget["spec"]
        rules = [{"apiGroups": ["example.test"], "resources": ["widgets"], "verbs": ["get"]}]
        wait(lambda: other.api.get(RBAC, "ClusterRole", "shop-all")["rules"] == rules, "the rules to be put together")
        assert not shop.restore()["changed"]


def test_a_selection_comes_back_and_nothing_else_is_touched(
    components: Components, kubernetes_cluster: KubernetesServer, tmp_path: pathlib.Path
) -> None:
    api = kubernetes_cluster.api
    kubernetes_cluster.make_namespace("mixed")
    labels = {"app": "mine"}

    def config_map(name: str, colour: str, **metadata: t.Any) -> Object:
        metadata = {"name": name, "namespace": "mixed", **metadata}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": colour}}

    api.create(
        config_map("mine", "red", labels=labels),
        config_map("unlabelled", "red", labels=labels),
        config_map("theirs", "red"),
    )

    def call(module: str, **params: t.Any) -> dict[str, t.Any]:
        own = {"component": "mine", "scope": "selection", "namespace": "mixed", "selector": "app=mine"}
        return components.call(module, **{**own, **params})

    done = call("kubernetes_backup", force=True)
    assert "error" not in done, done
    marker = {"name": "sre-runbooks-environment", "namespace": "mixed"}
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": marker, "data": {"environment": "local"}})
    api.patch(api.get("v1", "ConfigMap", "mine", "mixed"), {"data": {"colour": "blue"}})
    # It is there, and no longer found by its labels.
    api.patch(api.get("v1", "ConfigMap", "unlabelled", "mixed"), {"metadata": {"labels": {"app": None}}})
    api.patch(api.get("v1", "ConfigMap", "theirs", "mixed"), {"data": {"colour": "green"}})
    done = call("kubernetes_restore", confirm="mine")
    assert "error" not in done and done["objects"]["changed"] == 2 and done["objects"]["created"] == 0, done
    assert api.get("v1", "ConfigMap", "mine", "mixed")["data"] == {"colour": "red"}
    assert api.get("v1", "ConfigMap", "unlabelled", "mixed")["metadata"]["labels"] == labels
    assert api.get("v1", "ConfigMap", "theirs", "mixed")["data"] == {"colour": "green"}
    assert not call("kubernetes_restore", confirm="mine")["changed"]
