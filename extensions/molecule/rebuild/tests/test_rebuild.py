# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After everything was lost and rebuilt."""

from __future__ import annotations

import json
import urllib.request

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


def test_every_flight_is_back(query):
    assert query("SELECT count(*) FROM flights") == [(336776,)]


def test_the_service_answers_from_the_database(local):
    port = local.variables()["SRE_RUNBOOKS_LOCAL_API_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/flights?origin=JFK&limit=1", timeout=60) as answer:
        assert "JFK" in json.dumps(json.load(answer))


def test_the_objectives_were_met_and_the_lost_rows_counted(local, component):
    report = local.latest_report()
    assert report["runbook"] == "rebuild_environment"
    assert report["verdict"] == "met"
    database = component("flights_db")
    assert 0 < database["rto"]["measured_s"] <= database["rto"]["target_s"]
    assert isinstance(database["rows_lost"], int)


def test_the_environment_is_marked_and_healthy(local):
    done = local.play("check_health", capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
