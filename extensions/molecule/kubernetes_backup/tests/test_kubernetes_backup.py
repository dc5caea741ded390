# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a backup, a second one, a lost manifest, another backup and a drill."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


@pytest.fixture
def manifest(local):
    """Call it with a component: the manifest of its one recovery point."""

    def read(component):
        (path,) = (local.root / "repository/components" / component / "points").glob("*/manifest.json")
        return json.loads(path.read_text(encoding="utf-8"))

    return read


def test_every_kind_is_recorded_with_its_count(manifest):
    shop = manifest("shop_objects")["content"]["kubernetes"]
    counts = {kind["resource"]: kind["count"] for kind in shop["kinds"]}
    assert shop["scope"] == "namespace"
    assert counts["vouchers"] == counts["secrets"] == counts["deployments"] == counts["cronjobs"] == 1
    cluster = manifest("cluster_objects")["content"]["kubernetes"]
    assert cluster["scope"] == "cluster"
    counts = {kind["resource"]: kind["count"] for kind in cluster["kinds"]}
    assert counts["customresourcedefinitions"] == 1
    assert counts["storageclasses"] == 3


def test_every_listed_object_is_there_with_its_length(host, local, manifest):
    for component in ("shop_objects", "cluster_objects"):
        for entry in manifest(component)["objects"]:
            assert host.file(str(local.root / "repository" / entry["key"])).size == entry["length"]


def test_secrets_are_readable_nowhere(local):
    files = [path for path in (local.root / "repository").rglob("*") if path.is_file()]
    assert files
    for secret in (b"of-the-payment-provider", b"b2YtdGhlLXBheW1lbnQtcHJvdmlkZXI"):
        assert not [path for path in files if secret in path.read_bytes()]


def test_it_says_how_to_restore_by_hand(host, local):
    (page,) = (local.root / "repository/components/shop_objects/points").glob("*/RESTORE.md")
    assert host.file(str(page)).contains("kubectl apply --server-side")


def test_the_drill_proved_it_and_left_nothing(kubectl, local, component):
    assert local.latest_report()["runbook"] == "drill_restores"
    assert component("shop_objects")["proof"] == "asserted"
    assert component("cluster_objects")["outcome"] == "skipped"
    namespaces = kubectl("get", "namespaces", "--output=name").split()
    assert not [name for name in namespaces if "drill" in name]


def test_the_newest_points_are_within_their_objectives(component):
    for name in ("shop_objects", "cluster_objects"):
        found = component(name)
        assert found["verdict"] != "failed"
        assert found["rpo"]["measured_s"] <= found["rpo"]["target_s"]


def test_no_lease_is_held_any_more(local):
    for component in ("shop_objects", "cluster_objects"):
        held = sorted((local.root / "repository/control/leases" / component).glob("*/held.json"))
        assert held
        assert all((path.parent / "released.json").exists() for path in held)
