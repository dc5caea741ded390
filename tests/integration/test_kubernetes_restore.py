# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A namespace is deleted, or changed, and comes back field for field, on a real API server."""

from __future__ import annotations

import collections.abc
import json
import pathlib

import pytest

from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes_component import KubernetesComponent


@pytest.fixture
def shop(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> collections.abc.Iterator[KubernetesComponent]:
    """The namespace, filled and backed up."""
    component = KubernetesComponent(kubernetes_cluster, kubernetes_namespace, tmp_path)
    component.fill()
    component.back_up()
    yield component


def test_a_deleted_namespace_comes_back_field_for_field(shop: KubernetesComponent) -> None:
    before = shop.content()
    shop.delete_namespace()
    predicted = shop.restore(check=True)
    assert "error" not in predicted, predicted
    assert predicted["changed"] and shop.namespace not in shop.namespaces()
    done = shop.restore(confirm=None)
    assert "error" not in done, done
    assert done["objects"] == predicted["objects"] and done["objects"]["created"] > 15
    assert shop.content() == before
    assert done["proof"]["fields_different"] == 0 and done["kept"] is None
    assert shop.newest().level == "asserted"
    shop.cluster.api.ready("Deployment", "web", shop.namespace)
    again = shop.restore()
    assert "error" not in again, again
    assert not again["changed"], again["changes"]
    assert "hunter2" not in json.dumps([predicted, done, again])


def test_changes_are_undone_and_what_was_there_is_kept(shop: KubernetesComponent) -> None:
    before = shop.content()
    api = shop.cluster.api
    api.patch(shop.get("v1", "ConfigMap", "settings"), {"data": {"colour": "blue", "added": "x", "url": None}})
    api.patch(shop.get("v1", "Secret", "password"), {"data": {"password": "Y2hhbmdlZA=="}})
    api.patch(
        shop.get("apps/v1", "Deployment", "web"), {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}
    )
    api.delete("v1", "Service", "web", shop.namespace)
    changed = shop.content()
    refused = shop.restore(confirm=None)
    assert refused["error"]["kind"] == "refused" and "restore_confirm=shop" in refused["error"]["next_command"]
    predicted = shop.restore(check=True)
    assert shop.content() == changed
    done = shop.restore()
    assert "error" not in done, done
    assert done["changes"] == predicted["changes"] and done["objects"]["changed"] == 3
    fields = {
        (change["object"].split()[0], field["path"]) for change in done["changes"] for field in change.get("fields", [])
    }
    assert ("ConfigMap", "data.added") in fields and ("Secret", "data.password") in fields
    assert ("Deployment", "spec.template.metadata.annotations") in fields
    assert shop.content() == before
    assert not shop.restore()["changed"]
    # And back again: what was overwritten is a recovery point, which is never the newest.
    assert done["kept"] != shop.newest().point_id
    undone = shop.restore(recovery_point=done["kept"])
    assert "error" not in undone, undone
    after = shop.content()
    assert after.pop("Service web") and after == changed
    assert "hunter2" not in json.dumps([predicted, done, undone]) and "Y2hhbmdlZA" not in json.dumps(done)
