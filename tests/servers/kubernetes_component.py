# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace as a component: its objects, and the modules that back it up, restore and drill it."""

from __future__ import annotations

import base64
import pathlib
import subprocess
import typing as t

import pyrage

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import fields, marker, ownership
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.kubernetes.api import Object, wait
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.workloads import SELDOM
from tests.servers.module_call import call_module, start_module

NAME = "shop"
_RBAC = "rbac.authorization.k8s.io"
#: Kinds that a namespace of :func:`shop_objects` holds, and that are compared.
KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ResourceQuota"),
    ("v1", "LimitRange"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (f"{_RBAC}/v1", "Role"),
    (f"{_RBAC}/v1", "RoleBinding"),
)


def pod_template(app: str, **spec: t.Any) -> Object:
    container = {
        "name": "main",
        "image": "registry.test/main:1",
        "ports": [{"containerPort": 80}],
        "env": [{"name": "DB", "value": "db.shop.svc:5432"}],
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "password"}}],
    }
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], **spec}}


def shop_objects(namespace: str) -> list[Object]:
    """A namespace with something of everything, in the order in which an operator would have made it."""

    def item(api: str, kind: str, name: str, **fields: t.Any) -> Object:
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **fields}

    selector = {"matchLabels": {"app": "web"}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    limits = [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "10m"}}]
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    }
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    ingress_rule = {
        "host": "shop.example.org",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    job = {
        "template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.test/job:1"}]}
        }
    }
    return [
        item("v1", "LimitRange", "defaults", spec={"limits": limits}),
        item("v1", "ResourceQuota", "bounds", spec={"hard": {"count/configmaps": "50"}}),
        item("v1", "ServiceAccount", "web", automountServiceAccountToken=False),
        item(
            f"{_RBAC}/v1", "Role", "reader", rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
        ),
        item(
            f"{_RBAC}/v1",
            "RoleBinding",
            "web-reads",
            subjects=[{"kind": "ServiceAccount", "name": "web", "namespace": namespace}],
            roleRef={"apiGroup": _RBAC, "kind": "Role", "name": "reader"},
        ),
        item("v1", "ConfigMap", "settings", data={"url": f"http://web.{namespace}.svc/", "colour": "red"}),
        item("v1", "Secret", "password", data={"password": base64.b64encode(b"hunter2-is-secret").decode()}),
        item("v1", "PersistentVolumeClaim", "cache", spec={**template["spec"], "storageClassName": "standard"}),
        item("v1", "Service", "web", spec={"type": "NodePort", "selector": {"app": "web"}, "ports": [{"port": 80}]}),
        item("v1", "Service", "db", spec={"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]}),
        item("networking.k8s.io/v1", "Ingress", "web", spec={"rules": [ingress_rule]}),
        item("networking.k8s.io/v1", "NetworkPolicy", "closed", spec={"podSelector": {}, "policyTypes": ["Ingress"]}),
        item(
            "apps/v1", "Deployment", "web", spec={"replicas": 2, "selector": selector, "template": pod_template("web")}
        ),
        item(
            "apps/v1",
            "StatefulSet",
            "db",
            spec={
                "serviceName": "db",
                "selector": {"matchLabels": {"app": "db"}},
                "template": pod_template("db"),
                "volumeClaimTemplates": [template],
            },
        ),
        item("batch/v1", "CronJob", "nightly", spec={"schedule": SELDOM, "jobTemplate": {"spec": job}}),
        item("policy/v1", "PodDisruptionBudget", "web", spec={"minAvailable": 1, "selector": selector}),
        item(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "web",
            spec={"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "metrics": [metric]},
        ),
    ]


class KubernetesComponent:
    """The component ``shop`` of the environment ``local``: a namespace, and a repository below ``path``."""

    def __init__(self, cluster: KubernetesServer, namespace: str, path: pathlib.Path) -> None:
        self.cluster, self.namespace, self.path = cluster, namespace, path
        self.url = f"file://{path}/repository"
        repository, _created = initialise_repository(self.url, "local", check_mode=False)
        assert repository is not None
        self.repository = repository
        identity = pyrage.x25519.Identity.generate()
        self.recipient = str(identity.to_public())
        self.identity_file = path / "identity.txt"
        self.identity_file.write_text(f"{identity}\n")
        self.kubeconfig = cluster.kubeconfig

    def call(self, module: str, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        own = {
            "repository": self.url,
            "environment_name": "local",
            "component": NAME,
            "namespace": self.namespace,
            "kubeconfig": self.kubeconfig,
        }
        return call_module(module, {**own, **params}, check)

    @property
    def keys(self) -> dict[str, t.Any]:
        return {"encryption_recipients": [self.recipient], "encryption_identity_file": str(self.identity_file)}

    def back_up(self, **params: t.Any) -> RecoveryPoint:
        done = self.call("kubernetes_backup", **{"force": True, "volumes": "none", **self.keys, **params})
        assert "error" not in done, done
        return self.newest()

    def restore(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        """Confirmed, unless said otherwise."""
        return self.call("kubernetes_restore", check, **{"confirm": NAME, "timeout": "120s", **self.keys, **params})

    def drill(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        return call_module("kubernetes_drill", self._drill_params(params), check)

    def start_drill(self, **params: t.Any) -> subprocess.Popen[bytes]:
        return start_module("kubernetes_drill", self._drill_params(params))

    def _drill_params(self, params: dict[str, t.Any]) -> dict[str, t.Any]:
        return {
            "repository": self.url,
            "environment_name": "local",
            "component": NAME,
            "kubeconfig": self.kubeconfig,
            "encryption_identity_file": str(self.identity_file),
            "drill_interval": "0",
            "rto": "10m",
            "timeout": "120s",
            **params,
        }

    def mark(self) -> None:
        """Have the namespace say which environment it is."""
        data = {"environment": "local"}
        metadata = {"name": marker.NAME, "namespace": self.namespace}
        self.cluster.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})

    def fill(self) -> None:
        """Create everything of :func:`shop_objects`, and wait for what controllers make of it."""
        self.cluster.api.create(*shop_objects(self.namespace))
        self.mark()
        self.cluster.api.ready("Deployment", "web", self.namespace)
        self.cluster.api.ready("StatefulSet", "db", self.namespace)

    def newest(self, component: str = NAME) -> RecoveryPoint:
        return list_points(self.repository, component).points[0]

    def get(self, api_version: str, kind: str, name: str) -> Object:
        return self.cluster.api.get(api_version, kind, name, self.namespace)

    def content(self, namespace: str | None = None) -> dict[str, Object]:
        """What was meant, of every kind; by kind and name."""
        found = {}
        for api_version, kind in KINDS:
            for live in self.cluster.api.list(api_version, kind, namespace or self.namespace):
                live = {"apiVersion": api_version, "kind": kind, **live}
                if ownership.left_to(live) is None and not ownership.is_marker(live):
                    found[f"{kind} {live['metadata']['name']}"] = fields.desired(live)
        return found

    def delete_namespace(self, namespace: str | None = None) -> None:
        """Gone with everything in it when this returns."""
        self.cluster.api.delete("v1", "Namespace", namespace or self.namespace, gone_s=180)

    def namespaces(self) -> set[str]:
        return {item["metadata"]["name"] for item in self.cluster.api.list("v1", "Namespace")}

    def await_bound(self, claim: str) -> None:
        wait(lambda: self.get("v1", "PersistentVolumeClaim", claim)["status"].get("phase") == "Bound", f"{claim} bound")
