# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubernetes_drill: a drill restores under another name, compares, reaches nothing live, and leaves nothing, even when it is killed."""

from __future__ import annotations

import collections.abc
import json
import os

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scratch_namespace import LABEL
from tests.servers.kubernetes import definitions
from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes_component import KubernetesComponent


@pytest.fixture(scope="module")
def shop(
    kubernetes_cluster: KubernetesServer, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[KubernetesComponent]:
    """A namespace with a custom resource, backed up once for all tests: a drill changes nothing of it."""
    kubernetes_cluster.make_namespace("shop")
    component = KubernetesComponent(kubernetes_cluster, "shop", tmp_path_factory.mktemp("shop"))
    definitions.define(kubernetes_cluster.api, definitions.widget_definition())
    component.fill()
    widget = {"apiVersion": "example.test/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "shop"}}
    kubernetes_cluster.api.create({**widget, "spec": {"size": 3, "colour": "red"}})
    component.back_up()
    yield component


def drills(cluster: KubernetesServer) -> list[Object]:
    return [item for item in cluster.api.list("v1", "Namespace") if LABEL in (item["metadata"].get("labels") or {})]


def at_its_end(way: FaultyApi) -> dict[str, str]:
    """What a drill is given to go this way, and to wait before it removes its namespace."""
    way.plan("hold", "^DELETE /api/v1/namespaces/[^/?]+(?:$|[?])")
    return {"kubeconfig": way.kubeconfig()}


def test_it_proves_the_newest_point_and_leaves_nothing(shop: KubernetesComponent, faulty_api: FaultyApi) -> None:
    before = shop.content()
    predicted = shop.drill(check=True)
    assert "error" not in predicted, predicted
    assert not predicted["changed"] and "would restore" in predicted["message"] and not drills(shop.cluster)
    assert shop.newest().level == "taken"
    process = shop.start_drill(**at_its_end(faulty_api))
    wait(lambda: faulty_api.holds or process.poll() is not None, "the end of the drill")
    (namespace,) = drills(shop.cluster)
    seen = shop.content(namespace["metadata"]["name"])
    faulty_api.release()
    output, errors = process.communicate(timeout=300)
    done = json.loads(output.decode().splitlines()[-1])
    assert "error" not in done, (done, errors)
    assert not done["changed"] and done["skipped_reason"] == "" and done["rto_met"] is True
    assert done["proof"]["fields_different"] == 0 and done["proof"]["compared"] > 15 and done["proof"]["tried"] == 1
    assert done["rto_measured_s"] > 0 and done["hardware"]["cpus"]
    assert shop.newest().level == "asserted"
    assert not drills(shop.cluster) and shop.content() == before
    check_harmless(seen, done["namespace"])
    # Once a day is enough.
    assert shop.drill(drill_interval="1d")["skipped_reason"]


def check_harmless(seen: dict[str, Object], namespace: str) -> None:
    """Nothing that was created refers to the live namespace, or to anything outside."""
    text = json.dumps(seen)
    assert '"namespace": "shop"' not in text and ".shop.svc" not in text and 'shop.example.org"' not in text
    assert seen["ConfigMap settings"]["data"]["url"] == f"http://web.{namespace}.svc/"
    assert "nodePort" not in json.dumps(seen["Service web"]) and seen["Service web"]["spec"]["type"] == "ClusterIP"
    assert seen["CronJob nightly"]["spec"]["suspend"] is True
    assert seen["Deployment web"]["spec"]["replicas"] == 0 and not any(name.startswith("Pod ") for name in seen)
    assert seen["RoleBinding web-reads"]["subjects"][0]["namespace"] == namespace
    assert "volumeName" not in json.dumps(seen["PersistentVolumeClaim cache"])


def test_what_a_killed_drill_left_goes_with_the_next(shop: KubernetesComponent, faulty_api: FaultyApi) -> None:
    process = shop.start_drill(**at_its_end(faulty_api))
    wait(lambda: drills(shop.cluster), "the drill's namespace")
    os.kill(process.pid, 9)
    process.communicate()
    (left,) = drills(shop.cluster)
    done = shop.drill()
    assert "error" not in done, done
    assert done["namespace"] != left["metadata"]["name"] and not drills(shop.cluster)
