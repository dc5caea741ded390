# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores, drills and rollbacks in bad weather: they end well, or say why, and the plain rerun ends what was begun."""

from __future__ import annotations

import collections.abc
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scratch_namespace import LABEL
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from tests.servers.kubernetes import definitions, workloads
from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import config_map, secret
from tests.servers.kubernetes_component import NAME, KubernetesComponent
from tests.servers.module_call import finish_module, start_module

COUNT = 30


class Stormy(KubernetesComponent):
    """Maps, a Secret and a Deployment that reads it, backed up; most of it gone or changed since."""

    def prepare(self) -> None:
        api = self.cluster.api
        web = workloads.deployment("web", self.namespace)
        web["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "password"}}]
        api.create(*(config_map(f"map-{number:02d}", self.namespace, a="1") for number in range(COUNT)))
        api.create(secret("password", self.namespace, password="recorded"), web)
        self.mark()
        api.ready("Deployment", "web", self.namespace)
        self.back_up()
        self.recorded = self.content()

    def spoil(self) -> None:
        api = self.cluster.api
        for number in range(COUNT):
            if number % 2:
                api.delete("v1", "ConfigMap", f"map-{number:02d}", self.namespace)
            else:
                api.patch(config_map(f"map-{number:02d}", self.namespace), {"data": {"a": "2", "b": "3"}})
        self.spoil_secret()

    def spoil_secret(self) -> None:
        self.cluster.api.patch(secret("password", self.namespace), {"data": {"password": "b3RoZXI="}})

    def roll_back(self, **params: t.Any) -> dict[str, t.Any]:
        given = {"objects": ["Secret/password"], "confirm": NAME, "timeout": "120s", **self.keys, **params}
        return self.call("kubernetes_rollback", **given)

    def is_restored(self) -> bool:
        """Everything is as recorded, nobody has the lease, and another run finds nothing to do."""
        lease = current_lease(self.repository, NAME)
        free = lease is None or not lease.held(self.repository.store.now())
        return free and self.content() == self.recorded and not self.restore()["changed"]


@pytest.fixture(scope="module")
def site(
    kubernetes_cluster: KubernetesServer, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[Stormy]:
    kubernetes_cluster.make_namespace("stormy")
    component = Stormy(kubernetes_cluster, "stormy", tmp_path_factory.mktemp("stormy"))
    component.prepare()
    yield component


def failed(done: dict[str, t.Any]) -> str:
    assert done.get("failed"), done
    return t.cast(str, done["msg"])


def test_a_storm_is_outlasted(site: Stormy, faulty_api: FaultyApi) -> None:
    site.spoil()
    faulty_api.plan(409, "(PATCH|PUT) ", at=5, times=3)
    faulty_api.storm(429, 500, 503, "reset", "lost", "cut", every=6, times=12)
    done = site.restore(kubeconfig=faulty_api.kubeconfig())
    assert done.get("changed"), done
    assert site.is_restored()


def test_the_server_goes_in_the_middle_and_comes_back(site: Stormy, faulty_api: FaultyApi) -> None:
    site.spoil()
    own = {"repository": site.url, "environment_name": "local", "component": NAME, "namespace": site.namespace}
    given = {**own, "kubeconfig": faulty_api.kubeconfig(), "confirm": NAME, "jobs": 1, **site.keys}
    process = start_module("kubernetes_restore", given)

    def applied() -> bool:
        return sum(line.startswith("PATCH") and "dryRun" not in line for line in faulty_api.requests) >= 3

    wait(applied, "the restore to apply")
    site.cluster.stop_part("kube-apiserver")
    site.cluster.start_part("kube-apiserver")
    done = finish_module(process)
    assert done.get("changed"), done
    assert site.is_restored()


@pytest.mark.parametrize(
    ("status", "matching", "said"), [(401, "PATCH .*configmaps", "expired"), (403, "PATCH .*secrets", "password")]
)
def test_what_is_lost_in_the_middle_is_named_and_the_next_run_ends_it(
    site: Stormy, faulty_api: FaultyApi, status: int, matching: str, said: str
) -> None:
    """A token's validity, and rights."""
    site.spoil()
    faulty_api.plan(status, matching, at=0 if status == 403 else 4, times=1000)
    message = failed(site.restore(kubeconfig=faulty_api.kubeconfig()))
    assert said in message, message
    assert site.content() != site.recorded
    assert site.restore().get("changed")
    assert site.is_restored()


def test_a_drill_that_may_not_remove_its_namespace_says_so_and_the_next_one_does(
    site: Stormy, faulty_api: FaultyApi
) -> None:
    def left() -> list[str]:
        namespaces = site.cluster.api.list("v1", "Namespace", labelSelector=LABEL)
        return [item["metadata"]["name"] for item in namespaces]

    faulty_api.plan(403, "DELETE .*/namespaces/stormy-drill-", times=1000)
    faulty_api.storm(429, 500, 503, every=7, times=6)
    done = site.drill(kubeconfig=faulty_api.kubeconfig())
    assert not done.get("failed"), done
    (name,) = left()
    assert f"the namespace {name} is still there" in str(done["warnings"])
    again = site.drill()
    assert not again.get("failed") and left() == [], again
    assert f"the namespace {name} of a drill that was killed was removed" in str(again["warnings"])


def test_a_rollback_that_is_stopped_half_way_is_ended_by_the_next(site: Stormy, faulty_api: FaultyApi) -> None:
    """The configuration is rolled back and its reader may not be restarted: nothing differs any more, and yet it is not done."""
    site.spoil_secret()
    faulty_api.plan(403, "PATCH .*deployments/web", times=1000)
    assert "deployments" in failed(site.roll_back(kubeconfig=faulty_api.kubeconfig()))
    before = site.get("apps/v1", "Deployment", "web")["metadata"]["generation"]
    done = site.roll_back()
    assert done.get("changed") and done["workloads"] == ["Deployment web"], done
    assert site.get("apps/v1", "Deployment", "web")["metadata"]["generation"] > before
    assert not site.roll_back()["changed"]


def test_a_conversion_that_nobody_does_is_named(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> None:
    """The new cluster serves another version, and its conversion webhook is down."""
    shop = KubernetesComponent(kubernetes_cluster, kubernetes_namespace, tmp_path)
    api = kubernetes_cluster.api
    shop.mark()
    definitions.define(api, definitions.widget_definition())
    metadata = {"name": "one", "namespace": shop.namespace}
    api.create({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": metadata, "spec": {"size": 3}})
    shop.back_up()
    api.delete("example.test/v1", "Widget", "one", shop.namespace)
    other = definitions.widget_definition(not_served=["v1"])
    service = {"namespace": shop.namespace, "name": "absent", "port": 443}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    other["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
    try:
        definitions.define(api, other)
        message = failed(shop.restore(timeout="2s"))
        assert "Widget" in message and "conversion webhook" in message, message
    finally:
        definitions.define(api, definitions.widget_definition())
    assert shop.restore().get("changed")
    assert api.get("example.test/v1", "Widget", "one", shop.namespace)["spec"]["size"] == 3
