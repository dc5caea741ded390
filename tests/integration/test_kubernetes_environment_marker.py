# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubernetes_environment_marker: what it marks, and what it refuses to mark."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import LeaseLost
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import NotFound
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.marker import raise_fence, read_marker, stamp
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module


def mark(cluster: KubernetesServer, namespace: str | None, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    given = {"environment_name": "staging", "namespace": namespace, "kubeconfig": cluster.kubeconfig, **params}
    return call_module("kubernetes_environment_marker", given, check)


def marked(cluster: KubernetesServer, namespace: str) -> str | None:
    with connect({"kubeconfig": cluster.kubeconfig}) as found:
        marker = read_marker(found, namespace)
    return marker.name if marker else None


def test_an_empty_namespace_is_marked_and_stays_so(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str
) -> None:
    predicted = mark(kubernetes_cluster, kubernetes_namespace, check=True)
    assert predicted["changed"] and marked(kubernetes_cluster, kubernetes_namespace) is None
    done = mark(kubernetes_cluster, kubernetes_namespace)
    assert done["changed"] and done["content"] == [] and done["stamped"]
    assert marked(kubernetes_cluster, kubernetes_namespace) == "staging"
    assert not mark(kubernetes_cluster, kubernetes_namespace)["changed"]


def test_content_and_other_environments_need_to_be_named(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str
) -> None:
    metadata = {"name": "precious", "namespace": kubernetes_namespace}
    kubernetes_cluster.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    refused = mark(kubernetes_cluster, kubernetes_namespace)
    assert refused["error"]["kind"] == "refused" and "adopt_confirm=staging" in refused["error"]["next_command"]
    assert mark(kubernetes_cluster, kubernetes_namespace, confirm="production")["error"]["kind"] == "refused"
    assert mark(kubernetes_cluster, kubernetes_namespace, confirm="staging")["content"] == ["ConfigMap precious"]
    other = {"environment_name": "production", "confirm": "production"}
    refused = mark(kubernetes_cluster, kubernetes_namespace, **other)
    assert "adopt_replaces=staging" in refused["error"]["next_command"]
    assert marked(kubernetes_cluster, kubernetes_namespace) == "staging"
    assert mark(kubernetes_cluster, kubernetes_namespace, **other, replaces="staging")["previous"] == "staging"
    assert marked(kubernetes_cluster, kubernetes_namespace) == "production"


def test_a_cluster_always_needs_confirmation(kubernetes_cluster: KubernetesServer) -> None:
    assert mark(kubernetes_cluster, None)["error"]["kind"] == "refused"
    assert mark(kubernetes_cluster, None, confirm="staging")["changed"]
    assert marked(kubernetes_cluster, "kube-system") == "staging"


def test_a_namespace_that_is_not_there(kubernetes_cluster: KubernetesServer) -> None:
    assert "no namespace nowhere" in mark(kubernetes_cluster, "nowhere")["msg"]
    with connect({"kubeconfig": kubernetes_cluster.kubeconfig}) as cluster, pytest.raises(NotFound):
        stamp(cluster, "nowhere", "staging")


def test_an_older_lease_is_fenced_out(kubernetes_cluster: KubernetesServer, kubernetes_namespace: str) -> None:
    with connect({"kubeconfig": kubernetes_cluster.kubeconfig}) as cluster:
        stamp(cluster, kubernetes_namespace, "staging")
        raise_fence(cluster, kubernetes_namespace, "shop", 7)
        raise_fence(cluster, kubernetes_namespace, "shop", 7)
        raise_fence(cluster, kubernetes_namespace, "other", 2)
        with pytest.raises(LeaseLost):
            raise_fence(cluster, kubernetes_namespace, "shop", 6)
        marker = read_marker(cluster, kubernetes_namespace)
        assert marker is not None and marker.name == "staging" and marker.stamped is not None
