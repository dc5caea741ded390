# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes kinds against objects that a cluster could hold; the real one is asked in the integration tests."""

from __future__ import annotations

import base64
import datetime
import pathlib
import sys
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from kubernetes_lists import NOW, PODS, Cluster, Object, ago, ask, item, look

DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
JOBS = "/apis/batch/v1/namespaces/shop/jobs"
SERVICES = "/api/v1/namespaces/shop/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
SETTLED = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}


def test_workloads() -> None:
    good = item("api", {"replicas": 1}, SETTLED)
    bad = item("worker", {"replicas": 1}, {"observedGeneration": 1})
    assert look("kubernetes_workloads", {DEPLOYMENTS: [good]}).reading.outcome == "ok"
    found = look("kubernetes_workloads", {DEPLOYMENTS: [good, bad]}).reading
    assert (found.outcome, found.measured) == ("failed", "1 of 2 workloads available and settled")
    assert found.values["findings"][0]["thing"] == "Deployment shop/worker"
    assert found.hint == "kubectl get deployments,statefulsets,daemonsets,jobs --namespace=shop"
    assert look("kubernetes_workloads", {DEPLOYMENTS: [good, bad]}, ignore=["work*"]).reading.outcome == "ok"
    held = item(
        "api", {"replicas": 0}, {"observedGeneration": 1}, annotations={"sre.runbooks/stopped-for": "orders_db"}
    )
    assert "still stopped for orders_db" in look("kubernetes_workloads", {DEPLOYMENTS: [held]}).reading.message


def test_no_workload_is_a_failure_unless_that_is_expected() -> None:
    assert look("kubernetes_workloads", {}).reading.outcome == "failed"
    assert look("kubernetes_workloads", {}, minimum=0).reading.outcome == "ok"


def test_only_the_newest_job_of_a_cron_job_counts() -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    owner = [{"kind": "CronJob", "name": "nightly", "uid": "c", "controller": True}]
    old = item("nightly-1", {}, failed, ownerReferences=owner, creationTimestamp=ago(100))
    new = item("nightly-2", {}, complete, ownerReferences=owner, creationTimestamp=ago(10))
    assert look("kubernetes_workloads", {JOBS: [new, old]}).reading.outcome == "ok"
    old["status"], new["status"] = complete, failed
    assert "BackoffLimitExceeded" in look("kubernetes_workloads", {JOBS: [old, new]}).reading.message


def pod(name: str, container: t.Any = None, **status: t.Any) -> Object:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": ago(5000)}
    found = {"phase": "Running", "conditions": [ready], "containerStatuses": [{"name": "app", **(container or {})}]}
    return item(name, {"nodeName": "n1", "containers": [{"name": "app"}]}, {**found, **status})


def test_pods_and_restarts() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(60)}}
    often = {"restartCount": 9, "lastState": ended}
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    lists = {PODS: [pod("a"), pod("b", waiting), pod("c", often)]}
    found = look("kubernetes_pods", lists).reading
    assert (found.outcome, found.measured, found.values["reasons"]) == (
        "failed",
        "2 of 3 pods in order",
        {"ImagePullBackOff": 1},
    )
    assert "shop/b: ImagePullBackOff: container app: no such image" in found.message
    found = look("kubernetes_restarts", lists).reading
    assert found.outcome == "failed" and "9 times, last 1 m 00 s ago: OOMKilled (exit code 137)" in found.message
    assert look("kubernetes_restarts", lists, maximum=9).reading.outcome == "ok"
    assert look("kubernetes_restarts", lists, window="30s").reading.outcome == "ok"


def autoscaler(current: int = 2, conditions: t.Any = (), **spec: t.Any) -> Object:
    listed = [{"type": kind, "status": status, "reason": reason, "message": "m"} for kind, status, reason in conditions]
    return item("api", {"maxReplicas": 4, **spec}, {"desiredReplicas": current, "conditions": listed})


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (autoscaler(), "ok"),
        (autoscaler(4), "warning"),
        (autoscaler(4, minReplicas=4), "ok"),
        (autoscaler(4, [("ScalingLimited", "True", "TooManyReplicas")]), "warning"),
        (autoscaler(2, [("ScalingActive", "False", "FailedGetResourceMetric")]), "failed"),
        (autoscaler(0, [("ScalingActive", "False", "ScalingDisabled")]), "ok"),
    ],
    ids=["room", "at its maximum", "fixed", "wants more", "cannot measure", "at rest"],
)
def test_autoscalers(found: Object, outcome: str) -> None:
    path = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers"
    assert look("kubernetes_autoscalers", {path: [found]}).reading.outcome == outcome


def endpoints(service: str, *ready: bool | None) -> Object:
    listed = [{"conditions": {} if one is None else {"ready": one}} for one in ready]
    return {**item(service + "-x", labels={"kubernetes.io/service-name": service}), "endpoints": listed}


def test_services_and_ingresses() -> None:
    port = {"ports": [{"name": "web", "port": 80}], "selector": {"app": "x"}}
    services = [item("good", port), item("bare", port), item("far", {"type": "ExternalName"})]
    slices = [endpoints("good", False, None), endpoints("bare", False)]
    found = look("kubernetes_services", {SERVICES: services, SLICES: slices}).reading
    assert (found.outcome, found.measured) == ("failed", "1 of 2 services with ready endpoints")
    assert found.message == "shop/bare: no ready endpoint; it selects app=x"
    paths = [
        {"path": "/", "backend": {"service": {"name": "good", "port": {"number": 80}}}},
        {"path": "/named", "backend": {"service": {"name": "good", "port": {"name": "web"}}}},
        {"path": "/none", "backend": {"service": {"name": "gone", "port": {"number": 80}}}},
        {"path": "/port", "backend": {"service": {"name": "good", "port": {"number": 81}}}},
        {"path": "/bare", "backend": {"service": {"name": "bare", "port": {"number": 80}}}},
    ]
    ingress = item("front", {"rules": [{"host": "shop.test", "http": {"paths": paths}}]})
    lists = {"/apis/networking.k8s.io/v1/namespaces/shop/ingresses": [ingress], SERVICES: services, SLICES: slices}
    found = look("kubernetes_ingresses", lists).reading
    assert found.measured == "2 of 5 routes of 1 ingress lead somewhere"
    assert found.message == (
        "shop/front: shop.test/none: there is no service gone; shop/front: shop.test/port: service good has no port 81,"
        " only web; shop/front: shop.test/bare: service bare has no ready endpoint"
    )


def certificate(days: float) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "shop.test")])
    end = NOW + datetime.timedelta(days=days)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    signed = made.not_valid_before(end - datetime.timedelta(days=400)).not_valid_after(end).sign(key, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


SECRETS = "/api/v1/namespaces/shop/secrets"
CERTIFICATES = "/apis/cert-manager.io/v1/namespaces/shop/certificates"


def test_certificates_and_never_their_keys() -> None:
    key = base64.b64encode(b"the-key-itself").decode()
    secrets = [
        {**item("fresh"), "data": {"tls.crt": certificate(90), "tls.key": key}},
        {**item("soon"), "data": {"tls.crt": certificate(10), "tls.key": key}},
        {**item("over"), "data": {"tls.crt": certificate(-2), "tls.key": key}},
        {**item("junk"), "data": {"tls.crt": key, "tls.key": key}},
    ]
    lists: dict[str, t.Any] = {SECRETS: secrets, CERTIFICATES: 404}
    result = look("kubernetes_certificates", lists)
    found = result.reading
    assert found.outcome == "failed" and found.measured == "3 certificates, the first, shop/over, ends in -2.0 days"
    assert [(one["outcome"], one["thing"]) for one in found.values["findings"]] == [
        ("failed", "Secret shop/junk"),
        ("failed", "shop/over"),
        ("warning", "shop/soon"),
    ]
    assert key not in repr(result) and "the-key-itself" not in repr(result)
    status = {
        "notAfter": ago(-3 * 86400),
        "conditions": [{"type": "Ready", "status": "False", "reason": "Failed", "message": "no issuer"}],
    }
    lists = {SECRETS: 403, CERTIFICATES: [item("web", {"secretName": "web-tls"}, status)]}
    found = look("kubernetes_certificates", lists).reading
    assert {one["outcome"] for one in found.values["findings"]} == {"failed", "unknown"}
    assert (
        "Certificate shop/web: Failed: no issuer" in found.message and "shop/web-tls: ends in 3.0 days" in found.message
    )
    assert look("kubernetes_certificates", {SECRETS: 403}, sources="cert_manager").reading.outcome == "ok"
    # An identity that may not read what it is to judge knows nothing.
    assert look("kubernetes_certificates", {SECRETS: 403}).reading.outcome == "unknown"


def event(reason: str, seconds: float, count: int = 1, name: str = "p") -> Object:
    about = {"kind": "Pod", "name": name, "namespace": "shop"}
    return {
        **item(f"{reason}-{name}-{seconds}"),
        "reason": reason,
        "count": count,
        "lastTimestamp": ago(seconds),
        "involvedObject": about,
        "message": "text\nmore",
    }


def test_events_are_grouped_and_counted() -> None:
    path = "/api/v1/namespaces/shop/events"
    events = [event("BackOff", 10, 7), event("BackOff", 20, 2, "q"), event("Unhealthy", 30), event("BackOff", 7200, 50)]
    found = look("kubernetes_events", {path: events}).reading
    assert (found.outcome, found.measured) == ("warning", "10 warnings of 2 sorts")
    assert found.message.startswith(
        "BackOff (Pod): 9 times about 2 objects, such as shop/p: text more; Unhealthy (Pod): 1"
    )
    assert look("kubernetes_events", {path: events}, fail_above=9).reading.outcome == "failed"
    assert look("kubernetes_events", {path: events}, maximum=10).reading.outcome == "ok"
    assert look("kubernetes_events", {path: events}, ignore="BackOff,Un*").reading.outcome == "ok"


def test_nodes() -> None:
    def node(name: str, spec: t.Any = None, **conditions: str) -> Object:
        listed = [{"type": kind, "status": status, "message": "m"} for kind, status in conditions.items()]
        return item(name, spec, {"conditions": listed})

    def judge(*nodes: Object, **options: t.Any) -> str:
        return look("kubernetes_nodes", {"/api/v1/nodes": list(nodes)}, **options).reading.outcome

    good = node("a", Ready="True", DiskPressure="False")
    assert judge(good) == "ok"
    assert judge() == "failed"
    assert judge(good, minimum=2) == "failed"
    assert judge(good, node("b", Ready="Unknown")) == "failed"
    assert judge(good, node("b", Ready="True", MemoryPressure="True")) == "failed"
    assert judge(good, node("b", {"unschedulable": True}, Ready="True")) == "warning"


CLAIMS = "/api/v1/namespaces/shop/persistentvolumeclaims"
SUMMARY = "/api/v1/nodes/n1/proxy/stats/summary"


def volume(name: str, free: int, inodes_free: int = 50) -> Object:
    reference = {"name": name, "namespace": "shop"}
    return {"pvcRef": reference, "capacityBytes": 100, "availableBytes": free, "inodes": 100, "inodesFree": inodes_free}


def test_volumes() -> None:
    bound = {"phase": "Bound"}
    mounting = pod("a")
    mounting["spec"]["volumes"] = [
        {"name": one, "persistentVolumeClaim": {"claimName": one}}
        for one in ("roomy", "full", "filling", "inodes", "silent")
    ]
    claims = [item(name, None, bound) for name in ("roomy", "full", "filling", "inodes", "silent", "idle")]
    summary = {
        "pods": [{"volume": [volume("roomy", 60), volume("full", 5), volume("filling", 15), volume("inodes", 60, 1)]}]
    }
    lists: dict[str, t.Any] = {
        CLAIMS: [*claims, item("pending", None, {"phase": "Pending"})],
        PODS: [mounting],
        SUMMARY: summary,
    }
    found = look("kubernetes_volumes", lists).reading
    assert found.outcome == "failed", found
    assert found.measured == "6 of 7 claims bound, 4 of 5 mounted ones measured"
    outcomes = {one["thing"]: one["outcome"] for one in found.values["findings"]}
    assert outcomes == {
        "shop/pending": "failed",
        "shop/full": "failed",
        "shop/inodes": "failed",
        "shop/silent": "unknown",
        "shop/filling": "warning",
    }
    for status in (403, 404, 503):
        found = look("kubernetes_volumes", {CLAIMS: claims, PODS: [mounting], SUMMARY: status}).reading
        assert (found.outcome, len(found.values["findings"])) == ("unknown", 1)
    assert (
        look("kubernetes_volumes", {CLAIMS: claims, PODS: [mounting], SUMMARY: 403}, usage=False).reading.outcome
        == "ok"
    )
    assert look("kubernetes_volumes", {}).reading.outcome == "ok"


METRICS = "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods"


@pytest.mark.parametrize(
    ("memory", "cpu", "outcome"),
    [("100Mi", "100m", "ok"), ("210Mi", "100m", "warning"), ("250Mi", "100m", "failed"), ("1Mi", "950m", "warning")],
)
def test_resources(memory: str, cpu: str, outcome: str) -> None:
    limited = pod("a")
    limited["spec"]["containers"][0]["resources"] = {
        "limits": {"memory": "256Mi", "cpu": "1"},
        "requests": {"memory": "64Mi"},
    }
    usage = {**item("a"), "containers": [{"name": "app", "usage": {"memory": memory, "cpu": cpu}}]}
    found = look("kubernetes_resources", {PODS: [limited], METRICS: [usage]}).reading
    assert found.outcome == outcome
    assert found.values["above_requests"] == (memory != "1Mi")


def test_resources_that_nobody_measures_are_unknown() -> None:
    assert look("kubernetes_resources", {METRICS: 404}).reading.outcome == "unknown"
    assert look("kubernetes_resources", {PODS: [pod("a")]}).reading.outcome == "unknown"


def test_each_list_is_asked_for_once_a_call() -> None:
    cluster = Cluster({PODS: [pod("a")], DEPLOYMENTS: [item("api", {"replicas": 1}, SETTLED)]})
    kinds = ("pods", "restarts", "workloads", "services", "ingresses")
    results = ask(cluster, *({"kind": f"kubernetes_{kind}"} for kind in kinds))
    assert {result.reading.outcome for result in results} == {"ok"}
    assert set(cluster.asked.values()) == {1}
    assert cluster.asked[PODS] == 1


def test_another_attempt_looks_anew() -> None:
    cluster = Cluster({DEPLOYMENTS: []})
    (result,) = ask(cluster, {"kind": "kubernetes_workloads", "attempts": 3, "interval": 0})
    assert (result.attempts, cluster.asked[DEPLOYMENTS]) == (3, 3)


def test_what_the_api_refuses_is_unknown_and_names_the_way_out() -> None:
    found = look("kubernetes_pods", {PODS: 403}).reading
    assert found.outcome == "unknown" and "kubectl auth can-i" in (found.hint or "")


def test_bad_declarations_name_the_nearest() -> None:
    for raw, words in (
        ({"kind": "kubernetes_pod"}, "did you mean 'kubernetes_pods'?"),
        ({"kind": "kubernetes_pods", "namspace": "x"}, "did you mean 'namespace'?"),
        ({"kind": "kubernetes_certificates", "sources": ["files"]}, "some of secrets, cert_manager"),
        ({"kind": "kubernetes_workloads", "minimum": -1}, "a whole number from 0"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            declare_all([raw], Session())
        assert words in str(refusal.value)
