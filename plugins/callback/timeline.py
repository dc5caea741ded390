# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only decoration: the record of a run is written by the modules, whether or not anybody watches."""

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

import datetime
import time
import typing as t
from dataclasses import dataclass

from ansible.plugins.callback import CallbackBase

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration

_COLLECTION = "sre.runbooks."
#: Modules that keep the books rather than do the work.
_BOOKKEEPING = {"lease", "report", "repository_info", "recovery_point_info", "run", "timeline_event"}
_COLORS = {"changed": "yellow", "failed": "red", "ignored": "yellow", "ok": "green", "unreachable": "red"}
_VERDICT_COLORS = {"met": "green", "missed": "red", "failed": "red"}
_LONGEST_DETAIL = 120


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
        text = lines[0] if lines else ""
        return text if len(text) <= _LONGEST_DETAIL else text[: _LONGEST_DETAIL - 1] + "…"
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
        self._report: str | None = None

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        """A task begins on a host."""
        self._began[host.get_name(), task._uuid] = time.time()

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
            self._display.display(f"verdict: {self._verdict}", color=_VERDICT_COLORS.get(self._verdict))
        if self._report is not None:
            self._display.display(f"report: {self._report}")

    def _shown(self, steps: list[Step]) -> list[Step]:
        if self.get_option("show_unchanged"):
            return steps
        return [step for step in steps if step.outcome != "ok" or step.duration_s >= 1]

    def _add(self, result: t.Any, outcome: str) -> None:
        task, component = result.task, result.host.get_name()
        began = self._began.pop((component, task._uuid), None)
        action = str(task.resolved_action or task.action)
        if not action.startswith(_COLLECTION) or began is None:
            return
        module = action[len(_COLLECTION) :]
        content = result.result
        if module == "report" and outcome != "failed":
            self._verdict = content.get("verdict")
            self._report = content.get("html_path") or content.get("report_path") or None
        if module in _BOOKKEEPING and outcome in ("ok", "changed"):
            return
        step = Step(began, time.time() - began, task.get_name().split(" : ")[-1], outcome, detail_of(content, outcome))
        self._steps.setdefault(component, []).append(step)
