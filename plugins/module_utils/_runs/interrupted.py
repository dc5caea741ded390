# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that were killed: a later run writes their report and closes their record, so that an auditor sees them."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import read_events
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import ReportContext, build_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord, close_run, interrupted_runs

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


def close_interrupted(repository: Repository) -> tuple[list[str], list[str]]:
    """Close every killed run. Returns their ids and, in words, what could not be done; it stops no new run."""
    closed: list[str] = []
    problems: list[str] = []
    for run in interrupted_runs(repository):
        try:
            _close(repository, run, problems)
            closed.append(run.run_id)
        except RunbookError as error:
            problems.append(f"the record of {run.run_id} could not be closed: {error}")
    return closed, problems


def _close(repository: Repository, run: RunRecord, problems: list[str]) -> None:
    events = read_events(repository, run.run_id)
    # The last sign of life; when it was killed exactly, nobody knows.
    finished = max((event.written for event in events), default=run.started)
    report = build_report(repository, ReportContext(run, min(finished, now()), interrupted=True), [])
    problems += publish(report, repository, None).problems
    close_run(repository, run.run_id, report["verdict"], report["verdict_reason"])
