# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scheduled_run kind on runs that the collection itself recorded."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs import run as runs
from tests.unit.probes.conftest import ask_all


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    made, _ = initialise_repository(f"file://{tmp_path}/repository", "local", check_mode=False)
    assert made is not None
    return made


def play(
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    runbook: str,
    age_s: float,
    verdict: str | None,
    components: t.Sequence[str] = ("db",),
) -> None:
    """A run of that age; without a verdict it never ended."""
    moment = _clock.now() - datetime.timedelta(seconds=age_s)
    with monkeypatch.context() as patched:
        patched.setattr(runs, "now", lambda: moment)
        run = runs.start_run(repository, runbook, components, {"host": "here"}, "2.19", "ada")
        if verdict:
            runs.close_run(repository, run.run_id, verdict)


def ask(repository: Repository, **options: t.Any) -> Reading:
    declaration = {"kind": "scheduled_run", "runbook": "drill_restores", "within": "1d", **options}
    return ask_all([declaration], repository=repository.url, environment_name="local")[0].reading


@pytest.mark.parametrize(
    ("played", "outcome", "message"),
    [
        ([], "failed", "it was never played to its end"),
        ([("drill_restores", 60, "met")], "ok", "as expected"),
        ([("drill_restores", 90_000, "met")], "failed", "the newest run is too long ago"),
        ([("drill_restores", 7_200, "met"), ("drill_restores", 60, "missed")], "failed", "the newest run ended missed"),
        ([("drill_restores", 7_200, "failed"), ("drill_restores", 60, "met")], "ok", "as expected"),
        ([("drill_restores", 7_200, "met"), ("drill_restores", 60, None)], "ok", "as expected"),
        ([("drill_restores-monthly", 60, "met")], "failed", "it was never played to its end"),
        ([("verify_backups", 60, "met")], "failed", "it was never played to its end"),
    ],
)
def test_the_newest_run_that_ended_counts(
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    played: list[tuple[str, float, str | None]],
    outcome: str,
    message: str,
) -> None:
    for runbook, age_s, verdict in played:
        play(repository, monkeypatch, runbook, age_s, verdict)
    reading = ask(repository)
    assert (reading.outcome, reading.message) == (outcome, message)


def test_a_checklist_is_a_run_of_its_own(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    play(repository, monkeypatch, "check_health-morning", 60, "met")
    assert ask(repository, runbook="check_health-morning").outcome == "ok"
    assert ask(repository, runbook="check_health").outcome == "failed"


@pytest.mark.parametrize("given", ["probe", "module"])
def test_a_run_of_some_components_is_not_the_scheduled_one(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    def asked() -> Reading:
        declaration: dict[str, t.Any] = {"kind": "scheduled_run", "runbook": "drill_restores", "within": "1d"}
        every: dict[str, t.Any] = {"components": ["api", "db"]} if given == "probe" else {}
        # What the probe says goes before what the module knows.
        known = ["elsewhere"] if given == "probe" else ["api", "db"]
        return ask_all(
            [{**declaration, **every}],
            repository=repository.url,
            environment_name="local",
            environment_components=known,
        )[0].reading

    play(repository, monkeypatch, "drill_restores", 7_200, "met")
    reading = asked()
    assert (reading.outcome, reading.message) == ("failed", "it was played for some of the components only")
    assert reading.measured.endswith("without api")
    play(repository, monkeypatch, "drill_restores", 3_600, "missed", ["db", "api", "gone"])
    play(repository, monkeypatch, "drill_restores", 60, "met")
    assert asked().message == "the newest run ended missed"
    play(repository, monkeypatch, "drill_restores", 30, "met", ["db", "api"])
    assert asked().outcome == "ok"
    play(repository, monkeypatch, "drill_restores", 10, "failed")
    assert asked().outcome == "ok"


def test_without_a_repository_nobody_knows(tmp_path: pathlib.Path) -> None:
    declaration = {"kind": "scheduled_run", "runbook": "x", "within": "1d"}
    reading = ask_all([declaration], repository=f"file://{tmp_path}/none", environment_name="local")[0].reading
    assert reading.outcome == "unknown"
