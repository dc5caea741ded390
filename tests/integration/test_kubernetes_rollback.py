# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration rolled back with the workloads that read it, or everything as it was before."""

from __future__ import annotations

import collections.abc
import json
import pathlib
import typing as t

import pytest

from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes_component import NAME, KubernetesComponent, pod_template
from tests.servers.module_call import start_module

OBJECTS = ["ConfigMap/settings", "Secret/password"]


@pytest.fixture
def shop(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> collections.abc.Iterator[KubernetesComponent]:
    """Two Deployments, of which one reads the configuration; backed up, then changed."""
    component = KubernetesComponent(kubernetes_cluster, kubernetes_namespace, tmp_path)
    api = kubernetes_cluster.api
    api.create(*objects(kubernetes_namespace))
    component.mark()
    for name in ("web", "other"):
        api.ready("Deployment", name, kubernetes_namespace)
    component.back_up()
    api.patch(component.get("v1", "ConfigMap", "settings"), {"data": {"colour": "blue", "added": "x"}})
    api.patch(component.get("v1", "Secret", "password"), {"data": {"password": "Y2hhbmdlZA=="}})
    yield component


def objects(namespace: str) -> list[Object]:
    def item(api: str, kind: str, name: str, **fields: t.Any) -> Object:
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}

    plain = pod_template("other")
    del plain["spec"]["containers"][0]["envFrom"]
    return [
        item("v1", "ConfigMap", "settings", data={"colour": "red"}),
        item("v1", "Secret", "password", data={"password": "aHVudGVyMg=="}),
        *(
            item(
                "apps/v1",
                "Deployment",
                name,
                spec={"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
            )
            for name, template in (("web", pod_template("web")), ("other", plain))
        ),
    ]


def roll_back(shop: KubernetesComponent, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    given = {"objects": OBJECTS, "confirm": NAME, "timeout": "120s", **shop.keys, **params}
    return shop.call("kubernetes_rollback", check, **given)


def annotations(shop: KubernetesComponent, name: str) -> dict[str, str]:
    found = shop.get("apps/v1", "Deployment", name)["spec"]["template"]["metadata"].get("annotations") or {}
    return t.cast("dict[str, str]", found)


def test_configuration_goes_back_and_its_workloads_follow(shop: KubernetesComponent) -> None:
    assert "roll_back_confirm=shop" in roll_back(shop, confirm=None)["error"]["next_command"]
    predicted = roll_back(shop, check=True)
    assert predicted["changed"] and predicted["workloads"] == ["Deployment web"]
    assert shop.get("v1", "ConfigMap", "settings")["data"]["colour"] == "blue"
    done = roll_back(shop)
    assert "error" not in done, done
    assert done["changes"] == predicted["changes"] and done["workloads"] == ["Deployment web"]
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"colour": "red"}
    assert shop.get("v1", "Secret", "password")["data"] == {"password": "aHVudGVyMg=="}
    assert "kubectl.kubernetes.io/restartedAt" in annotations(shop, "web") and not annotations(shop, "other")
    shop.cluster.api.ready("Deployment", "web", shop.namespace)
    assert not roll_back(shop)["changed"]
    kept = shop.restore(check=True, recovery_point=done["kept"])
    assert kept["objects"]["changed"] == 2
    assert "hunter2" not in json.dumps([predicted, done]) and "aHVudGVyMg" not in json.dumps([predicted, done])


def test_workloads_that_do_not_come_up_undo_it(shop: KubernetesComponent) -> None:
    """The recorded manifest is the bad one: its pods never become ready."""
    api = shop.cluster.api
    bad = pod_template("web")
    bad["metadata"]["labels"]["test.sre.runbooks/behaves"] = "never-ready"
    api.patch(shop.get("apps/v1", "Deployment", "web"), {"spec": {"template": bad}})
    shop.back_up()
    good = pod_template("web")
    good["metadata"]["labels"]["test.sre.runbooks/behaves"] = None
    api.patch(shop.get("apps/v1", "Deployment", "web"), {"spec": {"template": good}})
    api.patch(shop.get("v1", "ConfigMap", "settings"), {"data": {"colour": "green", "added": None}})
    api.ready("Deployment", "web", shop.namespace)
    failed = roll_back(shop, objects=["ConfigMap/settings", "Deployment/web"], timeout="8s")
    assert "undone" in failed["msg"] and "Deployment web" in failed["error"]["found"]
    assert shop.get("v1", "ConfigMap", "settings")["data"] == {"colour": "green"}
    labels = shop.get("apps/v1", "Deployment", "web")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app": "web"}
    api.ready("Deployment", "web", shop.namespace)


def test_a_killed_rollback_is_finished(shop: KubernetesComponent) -> None:
    """Killed once the objects are changed: nothing differs any more, and yet the pods are to be started anew."""
    own = {
        "repository": shop.url,
        "environment_name": "local",
        "component": NAME,
        "namespace": shop.namespace,
        "kubeconfig": shop.kubeconfig,
        "objects": OBJECTS,
        "confirm": NAME,
        **shop.keys,
    }
    shop.cluster.api.patch(shop.get("apps/v1", "Deployment", "web"), {"spec": {"minReadySeconds": 30}})
    process = start_module("kubernetes_rollback", own)
    wait(lambda: "sre.runbooks/restarted-for" in annotations(shop, "web"), "the restart")
    process.kill()
    process.communicate()
    before = annotations(shop, "web")
    shop.cluster.api.patch(shop.get("apps/v1", "Deployment", "web"), {"spec": {"minReadySeconds": 0}})
    done = roll_back(shop)
    assert "error" not in done, done
    assert done["changed"] and done["workloads"] == ["Deployment web"]
    assert annotations(shop, "web") == before, "it was restarted once already"
    assert not roll_back(shop)["changed"]


def test_what_it_refuses(shop: KubernetesComponent) -> None:
    assert "not have everything" in roll_back(shop, objects=["ConfigMap/absent"])["msg"]
    assert roll_back(shop, objects=["settings"])["error"]["kind"] == "invalid_input"
    shop.cluster.api.patch(shop.get("v1", "ConfigMap", "settings"), {"immutable": True})
    refused = roll_back(shop)
    assert "cannot be changed" in refused["msg"] and "immutable" in refused["error"]["found"]
