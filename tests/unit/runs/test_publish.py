# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a report goes: both places, or the one that works; and the figures for a node exporter."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish, stored_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import (
    ComponentOutcome,
)
from tests.unit.runs.reporting import EVERY, OBJECTIVE, begun, database, probe, reported, service


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
