# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace full of everything, a repository of its own, and the modules that back it up."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import pathlib
import typing as t

import pyrage

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import discover
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.fields import desired
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.listing import list_objects
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.ownership import is_marker, left_to
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities, open_decoded
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.kubernetes import definitions, workloads
from tests.servers.kubernetes.api import Object
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module

COMPONENT = "shop_objects"
SECRET = "a-password-that-nobody-may-see"


class Site:
    """A namespace of a cluster with its own repository and its own key."""

    def __init__(self, cluster: KubernetesServer, namespace: str, path: pathlib.Path) -> None:
        self.cluster, self.namespace, self.path = cluster, namespace, path
        self.url = f"file://{path}/repository"
        repository, _created = initialise_repository(self.url, "local", check_mode=False)
        assert repository is not None
        self.repository = repository
        identity = pyrage.x25519.Identity.generate()
        self.recipient = str(identity.to_public())
        self.identity_file = path / "identity"
        self.identity_file.write_text(f"{identity}\n", encoding="utf-8")
        self.identity_file.chmod(0o600)

    def params(self, **changes: t.Any) -> dict[str, t.Any]:
        return {
            "repository": self.url,
            "environment_name": "local",
            "component": COMPONENT,
            "namespace": self.namespace,
            "kubeconfig": self.cluster.kubeconfig,
            "encryption_recipients": [self.recipient],
            # The kubelet is simulated, and nothing is in its pods unless a test says so.
            "volumes": "none",
            **changes,
        }

    def back_up(self, check: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        return call_module("kubernetes_backup", self.params(**changes), check)

    def points(self) -> list[RecoveryPoint]:
        return list_points(self.repository, COMPONENT).points

    def identities(self) -> Identities:
        return Identities(file=str(self.identity_file))

    def files(self) -> list[str]:
        root = self.path / "repository"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

    def stored(self, point: RecoveryPoint, name: str = "object") -> dict[str, dict[str, Object]]:
        """Resource → name → object, of what is restored, or with ``owned_object`` of what is only recorded."""
        found: dict[str, dict[str, Object]] = {}
        for entry in point.content["kubernetes"]["kinds"]:
            if entry[name]:
                with open_decoded(self.repository.store, point.object(entry[name]), self.identities()) as decoded:
                    lines = decoded.read().splitlines()
                objects = [json.loads(line) for line in lines]
                found[entry["resource"]] = {item["metadata"]["name"]: item for item in objects}
        return found

    def live(self) -> dict[str, dict[str, Object]]:
        """As :meth:`stored`, of what the cluster holds now."""
        found: dict[str, dict[str, Object]] = {}
        with self.connect() as cluster:
            for kind in discover(cluster).kinds:
                if not kind.namespaced:
                    continue
                for item in list_objects(cluster, kind, self.namespace):
                    if not is_marker(item) and left_to(item) is None:
                        found.setdefault(kind.resource, {})[item["metadata"]["name"]] = desired(item)
            namespace = cluster.get(f"/api/v1/namespaces/{self.namespace}")
            found["namespaces"] = {self.namespace: desired(namespace)}
        return found

    def connect(self) -> Cluster:
        return connect({"kubeconfig": self.cluster.kubeconfig})


def config_map(name: str, namespace: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def secret(name: str, namespace: str, **data: str) -> Object:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": encoded}


_numbers = itertools.count()


@functools.cache
def _node_port(namespace: str) -> int:
    """One for each namespace, of the lowest 86, which the server gives to nobody who asks for any."""
    return 30000 + next(_numbers) % 86


def shop(namespace: str) -> list[Object]:
    """Objects of many kinds, with everything that is difficult about them."""

    def named(version: str, kind: str, name: str, spec: Object | None = None, **others: t.Any) -> Object:
        found = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **others}
        return found if spec is None else {**found, "spec": spec}

    port = {"name": "http", "port": 80, "targetPort": 8080}
    web = workloads.deployment("web", namespace, 2)
    web["metadata"]["labels"] = {"app": "shop"}
    owned = config_map("owned", namespace, a="1")
    owned["metadata"]["finalizers"] = ["example.com/keep"]
    token = named("v1", "Secret", "token", type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "shop"}
    return [
        named("v1", "ServiceAccount", "shop"),
        named("rbac.authorization.k8s.io/v1", "Role", "shop", rules=[
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]),
        named("rbac.authorization.k8s.io/v1", "RoleBinding", "shop", roleRef={
            "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "shop"},
            subjects=[{"kind": "ServiceAccount", "name": "shop", "namespace": namespace}]),
        config_map("settings", namespace, **{"app.conf": "a = 1\nb = 'ü'\n", "empty": ""}),
        config_map("huge", namespace, text="x" * 900_000),
        config_map("sre-runbooks-environment", namespace, environment="local"),
        owned,
        secret("credentials", namespace, password=SECRET),
        token,
        web,
        workloads.stateful_set("db", namespace),
        workloads.cron_job("nightly", namespace),
        named("v1", "Service", "web", {"selector": {"app": "web"}, "ports": [port], "type": "NodePort"}),
        named("v1", "Service", "pinned", {"selector": {"app": "web"}, "type": "NodePort", "ports": [
            {**port, "nodePort": _node_port(namespace)}]}),
        named("v1", "Service", "db", {"selector": {"app": "db"}, "clusterIP": "None", "ports": [{"port": 5432}]}),
        named("networking.k8s.io/v1", "Ingress", "web", {"rules": [{"host": "shop.example.com", "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}),
        named("networking.k8s.io/v1", "NetworkPolicy", "deny", {"podSelector": {}, "policyTypes": ["Ingress"]}),
        named("v1", "PersistentVolumeClaim", "files", {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}),
        named("v1", "ResourceQuota", "most", {"hard": {"configmaps": "100"}}),
        named("v1", "LimitRange", "limits", {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}),
        named("policy/v1", "PodDisruptionBudget", "web", {
            "minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}),
        named("autoscaling/v2", "HorizontalPodAutoscaler", "web", {"maxReplicas": 3, "scaleTargetRef": {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}),
        named("example.test/v1", "Widget", "one", {"size": 3, "colour": "blue", "parts": [{"name": "a"}, {}]}),
    ]  # fmt: skip


def fill(site: Site) -> None:
    """Create the shop, wait until it stands, and let one of its objects own another."""
    api = site.cluster.api
    definitions.define(api, definitions.widget_definition())
    for item in shop(site.namespace):
        api.create(item)
    api.ready("Deployment", "web", site.namespace)
    api.ready("StatefulSet", "db", site.namespace)
    owner = api.get("v1", "ConfigMap", "settings", site.namespace)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "settings", "uid": owner["metadata"]["uid"]}
    api.patch(config_map("owned", site.namespace), {"metadata": {"ownerReferences": [reference]}})
