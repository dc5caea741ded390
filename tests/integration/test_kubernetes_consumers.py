# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers of a component on a real control plane: stopped, brought back, held by two, finished after a kill."""

from __future__ import annotations

import json
import pathlib
import signal
import time
import typing as t

import pytest

from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.definitions import define, definition
from tests.servers.kubernetes.fixtures import kubernetes_cluster, kubernetes_namespace
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module, finish_module, start_module

__all__ = ["kubernetes_cluster", "kubernetes_namespace"]

Call = t.Callable[..., dict[str, t.Any]]
ENVIRONMENT = "staging"


@pytest.fixture
def namespace(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> str:
    """One that says which environment it belongs to."""
    kubernetes_cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "sre-runbooks-environment", "namespace": kubernetes_namespace},
            "data": {"environment": ENVIRONMENT},
        }
    )
    return kubernetes_namespace


def options(cluster: KubernetesServer, namespace: str, *consumers: Object, **changed: t.Any) -> dict[str, t.Any]:
    return {
        "component": "orders_db",
        "environment_name": ENVIRONMENT,
        "kubeconfig": cluster.kubeconfig,
        "namespace": namespace,
        "consumers": list(consumers),
        "timeout": "120s",
        **changed,
    }


def call(state: str, given: dict[str, t.Any], check: bool = False) -> dict[str, t.Any]:
    return call_module("kubernetes_consumers", {**given, "state": state}, check)


def named(kind: str, name: str) -> Object:
    return {"kind": kind, "name": name}


def running(cluster: KubernetesServer, namespace: str) -> list[str]:
    return [
        pod["metadata"]["name"]
        for pod in cluster.api.list("v1", "Pod", namespace)
        if pod["status"]["phase"] not in ("Succeeded", "Failed")
    ]


def test_every_kind_is_stopped_and_brought_back(kubernetes_cluster: KubernetesServer, namespace: str) -> None:
    api = kubernetes_cluster.api
    items = [
        workloads.deployment("api", namespace, replicas=3),
        workloads.stateful_set("queue", namespace, replicas=2),
        workloads.daemon_set("agent", namespace),
        workloads.cron_job("nightly", namespace),
        workloads.deployment("bystander", namespace, replicas=1),
    ]
    api.create(*items)
    for item in items:
        if item["kind"] != "CronJob":
            api.ready(item["kind"], item["metadata"]["name"], namespace)
    consumers = [named(item["kind"], item["metadata"]["name"]) for item in items[:-1]]
    given = options(kubernetes_cluster, namespace, *consumers)

    def specs() -> list[Object]:
        found = [api.get(item["apiVersion"], item["kind"], item["metadata"]["name"], namespace) for item in items]
        return [{"spec": item["spec"], "annotations": annotations(item)} for item in found]

    before = specs()
    predicted = call("stopped", given, check=True)
    assert predicted["changed"] and specs() == before
    stopped = call("stopped", given)
    assert stopped["changed"], stopped
    assert stopped["diff"] == predicted["diff"]
    assert [name.rsplit("-", 2)[0] for name in running(kubernetes_cluster, namespace)] == ["bystander"]
    assert [consumer["before"] for consumer in stopped["consumers"]] == ["3", "2", "scheduled", "false"]
    assert not call("stopped", given)["changed"], "a second stop does nothing"

    assert call("started", given, check=True)["changed"]
    started = call("started", given)
    assert started["changed"], started
    assert specs() == before, "nothing of ours is left"
    # Available when the module has ended, not some time later.
    assert api.get("apps/v1", "Deployment", "api", namespace)["status"]["availableReplicas"] == 3
    assert not call("started", given)["changed"]


def annotations(item: Object) -> Object:
    found = item["metadata"].get("annotations", {})
    # The Deployment's and the DaemonSet's own controllers count here.
    return {key: value for key, value in found.items() if not key.startswith(("deployment.", "deprecated."))}


def test_a_killed_stop_is_finished_and_its_count_is_not_lost(
    kubernetes_cluster: KubernetesServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    """Killed while it waits for pods that stay; the second stop must not remember 0."""
    api = kubernetes_cluster.api
    item = workloads.deployment("api", namespace, replicas=3)
    item["spec"]["template"]["metadata"]["finalizers"] = ["example.test/hold"]
    api.create(item)
    api.ready("Deployment", "api", namespace)
    given = options(kubernetes_cluster, namespace, named("Deployment", "api"))
    progress = tmp_path / "progress"
    process = start_module("kubernetes_consumers", {**given, "state": "stopped", "progress_path": str(progress)})
    wait(lambda: api.get("apps/v1", "Deployment", "api", namespace)["spec"]["replicas"] == 0, "the scaling")
    waiting = "Deployment " + namespace + "/api: 3 pods are not gone"
    wait(lambda: progress.exists() and waiting in json.loads(progress.read_text())["what"], "the progress")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    workloads.let_go(api, namespace)
    again = call("stopped", given)
    assert not again.get("failed") and not running(kubernetes_cluster, namespace), again
    api.patch(item, {"spec": {"template": {"metadata": {"finalizers": None}}}})
    assert call("started", given)["consumers"][0]["after"] == "3"
    assert api.get("apps/v1", "Deployment", "api", namespace)["status"]["availableReplicas"] == 3


def test_what_two_components_hold_comes_back_with_the_last(
    kubernetes_cluster: KubernetesServer, namespace: str
) -> None:
    api = kubernetes_cluster.api
    api.create(workloads.deployment("api", namespace, replicas=2))
    api.ready("Deployment", "api", namespace)
    orders = options(kubernetes_cluster, namespace, named("Deployment", "api"))
    queue = {**orders, "component": "queue_db"}
    # At the same moment: neither may overwrite what the other wrote.
    both = [start_module("kubernetes_consumers", {**given, "state": "stopped"}) for given in (orders, queue)]
    assert [finish_module(process).get("failed", False) for process in both] == [False, False]
    first = call("started", orders)
    assert first["consumers"][0]["outcome"] == "held" and first["consumers"][0]["held_for"] == ["queue_db"]
    assert not running(kubernetes_cluster, namespace)
    assert call("started", queue)["consumers"][0]["after"] == "2"
    assert len(running(kubernetes_cluster, namespace)) == 2


def test_what_does_not_come_back_is_named_with_its_reason(kubernetes_cluster: KubernetesServer, namespace: str) -> None:
    """Of two, the one that can is back, and the one whose image is gone says why."""
    api = kubernetes_cluster.api
    api.create(workloads.deployment("api", namespace), workloads.deployment("worker", namespace))
    api.ready("Deployment", "api", namespace)
    api.ready("Deployment", "worker", namespace)
    given = options(kubernetes_cluster, namespace, named("Deployment", "api"), named("Deployment", "worker"))
    assert call("stopped", given)["changed"]
    broken = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "test/image-missing:1"}]}}}}
    api.patch(workloads.deployment("api", namespace), broken)
    # Long enough for the one, even on a machine that stops for a while; the other takes all of it.
    failed = call("started", {**given, "timeout": "20s"})
    assert failed["failed"] and "ImagePullBackOff" in failed["msg"] and "worker" not in failed["msg"], failed
    assert f"kubectl describe deployment api --namespace {namespace}" in failed["msg"]
    assert api.ready("Deployment", "worker", namespace)
    assert api.get("apps/v1", "Deployment", "api", namespace)["spec"]["replicas"] == 1


def test_what_scales_from_zero_is_paused(kubernetes_cluster: KubernetesServer, namespace: str) -> None:
    """KEDA's kind; a HorizontalPodAutoscaler of the usual sort is left alone, as it leaves alone what is at 0."""
    api = kubernetes_cluster.api
    define(
        api,
        definition(
            "keda.sh", "ScaledObject", {"v1alpha1": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        ),
    )
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
    scaler = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "api", "namespace": namespace, "annotations": {"own": "kept"}},
        "spec": {"scaleTargetRef": {"name": "api"}},
    }
    usual = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "api", "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4},
    }
    api.create(workloads.deployment("api", namespace, replicas=2), scaler, usual)
    api.ready("Deployment", "api", namespace)
    given = options(kubernetes_cluster, namespace, named("Deployment", "api"))
    stopped = call("stopped", given)
    assert stopped["consumers"][0]["autoscalers"] == ["scaledobjects/api"], stopped
    paused = api.get("keda.sh/v1alpha1", "ScaledObject", "api", namespace)["metadata"]["annotations"]
    assert paused["autoscaling.keda.sh/paused"] == "true"
    # Past a look of the autoscaler's controller, which comes every 15 s at the latest, or sooner here.
    time.sleep(3)
    assert not running(kubernetes_cluster, namespace)
    call("started", given)
    found = api.get("keda.sh/v1alpha1", "ScaledObject", "api", namespace)
    assert found["metadata"]["annotations"] == {"own": "kept"}


def test_refusals_touch_nothing(kubernetes_cluster: KubernetesServer, namespace: str) -> None:
    api = kubernetes_cluster.api
    api.create(workloads.deployment("api", namespace, replicas=1))
    api.ready("Deployment", "api", namespace)
    (replica_set,) = api.list("apps/v1", "ReplicaSet", namespace)
    known, unknown = named("Deployment", "api"), named("Deployment", "apy")
    controlled = named("ReplicaSet", replica_set["metadata"]["name"])
    for given, words in (
        (options(kubernetes_cluster, namespace, known, unknown), f"no Deployment {namespace}/apy"),
        (options(kubernetes_cluster, namespace, controlled), "name the Deployment api in component_consumers"),
        (
            options(kubernetes_cluster, namespace, known, environment_name="production"),
            "belongs to another environment",
        ),
        (options(kubernetes_cluster, namespace, {"kind": "Deployment"}), "either name or selector"),
        (
            options(kubernetes_cluster, "default", known),
            "kubectl create configmap sre-runbooks-environment --namespace",
        ),
    ):
        refused = call("stopped", given)
        assert refused.get("failed") and words in refused["msg"], refused
    assert len(running(kubernetes_cluster, namespace)) == 1
    found = api.get("apps/v1", "Deployment", "api", namespace)
    assert not any(key.startswith("sre.runbooks/") for key in found["metadata"].get("annotations", {}))
    # A namespace that is gone runs nothing; what may be missing is none of the refusals.
    gone = call("stopped", options(kubernetes_cluster, "gone-for-good", known))
    assert not gone.get("failed") and not gone["changed"] and "is gone" in str(gone["warnings"])
    missing = call("stopped", options(kubernetes_cluster, namespace, {**unknown, "required": False}))
    assert not missing.get("failed") and not missing["changed"]


def test_jobs_of_a_suspended_cron_job_are_waited_for(kubernetes_cluster: KubernetesServer, namespace: str) -> None:
    api = kubernetes_cluster.api
    cron_job = workloads.cron_job("nightly", namespace)
    (made,) = api.create(cron_job)
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": "nightly-1",
            "namespace": namespace,
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": "nightly",
                    "uid": made["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {
            "template": {
                "metadata": {"labels": {"test.sre.runbooks/behaves": "long-job"}},
                "spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "test/app:1"}]},
            }
        },
    }
    api.create(job)
    wait(lambda: running(kubernetes_cluster, namespace), "the job's pod")
    given = options(kubernetes_cluster, namespace, {"kind": "CronJob", "selector": "app=nightly"})
    late = call("stopped", {**given, "timeout": "3s"})
    assert late["failed"] and "still running: nightly-1" in late["msg"], late
    api.delete("batch/v1", "Job", "nightly-1", namespace)
    assert not call("stopped", given).get("failed")
    assert api.get("batch/v1", "CronJob", "nightly", namespace)["spec"]["suspend"] is True
