# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What others need comes before them; what could reject them comes after."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import order

_RBAC = "rbac.authorization.k8s.io"
#: As they must be brought back, first to last.
_SEQUENCE = [
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("", "Namespace"),
    ("storage.k8s.io", "StorageClass"),
    ("", "ServiceAccount"),
    (_RBAC, "Role"),
    (_RBAC, "RoleBinding"),
    ("", "LimitRange"),
    ("", "PersistentVolume"),
    ("", "PersistentVolumeClaim"),
    ("", "Secret"),
    ("", "Service"),
    ("example.org", "Widget"),
    ("apps", "Deployment"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("", "ResourceQuota"),
    ("apiregistration.k8s.io", "APIService"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
]


@pytest.mark.parametrize("earlier, later", list(itertools.pairwise(_SEQUENCE)))
def test_each_after_what_it_needs(earlier: tuple[str, str], later: tuple[str, str]) -> None:
    assert order.rank(*earlier) < order.rank(*later)


def test_same_class_for_what_is_independent() -> None:
    assert order.rank("", "ConfigMap") == order.rank("", "Secret")
    assert order.class_name("", "ConfigMap") == "configuration"


def test_a_kind_of_the_same_name_in_another_group_is_another_kind() -> None:
    assert order.class_name("serving.knative.dev", "Service") == "custom resources"


def test_who_acts_on_a_kind() -> None:
    assert not order.is_custom("") and not order.is_custom("networking.k8s.io")
    # Served by definitions, although the group's name looks like Kubernetes' own.
    assert order.is_custom("gateway.networking.k8s.io") and order.is_custom("cert-manager.io")
