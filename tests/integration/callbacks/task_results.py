# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes each task's result as a line of JSON, with what the task touched in the directories under watch."""

from __future__ import annotations

DOCUMENTATION = """
name: task_results
type: notification
short_description: Results as lines of JSON
description: Appends to TASK_RESULTS; watches the directories in TASK_RESULTS_WATCH, separated by colons.
"""

import json
import os
import pathlib

from ansible.plugins.callback import CallbackBase


def state(directories):
    """Every file below the directories with its size and time of change."""
    found = {}
    for directory in directories:
        for path in pathlib.Path(directory).rglob("*"):
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            found[str(path)] = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
    return found


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_results"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.watched = [name for name in os.environ.get("TASK_RESULTS_WATCH", "").split(":") if name]
        self.before = {}

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.before = state(self.watched)

    def write(self, result, outcome):
        after = state(self.watched)
        touched = sorted(path for path in {*self.before, *after} if self.before.get(path) != after.get(path))
        content = result.result if hasattr(result, "result") else result._result
        task = result.task if hasattr(result, "task") else result._task
        line = {
            "task": task.get_name().strip(),
            "outcome": outcome,
            "changed": bool(content.get("changed", False)),
            "msg": str(content.get("msg", "")),
            "diff": "diff" in content,
            "touched": touched,
        }
        with open(os.environ["TASK_RESULTS"], "a", encoding="utf-8") as results:
            results.write(json.dumps(line) + "\n")

    def v2_runner_on_ok(self, result):
        self.write(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.write(result, "failed")

    def v2_runner_on_skipped(self, result):
        self.write(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self.write(result, "unreachable")
