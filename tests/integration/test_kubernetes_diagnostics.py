# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnostics of a namespace of a real control plane: what stands out is found, Secrets are never asked for."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part, unpack
from tests.servers.kubernetes import workloads
from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.fixtures import faulty_api, kubernetes_cluster, kubernetes_namespace
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import secret
from tests.servers.module_call import call_module

__all__ = ["faulty_api", "kubernetes_cluster", "kubernetes_namespace"]

SECRETS = ("Zq9-data-1111", "Zq9-environment-2222", "Zq9-log-3333", "Zq9-annotation-4444", "Zq9-argument-5555")


def look(kubeconfig: str, namespace: str, **more: t.Any) -> tuple[dict[str, t.Any], Part]:
    kubernetes = {"kubeconfig": kubeconfig, "namespace": namespace}
    params = {"component": "shop", "host_state": False, "kubernetes": kubernetes, **more}
    found = call_module("diagnostics", params)
    assert not found.get("failed"), found
    return found, unpack(found["part"])


def items(part: Part, collector: str) -> dict[str, str]:
    (section,) = [one for one in part.collected if one.name == collector]
    return {item.name: item.content.decode() for item in section.items}


def fill(cluster: KubernetesServer, namespace: str) -> None:
    """What is in order, what crashes, what cannot be pulled, a service of nobody, a second revision, and secrets."""
    api = workloads.deployment("api", namespace)
    container = api["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "DB_PASSWORD", "value": SECRETS[1]}, {"name": "LEVEL", "value": SECRETS[1]}]
    container["args"] = [f"--db-password={SECRETS[4]}"]
    api["spec"]["template"]["metadata"]["annotations"] = {"config": f"token={SECRETS[3]}"}
    port = {"selector": {"app": "nobody"}, "ports": [{"port": 80}]}
    lonely: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "lonely", "namespace": namespace},
        "spec": port,
    }
    cluster.api.create(
        secret("db", namespace, password=SECRETS[0]),
        api,
        workloads.deployment("crashing", namespace, image="test/crash-loop:1"),
        workloads.deployment("absent", namespace, image="test/image-missing:1"),
        lonely,
    )
    cluster.api.ready("Deployment", "api", namespace)
    cluster.api.patch(api, {"spec": {"template": {"metadata": {"labels": {"rolled": "out"}}}}})
    cluster.api.ready("Deployment", "api", namespace)

    def in_trouble() -> bool:
        pods = {pod["metadata"]["labels"]["app"]: pod for pod in cluster.api.list("v1", "Pod", namespace)}
        states = [pods.get(name, {}).get("status", {}).get("containerStatuses") for name in ("crashing", "absent")]
        return all(states) and states[0][0]["restartCount"] >= 2

    wait(in_trouble, "the pods in trouble")
    wait(lambda: len(cluster.api.list("v1", "Pod", namespace)) == 3, "the pod of the first revision to go")
    wait(
        lambda: "BackOff" in {event["reason"] for event in cluster.api.list("v1", "Event", namespace)},
        "the event of the pod that crashes",
    )
    for pod in cluster.api.list("v1", "Pod", namespace):
        cluster.set_log(namespace, pod["metadata"]["name"], f"started\nERROR password={SECRETS[2]} is wrong\n")


def test_a_namespace_in_trouble(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, faulty_api: FaultyApi
) -> None:
    fill(kubernetes_cluster, kubernetes_namespace)
    # Nothing fails on this way, which notes what is asked for.
    found, part = look(faulty_api.kubeconfig(), kubernetes_namespace)
    outcomes = {one["name"]: (one["outcome"], one["why"]) for one in found["collectors"]}
    # This cluster measures nothing, and says so.
    assert outcomes.pop("kubernetes_usage")[0] == "failed"
    outcomes.pop("kubernetes_previous_logs")  # the simulated kubelet has none
    assert set(outcomes.values()) == {("collected", "")}, outcomes

    texts = [finding.text for finding in part.findings]
    assert any(text.startswith("1 pod in CrashLoopBackOff: ") and "/crashing-" in text for text in texts), texts
    assert any(text.startswith("1 pod in ImagePullBackOff: ") for text in texts), texts
    assert f"service {kubernetes_namespace}/lonely has no ready endpoint" in texts
    assert any(text.startswith(f"Deployment {kubernetes_namespace}/api got revision 2 at ") for text in texts), texts
    assert part.findings[0].severity == "failure"

    assert "CrashLoopBackOff" in items(part, "kubernetes_pods")["pods.txt"]
    assert '"DB_PASSWORD"' in items(part, "kubernetes_pods")["described.json"]
    assert "test/app:1" in items(part, "kubernetes_rollouts")["rollouts_newest_first.txt"]
    assert "BackOff" in items(part, "kubernetes_events")["events_newest_first.txt"]
    logs = items(part, "kubernetes_logs")
    assert any("_crashing-" in name for name in logs)
    assert all("ERROR password=********" in text for text in logs.values())
    assert any("speaks of errors" in text for text in texts)
    whole = repr(part)
    for value in SECRETS:
        assert value not in whole, value
    assert kubernetes_cluster.api.list("v1", "Secret", kubernetes_namespace), "there was no secret to ask for"
    asked = faulty_api.requests
    assert any(f"/namespaces/{kubernetes_namespace}/pods" in line for line in asked), asked
    assert [line for line in asked if "secrets" in line or not line.startswith("GET ")] == []


def test_who_may_see_nothing_is_told_so(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> None:
    kubeconfig = kubernetes_cluster.kubeconfig_for("stranger")
    found, part = look(kubeconfig, kubernetes_namespace, alert="crash_loop")
    assert {one["outcome"] for one in found["collectors"]} <= {"failed", "partly"}
    assert "stranger" in found["collectors"][0]["why"]
    assert "pods" in found["collectors"][0]["why"]
    assert not part.findings
