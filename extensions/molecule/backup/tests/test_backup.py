# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a backup, a second one, a lost manifest and another backup."""

from __future__ import annotations

import json

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


def test_only_whole_points_are_listed(host, local, points):
    directory = local.root / "repository/components/flights_db/points"
    whole = {path.parent.name for path in directory.glob("*/manifest.json")}
    listed = {point["point_id"] for point in points["recovery_points"]}
    assert listed == whole
    assert whole


def test_every_listed_object_is_there_with_its_length(host, local):
    (manifest,) = (local.root / "repository/components/flights_db/points").glob("*/manifest.json")
    for entry in json.loads(manifest.read_text(encoding="utf-8"))["objects"]:
        assert host.file(str(local.root / "repository" / entry["key"])).size == entry["length"]


def test_it_says_how_to_restore_by_hand(host, local):
    (page,) = (local.root / "repository/components/flights_db/points").glob("*/RESTORE.md")
    assert host.file(str(page)).contains("pg_restore")


def test_the_newest_point_is_verified_and_within_its_objective(local, component):
    assert local.latest_report()["runbook"] == "back_up_components"
    assert local.latest_report()["verdict"] == "met"
    database = component("flights_db")
    assert database["proof"] in ("verified", "restored", "asserted")
    assert database["rpo"]["measured_s"] <= database["rpo"]["target_s"]


def test_no_lease_is_held_any_more(local):
    held = sorted((local.root / "repository/control/leases/flights_db").glob("*/held.json"))
    assert held
    assert all((path.parent / "released.json").exists() for path in held)
