# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decoration, and the last words: the record of a run is written by the modules, whether or not anybody watches."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timeline
type: notification
short_description: Ends a runbook with its timeline, component by component
version_added: 0.1.0
author: The sre.runbooks authors (@sre-runbooks)
description:
  - At the end of a playbook, prints one line for each step that this collection's modules did - when, how long, with
    what outcome - grouped by component, then the verdict of the run and the path of its report.
  - Where somebody interrupts the playbook, it writes the report of what ran until then, closes the record of the run and says
    where the report is and what to do next. Without this plugin, the next run of any runbook writes it.
  - It prints nothing for a playbook that used none of these modules, and works beside any stdout callback.
requirements:
  - Enable it in the configuration with C(callbacks_enabled = sre.runbooks.timeline).
options:
  show_unchanged:
    description: Whether steps are shown that changed nothing and took less than a second.
    type: bool
    default: true
    env:
      - name: SRE_RUNBOOKS_TIMELINE_SHOW_UNCHANGED
    ini:
      - section: callback_sre_runbooks_timeline
        key: show_unchanged
"""

import atexit
import datetime
import os
import time
import typing as t
from dataclasses import dataclass

from ansible.plugins.callback import CallbackBase

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, now
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.interrupted import close_own
from ansible_collections.sre.runbooks.plugins.module_utils._words import shortened
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import current_invocation

_COLLECTION = "sre.runbooks."
#: Modules that keep the books rather than do the work.
_BOOKKEEPING = {"lease", "report", "repository_info", "recovery_point_info", "run", "timeline_event"}
_COLORS = {"changed": "yellow", "failed": "red", "ignored": "yellow", "ok": "green", "unreachable": "red"}
_VERDICT_COLORS = {"met": "green", "missed": "red", "failed": "red"}
_LONGEST_DETAIL = 120
#: What Ansible puts in place of a secret.
_NOT_SHOWN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


@dataclass
class Step:
    """One task on one component."""

    began: float
    duration_s: float
    name: str
    outcome: str
    detail: str


def detail_of(result: t.Mapping[str, t.Any], outcome: str) -> str:
    """The recovery point concerned, or why it failed; nothing else of a result is shown."""
    if outcome in ("failed", "ignored", "unreachable"):
        error = result.get("error")
        # What was expected, found and is next stands in the run's findings, whole; here it would only be cut off.
        message = error.get("message") if isinstance(error, dict) else None
        lines = str(message or result.get("msg") or "").strip().splitlines()
        return shortened(lines[0] if lines else "", _LONGEST_DETAIL)
    point = result.get("recovery_point")
    return str(point.get("point_id") or "") if isinstance(point, dict) else ""


def step_line(step: Step) -> str:
    """``05:10:02    12 s  changed  Take a recovery point  20261121T051002Z-1a2b``."""
    at = datetime.datetime.fromtimestamp(step.began, datetime.UTC).strftime("%H:%M:%S")
    line = f"  {at}  {format_duration(step.duration_s):>10}  {step.outcome:<11}  {step.name}"
    return f"{line}  ({step.detail})" if step.detail else line


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Gathers the steps and prints them at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "sre.runbooks.timeline"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: t.Any, **options: t.Any) -> None:
        super().__init__(*arguments, **options)
        self._began: dict[tuple[str, str], float] = {}
        self._steps: dict[str, list[Step]] = {}
        self._verdict: str | None = None
        self._word: str | None = None
        self._report: str | None = None
        self._open_run: dict[str, t.Any] | None = None
        self._objectives: list[dict[str, t.Any]] = []
        self._working: dict[tuple[str, str], datetime.datetime] = {}

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        """A task begins on a host."""
        self._began[host.get_name(), task._uuid] = time.time()
        if _own_module(task) not in (None, *_BOOKKEEPING):
            self._working[host.get_name(), task._uuid] = now()

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        """It had not to be done."""
        self._working.pop((result.host.get_name(), result.task._uuid), None)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """It went well."""
        self._add(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        """It did not."""
        self._add(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Its host could not be reached."""
        self._add(result, "unreachable")

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        """Print the timeline."""
        self._open_run = None
        steps = {component: self._shown(steps) for component, steps in self._steps.items()}
        if not any(steps.values()) and self._verdict is None:
            return
        self._display.banner("RUN TIMELINE (UTC)")
        for component, shown in steps.items():
            if shown:
                self._display.display(component)
            for step in shown:
                self._display.display(step_line(step), color=_COLORS.get(step.outcome))
        if self._verdict is not None:
            self._display.display(f"verdict: {self._word}", color=_VERDICT_COLORS.get(self._verdict))
        if self._report is not None:
            self._display.display(f"report: {self._report}")

    def _shown(self, steps: list[Step]) -> list[Step]:
        if self.get_option("show_unchanged"):
            return steps
        return [step for step in steps if step.outcome != "ok" or step.duration_s >= 1]

    def _add(self, result: t.Any, outcome: str) -> None:
        task, component = result.task, result.host.get_name()
        began = self._began.pop((component, task._uuid), None)
        self._working.pop((component, task._uuid), None)
        module = _own_module(task)
        if module is None or began is None:
            return
        content = result.result
        if module == "run" and content.get("record"):
            self._note_record(content)
        if module == "objective_info" and outcome == "ok":
            self._objectives = list(content.get("objectives") or [])
        if module == "report" and outcome != "failed":
            self._verdict = content.get("verdict")
            self._word = content.get("verdict_word") or self._verdict
            self._report = content.get("html_path") or content.get("report_path") or None
        if module in _BOOKKEEPING and outcome in ("ok", "changed"):
            return
        step = Step(began, time.time() - began, task.get_name().split(" : ")[-1], outcome, detail_of(content, outcome))
        self._steps.setdefault(component, []).append(step)

    def _note_record(self, content: t.Mapping[str, t.Any]) -> None:
        """An open record; from now on there is something to say about the run, however it ends."""
        if "verdict" in content:
            self._open_run = None
            return
        if self._open_run is None:
            atexit.register(self._last_words, os.getpid())
        self._open_run = dict(content)

    def _last_words(self, pid: int) -> None:
        """The playbook did not get to its end, which is so when somebody interrupts it."""
        run = self._open_run
        if run is None or os.getpid() != pid:
            return
        given = run["invocation"]["module_args"]
        place = f"{given['repository']}/runs/{run['run_id']}"
        try:
            # What may not be shown is not here; the environment may have it too.
            access = {name: value for name, value in (given.get("s3") or {}).items() if value != _NOT_SHOWN}
            repository = open_repository(given["repository"], given["environment_name"], access)
            awaited = {component: began for (component, _task), began in self._working.items()}
            report_dir = run["report_dir"] or None
            done = close_own(repository, run["run_id"], report_dir, current_invocation(), awaited, self._objectives)
            where = f"{done.local}/report.html" if done.local else f"{place}/report.html"
            said = [*(f"warning: {problem}" for problem in done.problems), f"report: {where}"]
        except (Exception, KeyboardInterrupt) as error:
            # Whatever it is, nobody is left to handle it.
            reason = str(error) or type(error).__name__
            said = [f"its record is {place}; the next run writes its report, as this one could not: {reason}"]
        self._display.display("the run was interrupted; what it had done and found by then is reported")
        for line in [*said, f"next: {run['next_command']}"]:
            self._display.display(f"  {line}")


def _own_module(task: t.Any) -> str | None:
    action = str(task.resolved_action or task.action)
    return action[len(_COLLECTION) :] if action.startswith(_COLLECTION) else None
