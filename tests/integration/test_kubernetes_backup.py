# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubernetes_backup on a real API server: what it takes, when, and what it leaves to others."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.servers.kubernetes.api import wait
from tests.servers.kubernetes.server import KubernetesServer, command
from tests.servers.kubernetes.site import SECRET, Site, config_map, fill, secret


@pytest.fixture
def site(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path) -> Site:
    return Site(kubernetes_cluster, kubernetes_namespace, tmp_path)


def test_everything_is_taken_once_and_then_nothing(site: Site) -> None:
    fill(site)
    before = site.files()
    would = site.back_up(check=True)
    assert would["changed"] and would["recovery_point"] is None and would["plan"]["kinds"]["configmaps"] >= 4
    assert would["plan"]["skipped"]["events.events.k8s.io"] == "the same objects as events"
    assert site.files() == before

    done = site.back_up()
    assert done["changed"], done
    (point,) = site.points()
    assert verify_point(site.repository, point, site.identities(), None).ok
    told = point.content["kubernetes"]
    assert told["scope"] == "namespace" and told["namespace"] == site.namespace and told["not_one_moment"]
    assert all(entry["resource_version"] for entry in told["kinds"])
    kinds = {entry["resource"]: entry for entry in told["kinds"]}
    assert kinds["pods"]["count"] == 0 and kinds["pods"]["owned"] == 3 and kinds["pods"]["object"] is None
    assert kinds["deployments"]["object"] == "apps/v1/deployments.jsonl.zst.age"
    assert kinds["widgets"]["count"] == 1 and kinds["widgets"]["version"] == "v1"
    assert SECRET not in json.dumps(done)

    stored = site.stored(point)
    assert stored == site.live()
    assert "sre-runbooks-environment" not in stored["configmaps"] and "kube-root-ca.crt" not in stored["configmaps"]
    assert "kube-root-ca.crt" in site.stored(point, "owned_object")["configmaps"]
    assert stored["namespaces"][site.namespace]["kind"] == "Namespace"
    owned = stored["configmaps"]["owned"]["metadata"]
    assert json.loads(owned["annotations"]["sre.runbooks/owners"]) == [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "settings"}
    ]
    assert owned["finalizers"] == ["example.com/keep"]

    for check in (False, True):
        again = site.back_up(check=check)
        assert not again["changed"] and again["recovery_point"]["point_id"] == point.point_id
    site.cluster.api.patch(config_map("owned", site.namespace), {"metadata": {"finalizers": None}})


def test_what_the_server_sets_is_left_out_and_what_was_meant_stays(site: Site) -> None:
    fill(site)
    live = site.live()
    services = live["services"]
    assert "clusterIP" not in services["web"]["spec"] and "nodePort" not in services["web"]["spec"]["ports"][0]
    assert services["pinned"]["spec"]["ports"][0]["nodePort"] >= 30000
    assert services["db"]["spec"]["clusterIP"] == "None"
    claims = live["persistentvolumeclaims"]
    assert "volumeName" not in claims["files"]["spec"] and "annotations" not in claims["files"]["metadata"]
    assert "data" not in live["secrets"]["token"]
    deployment = live["deployments"]["web"]
    assert "status" not in deployment and deployment["spec"]["replicas"] == 2
    assert "annotations" not in deployment["metadata"]
    assert set(deployment["metadata"]) == {"name", "namespace", "labels"}
    site.cluster.api.patch(config_map("owned", site.namespace), {"metadata": {"finalizers": None}})


def test_a_deleted_namespace_comes_back_by_hand(site: Site) -> None:
    """RESTORE.md, followed to the letter with kubectl, gives the same namespace, field for field."""
    fill(site)
    site.cluster.api.patch(config_map("owned", site.namespace), {"metadata": {"finalizers": None}})
    before = site.live()
    assert site.back_up()["changed"]
    (point,) = site.points()
    site.cluster.api.delete("v1", "Namespace", site.namespace)
    folder = site.path / "repository" / point.prefix
    guide = (folder / "RESTORE.md").read_text()
    script = "set -eu\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```", guide, re.M | re.S))
    tools = site.path / "bin"
    tools.mkdir()
    kubectl = tools / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {" ".join(command("kubectl"))} "$@"\n')
    kubectl.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(site.path),
            "KUBECONFIG": site.cluster.kubeconfig,
            "IDENTITY": str(site.identity_file),
        },
        capture_output=True,
        text=True,
    )
    shutil.rmtree(folder / "restored")
    assert done.returncode == 0, done.stdout + done.stderr
    wait(lambda: site.live() == before, "the namespace to be as before")


def test_secrets_go_into_encrypted_points_only(site: Site) -> None:
    site.cluster.api.create(secret("credentials", site.namespace, password=SECRET))
    refused = site.back_up(encryption_recipients=[])
    assert refused["failed"] and refused["error"]["kind"] == "refused", refused
    assert "component_kubernetes_secrets" in refused["error"]["next_command"]
    assert site.points() == []
    bare = site.back_up(encryption_recipients=[], secrets="exclude")
    assert bare["changed"] and bare["plan"]["skipped"]["secrets"]
    (point,) = site.points()
    assert "secrets" not in site.stored(point)
    assert site.back_up()["message"].endswith("does not hold secrets")
    assert "secrets" in site.stored(site.points()[0])


def test_hidden_kinds_are_named_with_the_rights_to_give(site: Site) -> None:
    cluster = site.cluster
    kubeconfig = cluster.kubeconfig_for_service_account(site.namespace, "reader")
    cluster.kubectl(
        "-n", site.namespace, "create", "role", "reader", "--verb=list,get", "--resource=configmaps,namespaces"
    )
    account = f"--serviceaccount={site.namespace}:reader"
    cluster.kubectl("-n", site.namespace, "create", "rolebinding", "reader", "--role=reader", account)
    cluster.await_rights()
    refused = site.back_up(kubeconfig=kubeconfig)
    assert refused["failed"], refused
    error = refused["error"]
    assert "partial" in error["message"] and "no right to list endpoints, " in error["found"]
    assert f"system:serviceaccount:{site.namespace}:reader" in error["expected"] and " secrets" in error["expected"]
    assert '- {apiGroups: ["apps"], resources: [controllerrevisions, daemonsets, deployments' in error["expected"]
    assert site.points() == []
    granting = error["next_command"].partition("grant it: ")[2]
    script = f'kubectl() {{ {" ".join(command("kubectl"))} "$@"; }}; {granting}'
    environment = {"PATH": os.environ["PATH"], "HOME": str(site.path), "KUBECONFIG": cluster.kubeconfig}
    subprocess.run(["bash", "-c", script], env=environment, check=True, stdout=subprocess.DEVNULL)
    cluster.await_rights()
    done = site.back_up(kubeconfig=kubeconfig)
    assert done.get("changed"), done


def test_absent_and_going_namespaces_are_refused(site: Site) -> None:
    absent = site.back_up(namespace="nowhere")
    assert absent["error"]["kind"] == "refused" and "there is no namespace nowhere" in absent["msg"]
    item = config_map("kept", site.namespace)
    item["metadata"]["finalizers"] = ["example.com/keep"]
    site.cluster.api.create(item)
    site.cluster.api.delete("v1", "Namespace", site.namespace, gone_s=0)
    going = site.back_up()
    assert going["error"]["kind"] == "refused" and "is being deleted" in going["msg"], going
    assert site.points() == []
    site.cluster.api.patch(item, {"metadata": {"finalizers": None}})


def test_selections_and_what_belongs_to_no_namespace(site: Site) -> None:
    api = site.cluster.api
    fill(site)
    marked = config_map("marked", site.namespace, a="1")
    marked["metadata"]["labels"] = {"app": "shop"}
    api.create(marked)
    done = site.back_up(scope="selection", selector="app=shop", component="selected")
    assert done["changed"], done
    assert done["plan"]["kinds"] == {"configmaps": 1, "deployments.apps": 1}
    # Labels that nothing carries, and labels that only what controllers make carries: no backup of nothing.
    for selector in ("app=shopp", "app=web"):
        nothing = site.back_up(scope="selection", selector=selector, component="nothing")
        assert "there is nothing to back up" in nothing["msg"], nothing
        assert "component_kubernetes_selector" in nothing["error"]["next_command"]
    assert not list_points(site.repository, "nothing").points
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "shop:reader"}}
    api.apply({**role, "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]})
    done = site.back_up(scope="cluster", namespace=None, component="cluster")
    assert done["changed"], done
    kinds = done["plan"]["kinds"]
    assert kinds["customresourcedefinitions.apiextensions.k8s.io"] >= 1 and "configmaps" not in kinds
    wrong = site.back_up(scope="namespace", namespace=None)
    assert wrong["error"]["kind"] == "invalid_input" and "component_kubernetes_namespace" in wrong["msg"]
    api.patch(config_map("owned", site.namespace), {"metadata": {"finalizers": None}})


def test_an_aggregated_api_that_is_down_is_no_reason_for_silence(site: Site) -> None:
    service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.down.example.com"},
        "spec": {
            "group": "down.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1,
            "insecureSkipTLSVerify": True, "service": {"name": "none", "namespace": site.namespace, "port": 443},
        },
    }  # fmt: skip
    site.cluster.api.create(service)
    try:
        refused = wait(lambda: next((r for r in [site.back_up(check=True)] if r.get("failed")), None), "the refusal")
        assert "do not answer" in refused["msg"] and "kubectl describe apiservice v1.down.example.com" in refused["msg"]
        assert site.back_up(excluded_kinds=["*.down.example.com"])["changed"]
    finally:
        site.cluster.api.delete("apiregistration.k8s.io/v1", "APIService", "v1.down.example.com")
