# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events: what happened is kept, what cannot be kept never stops the work."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import sealed_json
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import (
    Recorder,
    checked_run_id,
    parse_event,
    plain,
    read_events,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.timeline import (
    build_timeline,
    failure_text,
    unresolved_failures,
)

RUN = "20261121T051000Z-backup-1a2b"


def outcomes(repository: Repository) -> list[tuple[str, str]]:
    return [(event.step, event.outcome) for event in read_events(repository, RUN)]


def test_a_step_is_two_events_of_one_id(repository: Repository) -> None:
    recorder = Recorder(repository, RUN, "flights_db")
    with recorder.step("dump", databases=2) as step:
        step.outcome = "changed"
        step.facts["bytes"] = 17
    started, ended = read_events(repository, RUN)
    assert (started.outcome, ended.outcome) == ("started", "changed")
    assert started.step_id == ended.step_id and started.at == ended.at
    assert started.duration_s is None and ended.duration_s is not None
    assert ended.facts == {"databases": 2, "bytes": 17}
    assert ended.component == "flights_db"


def test_an_error_fails_the_step_and_goes_on(repository: Repository) -> None:
    with pytest.raises(EngineError), Recorder(repository, RUN).step("dump"):
        raise EngineError("pg_dump failed", expected="exit code 0", found="exit code 1")
    ended = read_events(repository, RUN)[-1]
    assert ended.outcome == "failed"
    assert failure_text(build_timeline([ended])[0]) == "pg_dump failed; expected: exit code 0; found: exit code 1"


def test_a_foreign_error_is_not_quoted(repository: Repository) -> None:
    with pytest.raises(ValueError, match="secret"), Recorder(repository, RUN).step("dump"):
        raise ValueError("secret")
    assert "secret" not in str(read_events(repository, RUN))


@pytest.mark.parametrize(("code", "outcome"), [(0, "ok"), (None, "ok"), (1, "failed"), ("no", "failed")])
def test_leaving_by_exit(repository: Repository, code: t.Any, outcome: str) -> None:
    with pytest.raises(SystemExit), Recorder(repository, RUN).step("dump"):
        sys.exit(code)
    assert outcomes(repository)[-1] == ("dump", outcome)


def test_without_a_run_nothing_is_written(repository: Repository) -> None:
    for run_id in (None, ""):
        with Recorder(repository, run_id).step("dump"):
            pass
    with Recorder(None, RUN).step("dump"):
        pass
    assert list(repository.store.list("runs/")) == []


def test_a_full_repository_does_not_stop_the_work(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(key: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(repository.store), "create", lambda self, key, data: full(key, data))
    recorder = Recorder(repository, RUN)
    with recorder.step("dump"):
        pass
    assert recorder.lost == 2 and "No space left" in str(recorder.problem)


def test_an_event_in_one_piece(repository: Repository) -> None:
    Recorder(repository, RUN).event("hook", outcome="skipped", duration_s=30, reason="none")
    (event,) = read_events(repository, RUN)
    assert 30 <= (event.written - event.at).total_seconds() < 90
    with pytest.raises(InvalidInput):
        Recorder(repository, RUN).event("hook", outcome="fine")


def test_an_unreadable_event_is_shown(repository: Repository) -> None:
    Recorder(repository, RUN).event("hook")
    repository.store.create(f"runs/{RUN}/events/20261121T051001.000000Z-00000000.json", b"{")
    assert ("unreadable event", "failed") in outcomes(repository)


@hypothesis.given(
    st.dictionaries(
        st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    )
)
def test_any_facts_can_be_recorded(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, t.Any]) -> None:
    class Memory:
        store: t.Any

        def __init__(self) -> None:
            self.store = self
            self.written: list[bytes] = []

        def create(self, key: str, data: bytes) -> None:
            self.written.append(data)

    memory = Memory()
    recorder = Recorder(t.cast(Repository, memory), RUN)
    with recorder.step("dump") as step:
        step.facts.update(facts)
    assert recorder.problem is None
    assert parse_event(memory.written[-1], "an event").facts == plain(facts)


@hypothesis.given(st.binary() | st.text().map(str.encode) | st.from_regex(rb'\{"at": "[^"]*", "step": 1\}'))
def test_anything_read_is_an_event_or_refused(data: bytes) -> None:
    for written in (data, sealed_json({"at": data.decode("utf-8", "replace"), "step": 1})):
        with pytest.raises((InvalidInput, IntegrityError)):
            parse_event(written, "an event")


@pytest.mark.parametrize("wrong", ["../x", "", "20261121T051000Z-backup-1a2b/..", "20261121T051000Z-BACKUP-1a2b"])
def test_not_a_run_id(wrong: str) -> None:
    with pytest.raises(InvalidInput):
        checked_run_id(wrong)


def test_timeline_knows_cut_off_and_retried_steps(repository: Repository) -> None:
    recorder = Recorder(repository, RUN, "flights_db")
    recorder.event("wait", outcome="failed", error="refused")
    recorder.event("wait")
    recorder._write(read_events(repository, RUN)[0].at, "load", "cafe0000", "started", None, {})
    timeline = build_timeline(read_events(repository, RUN))
    assert {(entry["step"], entry["outcome"]) for entry in timeline} == {
        ("wait", "failed"),
        ("wait", "ok"),
        ("load", "interrupted"),
    }
    assert [entry["step"] for entry in unresolved_failures(timeline)] == ["load"]


def test_events_are_objects_of_the_repository(repository: Repository, tmp_path: pathlib.Path) -> None:
    Recorder(repository, RUN).event("hook")
    (path,) = (tmp_path / "repository" / "runs" / RUN / "events").iterdir()
    assert path.read_bytes().endswith(b"}\n")
