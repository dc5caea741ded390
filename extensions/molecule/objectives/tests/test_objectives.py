# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a verification that passed, and a minute in which the service failed some requests."""

from __future__ import annotations

import json
import subprocess

testinfra_hosts = ["local://"]  # not molecule's instances: it has none

NAMES = ["flights_api_availability", "flights_api_latency", "flights_api_throughput"]


def outcomes(report):
    return {objective["name"]: objective["outcome"] for objective in report["service_objectives"]}


def test_it_passed_while_the_service_kept_its_promises(local):
    report = local.latest_report()
    assert (report["runbook"], report["verdict"]) == ("verify_objectives", "met")
    assert outcomes(report) == dict.fromkeys(NAMES, "met")
    for objective in report["service_objectives"]:
        assert objective["coverage"] >= 0.8
        assert objective["budget"]["left"] <= 1


def test_the_rules_are_what_prometheus_reads(local):
    rules = local.root / "monitoring" / "rules" / "objectives.yml"
    subprocess.run(["promtool", "check", "rules", str(rules)], check=True)


def test_a_broken_promise_fails(local):
    # The database was away within the last five minutes, of which there is no data of the beginning.
    arguments = ("-e", "objectives_window=5m", "-e", "objectives_minimum_coverage=0.1")
    done = local.play("verify_objectives", *arguments, capture_output=True)
    assert done.returncode != 0
    report = local.latest_report()
    assert report["verdict"] == "missed"
    assert outcomes(report)["flights_api_availability"] == "missed"
    assert report["service_objectives"][0]["budget"]["left"] < 0


def test_a_prometheus_that_does_not_answer_passes_nothing(local):
    variables = {"objectives_prometheus": {"url": "http://127.0.0.1:9"}}
    done = local.play("verify_objectives", "-e", json.dumps(variables), capture_output=True)
    assert done.returncode != 0
    assert outcomes(local.latest_report()) == dict.fromkeys(NAMES, "unknown")
    assert "connection refused" in done.stdout
