# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report says of former runs: what changed since, and with which run it is compared."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.announcement import announcement, is_due
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_html import render_html
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_junit import render_junit
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_markdown import render_markdown
from ansible_collections.sre.runbooks.plugins.module_utils._runs.render_text import summary_lines
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import (
    ComponentOutcome,
)
from tests.unit.runs.reporting import EVERY, OBJECTIVE, begun, checked, database, probe, reported, service


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


def test_a_checklist_has_a_history_of_its_own(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a"), probe("b")))
    run = begun(repository, "check_health-morning", "api")
    report = reported(
        repository, run, service("api", probe("a")), checklist={"name": "morning", "review": ["the night"]}
    )
    assert (report["kind"], report["previous"]) == ("health", None)
    assert report["checklist"] == {"name": "morning", "description": "", "review": ["the night"]}


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


def test_another_window_is_another_question(repository: Repository) -> None:
    month, hour = {**OBJECTIVE, "window_s": 2592000.0}, {**OBJECTIVE, "outcome": "unknown", "window_s": 3600.0}
    checked(repository, 1, service("api", probe("a")), objectives=[month])
    assert checked(repository, 2, service("api", probe("a")), objectives=[hour])["previous"]["changes"] == []
    assert checked(repository, 3, service("api", probe("a")), objectives=[month])["previous"]["changes"] == []
    report = checked(repository, 4, service("api", probe("a")), objectives=[{**month, "outcome": "missed"}])
    assert report["previous"]["changes"] == ["objective availability: met → missed"]


def test_what_a_run_that_was_cut_off_did_not_come_to_is_no_change(repository: Repository) -> None:
    checked(repository, 1, service("api", probe("a")), objectives=[OBJECTIVE])
    run = dataclasses.replace(begun(repository, "check_health", "api"), run_id="20200102T000000Z-check_health-0002")
    nothing = reported(repository, run, service("api", probe("a")), interrupted=True)
    assert not [text for text in nothing["previous"]["changes"] if "objective" in text]
    missed = [{**OBJECTIVE, "outcome": "missed"}]
    judged = reported(repository, run, service("api", probe("a")), interrupted=True, objectives=missed)
    assert "objective availability: met → missed" in judged["previous"]["changes"]


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
