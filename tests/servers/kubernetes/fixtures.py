# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of test clusters: one control plane a test file, one namespace a test."""

from __future__ import annotations

import collections.abc
import secrets

import pytest

from tests.servers.kubernetes.faults import FaultyApi
from tests.servers.kubernetes.server import KubernetesServer, running_cluster


@pytest.fixture(scope="module")
def kubernetes_cluster() -> collections.abc.Iterator[KubernetesServer]:
    """A control plane with two nodes, of this test file alone."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def kubernetes_namespace(kubernetes_cluster: KubernetesServer) -> collections.abc.Iterator[str]:
    """A new namespace, deleted afterwards without waiting for it."""
    name = f"test-{secrets.token_hex(4)}"
    kubernetes_cluster.make_namespace(name)
    yield name
    kubernetes_cluster.api.delete("v1", "Namespace", name, gone_s=0)


@pytest.fixture
def faulty_api(kubernetes_cluster: KubernetesServer) -> collections.abc.Iterator[FaultyApi]:
    """A way to the cluster's API on which chosen requests fail."""
    with FaultyApi(kubernetes_cluster) as way:
        yield way
