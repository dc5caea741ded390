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
import typing as t

import jsonschema
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish, stored_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
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
    assert component["rpo"]["measured_s"] == pytest.approx(40, abs=5)
    assert (component["verdict"], component["recovery_point"]) == ("met", newest.point_id)
    assert (component["proof"], component["points"]) == ("verified", 2)
    assert component["rto"]["measured_s"] is None
    assert report["audit"]["integrity"]["result"] == "intact"


def test_too_old_a_point_misses(repository: Repository) -> None:
    point_of_age(repository, 400, "verified")
    report = reported(repository, begun(repository, "backup"), database())
    assert report["verdict"] == "missed"
    assert any("RPO missed" in finding["text"] for finding in report["findings"])


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
    report = reported(repository, run, database(rto_measured_s=601.0, recovery_point=point.point_id, interval_s=86400))
    assert report["verdict"] == "missed"
    assert report["audit"]["retest_date"] == (now() + datetime.timedelta(days=1)).strftime("%Y-%m-%d")


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
    assert rpo["at_most_s"] == pytest.approx(age, abs=5)
    assert report["verdict"] == verdict


def test_restore_time_from_the_timeline(repository: Repository) -> None:
    run = begun(repository, "restore_components")
    run = dataclasses.replace(run, started=run.started - datetime.timedelta(seconds=100))
    Recorder(repository, run.run_id, "flights_db").event("swap", duration_s=5, outcome="changed")
    Recorder(repository, run.run_id, "other").event("swap")
    (component,) = reported(repository, run, database())["components"]
    assert component["rto"]["measured_s"] == pytest.approx(100, abs=5)


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


def test_check_mode_proves_nothing(repository: Repository) -> None:
    point_of_age(repository, 40)
    assert reported(repository, begun(repository, "backup"), database(), check_mode=True)["verdict"] == "unknown"


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
    assert sorted(os.listdir(t.cast(str, done.local))) == ["report.html", "report.json", "report.md"]
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
