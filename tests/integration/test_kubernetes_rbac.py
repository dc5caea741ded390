# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""extensions/kubernetes: under exactly these service accounts everything works, and nothing else is allowed."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import contextlib
import pathlib
import re
import shlex
import socket
import threading
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.tunnel import Tunnel
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import helper_name
from tests.servers.kubernetes import definitions, workloads
from tests.servers.kubernetes.api import Api, ApiFault, Object, wait
from tests.servers.kubernetes.fixtures import kubernetes_cluster, kubernetes_namespace
from tests.servers.kubernetes.server import ROOT, KubernetesServer
from tests.servers.kubernetes.site import SECRET, Site, secret
from tests.servers.module_call import call_module

__all__ = ["kubernetes_cluster", "kubernetes_namespace"]

MANIFESTS = ROOT / "extensions" / "kubernetes"
HOME = "sre-runbooks"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
#: What is had by asking for a subresource, and is as good as the pod, the node or the account itself.
STRONG = (
    ("", "pods/exec", "get"),
    ("", "pods/exec", "create"),
    ("", "pods/attach", "get"),
    ("", "pods/portforward", "get"),
    ("", "pods/proxy", "get"),
    ("", "pods/log", "get"),
    ("", "services/proxy", "get"),
    ("", "nodes/proxy", "get"),
    ("", "serviceaccounts/token", "create"),
    ("", "users", "impersonate"),
    ("rbac.authorization.k8s.io", "roles", "escalate"),
    ("rbac.authorization.k8s.io", "roles", "bind"),
)
Right = tuple[str, str, str]


def rights(group: str, resources: str, verbs: str) -> set[Right]:
    return {(group, resource, verb) for resource in resources.split() for verb in verbs.split()}


#: What each identity may do in a namespace where it works. Everyone may ask what they may do.
PROBE = {
    *rights("", "events persistentvolumeclaims pods services", "list"),
    *rights("apps", "daemonsets deployments replicasets statefulsets", "list"),
    *rights("batch", "jobs", "list"),
    *rights("autoscaling", "horizontalpodautoscalers", "list"),
    *rights("discovery.k8s.io", "endpointslices", "list"),
    *rights("networking.k8s.io", "ingresses", "list"),
    *rights("cert-manager.io", "certificates", "list"),
    *rights("metrics.k8s.io", "pods", "list"),
}
CONSUMERS = {
    *rights("apps", "daemonsets deployments replicasets statefulsets", "get list patch"),
    *rights("batch", "cronjobs", "get list patch"),
    *rights("autoscaling", "horizontalpodautoscalers", "get list patch"),
    *rights("keda.sh", "scaledobjects", "get list patch"),
    *rights("batch", "jobs", "list"),
    *rights("", "pods", "list"),
}
NAMESPACES = rights("", "namespaces", "get")


@pytest.fixture(scope="module")
def installed(kubernetes_cluster: KubernetesServer) -> KubernetesServer:
    """With the manifest as it is, and cert-manager's kinds."""
    kubernetes_cluster.kubectl("apply", "-f", str(MANIFESTS / "rbac.yml"))
    definitions.define(kubernetes_cluster.api, *definitions.certificate_definitions())
    return kubernetes_cluster


@pytest.fixture
def namespace(installed: KubernetesServer, kubernetes_namespace: str) -> str:
    installed.kubectl("apply", f"--namespace={kubernetes_namespace}", "-f", str(MANIFESTS / "rbac-namespace.yml"))
    installed.await_rights()
    return kubernetes_namespace


def identity(cluster: KubernetesServer, purpose: str) -> tuple[str, Api]:
    """The kubeconfig of one of the manifest's service accounts, and a way to the API as it."""
    name = f"sre-runbooks-{purpose}"
    path = cluster.kubeconfig_for_service_account(HOME, name)
    return path, Api(cluster.url, cluster.ca, cluster.api.token(HOME, name))


def allowed(cluster: KubernetesServer, purpose: str, namespace: str) -> set[Right]:
    """Everything that an identity may do there: the server is asked for every kind that it serves and every verb."""
    asked: set[Right] = {*STRONG}
    for path in api_paths(cluster.api):
        group = path.removeprefix("/apis/").rpartition("/")[0] if path.startswith("/apis/") else ""
        asked |= {(group, one["name"], verb) for one in cluster.api.request("GET", path)["resources"] for verb in VERBS}

    def ask(right: Right) -> Right | None:
        group, name, verb = right
        resource, _, subresource = name.partition("/")
        attributes = {
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "verb": verb,
            "namespace": namespace,
        }
        spec = {"user": f"system:serviceaccount:{HOME}:sre-runbooks-{purpose}", "resourceAttributes": attributes}
        spec["groups"] = ["system:serviceaccounts", f"system:serviceaccounts:{HOME}", "system:authenticated"]
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = cluster.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", kind)
        return right if answer["status"]["allowed"] else None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = {right for right in pool.map(ask, sorted(asked)) if right}
    # What the server lets everybody ask about themselves.
    return {right for right in found if right[0] not in ("authorization.k8s.io", "authentication.k8s.io")}


def api_paths(api: Api) -> collections.abc.Iterator[str]:
    yield "/api/v1"
    for group in api.request("GET", "/apis")["groups"]:
        yield from (f"/apis/{version['groupVersion']}" for version in group["versions"])


def bind(cluster: KubernetesServer, namespace: str, *roles: str) -> None:
    """As docs/kubernetes.md says, for another namespace than its own."""
    told = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    for role in roles:
        (command,) = re.findall(rf"`kubectl (create (?:cluster)?rolebinding [^`]*--clusterrole {role} [^`]*)`", told)
        words = shlex.split(command.replace("-n shop", f"-n {namespace}"))
        # One of the whole cluster is there after the first time.
        binding = cluster.kubectl(*words, "--dry-run=client", "-o", "json")
        cluster.kubectl("apply", "-f", "-", stdin=binding.encode())
    cluster.await_rights()


def test_each_may_do_what_it_needs_and_nothing_else(installed: KubernetesServer, namespace: str) -> None:
    served = {right for right in CONSUMERS | PROBE if right[0] not in ("keda.sh", "metrics.k8s.io")}
    assert allowed(installed, "probe", namespace) == (PROBE & served) | rights("", "nodes", "list")
    assert allowed(installed, "probe", "default") == rights("", "nodes", "list")
    assert allowed(installed, "consumers", namespace) == (CONSUMERS & served) | NAMESPACES
    assert allowed(installed, "consumers", "default") == NAMESPACES
    backup = allowed(installed, "backup", namespace)
    assert {verb for _group, _resource, verb in backup} == {"list", "get"}
    assert {right for right in backup if right[2] == "get"} == NAMESPACES
    assert allowed(installed, "backup", "default") == set()
    assert allowed(installed, "databases", namespace) == set()


def test_what_is_bound_for_some_uses_only_adds_those(installed: KubernetesServer, namespace: str) -> None:
    bind(installed, namespace, "sre-runbooks-files", "sre-runbooks-databases", "sre-runbooks-expansion")
    pods = rights("", "pods", "get create delete") | rights("", "pods/exec", "get create")
    assert {right for right in allowed(installed, "backup", namespace) if right[2] != "list"} == NAMESPACES | pods
    way = rights("", "pods", "get list") | rights("", "pods/portforward", "get create")
    assert allowed(installed, "databases", namespace) == way
    served = {right for right in CONSUMERS if right[0] != "keda.sh"} | NAMESPACES
    assert allowed(installed, "consumers", namespace) == served | rights("", "persistentvolumeclaims", "get patch")
    assert allowed(installed, "databases", "default") == set()


def refused(request: t.Callable[[], object]) -> None:
    with pytest.raises(ApiFault) as fault:
        request()
    assert fault.value.status == 403, fault.value


def test_probes_work_and_can_neither_read_secrets_nor_change_anything(
    installed: KubernetesServer, namespace: str
) -> None:
    installed.api.create(workloads.deployment("api", namespace), secret("token", namespace, value=SECRET))
    installed.api.ready("Deployment", "api", namespace)
    path, api = identity(installed, "probe")
    implied = ("api", "workloads", "pods", "restarts", "autoscalers", "services", "ingresses", "certificates", "events")
    probes: list[Object] = [{"kind": f"kubernetes_{kind}", "kubeconfig": path, "timeout": "60s"} for kind in implied]
    for one in probes[1:]:
        one["namespace"] = namespace
    probes[implied.index("certificates")]["sources"] = ["cert_manager"]
    probes.append({"kind": "kubernetes_nodes", "kubeconfig": path, "timeout": "60s"})
    probes.append({"kind": "kubernetes_volumes", "kubeconfig": path, "namespace": namespace, "usage": False})
    found = call_module("probe", {"probes": probes, "fail": False})
    outcomes = {result["kind"]: result["outcome"] for result in found["results"]}
    # A warning of the scheduler's own, on a loaded machine, is an answer too.
    assert set(outcomes.values()) <= {"ok", "warning"}, found["message"]
    # With what is not bound, it says that it does not know.
    strong = {"kubeconfig": path, "namespace": namespace, "timeout": "60s", "kind": "kubernetes_certificates"}
    found = call_module("probe", {"probes": [strong], "fail": False})
    assert found["results"][0]["outcome"] == "unknown" and "may not read them" in found["message"]
    logs = {"kubeconfig": path, "namespace": namespace, "timeout": "60s", "kind": "kubernetes_logs"}
    found = call_module("probe", {"probes": [logs], "fail": False})
    assert found["results"][0]["outcome"] == "unknown" and "may not get pods/log" in found["message"]
    refused(lambda: api.list("v1", "Secret", namespace))
    refused(lambda: api.get("v1", "Secret", "token", namespace))
    refused(lambda: api.list("v1", "ConfigMap", namespace))
    refused(lambda: api.create(workloads.deployment("new", namespace)))
    refused(lambda: api.patch(workloads.deployment("api", namespace), {"spec": {"replicas": 0}}))
    refused(lambda: api.delete("apps/v1", "Deployment", "api", namespace))
    refused(lambda: api.list("v1", "Pod", "default"))


def test_errors_in_logs_are_counted_once_that_is_allowed(installed: KubernetesServer, namespace: str) -> None:
    installed.api.create(workloads.deployment("api", namespace))
    installed.api.ready("Deployment", "api", namespace)
    (pod,) = installed.api.list("v1", "Pod", namespace)
    name = pod["metadata"]["name"]
    installed.set_log(namespace, name, f"started\nERROR password={SECRET} is wrong\n")
    bind(installed, namespace, "sre-runbooks-probe-logs")
    path, api = identity(installed, "probe")
    logs = {"kubeconfig": path, "namespace": namespace, "timeout": "60s", "kind": "kubernetes_logs"}
    found = call_module("probe", {"probes": [logs], "fail": False})
    (result,) = found["results"]
    assert (result["outcome"], result["values"]["lines"]) == ("warning", 1), found
    assert f"{namespace}/{name}/" in result["message"] and SECRET not in str(found)
    refused(lambda: api.list("v1", "Secret", namespace))


def test_consumers_are_stopped_and_started_and_nothing_else_can_be_done(
    installed: KubernetesServer, namespace: str
) -> None:
    marker = {"name": "sre-runbooks-environment", "namespace": namespace}
    installed.api.create(
        workloads.deployment("api", namespace, 2),
        workloads.cron_job("nightly", namespace),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": marker, "data": {"environment": "local"}},
        secret("token", namespace, value=SECRET),
    )
    installed.api.ready("Deployment", "api", namespace)
    path, api = identity(installed, "consumers")
    given = {
        "component": "orders_db",
        "environment_name": "local",
        "kubeconfig": path,
        "namespace": namespace,
        "consumers": [{"kind": "Deployment", "name": "api"}, {"kind": "CronJob", "selector": "app=nightly"}],
    }
    for state in ("stopped", "started"):
        done = call_module("kubernetes_consumers", {**given, "state": state})
        assert done["changed"] and not done.get("failed"), done
    # A namespace that was deleted takes the bindings with it; that it is gone can still be told.
    gone = call_module("kubernetes_consumers", {**given, "state": "stopped", "namespace": "deleted"})
    assert not gone.get("failed"), gone
    refused(lambda: api.list("v1", "Secret", namespace))
    refused(lambda: api.list("v1", "ConfigMap", namespace))
    refused(
        lambda: api.patch({"apiVersion": "v1", "kind": "ConfigMap", "metadata": marker}, {"data": {"environment": "x"}})
    )
    refused(lambda: api.create(workloads.deployment("new", namespace)))
    refused(lambda: api.delete("apps/v1", "Deployment", "api", namespace))
    refused(lambda: api.delete("v1", "Namespace", namespace))


def test_a_backup_is_whole_and_its_identity_changes_nothing(
    installed: KubernetesServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    installed.api.create(workloads.deployment("api", namespace), secret("token", namespace, value=SECRET))
    installed.api.ready("Deployment", "api", namespace)
    path, api = identity(installed, "backup")
    site = Site(installed, namespace, tmp_path)
    taken = site.back_up(kubeconfig=path)
    assert taken["changed"] and not taken.get("failed"), taken
    mistyped = site.back_up(kubeconfig=path, namespace=f"{namespace}-2", force=True)
    assert "there is no namespace" in mistyped["msg"] and "rbac-namespace.yml" in mistyped["msg"], mistyped
    stored = site.stored(site.points()[0])
    assert stored == site.live() and set(stored) >= {"deployments", "secrets", "namespaces", "rolebindings"}
    refused(lambda: api.create(workloads.deployment("new", namespace)))
    refused(lambda: api.patch(workloads.deployment("api", namespace), {"spec": {"replicas": 0}}))
    refused(lambda: api.delete("v1", "Secret", "token", namespace))
    refused(lambda: api.list("v1", "Secret", "default"))
    refused(lambda: api.get("v1", "Secret", "token", namespace))


def claim(cluster: KubernetesServer, namespace: str) -> None:
    """A claim with a file in it; what runs in its helper pod runs in its directory."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "data", "namespace": namespace}
    cluster.api.create({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})

    def found() -> bool:
        state = cluster.api.get("v1", "PersistentVolumeClaim", "data", namespace).get("status", {})
        return bool(state.get("phase") == "Bound")

    wait(found, "the claim to be bound")
    (cluster.volume_directory(namespace, "data") / "file").write_text("kept", encoding="utf-8")
    directory = cluster.claim_directory(namespace, "data")
    cluster.allow_exec(namespace, pods=[helper_name("data")], work_dir=str(directory))


def test_files_of_claims_are_backed_up_once_that_is_allowed(
    installed: KubernetesServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    claim(installed, namespace)
    path, _api = identity(installed, "backup")
    site = Site(installed, namespace, tmp_path)
    unbound = site.back_up(kubeconfig=path, volumes="auto")
    assert unbound["failed"] and f"the files of claim {namespace}/data cannot be reached" in unbound["msg"], unbound
    assert f"kubectl create rolebinding -n {namespace} sre-runbooks-files" in unbound["msg"]
    assert site.points() == []
    bind(installed, namespace, "sre-runbooks-files")
    taken = site.back_up(kubeconfig=path, volumes="auto")
    assert taken["changed"] and not taken.get("failed"), taken
    (entry,) = site.points()[0].content["kubernetes"]["volumes"]
    assert (entry["claim"], entry["mode"], entry["files"]) == ("data", "files", 1)


def test_a_database_is_reached_by_who_can_run_nothing_in_its_pod(installed: KubernetesServer, namespace: str) -> None:
    installed.api.create(workloads.deployment("db", namespace))
    installed.api.ready("Deployment", "db", namespace)
    (pod,) = installed.api.list("v1", "Pod", namespace, labelSelector="app=db")
    name = pod["metadata"]["name"]
    bind(installed, namespace, "sre-runbooks-databases")
    path, api = identity(installed, "databases")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server, connect({"kubeconfig": path}) as cluster:

        def greet() -> None:
            line, _address = server.accept()
            with contextlib.closing(line):
                line.sendall(b"hello")

        threading.Thread(target=greet, daemon=True).start()
        installed.map_ports(namespace, {5432: server.getsockname()[1]})
        with Tunnel(cluster.access, namespace, name, 5432) as tunnel:
            with socket.create_connection((tunnel.host, tunnel.port)) as line:
                line.settimeout(120)
                assert line.recv(5) == b"hello", tunnel.failure
    refused(lambda: api.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/exec", command="id", stdout=True))
    refused(lambda: api.list("v1", "Secret", namespace))


def test_a_claim_is_expanded_by_who_may_change_claims_alone(installed: KubernetesServer, namespace: str) -> None:
    claim(installed, namespace)
    bind(installed, namespace, "sre-runbooks-expansion")
    path, api = identity(installed, "consumers")
    done = call_module("kubernetes_volume_size", {"kubeconfig": path, "namespace": namespace, "claim": "data", "size": "2Gi"})  # fmt: skip
    assert done["changed"] and not done.get("failed"), done
    refused(lambda: api.delete("v1", "PersistentVolumeClaim", "data", namespace))


def test_snapshots_are_taken_once_that_is_allowed(
    installed: KubernetesServer, namespace: str, tmp_path: pathlib.Path
) -> None:
    """Last in this file: from now on the cluster has snapshots."""
    installed.serve_snapshots()
    claim(installed, namespace)
    path, api = identity(installed, "backup")
    site = Site(installed, namespace, tmp_path)
    unbound = site.back_up(kubeconfig=path, volumes="auto")
    assert unbound["failed"] and "may not ask whether snapshots can be taken" in unbound["msg"], unbound
    bind(installed, namespace, "sre-runbooks-snapshots", "sre-runbooks-snapshot-contents")
    for number in (1, 2):
        taken = site.back_up(kubeconfig=path, volumes="auto", force=True)
        assert taken["changed"] and not taken.get("failed"), taken
        assert len(site.points()) == number
    assert [entry["mode"] for entry in site.points()[0].content["kubernetes"]["volumes"]] == ["snapshot"]
    refused(lambda: api.get("v1", "Secret", "any", namespace))
    refused(lambda: api.delete("v1", "PersistentVolumeClaim", "data", namespace))
