# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a restore, a truncation and another restore."""

from __future__ import annotations

import re

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


def test_every_flight_is_back(query):
    assert query("SELECT count(*) FROM flights") == [(336776,)]


def test_what_was_there_before_is_kept(query):
    kept = query(r"SELECT datname FROM pg_database WHERE datname LIKE 'flights\_\_before\_%'", "postgres")
    assert kept
    assert query(r"SELECT 1 FROM pg_database WHERE datname LIKE '%\_\_restoring%'", "postgres") == []


def test_the_service_runs_again(host, local):
    port = local.variables()["SRE_RUNBOOKS_LOCAL_API_PORT"]
    assert host.socket(f"tcp://127.0.0.1:{port}").is_listening


def test_the_objectives_were_met(local, component):
    assert local.latest_report()["verdict"] == "met"
    database = component("flights_db")
    assert 0 < database["rto"]["measured_s"] <= database["rto"]["target_s"]


def test_it_is_said_how_long_nobody_was_served(component):
    """The sentence in the report's own words; the API was stopped around the swap and is a consumer."""
    said = re.search(r"; its consumers were stopped for ([0-9.]+ (?:ms|s|m)\b.*)$", component("flights_db")["message"])
    assert said, component("flights_db")["message"]
