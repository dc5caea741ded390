# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening, closing and finding again the records of runs."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import (
    describe_holder,
    provably_alive,
    provably_dead,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import acquire
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs import interrupted
from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation
from ansible_collections.sre.runbooks.plugins.module_utils._runs.interrupted import close_interrupted, close_own
from ansible_collections.sre.runbooks.plugins.module_utils._runs.probe_record import record_probes
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish, stored_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder, read_events
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import ReportContext, build_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import (
    RunRecord,
    close_run,
    earlier_runs,
    interrupted_runs,
    load_run,
    new_run_id,
    start_run,
)


def started(repository: Repository, controller: dict[str, t.Any], runbook: str = "backup") -> RunRecord:
    return start_run(repository, runbook, ["flights_db"], controller, "2.19.0", "ada", "a test", ["grace"])


def ended_process() -> dict[str, t.Any]:
    """A process that was and is no more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        described = describe_holder(None, child.pid)
        assert provably_alive(described)
        child.communicate()
    return described


def ages(repository: Repository, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    """Let the store's clock be ahead."""
    ahead = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    monkeypatch.setattr(FileStore, "now", lambda self: ahead)


def test_a_record_is_read_as_written(repository: Repository) -> None:
    run = started(repository, {"host": "here"})
    assert load_run(repository, run.run_id) == run
    assert run.environment == "testing"


def test_the_first_closing_counts(repository: Repository) -> None:
    run = started(repository, {})
    assert close_run(repository, run.run_id, "failed", "why")["verdict"] == "failed"
    assert close_run(repository, run.run_id, "met")["verdict"] == "failed"
    assert list(repository.store.children("control/runs/")) == []
    with pytest.raises(InvalidInput):
        close_run(repository, run.run_id, "fine")


def test_a_read_that_is_cut_short_is_not_written_down_for_good(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(repository, {})
    read = FileStore.read
    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "read", lambda *arguments: read(*arguments)[:20])
        with pytest.raises(IntegrityError, match="not read whole"):
            close_run(repository, run.run_id, "met")
    close_run(repository, run.run_id, "met")
    assert layout_failures(repository) == []


def test_a_living_run_is_left_alone(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    started(repository, describe_holder(None, os.getpid()))
    ages(repository, monkeypatch, 48)
    assert interrupted_runs(repository) == []


def test_a_dead_process_is_found_at_once(repository: Repository) -> None:
    run = started(repository, ended_process())
    assert interrupted_runs(repository) == [run]


def test_a_pid_used_again_is_another_process() -> None:
    described = {**describe_holder(None, os.getpid()), "pid_started": "1"}
    assert provably_dead(described)


@pytest.mark.parametrize("change", [{"boot_id": "other"}, {"pid_namespace": "other"}, {"pid": None}])
def test_nothing_is_said_of_another_machine(change: dict[str, t.Any]) -> None:
    described = {**describe_holder(None, os.getpid()), **change}
    assert not provably_dead(described) and not provably_alive(described)


def test_another_machines_run_is_dead_after_an_hour_of_silence(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(repository, {"host": "elsewhere", "boot_id": "x"})
    ages(repository, monkeypatch, 0.9)
    assert interrupted_runs(repository) == []
    ages(repository, monkeypatch, 1.1)
    assert interrupted_runs(repository) == [run]


def test_another_machines_run_that_renews_a_lease_lives(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"host": "elsewhere", "boot_id": "x", "pid_namespace": "y", "pid": 1, "pid_started": "1"}
    run = started(repository, elsewhere)
    acquire(repository, "flights_db", run.run_id, elsewhere, ttl_s=3 * 3600)
    ages(repository, monkeypatch, 2)
    assert interrupted_runs(repository) == []
    ages(repository, monkeypatch, 4)
    assert interrupted_runs(repository) == [run]


def test_killed_between_mark_and_record(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    run = started(repository, ended_process())
    repository.store.delete(f"runs/{run.run_id}/run.json")
    assert interrupted_runs(repository) == []
    ages(repository, monkeypatch, 2)
    assert interrupted_runs(repository) == []
    assert list(repository.store.children("control/runs/")) == []


def test_killed_between_closing_and_the_end_of_the_mark(repository: Repository) -> None:
    run = started(repository, ended_process())
    repository.store.create(f"runs/{run.run_id}/closed.json", b"{}\n")
    assert interrupted_runs(repository) == []
    assert list(repository.store.children("control/runs/")) == []


def test_a_killed_run_gets_a_report_and_is_closed(repository: Repository) -> None:
    run = started(repository, ended_process())
    recorder = Recorder(repository, run.run_id, "flights_db")
    recorder.event("take the lease")
    recorder._write(datetime.datetime.now(datetime.UTC), "dump", "cafe0000", "started", None, {})
    assert close_interrupted(repository) == ([run.run_id], [])
    report = stored_report(repository, run.run_id)
    assert report is not None
    assert (report["verdict"], report["interrupted"]) == ("failed", True)
    assert [entry["outcome"] for entry in report["timeline"]] == ["ok", "interrupted"]
    assert report["components"][0]["verdict"] == "unknown"
    assert report["components"][0]["reason"] == "the run was interrupted in the step \u201cdump\u201d"
    assert close_interrupted(repository) == ([], [])


def test_a_health_check_that_was_cut_off_says_how_far_it_got(repository: Repository) -> None:
    run = start_run(repository, "check_health", ["api", "cache", "db", "late"], ended_process(), "2.19.0", "ada")
    named = {"kind": "tcp", "critical": True, "duration_s": 0.1, "measured": "", "expected": "", "hint": ""}
    ok, failed, unknown = (
        {**named, "name": outcome, "outcome": outcome, "message": outcome} for outcome in ("ok", "failed", "unknown")
    )
    record_probes(Recorder(repository, run.run_id, "api"), [ok, failed], 1.0, interrupted=False)
    record_probes(Recorder(repository, run.run_id, "cache"), [ok, ok], 1.0, interrupted=False)
    record_probes(Recorder(repository, run.run_id, "db"), [ok, unknown], 1.0, interrupted=True)
    assert close_interrupted(repository) == ([run.run_id], [])
    report = stored_report(repository, run.run_id)
    assert report is not None
    assert report["verdict_reason"] == "interrupted: the run was cut off before it could report"
    by_then = "the run was interrupted; its probes by then: "
    assert {item["name"]: (item["verdict"], item["reason"]) for item in report["components"]} == {
        "api": ("failed", f"probe failed: failed; {by_then}1 failed, 1 ok"),
        "cache": ("unknown", f"{by_then}2 ok"),
        "db": ("failed", f"{by_then}1 unknown, 1 ok"),
        "late": ("unknown", "the run was interrupted before it got to this component"),
    }
    texts = {finding["text"] for finding in report["findings"]}
    assert f"{by_then}2 ok" in texts
    assert not {text for text in texts if "did not get to" in text or "nothing was reported" in text}


def test_a_run_that_was_killed_after_its_report_is_what_the_report_says(repository: Repository) -> None:
    run = started(repository, ended_process())
    report = build_report(repository, ReportContext(run, run.started), [])
    publish({**report, "verdict": "met", "verdict_reason": "all is well"}, repository, None)
    assert close_interrupted(repository) == ([run.run_id], [])
    assert close_run(repository, run.run_id, "failed")["verdict"] == "met"


def test_who_interrupts_a_run_gets_its_report(
    repository: Repository, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupted, "_LAST_WORDS_S", 120)
    run = started(repository, ended_process())
    began = datetime.datetime.now(datetime.UTC)
    recorder = Recorder(repository, run.run_id, "flights_db")
    failed = "x; next: ansible-playbook sre.runbooks.check_health; report: y"

    def work() -> None:
        with pytest.raises(RunbookError), recorder.step("dump"):
            time.sleep(1)
            raise RunbookError(failed)

    module = threading.Thread(target=work)
    module.start()
    while not read_events(repository, run.run_id):
        time.sleep(0.01)
    invocation = Invocation(inventories=("/srv/hosts",))
    # What was at work has its last word first.
    done = close_own(
        repository,
        run.run_id,
        str(tmp_path),
        invocation,
        {"flights_db": began},
        [{"name": "availability", "outcome": "met"}],
    )
    module.join()
    report = json.loads((tmp_path / run.run_id / "report.json").read_text(encoding="utf-8"))
    assert done.problems == [] and report["interrupted"] and report["verdict"] == "failed"
    assert [entry["outcome"] for entry in report["timeline"]] == ["failed"]
    assert [entry["name"] for entry in report["service_objectives"]] == ["availability"]
    assert "next: ansible-playbook -i /srv/hosts sre.runbooks.check_health; report: y" in json.dumps(report)
    assert close_interrupted(repository) == ([], [])


def test_a_foreign_object_among_the_open_runs_is_left_alone(repository: Repository) -> None:
    repository.store.create("control/runs/readme.txt", b"hello")
    run = started(repository, ended_process())
    assert interrupted_runs(repository) == [run]


def test_earlier_runs_are_those_of_the_same_runbook_newest_first(repository: Repository) -> None:
    ids = [
        "20261101T000000Z-backup-0001",
        "20261102T000000Z-backup-0002",
        "20261103T000000Z-drill-0003",
        "20261103T000000Z-my-backup-0004",
        "20261104T000000Z-backup-0005",
    ]
    for run_id in ids:
        repository.store.create(f"runs/{run_id}/run.json", b"{}")
    assert list(earlier_runs(repository, "backup", ids[4])) == [ids[1], ids[0]]


@pytest.mark.parametrize("wrong", ["", "Backup", "a/b", "x" * 64])
def test_not_a_runbook(wrong: str) -> None:
    with pytest.raises(InvalidInput):
        new_run_id(wrong, datetime.datetime.now(datetime.UTC))


def test_a_run_that_never_was(repository: Repository) -> None:
    with pytest.raises(ObjectMissing):
        load_run(repository, "20261121T051000Z-backup-1a2b")
