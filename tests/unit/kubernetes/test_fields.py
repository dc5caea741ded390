# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is meant of an object: by its managed fields, and the table of what those do not tell."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.fields import (
    OWNERS,
    canonical,
    desired,
    owners_of,
    recorded,
)

Object = dict[str, t.Any]
SERVER = "kube-controller-manager"


def fields(*paths: str) -> Object:
    """``spec.replicas`` as ``fieldsV1`` writes it; a part that begins with ``k:`` or ``v:`` stays as it is."""
    tree: Object = {}
    for path in paths:
        node = tree
        for part in path.split("|") if "|" in path else path.split("."):
            node = node.setdefault(part if part[:2] in ("k:", "v:") or part == "." else f"f:{part}", {})
    return tree


def live(kind: str, version: str = "v1", managed: dict[str, Object] | None = None, **content: t.Any) -> Object:
    """A live object; ``managed``: manager (with ``/subresource``) → fields."""
    entries = []
    for who, tree in (managed or {}).items():
        manager, _slash, subresource = who.partition("/")
        entry: Object = {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": tree}
        entries.append({**entry, "subresource": subresource} if subresource else entry)
    metadata = {
        "name": "a", "namespace": "shop", "uid": "u-1", "resourceVersion": "7", "generation": 2,
        "creationTimestamp": "2026-11-21T05:10:00Z", "managedFields": entries, **content.pop("metadata", {}),
    }  # fmt: skip
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def test_identity_and_bookkeeping_go() -> None:
    obj = live("ConfigMap", metadata={"selfLink": "/x", "deletionTimestamp": None}, data={"a": "1"})
    assert desired(obj) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}, "data": {"a": "1"}
    }  # fmt: skip
    assert recorded(obj)["metadata"]["uid"] == "u-1" and "managedFields" not in recorded(obj)["metadata"]


def test_what_only_the_server_set_goes_and_what_somebody_meant_stays() -> None:
    obj = live(
        "Deployment",
        "apps/v1",
        {
            "kubectl": fields("spec.replicas", "metadata.annotations.mine"),
            SERVER: fields("metadata.annotations.theirs", "spec.paused", "spec.replicas"),
            f"{SERVER}/status": fields("status.replicas"),
        },
        metadata={"annotations": {"mine": "1", "theirs": "2", "nobodys": "3"}},
        spec={"replicas": 3, "paused": True, "minReadySeconds": 0},
        status={"replicas": 3},
    )
    assert desired(obj)["metadata"]["annotations"] == {"mine": "1", "nobodys": "3"}
    assert desired(obj)["spec"] == {"replicas": 3, "minReadySeconds": 0} and "status" not in desired(obj)


def test_items_of_lists_are_told_apart_by_their_keys() -> None:
    taint = 'k:{"key":"theirs"}'
    obj = live(
        "Thing",
        "example.com/v1",
        {
            "kubectl": fields('spec|items|k:{"key":"mine"}|key', 'spec|items|k:{"key":"mine"}|.'),
            SERVER: fields(f"spec|items|{taint}|key", f"spec|items|{taint}|value", f"spec|items|{taint}|.",
                           'spec|set|v:"theirs"'),
        },
        spec={"items": [{"key": "mine", "value": 1}, {"key": "theirs", "value": 2}], "set": ["mine", "theirs"]},
    )  # fmt: skip
    assert desired(obj)["spec"] == {"items": [{"key": "mine", "value": 1}], "set": ["mine"]}


def test_what_was_scaled_keeps_its_count() -> None:
    obj = live(
        "Deployment",
        "apps/v1",
        {"kubectl": fields("spec.template"), f"{SERVER}/scale": fields("spec.replicas")},
        spec={"replicas": 7, "template": {}},
    )
    assert desired(obj)["spec"]["replicas"] == 7


def test_a_port_of_the_node_in_a_list_that_was_set_as_a_whole_was_meant() -> None:
    port = {"port": 80, "protocol": "TCP", "nodePort": 30080}
    spec = {"type": "NodePort", "ports": [port]}
    whole = live("Service", managed={"terraform": fields("spec.ports")}, spec=spec)
    assert desired(whole)["spec"]["ports"] == [port]
    item = 'spec|ports|k:{"port":80,"protocol":"TCP"}|port'
    by_item = live("Service", managed={"kubectl": fields(item)}, spec=spec)
    assert "nodePort" not in desired(by_item)["spec"]["ports"][0]


def test_plain_data_called_status_stays() -> None:
    obj = live("Thing", "example.com/v1", {"operator": fields("status.phase")}, status={"phase": "Ready"})
    assert desired(obj)["status"] == {"phase": "Ready"}
    assert "status" not in desired(
        live("Thing", "example.com/v1", {"operator/status": fields("status.phase")}, status={})
    )


def test_owners_are_noted_by_name() -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u-9", "blockOwnerDeletion": True}
    found = desired(live("Secret", metadata={"ownerReferences": [owner]}))
    assert "ownerReferences" not in found["metadata"]
    assert json.loads(found["metadata"]["annotations"][OWNERS]) == [
        {"apiVersion": "v1", "blockOwnerDeletion": True, "kind": "ConfigMap", "name": "o"}
    ]
    assert owners_of(found) == owners_of({"metadata": {"ownerReferences": [owner]}})
    assert desired(found) == found
    assert owners_of({"metadata": {"annotations": {OWNERS: "{broken"}}}) == []


SERVICE = {"spec": {
    "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
    "healthCheckNodePort": 31000, "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}], "selector": {"a": "b"}}}  # fmt: skip
TABLE: list[tuple[str, Object, Object]] = [
    (
        "addresses and ports that the server chose",
        live("Service", managed={"kubectl": fields('spec|ports|k:{"port":80,"protocol":"TCP"}|port')}, **SERVICE),
        {"ports": [{"port": 80, "protocol": "TCP"}], "selector": {"a": "b"}},
    ),
    (
        "addresses and ports that somebody chose",
        live("Service", managed={"kubectl": {"f:spec": {
            "f:clusterIP": {}, "f:clusterIPs": {}, "f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}}}},
            **SERVICE),
        {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "selector": {"a": "b"},
         "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]},
    ),
    (
        "a headless service stays headless",
        live("Service", spec={"clusterIP": "None", "clusterIPs": ["None"]}),
        {"clusterIP": "None"},
    ),
    (
        "a claim finds its volume again",
        live("PersistentVolumeClaim", managed={SERVER: fields("spec.volumeName", "spec.resources")},
             spec={"volumeName": "pv-1", "resources": {"requests": {"storage": "1Gi"}}}),
        {"resources": {"requests": {"storage": "1Gi"}}},
    ),
    (
        "a claim is not made once more from what it was made from",
        live("PersistentVolumeClaim", managed={"kubectl": fields("spec.dataSource.name", "spec.resources")},
             spec={"dataSource": {"name": "gone"}, "dataSourceRef": {"name": "gone"}, "resources": {}}),
        {"resources": {}},
    ),
    (
        "a claim that somebody bound stays bound, whatever a controller made of it",
        live("PersistentVolumeClaim", managed={"kubectl": fields("spec.volumeName"), SERVER: fields("spec.resources")},
             spec={"volumeName": "pv-1", "resources": {"requests": {"storage": "1Gi"}}}),
        {"volumeName": "pv-1", "resources": {"requests": {"storage": "1Gi"}}},
    ),
    (
        "a volume stays reserved for its claim",
        live("PersistentVolume", managed={"kubectl": fields("spec.capacity"), SERVER: fields("spec.claimRef.name")},
             spec={"claimRef": {"namespace": "shop", "name": "c", "uid": "u-9", "resourceVersion": "5"}, "capacity": {}}),
        {"claimRef": {"namespace": "shop", "name": "c"}, "capacity": {}},
    ),
    (
        "a job's selector is made anew",
        live("Job", "batch/v1", spec={
            "selector": {"matchLabels": {"controller-uid": "u"}}, "parallelism": 1,
            "template": {"metadata": {"labels": {"controller-uid": "u", "job-name": "a", "mine": "1"},
                                      "creationTimestamp": None}}}),
        {"parallelism": 1, "template": {"metadata": {"labels": {"mine": "1"}}}},
    ),
    (
        "a job's own selector stays",
        live("Job", "batch/v1", spec={"manualSelector": True, "selector": {"matchLabels": {"mine": "1"}}}),
        {"manualSelector": True, "selector": {"matchLabels": {"mine": "1"}}},
    ),
    (
        "a pod is scheduled anew and gets another token",
        live("Pod", spec={
            "nodeName": "n", "priority": 0,
            "volumes": [{"name": "kube-api-access-x", "projected": {}}, {"name": "mine", "emptyDir": {}}],
            "containers": [{"name": "c", "volumeMounts": [
                {"name": "kube-api-access-x", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}]}),
        {"volumes": [{"name": "mine", "emptyDir": {}}], "containers": [{"name": "c"}]},
    ),
    (
        "a pod that somebody put on a node stays there",
        live("Pod", managed={"kubectl": fields("spec.nodeName")}, spec={"nodeName": "n"}),
        {"nodeName": "n"},
    ),
    (
        "templates of claims have no state",
        live("StatefulSet", "apps/v1", spec={"volumeClaimTemplates": [
            {"metadata": {"name": "v", "creationTimestamp": None}, "spec": {}, "status": {"phase": "Pending"}}]}),
        {"volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": {}}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("obj", "spec"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE])
def test_the_table_of_exceptions(obj: Object, spec: Object) -> None:
    before = copy.deepcopy(obj)
    assert desired(obj)["spec"] == spec
    assert obj == before
    assert desired(desired(obj)) == desired(obj)


@pytest.mark.parametrize("program", ["k3s", "kubelite"])
def test_a_control_plane_of_one_program_is_a_server_as_well(program: str) -> None:
    claim = live("PersistentVolumeClaim", managed={program: fields("spec.volumeName"), "kubectl": fields("spec.resources")},
                 spec={"volumeName": "pv-1", "resources": {}})  # fmt: skip
    assert desired(claim)["spec"] == {"resources": {}}


def test_other_exceptions() -> None:
    token = live("Secret", type="kubernetes.io/service-account-token", data={"token": "eA==", "ca.crt": "", "mine": "bQ=="},
                 managed={"kubectl": fields("data.mine")},
                 metadata={"annotations": {"kubernetes.io/service-account.name": "x", "kubernetes.io/service-account.uid": "u"}})  # fmt: skip
    assert desired(token)["data"] == {"mine": "bQ=="}
    assert desired(token)["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "x"}
    account = live("ServiceAccount", secrets=[{"name": "a-token-1"}], imagePullSecrets=[{"name": "mine"}])
    assert "secrets" not in desired(account) and desired(account)["imagePullSecrets"] == [{"name": "mine"}]
    namespace = live("Namespace", spec={"finalizers": ["kubernetes"]},
                     metadata={"labels": {"kubernetes.io/metadata.name": "a", "mine": "1"}})  # fmt: skip
    assert "spec" not in desired(namespace) and desired(namespace)["metadata"]["labels"] == {"mine": "1"}
    claim = live("PersistentVolumeClaim", metadata={"finalizers": ["kubernetes.io/pvc-protection", "example.com/keep"]})
    assert desired(claim)["metadata"]["finalizers"] == ["example.com/keep"]
    deployment = live("Deployment", "apps/v1", metadata={"annotations": {"deployment.kubernetes.io/revision": "4"}})
    assert "annotations" not in desired(deployment)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
trees = st.recursive(
    st.just({}),
    lambda inner: st.dictionaries(
        st.sampled_from(["f:spec", "f:data", "f:a", "f:b", "f:metadata", ".", 'k:{"a":1}', "v:1", "v:broken"]), inner
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(["Service", "Secret", "Job", "Pod", "PersistentVolume", "Namespace", "Thing"]),
    st.dictionaries(
        st.sampled_from(["spec", "data", "status", "a"]), st.dictionaries(st.sampled_from("ab"), json_values)
    ),
    trees,
    trees,
)
def test_any_object_is_taken_the_same_twice(kind: str, content: Object, theirs: Object, mine: Object) -> None:
    obj = live(kind, "batch/v1" if kind == "Job" else "v1", {SERVER: theirs, "kubectl": mine}, **content)
    once = desired(obj)
    assert desired(once) == once
    assert once["metadata"]["name"] == "a" and once["kind"] == kind
    assert json.loads(canonical(once)) == once and canonical(once).count(b"\n") == 1


@given(st.dictionaries(st.sampled_from(["spec", "data", "a"]), json_values, max_size=3))
def test_without_managed_fields_nothing_of_an_unknown_kind_is_lost(content: Object) -> None:
    taken = desired(live("Thing", "example.com/v1", **content))
    assert {name: value for name, value in taken.items() if name in content} == content
