# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes kinds of probes on a real control plane: what is in order, and every fault with its reason."""

from __future__ import annotations

import base64
import datetime
import json
import pathlib
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.kubernetes import definitions, workloads
from tests.servers.kubernetes.api import Api, Object, wait
from tests.servers.kubernetes.fixtures import kubernetes_cluster, kubernetes_namespace
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module

__all__ = ["kubernetes_cluster", "kubernetes_namespace"]

KINDS = ("workloads", "pods", "restarts", "autoscalers", "services", "ingresses", "certificates", "events", "volumes")
Results = dict[str, Object]


def probe(cluster: KubernetesServer, namespace: str | None, *probes: Object, kubeconfig: str = "") -> Results:
    """The results by kind."""
    common = {"kubeconfig": kubeconfig or cluster.kubeconfig, "timeout": "60s"}
    scope = {"namespace": namespace} if namespace else {}
    declared = []
    for one in probes:
        spaceless = one["kind"] in ("kubernetes_nodes", "kubernetes_api")
        declared.append({**common, **({} if spaceless else scope), **one})
    found = call_module("probe", {"probes": declared, "fail": False})
    assert "results" in found, found
    return {result["kind"].removeprefix("kubernetes_"): result for result in found["results"]}


def kinds(*names: str, **options: object) -> list[Object]:
    return [{"kind": f"kubernetes_{name}", **options} for name in names]


def service(name: str, namespace: str, app: str) -> Object:
    spec = {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def ingress(name: str, namespace: str, backend: str) -> Object:
    route = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}
    spec = {"rules": [{"host": f"{name}.test", "http": {"paths": [route]}}]}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def tls_secret(name: str, namespace: str, days: float) -> tuple[Object, str]:
    """With a certificate that ends then; and its key, which nobody may see."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.test")])
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(end - datetime.timedelta(days=90)).not_valid_after(end)
    chain = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    data = {name: base64.b64encode(value).decode() for name, value in (("tls.crt", chain), ("tls.key", private))}
    metadata = {"name": name, "namespace": namespace}
    item = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data}
    return item, private.decode().splitlines()[1]


def claim(name: str, namespace: str, storage_class: str | None = None) -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def test_what_is_in_order_is_ok(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> None:
    cluster, namespace, api = kubernetes_cluster, kubernetes_namespace, kubernetes_cluster.api
    made = [
        workloads.deployment("api", namespace, 2),
        workloads.stateful_set("db", namespace),
        workloads.job("once", namespace),
    ]
    secret, key = tls_secret("front-tls", namespace, 90)
    api.create(
        *made, service("api", namespace, "api"), ingress("front", namespace, "api"), secret, claim("data", namespace)
    )
    api.ready("Deployment", "api", namespace)
    api.ready("StatefulSet", "db", namespace)
    wait(lambda: api.get("v1", "PersistentVolumeClaim", "data", namespace)["status"]["phase"] == "Bound", "the claim")
    wait(lambda: endpoints(api, namespace), "the endpoints")
    wait(lambda: api.get("batch/v1", "Job", "once", namespace)["status"].get("completionTime"), "the job")

    def without_warnings() -> Results | None:
        """What controllers stumble over while everything starts on a busy machine are warnings for an hour; some come late."""
        api.request("DELETE", f"/api/v1/namespaces/{namespace}/events")
        looked = probe(cluster, namespace, *kinds("api", "nodes", *KINDS))
        return looked if looked["events"]["outcome"] == "ok" else None

    found = wait(without_warnings, "a look without warnings of the start")
    assert {name: result["outcome"] for name, result in found.items()} == dict.fromkeys(
        ("api", "nodes", *KINDS), "ok"
    ), found
    assert found["workloads"]["measured"] == "3 of 3 workloads available and settled"
    assert found["nodes"]["measured"] == "2 of 2 nodes ready"
    assert found["certificates"]["values"]["days_left"][f"{namespace}/front-tls"] == pytest.approx(90, abs=0.1)
    assert key not in json.dumps(found)
    # The whole cluster, of which this namespace is a part.
    assert probe(cluster, None, *kinds("workloads"))["workloads"]["values"]["workloads"] >= 3


def endpoints(api: Api, namespace: str) -> bool:
    slices = api.list("discovery.k8s.io/v1", "EndpointSlice", namespace)
    return any(one["conditions"].get("ready") for item in slices for one in item.get("endpoints") or [])


def test_every_fault_is_found_and_says_why(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> None:
    cluster, namespace, api = kubernetes_cluster, kubernetes_namespace, kubernetes_cluster.api
    definitions.define(api, *definitions.certificate_definitions())
    nowhere = workloads.deployment("nowhere", namespace)
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "of-glass"}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nowhere"}
    usage = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
    }
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "blind", "namespace": namespace},
        "spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3, "metrics": [usage]},
    }
    issued = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"secretName": "web-tls"},
    }
    secret, key = tls_secret("old-tls", namespace, 3)
    api.create(
        workloads.deployment("unpullable", namespace, image="test/image-missing:1"),
        workloads.deployment("crashing", namespace, image="test/crash-loop:1"),
        workloads.job("broken", namespace, image="test/fails:1"),
        nowhere,
        autoscaler,
        service("bare", namespace, "nobody"),
        ingress("front", namespace, "gone"),
        secret,
        claim("homeless", namespace, "no-such-class"),
    )
    (made,) = api.create(issued)
    api.patch(
        made,
        {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Failed", "message": "no issuer"}]}},
        "status",
    )
    wait(lambda: troubled(api, namespace), "the faults to show")
    asked = [
        *kinds("workloads", "autoscalers", "services", "ingresses", "certificates", "volumes", "events"),
        *kinds("pods", grace="1s"),
        *kinds("restarts", maximum=0),
    ]
    found = probe(cluster, namespace, *asked)
    expected = {name: "warning" if name == "events" else "failed" for name in KINDS}
    assert {name: result["outcome"] for name, result in found.items()} == expected, found
    reasons = found["pods"]["values"]["reasons"]
    assert {"ImagePullBackOff", "CrashLoopBackOff", "Unschedulable"} <= set(reasons), reasons
    assert "didn't match Pod's node affinity/selector" in found["pods"]["message"]
    assert "BackoffLimitExceeded" in found["workloads"]["message"]
    assert "FailedGetResourceMetric" in found["autoscalers"]["message"]
    assert found["services"]["message"] == f"{namespace}/bare: no ready endpoint; it selects app=nobody"
    assert found["ingresses"]["message"] == f"{namespace}/front: front.test/: there is no service gone"
    assert f"Certificate {namespace}/web: Failed: no issuer" in found["certificates"]["message"]
    assert f"{namespace}/old-tls: ends in 3.0 days" in found["certificates"]["message"]
    assert found["volumes"]["message"] == f"{namespace}/homeless: Pending, not bound"
    assert found["events"]["values"]["reasons"]["FailedScheduling"] >= 1
    assert "exit code 1" in found["restarts"]["message"]
    assert all(result["hint"].endswith(f"--namespace={namespace}") for result in found.values())
    assert key not in json.dumps(found)


def troubled(api: Api, namespace: str) -> bool:
    """Whether the controllers have said what is wrong with everything."""
    events = {event["reason"] for event in api.list("v1", "Event", namespace)}
    job = api.get("batch/v1", "Job", "broken", namespace).get("status", {})
    scaler = api.get("autoscaling/v2", "HorizontalPodAutoscaler", "blind", namespace).get("status", {})
    blind = any(
        entry["type"] == "ScalingActive" and entry["status"] == "False" for entry in scaler.get("conditions") or []
    )
    pods = api.list("v1", "Pod", namespace)
    waiting = {
        container["state"].get("waiting", {}).get("reason")
        for pod in pods
        for container in pod["status"].get("containerStatuses", [])
    }
    unscheduled = any(
        entry.get("reason") == "Unschedulable" for pod in pods for entry in pod["status"].get("conditions") or []
    )
    failed = any(entry["type"] == "Failed" for entry in job.get("conditions") or [])
    told = {"FailedScheduling", "BackOff"} <= events and {"CrashLoopBackOff", "ImagePullBackOff"} <= waiting
    # A pod of this second would be too young to be judged.
    born = max((pod["metadata"]["creationTimestamp"] for pod in pods), default="")
    old = born < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2))
    return told and failed and blind and unscheduled and old


def test_nothing_there_is_a_failure(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> None:
    found = probe(kubernetes_cluster, kubernetes_namespace, *kinds("workloads"))["workloads"]
    assert found["outcome"] == "failed" and "it has 0 workloads, not 1" in found["message"]
    found = probe(kubernetes_cluster, kubernetes_namespace, *kinds("workloads", minimum=0))["workloads"]
    assert found["outcome"] == "ok"


def test_an_unreachable_server_fails_one_probe_and_leaves_the_others_unknown(
    kubernetes_cluster: KubernetesServer, tmp_path: pathlib.Path
) -> None:
    gone = kubernetes_cluster.write_kubeconfig("gone", url="https://127.0.0.1:1")
    found = probe(kubernetes_cluster, "default", *kinds("api", "pods"), kubeconfig=gone)
    assert {name: result["outcome"] for name, result in found.items()} == {"api": "failed", "pods": "unknown"}
    assert "is not ready" in found["api"]["message"]


def test_what_only_metrics_and_kubelets_know(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> None:
    """Unknown while nobody says it. The server does not proxy to kubelets on loopback, so of them this is all there is."""
    cluster, namespace, api = kubernetes_cluster, kubernetes_namespace, kubernetes_cluster.api
    db = workloads.stateful_set("db", namespace)
    spec = db["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    spec["containers"][0]["resources"] = {"limits": {"memory": "100Mi"}, "requests": {"memory": "10Mi"}}
    api.create(claim("data", namespace), db)
    api.ready("StatefulSet", "db", namespace)
    wait(lambda: api.get("v1", "PersistentVolumeClaim", "data", namespace)["status"]["phase"] == "Bound", "the claim")
    found = probe(cluster, namespace, *kinds("volumes", "resources"))
    assert {name: result["outcome"] for name, result in found.items()} == {"volumes": "unknown", "resources": "unknown"}
    assert found["resources"]["message"] == "the cluster does not measure: it serves no metrics.k8s.io"
    assert "its kubelet does not say how full volumes are: HTTP 400" in found["volumes"]["message"]
    assert found["volumes"]["measured"] == "1 of 1 claim bound, 0 of 1 mounted ones measured"

    serve_metrics(api)
    usage = {"name": "app", "usage": {"cpu": "10m", "memory": "97Mi"}}
    item = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "containers": [usage]}
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
    api.request("POST", path, {**item, "metadata": {"name": "db-0", "namespace": namespace}})
    found = probe(cluster, namespace, *kinds("resources"))
    assert found["resources"]["outcome"] == "failed", found
    assert "container app uses 97 % of its memory limit" in found["resources"]["message"]
    assert found["resources"]["values"]["above_requests"] == 1


def serve_metrics(api: Api) -> None:
    """The API of a metrics server, where what a test writes is what it measured."""
    measured = definitions.definition("metrics.k8s.io", "PodMetrics", {"v1beta1": definitions.anything()})
    names = {"kind": "PodMetrics", "listKind": "PodMetricsList", "plural": "pods", "singular": "pod"}
    measured["spec"]["names"], measured["metadata"]["name"] = names, "pods.metrics.k8s.io"
    for version in measured["spec"]["versions"]:
        version["schema"] = {"openAPIV3Schema": definitions.anything()}
    definitions.define(api, measured)
