# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that were cut off: whoever notices writes their report and closes their record, so that an auditor sees them.

Where somebody interrupts a run, that is the run itself at its very end; where it was killed, a later run.
"""

from __future__ import annotations

import datetime
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation, completed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import Published, publish, stored_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Event, read_events
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import ReportContext, build_report
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import (
    RunRecord,
    close_run,
    interrupted_runs,
    load_run,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


#: Seconds that modules have for writing down what they had found, when a signal has ended them.
_LAST_WORDS_S = 10.0


def close_interrupted(repository: Repository, invocation: Invocation | None = None) -> tuple[list[str], list[str]]:
    """Close every killed run. Returns their ids and, in words, what could not be done; it stops no new run.

    :arg invocation: the command line of the run that does it.
    """
    closed: list[str] = []
    problems: list[str] = []
    for run in interrupted_runs(repository):
        try:
            own = invocation.of_another_run(run.runbook) if invocation else None
            problems += _close(repository, run, own).problems
            closed.append(run.run_id)
        except RunbookError as error:
            problems.append(f"the record of {run.run_id} could not be closed: {error}")
    return closed, problems


def close_own(
    repository: Repository,
    run_id: str,
    report_dir: str | None,
    invocation: Invocation | None,
    awaited: t.Mapping[str, datetime.datetime],
    objectives: t.Sequence[dict[str, t.Any]] = (),
) -> Published:
    """Close the run that was just interrupted, and write its report to both places.

    :arg awaited: the components on which a module was at work, and since when: it writes down what it had found, if not at once.
    :arg objectives: of services, as far as they had been judged.
    """
    deadline = time.monotonic() + _LAST_WORDS_S
    while time.monotonic() < deadline and not _is_silent(read_events(repository, run_id), awaited):
        time.sleep(0.1)
    return _close(repository, load_run(repository, run_id), invocation, report_dir, objectives)


def _is_silent(events: t.Sequence[Event], awaited: t.Mapping[str, datetime.datetime]) -> bool:
    """Whether each component has had its last word: a step that ended, and none that did not."""
    ended = {event.step_id for event in events if event.outcome != "started"}
    spoken = {event.component for event in events if event.step_id in ended and _is_of_now(event, awaited)}
    waiting = {event.component for event in events if event.step_id not in ended}
    return set(awaited) <= spoken - waiting


def _is_of_now(event: Event, awaited: t.Mapping[str, datetime.datetime]) -> bool:
    began = awaited.get(event.component or "")
    return began is not None and event.written >= began


def _close(
    repository: Repository,
    run: RunRecord,
    invocation: Invocation | None,
    report_dir: str | None = None,
    objectives: t.Sequence[dict[str, t.Any]] = (),
) -> Published:
    # Killed after it had reported, it is not what its report says otherwise.
    report = stored_report(repository, run.run_id)
    if report is None:
        events = read_events(repository, run.run_id)
        # The last sign of life; when it was killed exactly, nobody knows.
        finished = max((event.written for event in events), default=run.started)
        context = ReportContext(run, min(finished, now()), interrupted=True, objectives=list(objectives))
        report = completed(build_report(repository, context, []), invocation)
    done = publish(report, repository, report_dir)
    close_run(repository, run.run_id, report["verdict"], report["verdict_reason"])
    return done
