# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill's objects refer to nothing live, and a drill's rewriting changes nothing else."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.compare import differences
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.rename import (
    NO_CLASS,
    harmless,
    renamed,
    why_left_out,
)


def item(kind: str, spec: dict[str, t.Any] | None = None, api: str = "v1", **others: t.Any) -> dict[str, t.Any]:
    found: dict[str, t.Any] = {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "x", "namespace": "shop"},
        **others,
    }
    return found if spec is None else {**found, "spec": spec}


def pod_template(**spec: t.Any) -> dict[str, t.Any]:
    return {"replicas": 3, "template": {"metadata": {}, "spec": {"containers": [{"name": "web"}], **spec}}}


def test_references_follow() -> None:
    binding = item(
        "RoleBinding",
        api="rbac.authorization.k8s.io/v1",
        subjects=[
            {"kind": "ServiceAccount", "name": "web", "namespace": "shop"},
            {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
            {"kind": "User", "name": "system:serviceaccount:shop:web"},
            {"kind": "Group", "name": "system:serviceaccounts:shop"},
            {"kind": "User", "name": "system:serviceaccount:shop-2:web"},
        ],
    )
    subjects = renamed(binding, "shop", "shop-drill")["subjects"]
    assert [subject.get("namespace") for subject in subjects[:2]] == ["shop-drill", "build"]
    assert [subject["name"] for subject in subjects[2:]] == [
        "system:serviceaccount:shop-drill:web",
        "system:serviceaccounts:shop-drill",
        "system:serviceaccount:shop-2:web",
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("http://db.shop.svc:5432/shop", "http://db.shop-drill.svc:5432/shop"),
        ("db.shop.svc.cluster.local,cache.shop.svc", "db.shop-drill.svc.cluster.local,cache.shop-drill.svc"),
        ("db.workshop.svc", "db.workshop.svc"),
        ("db.shop.svc-other", "db.shop.svc-other"),
        ("shop", "shop"),
        ("db.shop.example.org", "db.shop.example.org"),
    ],
)
def test_names_of_services_in_text(text: str, expected: str) -> None:
    assert renamed(item("ConfigMap", data={"url": text}), "shop", "shop-drill")["data"]["url"] == expected


def test_lists_of_namespaces() -> None:
    spec = {"selector": {"namespaces": ["shop", "other"]}, "names": ["shop"]}
    found = renamed(item("Widget", spec, "example.org/v1"), "shop", "new")["spec"]
    assert found == {"selector": {"namespaces": ["new", "other"]}, "names": ["shop"]}


def test_the_namespace_itself() -> None:
    labels = {"kubernetes.io/metadata.name": "shop", "team": "shop"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
    metadata = renamed(namespace, "shop", "new")["metadata"]
    assert metadata == {"name": "new", "labels": {"kubernetes.io/metadata.name": "new", "team": "shop"}}


_TEXTS = st.text("abshop.-:/ ", max_size=20) | st.sampled_from(["shop", "db.shop.svc", "x.shop.svc.cluster.local"])
_VALUES = st.recursive(
    _TEXTS | st.integers(),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.sampled_from(["namespace", "namespaces", "name", "data"]), below, max_size=3)
    ),
    max_leaves=10,
)


@given(_VALUES)
def test_there_and_back(value: t.Any) -> None:
    """Nothing but references is touched, so that the opposite rewriting undoes it; and no reference is left."""
    original = item("Widget", {"value": value}, "example.org/v1")
    before = copy.deepcopy(original)
    there = renamed(original, "shop", "shop-drill-1")
    assert original == before
    assert ".shop.svc." not in json.dumps(there).replace(".shop.svc-", "")
    assert differences(original, renamed(there, "shop-drill-1", "shop")) == []


def test_services_stay_inside() -> None:
    spec = {
        "type": "LoadBalancer",
        "clusterIP": "10.0.0.7",
        "clusterIPs": ["10.0.0.7"],
        "externalIPs": ["192.0.2.1"],
        "externalTrafficPolicy": "Local",
        "healthCheckNodePort": 31000,
        "ports": [{"port": 80, "nodePort": 30080}],
        "selector": {"app": "web"},
    }
    assert harmless(item("Service", spec))["spec"] == {
        "type": "ClusterIP",
        "ports": [{"port": 80}],
        "selector": {"app": "web"},
    }
    assert harmless(item("Service", {"clusterIP": "None"}))["spec"] == {"clusterIP": "None"}


def test_ingresses_are_served_by_nobody() -> None:
    spec = {
        "rules": [{"host": "shop.example.org"}, {"host": "*.example.org"}, {}],
        "tls": [{"hosts": ["a.example.org"]}],
    }
    ingress = item("Ingress", spec, "networking.k8s.io/v1")
    ingress["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx", "note": "x"}
    found = harmless(ingress)
    assert found["spec"]["ingressClassName"] == NO_CLASS
    assert [rule.get("host") for rule in found["spec"]["rules"]] == [
        "shop.example.org.drill.invalid",
        "*.example.org.drill.invalid",
        None,
    ]
    assert found["spec"]["tls"][0]["hosts"] == ["a.example.org.drill.invalid"]
    assert found["metadata"]["annotations"] == {"note": "x"}


def test_nobody_is_asked_for_records_and_certificates() -> None:
    calls = {
        "external-dns.alpha.kubernetes.io/hostname": "shop.example.org",
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "kubernetes.io/tls-acme": "true",
    }
    spec = pod_template()
    spec["template"]["metadata"] = {"annotations": {**calls, "note": "x"}}
    for found in (
        item("Service", {"clusterIP": "None"}),
        item("Ingress", {}, "networking.k8s.io/v1"),
        item("Deployment", spec, "apps/v1"),
        item("Pod", {"containers": []}),
    ):
        found["metadata"]["annotations"] = {**calls, "note": "x"}
        fresh = harmless(found)
        assert fresh["metadata"]["annotations"] == {"note": "x"}
        template = (fresh["spec"].get("template") or {}).get("metadata") or {"annotations": {"note": "x"}}
        assert template["annotations"] == {"note": "x"}


@pytest.mark.parametrize(
    "spec, expected",
    [
        ({"volumeName": "pv-1", "storageClassName": "fast"}, {"storageClassName": "fast"}),
        ({"volumeName": "pv-1", "storageClassName": ""}, {"storageClassName": NO_CLASS}),
        ({"storageClassName": "fast", "selector": {"matchLabels": {"a": "b"}}}, {"storageClassName": NO_CLASS}),
    ],
)
def test_claims_take_no_live_volume(spec: dict[str, t.Any], expected: dict[str, t.Any]) -> None:
    assert harmless(item("PersistentVolumeClaim", spec))["spec"] == expected
    template = harmless(item("StatefulSet", {"volumeClaimTemplates": [{"spec": spec}]}, "apps/v1"))
    assert template["spec"]["volumeClaimTemplates"][0]["spec"] == expected


def test_jobs_do_not_run() -> None:
    assert harmless(item("CronJob", {"schedule": "* * * * *"}, "batch/v1"))["spec"]["suspend"] is True
    assert harmless(item("Job", {}, "batch/v1"))["spec"]["suspend"] is True


@pytest.mark.parametrize(
    "pod",
    [
        {"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]},
        {"hostNetwork": True},
        {"containers": [{"name": "web", "ports": [{"containerPort": 80, "hostPort": 80}]}]},
    ],
)
def test_what_uses_the_node_runs_nowhere(pod: dict[str, t.Any]) -> None:
    assert harmless(item("Deployment", pod_template(**pod), "apps/v1"), keep_replicas=True)["spec"]["replicas"] == 0
    daemons = harmless(item("DaemonSet", pod_template(**pod), "apps/v1"), keep_replicas=True)["spec"]["template"][
        "spec"
    ]
    assert daemons["nodeSelector"] == {"sre-runbooks/drill": "never"}
    assert why_left_out(item("Pod", {"containers": [], **pod}), True) is not None


def test_workloads_run_only_if_wanted() -> None:
    web = item("Deployment", pod_template(), "apps/v1")
    assert harmless(web)["spec"]["replicas"] == 0
    assert harmless(web, keep_replicas=True)["spec"]["replicas"] == 3
    pod = item("Pod", {"containers": []})
    assert harmless(pod)["spec"]["nodeSelector"] and "nodeSelector" not in harmless(pod, keep_replicas=True)["spec"]


def test_a_kind_of_the_same_name_is_left_as_it_is() -> None:
    spec = {"type": "LoadBalancer", "clusterIP": "x"}
    assert harmless(item("Service", spec, "serving.knative.dev/v1"))["spec"] == spec


def test_only_the_namespace_itself_is_taken_of_the_cluster() -> None:
    assert why_left_out({"kind": "ClusterRoleBinding"}, False) is not None
    assert why_left_out({"kind": "Namespace"}, False) is None
