# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""extensions/kubernetes: under exactly these service accounts everything works, and nothing else is allowed."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import pathlib
import typing as t

import pytest

from tests.servers.kubernetes import definitions, workloads
from tests.servers.kubernetes.api import Api, ApiFault, Object
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
    assert set(outcomes.values()) == {"ok"}, found["message"]
    # With what is not bound, it says that it does not know.
    strong = {"kubeconfig": path, "namespace": namespace, "timeout": "60s", "kind": "kubernetes_certificates"}
    found = call_module("probe", {"probes": [strong], "fail": False})
    assert found["results"][0]["outcome"] == "unknown" and "may not read them" in found["message"]
    refused(lambda: api.list("v1", "Secret", namespace))
    refused(lambda: api.get("v1", "Secret", "token", namespace))
    refused(lambda: api.list("v1", "ConfigMap", namespace))
    refused(lambda: api.create(workloads.deployment("new", namespace)))
    refused(lambda: api.patch(workloads.deployment("api", namespace), {"spec": {"replicas": 0}}))
    refused(lambda: api.delete("apps/v1", "Deployment", "api", namespace))
    refused(lambda: api.list("v1", "Pod", "default"))


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
    stored = site.stored(site.points()[0])
    assert stored == site.live() and set(stored) >= {"deployments", "secrets", "namespaces", "rolebindings"}
    refused(lambda: api.create(workloads.deployment("new", namespace)))
    refused(lambda: api.patch(workloads.deployment("api", namespace), {"spec": {"replicas": 0}}))
    refused(lambda: api.delete("v1", "Secret", "token", namespace))
    refused(lambda: api.list("v1", "Secret", "default"))
    refused(lambda: api.get("v1", "Secret", "token", namespace))
