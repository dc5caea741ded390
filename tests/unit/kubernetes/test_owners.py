# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owners by name get the uids that they have now, are waited for, or are dropped and named."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Discovery, Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.fields import OWNERS
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.owners import Owners
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, status

DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment", True)


def owned(*owners: dict[str, str]) -> dict[str, t.Any]:
    return {"metadata": {"name": "a", "annotations": {OWNERS: json.dumps(owners), "own": "kept"}}}


def named(name: str, kind: str = "Deployment", version: str = "apps/v1") -> dict[str, str]:
    return {"apiVersion": version, "kind": kind, "name": name}


def live(asked: Asked) -> Reply:
    if asked.path == "/apis/apps/v1/namespaces/shop/deployments/web":
        return 200, {"metadata": {"uid": "new"}}, {}
    return status(404, "NotFound")


def test_who_is_there_is_coming_and_is_gone() -> None:
    discovery = Discovery(served={("apps", "Deployment"): [DEPLOYMENT]})
    document = owned(
        named("web"), named("later"), named("gone"), named("x", "Widget", "example.com/v1"), named("web", version="apps/v1beta1")
    )  # fmt: skip
    with fake_cluster(live) as (cluster, fake):
        owners = Owners(cluster, discovery, lambda _group, _kind, name: name.name == "later")
        found = owners.resolve(document, "shop")
        owners.resolve(document, "shop")
        assert sum(asked.path.endswith("/web") for asked in fake.asked) == 1, "asked once"
    assert found.references == [{**named("web"), "uid": "new"}, {**named("web"), "uid": "new"}]
    assert found.pending == [named("later")]
    assert found.dropped == [
        "Deployment gone: there is no such owner",
        "Widget x: the cluster does not serve that kind",
    ]
    found.put(document)
    assert document["metadata"] == {"name": "a", "annotations": {"own": "kept"}, "ownerReferences": found.references}
