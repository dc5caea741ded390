# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helm's releases in a namespace that is deleted: told of in the manifest, and back as Helm wrote them."""

from __future__ import annotations

import json
import pathlib

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.helm import decode_release
from tests.servers.kubernetes.releases import SECRET_VALUE, release_object
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes_component import KubernetesComponent


def test_releases_come_back_as_helm_lists_them(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> None:
    shop = KubernetesComponent(kubernetes_cluster, kubernetes_namespace, tmp_path)
    revisions = [
        release_object("web", 1, "superseded", kubernetes_namespace),
        release_object("web", 2, "deployed", kubernetes_namespace),
        release_object("old", 7, "deployed", kubernetes_namespace, "ConfigMap"),
    ]
    shop.cluster.api.create(*revisions)
    shop.mark()
    point = shop.back_up()
    listed = point.content["kubernetes"]["releases"]
    assert [(item["name"], item["revision"], item["status"], item["problem"]) for item in listed] == [
        ("old", 7, "deployed", None),
        ("web", 2, "deployed", None),
    ]
    assert {item["chart_version"] for item in listed} == {"1.2.3"} and SECRET_VALUE not in json.dumps(point.content)
    shop.delete_namespace()
    done = shop.restore(confirm=None)
    assert "error" not in done, done
    # Helm selects by type and labels and reads the data: all three are what they were, to the byte.
    for revision in revisions:
        back = shop.get("v1", revision["kind"], revision["metadata"]["name"])
        assert back["data"] == revision["data"] and back.get("type") == revision.get("type")
        assert back["metadata"]["labels"] == revision["metadata"]["labels"]
        assert decode_release({**back, "kind": revision["kind"]}) == decode_release(revision)
    selected = shop.cluster.api.list("v1", "Secret", kubernetes_namespace)
    helms = [item for item in selected if item.get("type") == "helm.sh/release.v1"]
    assert len(helms) == 2 and SECRET_VALUE not in json.dumps(done)
