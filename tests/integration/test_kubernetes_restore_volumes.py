# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace with what its claims hold: backed up, lost and restored by the modules, by file and by snapshot."""

from __future__ import annotations

import collections.abc
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import HELPER_LABEL, helper_name
from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import config_map
from tests.servers.kubernetes_component import NAME, KubernetesComponent


class Shop(KubernetesComponent):
    """A namespace with a ConfigMap and a claim ``data``, whose volume is a directory."""

    def fill(self) -> None:
        self.cluster.api.create(config_map("settings", self.namespace, colour="red"))
        self.claim()
        self.mark()

    def claim(self) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": "data", "namespace": self.namespace}
        item = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        self.cluster.api.create(item)
        self.await_bound("data")
        (self.root / "file").write_text("stored", encoding="utf-8")

    def map(self) -> None:
        """What runs in the helper pod runs in the volume that the claim has then."""
        directory = self.cluster.claim_directory(self.namespace, "data")
        self.cluster.allow_exec(self.namespace, pods=[helper_name("data")], work_dir=str(directory))

    @property
    def root(self) -> pathlib.Path:
        return self.cluster.volume_directory(self.namespace, "data")

    @property
    def file(self) -> str:
        return (self.root / "file").read_text(encoding="utf-8")

    @property
    def colour(self) -> str:
        return str(self.get("v1", "ConfigMap", "settings")["data"]["colour"])

    def repaint(self) -> None:
        self.cluster.api.patch(config_map("settings", self.namespace), {"data": {"colour": "blue"}})

    def helpers(self) -> list[str]:
        found = self.cluster.api.list("v1", "Pod", self.namespace, labelSelector=HELPER_LABEL)
        return [item["metadata"]["name"] for item in found]


@pytest.fixture
def shop(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> collections.abc.Iterator[Shop]:
    found = Shop(kubernetes_cluster, kubernetes_namespace, tmp_path)
    found.fill()
    yield found
    assert found.helpers() == []


def actions(result: dict[str, t.Any]) -> dict[str, str]:
    assert not result.get("failed"), result["msg"]
    return {volume["claim"]: volume["action"] for volume in result["volumes"]}


def test_a_deleted_namespace_comes_back_with_its_files(shop: Shop) -> None:
    shop.map()
    point = shop.back_up(volumes="auto")
    assert [entry["mode"] for entry in point.content["kubernetes"]["volumes"]] == ["files"]
    shop.delete_namespace()
    would = shop.restore(check=True, confirm=None)
    assert would["changed"] and actions(would) == {"data": "new"}
    done = shop.restore(confirm=None)
    assert done["changed"] and actions(done) == {"data": "new"} and done["diff"] == would["diff"]
    assert shop.file == "stored" and shop.colour == "red"
    assert shop.newest().level == "asserted"
    again = shop.restore()
    assert not again["changed"] and actions(again) == {"data": "unchanged"}


def test_files_that_were_lost_come_back_although_no_object_differs(shop: Shop) -> None:
    shop.map()
    shop.back_up(volumes="auto")
    (shop.root / "file").write_text("lost", encoding="utf-8")
    (shop.root / "new").touch()
    blind = shop.restore(check=True)
    assert not blind["changed"] and actions(blind) == {"data": "unseen"}
    assert "check mode makes none" in str(blind["warnings"])
    would = shop.restore(check=True, check_mode_pods=True)
    assert would["changed"] and actions(would) == {"data": "filled"}
    unconfirmed = shop.restore(confirm=None)
    assert f"files of claim {shop.namespace}/data" in unconfirmed["msg"] and shop.file == "lost"
    assert shop.restore(volumes="missing")["changed"] is False and shop.file == "lost"
    assert shop.restore(only_missing=True)["changed"] is False and shop.file == "lost"
    done = shop.restore()
    assert actions(done) == {"data": "filled"} and done["diff"] == would["diff"]
    assert shop.file == "stored" and not (shop.root / "new").exists()
    (kept,) = shop.root.glob(".sre-runbooks-before-*")
    assert (kept / "file").read_text(encoding="utf-8") == "lost"
    assert not shop.restore()["changed"]

    would = shop.restore(check=True, release=True)
    assert would["changed"] and would["released"] == ["data"]
    assert shop.restore(release=True)["released"] == ["data"]
    assert list(shop.root.glob(".sre-runbooks*")) == [] and shop.file == "stored"
    assert not shop.restore(release=True)["changed"]


def test_files_that_somebody_has_open_keep_everything_as_it_is(shop: Shop) -> None:
    """Refused before the first object is changed; compared in the pod that has the claim."""
    shop.map()
    shop.back_up(volumes="auto")
    web = workloads.deployment("web", shop.namespace)
    pod = web["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": str(shop.root)}]
    shop.cluster.api.create(web)
    shop.cluster.api.ready("Deployment", "web", shop.namespace)
    (name,) = (
        item["metadata"]["name"] for item in shop.cluster.api.list("v1", "Pod", shop.namespace, labelSelector="app=web")
    )
    shop.cluster.allow_exec(shop.namespace, pods=[name])
    shop.repaint()
    (shop.root / "file").write_text("lost", encoding="utf-8")
    would = shop.restore(check=True)
    assert actions(would) == {"data": "filled"} and would["volumes"][0]["used_by"] == [name]
    refused = shop.restore()
    assert refused["error"]["kind"] == "refused" and name in refused["msg"], refused
    assert "component_consumers" in refused["error"]["next_command"]
    assert (shop.colour, shop.file) == ("blue", "lost")
    done = shop.restore(volumes="missing")
    assert actions(done) == {"data": "left"} and (shop.colour, shop.file) == ("red", "lost")
    assert "claims data keep what they hold" in done["message"] and shop.newest().level == "taken"


def test_a_claim_that_nobody_can_look_into_is_named(shop: Shop) -> None:
    """No exec in its helper pod: nothing is stored, nothing is changed, and what to do is said."""
    failed = shop.call("kubernetes_backup", force=True, **shop.keys)
    assert f"the files of claim {shop.namespace}/data cannot be reached" in failed["msg"], failed
    assert "component_kubernetes_volumes_by_claim" in failed["error"]["next_command"]
    assert shop.call("kubernetes_backup", force=True, volumes_by_claim={"data": "none"}, **shop.keys)["changed"]
    levels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": shop.namespace}}
    shop.cluster.api.patch(namespace, {"metadata": {"labels": levels}})
    failed = shop.call("kubernetes_backup", force=True, **shop.keys)
    assert f"claim {shop.namespace}/data" in failed["msg"] and "violates PodSecurity" in failed["msg"], failed


def test_a_deleted_namespace_comes_back_from_snapshots(shop: Shop) -> None:
    """Last in this file: from now on the cluster has snapshots."""
    shop.cluster.serve_snapshots()
    point = shop.back_up(volumes="auto")
    assert [entry["mode"] for entry in point.content["kubernetes"]["volumes"]] == ["snapshot"]
    (shop.root / "file").write_text("lost", encoding="utf-8")
    shop.repaint()
    live = shop.restore()
    assert live["error"]["kind"] == "refused" and "restore_volumes=missing" in live["msg"], live
    assert (shop.colour, shop.file) == ("blue", "lost")
    done = shop.restore(volumes="missing")
    assert actions(done) == {"data": "left"} and (shop.colour, shop.file) == ("red", "lost")
    assert shop.newest().level == "verified"

    shop.delete_namespace()
    done = shop.restore(confirm=None)
    assert done["changed"] and actions(done) == {"data": "new"}
    shop.await_bound("data")
    assert shop.file == "stored" and shop.newest().level == "asserted"
    again = shop.restore()
    assert not again["changed"] and actions(again) == {"data": "unchanged"}

    # A claim that was made from a snapshot is backed up and comes back as any other.
    assert shop.back_up(volumes="auto").point_id != point.point_id
    drilled = shop.drill()
    assert not drilled.get("failed"), drilled
    shop.delete_namespace()
    done = shop.restore(confirm=None)
    assert actions(done) == {"data": "new"} and NAME in str(done["recovery_point"])
    shop.await_bound("data")
    assert shop.file == "stored"
