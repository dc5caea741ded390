# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workloads a changed ConfigMap or Secret concerns, and that their pods are started anew once."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import dependents
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, status

SOURCES: dict[str, tuple[dict[str, t.Any], tuple[str, str]]] = {
    "a volume of a ConfigMap": ({"volumes": [{"configMap": {"name": "a"}}]}, ("ConfigMap", "a")),
    "a volume of a Secret": ({"volumes": [{"secret": {"secretName": "a"}}]}, ("Secret", "a")),
    "a projected ConfigMap": (
        {"volumes": [{"projected": {"sources": [{"configMap": {"name": "a"}}]}}]},
        ("ConfigMap", "a"),
    ),
    "a projected Secret": ({"volumes": [{"projected": {"sources": [{"secret": {"name": "a"}}]}}]}, ("Secret", "a")),
    "a variable of a ConfigMap": (
        {"containers": [{"env": [{"valueFrom": {"configMapKeyRef": {"name": "a"}}}]}]},
        ("ConfigMap", "a"),
    ),
    "a variable of a Secret": (
        {"initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "a"}}}]}]},
        ("Secret", "a"),
    ),
    "all of a ConfigMap": ({"containers": [{"envFrom": [{"configMapRef": {"name": "a"}}]}]}, ("ConfigMap", "a")),
    "all of a Secret": ({"containers": [{"envFrom": [{"secretRef": {"name": "a"}}]}]}, ("Secret", "a")),
    "the password of a registry": ({"imagePullSecrets": [{"name": "a"}]}, ("Secret", "a")),
}


@pytest.mark.parametrize(("pod", "reference"), SOURCES.values(), ids=list(SOURCES))
def test_every_way_to_read_it(pod: dict[str, t.Any], reference: tuple[str, str]) -> None:
    assert dependents.references(pod) == {reference}


def test_pods_are_started_anew_once_for_each_reason() -> None:
    template: dict[str, t.Any] = {"metadata": {"annotations": {}}}

    def answer(asked: Asked) -> Reply:
        if asked.method == "PATCH":
            template.update(json.loads(asked.body)["spec"]["template"])
        return 200, {"metadata": {"name": "web"}, "spec": {"template": template}}, {}

    web = dependents.Workload("Deployment", "web")
    with fake_cluster(answer) as (cluster, fake):
        assert dependents.restart(cluster, "shop", web, "one")
        assert not dependents.restart(cluster, "shop", web, "one")
        assert dependents.restart(cluster, "shop", web, "two")
        assert [asked.method for asked in fake.asked].count("PATCH") == 2
    with fake_cluster(lambda _asked: status(404, "NotFound")) as (cluster, _fake):
        assert not dependents.restart(cluster, "shop", web, "one")
