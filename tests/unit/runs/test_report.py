# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's data: measured from the repository, never guessed; written to both places, or to the one that works."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import pathlib
import re
import typing as t

import jsonschema
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.announcement import announcement, is_due
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish, stored_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_html import render_html
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_junit import render_junit
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_markdown import render_markdown
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_text import summary_lines
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import (
    ComponentOutcome,
    ReportContext,
    build_report,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord, start_run

SCHEMA = json.loads((pathlib.Path(__file__).parents[3] / "docs/schemas/report.schema.json").read_text())


def point_of_age(repository: Repository, age_s: float, *levels: str, took_s: float = 30) -> RecoveryPoint:
    writer = begin_point(repository, "flights_db", "postgresql", None)
    moment = now() - datetime.timedelta(seconds=age_s)
    point = writer.commit(engine_version="15.14", consistency_time=moment, content={}, restore_guide="by hand")
    for level in levels:
        write_proof(repository, point, level.replace("!", ""), None, took_s, {}, "failed" if "!" in level else "ok")
    return point


def begun(repository: Repository, runbook: str, *names: str) -> RunRecord:
    return start_run(repository, runbook, names or ["flights_db"], {"host": "here"}, "2.19.0", "ada")


def reported(
    repository: Repository | None, run: RunRecord, *outcomes: ComponentOutcome, **context: t.Any
) -> dict[str, t.Any]:
    report = build_report(repository, ReportContext(run, now(), **context), outcomes)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report)))
    return report


def database(**changes: t.Any) -> ComponentOutcome:
    return ComponentOutcome(
        **{"name": "flights_db", "engine": "postgresql", "rpo_s": 300, "rto_s": 600, "outcome": "ok", **changes}
    )


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


def test_comparison_with_the_run_before(repository: Repository) -> None:
    first = begun(repository, "drill_restores")
    first = dataclasses.replace(first, run_id="20200101T000000Z-drill_restores-0001")
    publish(reported(repository, first, database(rto_measured_s=100)), repository, None)
    report = reported(repository, begun(repository, "drill_restores"), database(rto_measured_s=700))
    assert report["previous"]["run_id"] == first.run_id
    assert report["previous"]["changes"] == [
        "flights_db: met → missed",
        "flights_db: restore 1 m 40 s → 11 m 40 s (+600%)",
    ]


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"components": [{"rpo": 1}]}', b'{"components": [], "run_id": 5}'])
def test_a_damaged_report_before_is_passed_over(repository: Repository, damage: bytes) -> None:
    repository.store.create("runs/20200101T000000Z-drill-0001/report.json", damage)
    assert reported(repository, begun(repository, "drill"), database())["previous"] is None


def test_both_places_and_the_link(repository: Repository, tmp_path: pathlib.Path) -> None:
    run = begun(repository, "backup")
    report = reported(repository, run, database())
    done = publish(report, repository, str(tmp_path / "reports"))
    assert done.problems == []
    assert sorted(os.listdir(t.cast(str, done.local))) == [
        "report.html",
        "report.json",
        "report.junit.xml",
        "report.md",
        "report.prom",
    ]
    assert os.path.samefile(tmp_path / "reports" / "latest", t.cast(str, done.local))
    assert stored_report(repository, run.run_id) == json.loads(json.dumps(report))
    older = {**report, "run_id": "20200101T000000Z-backup-0001"}
    publish(older, repository, str(tmp_path / "reports"))
    assert os.path.samefile(tmp_path / "reports" / "latest", t.cast(str, done.local))


def test_the_stored_report_is_never_replaced(repository: Repository) -> None:
    run = begun(repository, "backup")
    report = reported(repository, run, database())
    publish(report, repository, None)
    assert publish({**report, "verdict": "failed"}, repository, None).problems == []
    stored = stored_report(repository, run.run_id)
    assert stored is not None and stored["verdict"] == report["verdict"]


def test_without_the_repository_the_local_copy_is_made(repository: Repository, tmp_path: pathlib.Path) -> None:
    report = reported(None, begun(repository, "backup"), database(), recorded=False, problems=["no repository"])
    done = publish(report, None, str(tmp_path / "reports"))
    assert done.local and done.stored is None
    assert report["findings"][0]["text"] == "no repository"
    assert report["verdict"] == "unknown"


def test_without_the_directory_the_repository_has_it(repository: Repository, tmp_path: pathlib.Path) -> None:
    (tmp_path / "reports").write_text("a file in the way")
    done = publish(reported(repository, begun(repository, "backup"), database()), repository, str(tmp_path / "reports"))
    assert done.stored and done.local is None
    assert "reports" in done.problems[0]


def test_a_repository_that_refuses_is_said(
    repository: Repository, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = reported(repository, begun(repository, "backup"), database())

    def full(*_: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(repository.store), "create", full)
    done = publish(report, repository, str(tmp_path / "reports"))
    assert done.local and done.stored is None
    assert "No space left" in done.problems[0]


def test_hardware_is_that_of_this_host(repository: Repository) -> None:
    hardware = reported(repository, begun(repository, "backup"))["hardware"]
    assert hardware["memory_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert hardware["cpus"] == len(os.sched_getaffinity(0))


def probe(name: str, outcome: str = "ok", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "kind": "tcp", "outcome": outcome, "message": f"{name} is {outcome}", **more}


def checked(repository: Repository, number: int, *components: ComponentOutcome, **context: t.Any) -> dict[str, t.Any]:
    """A health check as one of a row, reported and kept."""
    run = begun(repository, "check_health", *(component.name for component in components))
    run = dataclasses.replace(run, run_id=f"2020010{number}T000000Z-check_health-000{number}")
    report = reported(repository, run, *components, **context)
    publish(report, repository, None)
    return report


def service(name: str, *probes: dict[str, t.Any], **more: t.Any) -> ComponentOutcome:
    return ComponentOutcome(name, engine="service", outcome="ok", probes=list(probes), **more)


def test_what_changed_since_the_health_check_before(repository: Repository) -> None:
    first = service("api", probe("a"), probe("b", "failed"), probe("c"), probe("d"), probe("twice"), probe("twice"))
    checked(repository, 1, first)
    second = service(
        "api",
        probe("a", "failed"),
        probe("b"),
        probe("new"),
        probe("twice"),
        probe("twice", "warning"),
        probes_disabled={"c": "being replaced"},
    )
    report = checked(repository, 2, second)
    changes = [(change["probe"], change["was"], change["now"]) for change in report["previous"]["probes"]]
    assert changes == [
        ("a", "ok", "failed"),
        ("twice (2)", "ok", "warning"),
        ("c", "ok", "disabled"),
        ("d", "ok", "absent"),
        ("b", "failed", "ok"),
        ("new", "absent", "ok"),
    ]
    assert report["previous"]["probes"][2]["message"] == "being replaced"
    first_line = summary_lines(report)[0]
    assert first_line.startswith("changed since 20")
    assert summary_lines(report)[1] == "  api: a: ok → failed (a is failed)"
    assert checked(repository, 3, second)["previous"]["probes"] == []


@pytest.mark.parametrize(
    ("was", "is_now", "changed"),
    [
        (
            "the expression has no value: its series are absent or stale",
            "http://127.0.0.1:9090 does not answer: connection refused",
            True,
        ),
        ("no right to look: permission denied", "connection refused", True),
        ("no answer within 5 s", "no answer within 500 ms", False),
        ("only 1 of 4 former weeks have a value", "only 3 of 4 former weeks have a value", False),
        ("1 pod was not seen", "12 pods were not seen", False),
        ("the value of up{job=x} is no number: NaN", "the value of up{job=y} is no number: +Inf", False),
        ("http://127.0.0.1:9090 does not answer: timed out", "http://[::1]:9091 does not answer: refused", False),
        ("/run/a: Permission denied", "connection refused", False),
        ("", "connection refused", False),
    ],
)
def test_another_reason_not_to_be_asked_is_a_change_and_other_figures_are_none(
    repository: Repository, was: str, is_now: str, changed: bool
) -> None:
    checked(repository, 1, service("api", probe("a"), {**probe("p", "unknown"), "message": was}))
    report = checked(repository, 2, service("api", probe("a"), {**probe("p", "unknown"), "message": is_now}))
    assert [(change["was"], change["now"]) for change in report["previous"]["probes"]] == [
        ("unknown", "unknown")
    ] * changed
    assert (f"  api: p: still unknown, for another reason ({is_now})" in summary_lines(report)) is changed
    # Of what failed, the outcome alone is compared.
    failed = [service("api", {**probe("p", "failed"), "message": text}) for text in (was, is_now)]
    checked(repository, 3, failed[0])
    assert checked(repository, 4, failed[1])["previous"]["probes"] == []


def test_a_component_is_compared_with_the_last_check_of_it(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a", "failed")), service("db", probe("b")))
    checked(repository, 2, service("db", probe("b")))
    report = checked(repository, 3, service("api", probe("a")), service("db", probe("b")))
    assert report["previous"]["run_id"].startswith("20200102")
    assert [(change["probe"], change["was"]) for change in report["previous"]["probes"]] == [("a", "failed")]
    assert not [text for text in report["previous"]["changes"] if "new in this runbook" in text]


def test_probes_are_compared_with_those_that_were_last_asked(repository: Repository) -> None:
    bad_input = ComponentOutcome("api", engine="service", outcome="failed", message="probe 1 has an unknown key")
    wrong, ok = service("api", probe("a", "failed")), service("api", probe("a"))
    wrong = dataclasses.replace(wrong, outcome="failed")
    # Never asked before: all that fails is named.
    checked(repository, 1, bad_input)
    report = checked(repository, 2, wrong)
    assert [(change["was"], change["now"]) for change in report["previous"]["probes"]] == [("absent", "failed")]
    assert report["previous"]["changes"] == ["api: its probes were not asked before"]
    lines = summary_lines(report)
    assert lines[1] == "  api: a: new, failed (a is failed)" and announcement(report, "")["changes_count"] == 2
    # Not asked any more.
    report = checked(repository, 3, bad_input)
    assert report["previous"]["changes"] == ["api: none of its probes was asked this time"]
    assert checked(repository, 4, bad_input)["previous"]["changes"] == []
    # And again, beside what was known of it.
    since = "api: its probes were not asked then; compared with 20"
    report = checked(repository, 5, wrong)
    assert report["previous"]["probes"] == [] and report["previous"]["changes"][0].startswith(since)
    checked(repository, 6, bad_input)
    report = checked(repository, 7, ok)
    assert [(change["was"], change["now"]) for change in report["previous"]["probes"]] == [("failed", "ok")]
    assert report["previous"]["changes"][0] == "api: failed → met"
    assert report["previous"]["changes"][1].startswith(since)


def test_a_verdict_is_compared_with_the_last_run_that_asked(repository: Repository) -> None:
    bad_input = ComponentOutcome("api", engine="service", outcome="failed", message="probe 1 has an unknown key")
    checked(repository, 1, service("api", probe("a")), service("db", probe("b")))
    checked(repository, 2, bad_input)
    checked(repository, 3, service("db", probe("b")))
    report = checked(repository, 4, dataclasses.replace(service("api", probe("a", "failed")), outcome="failed"))
    assert report["previous"]["changes"][0] == "api: met → failed"
    assert report["previous"]["changes"][1].startswith("api: its probes were not asked then; compared with 20")
    # What is well again after it could not be asked is said, too.
    checked(repository, 5, bad_input)
    assert checked(repository, 6, service("api", probe("a")))["previous"]["changes"][0] == "api: failed → met"


EVERY = {"environment_components": ["api", "db"]}


def test_a_run_of_some_components_is_compared_with_what_is_comparable(repository: Repository) -> None:
    down = dataclasses.replace(service("api", probe("a", "failed")), outcome="failed")
    api, db = service("api", probe("a")), service("db", probe("b"))
    assert checked(repository, 1, down, db, **EVERY)["left_out"] == []
    # What is down is not in it.
    report = checked(repository, 2, db, **EVERY)
    told = announcement(report, "")
    assert (report["left_out"], report["previous"]["verdict"]) == (["api"], "met")
    assert told["text"].startswith("Objectives met: check_health of testing, only db")
    assert (told["previous_verdict"], told["changed"], told["left_out"]) == ("met", False, ["api"])
    assert not is_due(told, "change")
    assert summary_lines(report)[0].endswith("(met, without api)")
    assert any(line.startswith("check_health of testing, only db: ") for line in summary_lines(report))
    # It is up, and what is said of that is not said of all.
    told = announcement(checked(repository, 3, api, **EVERY), "")
    assert (told["previous_verdict"], told["verdict"], is_due(told, "change")) == ("failed", "met", True)
    assert ", only api" in told["text"] and told["changes"][-1] == "api: a: failed \u2192 ok"
    # A run of all of them is compared with one of all of them.
    report = checked(repository, 4, api, db, **EVERY)
    assert report["previous"]["run_id"].startswith("20200101")
    assert summary_lines(report)[0].startswith("changed since 20") and summary_lines(report)[0].endswith(" (failed):")
    told = announcement(report, "")
    assert (told["previous_verdict"], is_due(told, "change")) == ("failed", True)
    assert told["text"].startswith("Objectives met: check_health of testing (")
    assert announcement(checked(repository, 5, api, db, **EVERY), "")["changed"] is False


def test_a_run_of_all_is_no_recovery_where_only_some_were_asked(repository: Repository) -> None:
    api, db = service("api", probe("a")), service("db", probe("b"))
    checked(repository, 1, dataclasses.replace(service("db", probe("b", "failed")), outcome="failed"), **EVERY)
    checked(repository, 2, db, **EVERY)
    report = checked(repository, 3, api, db, **EVERY)
    assert (report["previous"]["verdict"], report["previous"]["left_out"]) == ("met", ["api"])
    assert announcement(report, "")["previous_verdict"] is None
    assert summary_lines(report)[0].endswith("(met, without api):")


def test_a_run_of_some_components_judges_their_objectives_only(repository: Repository) -> None:
    api, db = service("api", probe("a")), service("db", probe("b"))
    late = {**OBJECTIVE, "name": "late", "component": "api", "outcome": "missed"}
    quick = {**OBJECTIVE, "name": "quick", "component": "db"}
    checked(repository, 1, api, db, objectives=[late, quick], **EVERY)
    report = checked(repository, 2, db, objectives=[quick], **EVERY)
    assert (report["previous"]["verdict"], report["previous"]["changes"]) == ("met", [])
    report = checked(repository, 3, api, objectives=[late], **EVERY)
    assert (report["previous"]["verdict"], announcement(report, "")["changed"]) == ("missed", False)


def test_every_form_says_of_which_components_a_run_is(repository: Repository) -> None:
    report = checked(repository, 1, service("db", probe("b", "failed")), **EVERY)
    whole = checked(repository, 2, service("api", probe("a")), service("db", probe("b", "failed")), **EVERY)
    for render in (render_html, render_markdown, render_junit, lambda one: "\n".join(summary_lines(one))):
        assert "only db" in render(report) and "only " not in render(whole)


@pytest.mark.parametrize("damaged", [False, True])
def test_former_runs_that_cannot_be_read_are_not_taken_for_none(repository: Repository, damaged: bool) -> None:
    says = "the former runs could not be read: nothing to compare with"
    outcome = service("api", probe("a"))
    report = checked(repository, 1, outcome)
    assert (report["previous"], report["previous_problem"]) == (None, "")
    assert "first run of its kind" in summary_lines(report)[0]
    record = begun(repository, "check_health", "api")
    if damaged:
        key = "runs/20200101T000000Z-check_health-0001/report.json"
        repository.store.delete(key)
        repository.store.create(key, b"{")
    report = reported(repository if damaged else None, record, outcome)
    assert (report["previous"], report["previous_problem"]) == (None, says)
    assert summary_lines(report)[0] == says
    assert says in render_html(report) and says in render_markdown(report)


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


def test_a_checklist_has_a_history_of_its_own(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a"), probe("b")))
    run = begun(repository, "check_health-morning", "api")
    report = reported(
        repository, run, service("api", probe("a")), checklist={"name": "morning", "review": ["the night"]}
    )
    assert (report["kind"], report["previous"]) == ("health", None)
    assert report["checklist"] == {"name": "morning", "description": "", "review": ["the night"]}


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


OBJECTIVE = {"name": "availability", "kind": "availability", "outcome": "met", "sli": 0.9999, "target": 0.9995}


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


def test_an_objective_that_is_missed_now_is_a_change(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a")), objectives=[OBJECTIVE])
    report = checked(repository, 2, service("api", probe("a")), objectives=[{**OBJECTIVE, "outcome": "missed"}])
    assert report["previous"]["changes"] == ["objective availability: met → missed"]
    assert report["verdict"] == "missed"


def test_objectives_that_come_and_go_are_changes(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a")), objectives=[OBJECTIVE])
    other = {**OBJECTIVE, "name": "latency"}
    report = checked(repository, 2, service("api", probe("a")), objectives=[other])
    assert report["previous"]["changes"] == [
        "objective latency: new, met",
        "objective availability: not judged, was met",
    ]


def test_an_objective_is_compared_with_the_last_run_that_judged_it(repository: Repository) -> None:
    api, latency = service("api", probe("a")), {**OBJECTIVE, "name": "latency"}

    def mistake(name: str) -> dict[str, t.Any]:
        return {"name": name, "outcome": "unknown", "message": "there is no such objective"}

    checked(repository, 1, api, objectives=[OBJECTIVE, latency])
    # A name that is only a mistake is not a new objective.
    report = checked(repository, 2, api, objectives=[mistake("latncy")])
    assert report["previous"]["changes"] == [
        "objective availability: not judged, was met",
        "objective latency: not judged, was met",
    ]
    # And has no history.
    report = checked(repository, 3, api, objectives=[{**OBJECTIVE, "outcome": "unknown"}])
    assert report["previous"]["changes"] == [
        "objective availability: met → unknown",
        "objective latency: not judged, was met",
    ]
    checked(repository, 4, api, objectives=[mistake("objectives")])
    report = checked(repository, 5, api, objectives=[mistake("objectives")])
    assert not any("objective objectives" in text for text in report["previous"]["changes"])
    # What could not be judged for a mistake in the input is said once, and so is that it can be again.
    report = checked(repository, 6, api, objectives=[mistake("latency")])
    assert report["previous"]["changes"][0] == "objective latency: met → unknown"
    report = checked(repository, 7, api, objectives=[mistake("latency")])
    assert not any("latency" in text for text in report["previous"]["changes"])
    report = checked(repository, 8, api, objectives=[latency])
    assert report["previous"]["changes"][0] == "objective latency: unknown → met"


def test_probes_that_are_all_left_out_now_are_changes(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a")))
    report = checked(
        repository, 2, ComponentOutcome("api", engine="service", outcome="failed", probes_disabled={"a": "old"})
    )
    assert [(change["was"], change["now"]) for change in report["previous"]["probes"]] == [("ok", "disabled")]


def test_another_verdict_is_a_change_even_where_nothing_else_is(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a")), objectives=[OBJECTIVE])
    idle = ComponentOutcome("api", engine="service", outcome="skipped")
    report = checked(repository, 2, idle, objectives=[OBJECTIVE])
    assert (report["verdict"], report["verdict_reason"]) == ("failed", "no probe ran")
    assert report["previous"]["changes"] == ["this runbook: met → failed"]


def test_figures_for_a_node_exporter(repository: Repository, tmp_path: pathlib.Path) -> None:
    report = reported(repository, begun(repository, "check_health-morning"), service("api", probe("a")))
    assert publish(report, repository, None, str(tmp_path)).problems == []
    (path,) = [path for path in tmp_path.iterdir() if path.suffix == ".prom"]
    assert path.name == "sre_runbooks_testing_check_health-morning.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    done = publish(report, repository, None, str(tmp_path / "none"))
    assert done.stored and "the figures are not in" in done.problems[0]


def test_figures_of_a_run_of_some_components_end_no_alert_on_the_others(
    repository: Repository, tmp_path: pathlib.Path
) -> None:
    def figures(*components: ComponentOutcome, **context: t.Any) -> tuple[set[str], str]:
        run = begun(repository, "check_health", *(component.name for component in components))
        done = publish(reported(repository, run, *components, **EVERY, **context), None, None, str(tmp_path))
        assert done.problems == []
        (path,) = [path for path in tmp_path.iterdir() if path.suffix == ".prom"]
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n# EOF\n") and text.count("# TYPE sre_runbooks_component_verdict ") <= 1
        kept = {re.sub(r'environment="testing",runbook="check_health",?', "", line) for line in text.splitlines()}
        return kept, done.kept

    down = dataclasses.replace(service("api", probe("a", "failed")), outcome="failed")
    slow = {**OBJECTIVE, "component": "api", "outcome": "missed"}
    api, db = service("api", probe("a")), service("db", probe("b"))
    # Nothing is known of the whole before a run of the whole.
    found, kept = figures(db)
    assert not any("run_verdict" in line for line in found) and "this run was only db" in kept
    found, kept = figures(down, service("db", probe("b", "failed")), objectives=[slow])
    assert 'sre_runbooks_run_verdict{verdict="failed"} 1' in found and kept == ""
    found, kept = figures(db)
    assert str(tmp_path) in kept and "this run was only db" in kept
    assert {
        'sre_runbooks_run_verdict{verdict="failed"} 1',
        'sre_runbooks_run_verdict{verdict="met"} 0',
        'sre_runbooks_component_verdict{component="api",verdict="failed"} 1',
        'sre_runbooks_component_verdict{component="db",verdict="met"} 1',
        'sre_runbooks_probe_success{component="api",probe="a",kind="tcp",critical="true"} 0',
        'sre_runbooks_probe_success{component="db",probe="b",kind="tcp",critical="true"} 1',
        'sre_runbooks_objective_outcome{objective="availability",service="",component="api",outcome="missed"} 1',
    } <= found
    found, kept = figures(api, db)
    assert 'sre_runbooks_run_verdict{verdict="met"} 1' in found and kept == ""
    assert 'sre_runbooks_component_verdict{component="api",verdict="met"} 1' in found
    assert not any("objective" in line for line in found)
