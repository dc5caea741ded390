# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's data: measured from the repository, never guessed."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import re
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_junit import render_junit
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_text import summary_lines
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import (
    ComponentOutcome,
)
from tests.unit.runs.reporting import OBJECTIVE, begun, checked, database, point_of_age, probe, reported, service


def test_backup_is_measured_by_the_newest_points_age(repository: Repository) -> None:
    point_of_age(repository, 4000, "verified")
    newest = point_of_age(repository, 40, "verified")
    report = reported(repository, begun(repository, "backup"), database())
    (component,) = report["components"]
    assert 39 <= component["rpo"]["measured_s"] < 100
    assert (component["verdict"], component["recovery_point"]) == ("met", newest.point_id)
    assert (component["proof"], component["points"]) == ("verified", 2)
    assert component["rto"]["measured_s"] is None
    assert report["audit"]["integrity"]["result"] == "intact"


def test_too_old_a_point_misses(repository: Repository) -> None:
    point_of_age(repository, 400, "verified")
    report = reported(repository, begun(repository, "backup"), database())
    assert report["verdict"] == "missed"
    (missed,) = [finding["text"] for finding in report["findings"] if "RPO missed" in finding["text"]]
    assert missed.endswith("; next: ansible-playbook sre.runbooks.back_up_components --limit flights_db")


def test_no_objective_at_all_says_what_to_do(repository: Repository) -> None:
    report = reported(repository, begun(repository, "verify_objectives"), database())
    assert (report["verdict"], report["verdict_reason"]) == ("failed", "no objective was evaluated")
    (finding,) = [one["text"] for one in report["findings"] if "objective was" in one["text"]]
    assert "; next: define objectives in the inventory (docs/objectives.md)" in finding


def test_a_damaged_point_does_not_count(repository: Repository) -> None:
    point_of_age(repository, 4000, "verified")
    bad = point_of_age(repository, 40, "verified", "verified!")
    report = reported(repository, begun(repository, "backup"), database())
    assert report["verdict"] == "missed"
    assert report["audit"]["integrity"] == {
        "result": "damaged",
        "proofs": {"flights_db": "verified"},
        "damaged": [f"flights_db {bad.point_id}"],
    }
    assert any(finding["severity"] == "failure" for finding in report["findings"])


def test_a_damaged_manifest_is_a_finding(repository: Repository, tmp_path: pathlib.Path) -> None:
    point = point_of_age(repository, 40)
    path = tmp_path / "repository" / point.manifest_key
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"flights_db", b"flights_dc", 1))
    report = reported(repository, begun(repository, "backup"), database())
    (component,) = report["components"]
    assert component["rpo"]["measured_s"] is None
    assert component["verdict"] == "unknown"
    assert component["damaged_points"][0]["point_id"] == point.point_id


def test_no_point_at_all_is_unknown_not_zero(repository: Repository) -> None:
    report = reported(repository, begun(repository, "backup"), database())
    assert report["verdict"] == "unknown"
    assert report["components"][0]["rpo"]["measured_s"] is None
    assert report["components"][0]["rows_lost"] is None


def test_drill_takes_the_time_it_measured(repository: Repository) -> None:
    point = point_of_age(repository, 40, "verified", "restored", "asserted")
    run = begun(repository, "drill_restores")
    before = now()
    report = reported(repository, run, database(rto_measured_s=601.0, recovery_point=point.point_id, interval_s=86400))
    assert report["verdict"] == "missed"
    tomorrow = {(moment + datetime.timedelta(days=1)).strftime("%Y-%m-%d") for moment in (before, now())}
    assert report["audit"]["retest_date"] in tomorrow


def test_a_skipped_drill_shows_the_last_one(repository: Repository) -> None:
    point_of_age(repository, 40, "asserted", took_s=77)
    report = reported(repository, begun(repository, "drill_restores"), database(outcome="skipped"))
    assert report["verdict"] == "met"
    assert report["components"][0]["rto"]["measured_s"] == 77


def test_rebuild_with_observed_loss(repository: Repository) -> None:
    point = point_of_age(repository, 400)
    report = reported(
        repository,
        begun(repository, "rebuild_environment"),
        database(
            rpo_measured_s=41.5, rto_measured_s=60, rows_lost=2, lost_rows=["7", "8"], recovery_point=point.point_id
        ),
    )
    (component,) = report["components"]
    assert component["rpo"]["measured_s"] == 41.5
    assert (component["rows_lost"], component["lost_rows"], report["verdict"]) == (2, ["7", "8"], "met")


@pytest.mark.parametrize(("age", "verdict"), [(40, "met"), (400, "unknown")])
def test_rebuild_without_an_observer_is_bounded_not_guessed(repository: Repository, age: float, verdict: str) -> None:
    point = point_of_age(repository, age)
    report = reported(
        repository, begun(repository, "rebuild"), database(rto_measured_s=60, recovery_point=point.point_id)
    )
    rpo = report["components"][0]["rpo"]
    assert rpo["measured_s"] is None
    assert age - 1 <= rpo["at_most_s"] < age + 60
    assert report["verdict"] == verdict


def test_restore_time_from_the_timeline(repository: Repository) -> None:
    run = begun(repository, "restore_components")
    run = dataclasses.replace(run, started=run.started - datetime.timedelta(seconds=100))
    Recorder(repository, run.run_id, "flights_db").event("swap", duration_s=5, outcome="changed")
    Recorder(repository, run.run_id, "other").event("swap")
    (component,) = reported(repository, run, database())["components"]
    assert 99 <= component["rto"]["measured_s"] < 160


def test_whom_nobody_speaks_for_is_not_forgotten(repository: Repository) -> None:
    run = begun(repository, "check_health", "flights_db", "flights_api", "cache")
    Recorder(repository, run.run_id, "cache").event("probe", outcome="failed")
    report = reported(
        repository, run, database(outcome="ok", probes=[{"name": "port", "kind": "tcp", "outcome": "ok"}], rpo_s=None)
    )
    assert {item["name"]: item["verdict"] for item in report["components"]} == {
        "flights_db": "met",
        "flights_api": "unknown",
        "cache": "failed",
    }
    assert report["verdict"] == "failed"


def test_a_failed_step_of_the_run_itself_fails_it(repository: Repository) -> None:
    point_of_age(repository, 40)
    run = begun(repository, "backup")
    Recorder(repository, run.run_id).event("stop the consumers", outcome="failed")
    assert reported(repository, run, database())["verdict"] == "failed"
    Recorder(repository, run.run_id).event("stop the consumers")
    assert reported(repository, run, database())["verdict"] == "met"


def test_a_probe_that_says_nothing_has_not_passed(repository: Repository) -> None:
    run = begun(repository, "check_health")
    report = reported(repository, run, database(probes=[{"name": "odd"}], rpo_s=None))
    assert report["probes"][0]["outcome"] == "failed"
    assert report["findings"][0]["severity"] == "failure"


def test_what_could_not_be_asked_says_once_what_was_expected(repository: Repository) -> None:
    run = begun(repository, "check_health")
    unasked = {
        "name": "claims",
        "outcome": "unknown",
        "expected": "an API server that is ready",
        "measured": "nothing",
        "message": "no kubeconfig; expected: a file at /k; found: none",
        "hint": "kubectl config get-contexts",
    }
    report = reported(repository, run, database(probes=[unasked], rpo_s=None))
    said = "no kubeconfig; expected: a file at /k; found: none; next: kubectl config get-contexts"
    assert report["findings"][0]["text"] == f"probe \u201cclaims\u201d: {said}"
    (case,) = re.findall(r'name="claims".*', render_junit(report))
    assert case.count("expected: ") == case.count("found: ") == case.count("next: ") == 1, case


def test_check_mode_proves_nothing(repository: Repository) -> None:
    point_of_age(repository, 40)
    assert reported(repository, begun(repository, "backup"), database(), check_mode=True)["verdict"] == "unknown"


def test_what_only_asks_is_judged_in_check_mode_too(repository: Repository) -> None:
    point_of_age(repository, 40)
    health = begun(repository, "check_health")
    asked = [{"name": "answers", "outcome": "ok"}]
    assert reported(repository, health, database(probes=asked), check_mode=True)["verdict"] == "met"
    assert reported(repository, health, database(probes=asked, rpo_s=20), check_mode=True)["verdict"] == "missed"
    objectives = begun(repository, "verify_objectives")
    for outcome in ("met", "missed", "unknown"):
        judged = [{"name": "availability", "outcome": outcome, "message": "as asked"}]
        assert reported(repository, objectives, objectives=judged, check_mode=True)["verdict"] == outcome


def test_no_component_is_no_success(repository: Repository) -> None:
    run = dataclasses.replace(begun(repository, "backup"), components=[])
    assert reported(repository, run)["verdict"] == "unknown"


def test_hardware_is_that_of_this_host(repository: Repository) -> None:
    hardware = reported(repository, begun(repository, "backup"))["hardware"]
    assert hardware["memory_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert hardware["cpus"] == len(os.sched_getaffinity(0))


def test_a_line_of_what_failed_says_what_is_wrong(repository: Repository) -> None:
    odd = {"measured": "exit code 0", "expected": "an output with 'bye'", "message": "the output is without 'bye'"}
    refused = {"measured": "no connection", "expected": "a connection", "message": "no connection: refused"}
    long = dict.fromkeys(("measured", "expected", "message"), "long " * 1000)
    probes = [probe("p", **odd), probe("w", "warning", **odd), probe("f", "failed", **odd)]
    probes += [probe("r", "failed", **refused), probe("l", "failed", **long)]
    lines = [line for line in summary_lines(checked(repository, 1, service("api", *probes))) if line.startswith("  ")]
    assert lines[0] == "  failed   f: the output is without 'bye' (found exit code 0; expected an output with 'bye')"
    assert lines[1] == "  failed   r: no connection: refused (expected a connection)"
    assert lines[3] == "  warning  w: the output is without 'bye' (found exit code 0; expected an output with 'bye')"
    assert lines[4] == "  ok       p: exit code 0"
    assert lines[2].startswith("  failed   l: long long") and len(lines[2]) < 500


def test_a_component_that_a_checklist_asks_nothing_of_is_no_failure_but_all_of_them_are(repository: Repository) -> None:
    idle = ComponentOutcome("db", engine="service", outcome="skipped")
    assert checked(repository, 1, service("api", probe("a")), idle)["verdict"] == "met"
    report = checked(repository, 2, idle)
    assert (report["verdict"], report["verdict_reason"]) == ("failed", "no probe ran")


def test_a_run_that_passed_over_every_component_is_not_one_that_judged_nothing(repository: Repository) -> None:
    idle = ComponentOutcome(
        "api", engine="service", outcome="skipped", message="its engine keeps no continuous archive"
    )
    report = reported(repository, begun(repository, "prepare_archiving", "api"), idle)
    assert (report["verdict"], report["verdict_reason"]) == ("met", "every component was skipped")
    busy = ComponentOutcome("web", engine="service", outcome="ok")
    report = reported(repository, begun(repository, "prepare_archiving", "api", "web"), idle, busy)
    assert (report["verdict"], report["verdict_reason"]) == ("met", "no objective was judged")


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ([OBJECTIVE], "met"),
        ([OBJECTIVE, {**OBJECTIVE, "name": "latency", "outcome": "missed"}], "missed"),
        ([{**OBJECTIVE, "outcome": "unknown"}, OBJECTIVE], "unknown"),
        ([{**OBJECTIVE, "outcome": "fine"}], "unknown"),
        ([], "failed"),
    ],
)
def test_objectives_of_services_decide(repository: Repository, given: list[dict[str, t.Any]], verdict: str) -> None:
    report = reported(repository, begun(repository, "verify_objectives"), objectives=given)
    assert (report["verdict"], report["components"]) == (verdict, [])
    assert bool(report["findings"]) == (verdict != "met")


def test_figures_that_are_none_are_null(repository: Repository) -> None:
    odd = {
        **OBJECTIVE,
        "sli": float("nan"),
        "coverage": float("inf"),
        "budget": {"left": float("nan")},
        "window_s": True,
    }
    run = begun(repository, "verify_objectives")
    (item,) = reported(repository, run, objectives=[odd])["service_objectives"]
    assert (item["sli"], item["coverage"], item["window_s"]) == (None, None, None)
    assert item["budget"] == {"total": None, "used": None, "left": None}


def test_what_is_wrong_with_several_objectives_alike_is_said_once(repository: Repository) -> None:
    run = begun(repository, "verify_objectives", "flights_db")
    silent = {"outcome": "unknown", "message": "no answer of Prometheus", "hint": "curl http://metrics.example/-/ready"}
    given = [{"name": f"o{number}", **silent} for number in range(10)] + [{"name": "other", **silent, "hint": "wait"}]
    report = reported(repository, run, objectives=given)
    named = ", ".join(f"\u201co{number}\u201d" for number in range(8))
    assert [finding["text"] for finding in report["findings"] if "Prometheus" in finding["text"]] == [
        f"objectives {named} and 2 more: no answer of Prometheus; next: curl http://metrics.example/-/ready",
        "objective \u201cother\u201d: no answer of Prometheus; next: wait",
    ]
