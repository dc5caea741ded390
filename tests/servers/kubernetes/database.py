# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL server "in" a pod of a test cluster: a real one of this machine, which only the pod's port leads to."""

from __future__ import annotations

import dataclasses
import typing as t

from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.postgresql import Server

NAMESPACE = "shop"
POD_PORT = 5432


@dataclasses.dataclass
class PodServer(Server):
    """As any :class:`Server`; the collection's modules are told of nothing but the pod."""

    transport: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def params(self) -> dict[str, t.Any]:
        return {"login_user": "postgres", "login_password": self.password, "transport": self.transport}


def database_pod(name: str = "db-0", namespace: str = NAMESPACE) -> dict[str, t.Any]:
    container = {"name": "postgresql", "image": "test/postgresql:15", "ports": [{"containerPort": POD_PORT}]}
    metadata = {"name": name, "namespace": namespace, "labels": {"app": "db", "role": "primary"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def in_pod(cluster: KubernetesServer, server: Server, namespace: str = NAMESPACE) -> PodServer:
    """Put a server into a new pod of a new namespace."""
    cluster.make_namespace(namespace)
    cluster.map_ports(namespace, {POD_PORT: server.instance.port})
    cluster.api.create(database_pod(namespace=namespace))
    cluster.api.ready("Pod", "db-0", namespace)
    transport = {
        "kind": "kubernetes",
        "kubeconfig": cluster.kubeconfig,
        "namespace": namespace,
        "pod_selector": "app=db,role=primary",
        "port": POD_PORT,
    }
    return PodServer(server.kind, server.instance, server.tools, server.password, transport)
