# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every small document of a repository: in its place, as it was written, and nothing beside. The many ways are in robustness."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import sealed_json
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import ALTERED, REMOVED
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures, layout_findings
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import close_run, start_run
from tests.unit.runs.sample_report import health_report


@pytest.fixture
def run_id(repository: Repository, take) -> str:
    """A repository in which something has happened."""
    take()
    run = start_run(repository, "backup", ["db"], describe_holder(None), "2.19", "somebody")
    with (
        holding(repository, "db", run.run_id, describe_holder(run.run_id), 60),
        Recorder(repository, run.run_id).step("x"),
    ):
        assert layout_failures(repository) == []
    repository.store.create(f"runs/{run.run_id}/diagnostics/diagnostics.tar.gz", b"")
    assert publish(health_report() | {"run_id": run.run_id}, repository, None).stored
    close_run(repository, run.run_id, "met")
    return run.run_id


def path_of(repository: Repository, key: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / key


def test_a_whole_repository_is_quiet(repository: Repository, run_id: str) -> None:
    assert layout_failures(repository) == []
    assert layout_failures(repository, "db") == []


@pytest.mark.parametrize("name", ["run.json", "closed.json", "events"])
def test_what_a_closed_run_has_lost_is_named(repository: Repository, run_id: str, name: str) -> None:
    path = path_of(repository, f"runs/{run_id}/{name}")
    if path.is_dir():
        path = sorted(path.iterdir())[0]
    path.unlink()
    (failure,) = layout_failures(repository)
    assert failure.startswith(f"runs/{run_id}/") and path.name in failure and "missing" in failure
    assert layout_findings(repository)[0].kind == REMOVED
    assert layout_failures(repository, "db") == []


def test_an_event_that_was_copied_from_another_run_is_named(repository: Repository, run_id: str) -> None:
    (event, _end) = sorted(path_of(repository, f"runs/{run_id}/events").iterdir())
    copy = event.with_name(event.name.replace(event.name[-13:-5], "00000000"))
    copy.write_bytes(event.read_bytes())
    (failure,) = layout_failures(repository)
    assert copy.name in failure and "another document" in failure


def test_a_stray_object_is_named(repository: Repository, run_id: str) -> None:
    repository.store.create("components/db/points/readme.txt", b"hello")
    (finding,) = layout_findings(repository, "db")
    assert (finding.kind, finding.subject) == (ALTERED, "points/readme.txt")


def test_a_document_that_says_it_is_elsewhere_is_named(repository: Repository, run_id: str) -> None:
    path = path_of(repository, f"runs/{run_id}/run.json")
    path.write_bytes(sealed_json({**json.loads(path.read_text()), "run_id": "20260101T000000Z-backup-0000"}))
    assert any(f"runs/{run_id}/run.json" in failure for failure in layout_failures(repository))
