# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a namespace was deleted with its database, and both were restored twice."""

from __future__ import annotations

import json
import typing as t

import pytest

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


@pytest.fixture
def restores(local) -> list[dict[str, t.Any]]:
    """The reports of the restores, the oldest first."""
    found = [json.loads(path.read_text()) for path in (local.root / "reports").glob("*Z-*/report.json")]
    wanted = [report for report in found if report["runbook"] == "restore_components"]
    return sorted(wanted, key=lambda report: report["started"])


def test_every_flight_is_back(query):
    assert query("SELECT count(*) FROM flights") == [(336776,)]


def test_the_namespace_is_back_with_what_its_claim_held(local):
    assert (local.root / "kubernetes/volumes/by-claim/shop/uploads/picture").read_text() == "a picture"


def test_both_were_restored_in_order_and_in_time(restores):
    first, second = restores
    assert first["verdict"] == second["verdict"] == "met"
    measured = {entry["name"]: entry for entry in first["components"]}
    for name in ("shop", "flights_db"):
        assert measured[name]["outcome"] == "changed"
        assert 0 < measured[name]["rto"]["measured_s"] <= measured[name]["rto"]["target_s"]
    acted = [event["component"] for event in first["timeline"] if event["step"] in ("apply", "swap")]
    assert acted == ["shop", "flights_db"]
    assert {entry["name"]: entry["outcome"] for entry in second["components"]}["flights_db"] == "ok"


def test_the_database_in_the_pod_answers(component):
    assert component("flights_db")["outcome"] == "ok"
