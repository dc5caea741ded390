# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a health check that passed, and the loss of the service."""

from __future__ import annotations

import json
from xml.etree import ElementTree

testinfra_hosts = ["local://"]  # not molecule's instances: it has none

API_PROBES = ("flights API is healthy", "flights API answers from the database")


def test_it_passed_while_everything_ran(local):
    report = local.latest_report()
    assert report["runbook"] == "check_health"
    assert report["verdict"] == "met"
    assert report["previous"]["probes"] == []  # idempotence had played it before
    assert {probe["outcome"] for probe in report["probes"]} <= {"ok", "warning"}


def test_one_result_has_every_form(local):
    directory = local.root / "reports" / "latest"
    assert {path.name for path in directory.iterdir()} == {
        "report.html",
        "report.json",
        "report.junit.xml",
        "report.md",
        "report.prom",
    }
    suites = ElementTree.parse(directory / "report.junit.xml").getroot()
    assert (suites.attrib["failures"], suites.attrib["errors"]) == ("0", "0")
    assert 'verdict="met"} 1' in (directory / "report.prom").read_text(encoding="utf-8")


def test_it_says_first_what_changed_and_names_the_probe_that_fails(local):
    done = local.play("check_health", capture_output=True)
    assert done.returncode != 0
    said = done.stdout[done.stdout.index("changed since") :]
    assert said.index(f"flights_api: {API_PROBES[0]}: ok → failed") < said.index("component ")
    assert local.latest_report()["verdict"] == "failed"
    junit = (local.root / "reports" / "latest" / "report.junit.xml").read_text(encoding="utf-8")
    assert API_PROBES[0] in junit and "<failure " in junit


def test_a_component_without_a_probe_fails_and_the_reasons_are_told(local):
    variables = {"health_probes_disabled": dict.fromkeys(API_PROBES, "being rebuilt")}
    done = local.play("check_health", "-e", json.dumps(variables), capture_output=True)
    assert done.returncode != 0
    assert f"{API_PROBES[0]} is not probed: being rebuilt" in done.stdout
    (service,) = [item for item in local.latest_report()["components"] if item["name"] == "flights_api"]
    assert (service["verdict"], service["reason"]) == ("failed", "no probe ran")
    assert set(service["probes_disabled"]) == set(API_PROBES)


def test_a_checklist_of_what_still_runs_passes(local):
    variables = {"health_checklists": {"database": {"components": ["postgresql"], "review": ["The night"]}}}
    done = local.play("check_health", "-e", json.dumps(variables), "-e", "checklist=database", capture_output=True)
    assert done.returncode == 0, done.stdout
    report = local.latest_report()
    assert (report["runbook"], report["checklist"]["review"]) == ("check_health-database", ["The night"])
    assert {probe["component"] for probe in report["probes"]} == {"flights_db"}
