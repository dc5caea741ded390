# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the task boundaries of a playbook and, at a chosen one, kills the whole run without a warning."""

from __future__ import annotations

DOCUMENTATION = """
name: kill_at
type: notification
short_description: Kills the run at a task boundary
description: >-
  Counts boundaries into KILL_AT_COUNT; at number KILL_AT or the task KILL_AT_TASK (and KILL_AT_DELAY seconds later) sends SIGKILL
  to the group.
"""

import os
import signal
import threading

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "kill_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.boundary = 0
        self.target = int(os.environ.get("KILL_AT", "0"))
        self.task = os.environ.get("KILL_AT_TASK", "")
        self.delay = float(os.environ.get("KILL_AT_DELAY", "0"))

    def kill(self):
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.boundary += 1
        if "KILL_AT_COUNT" in os.environ:
            with open(os.environ["KILL_AT_COUNT"], "w", encoding="utf-8") as counter:
                counter.write(str(self.boundary))
        if self.boundary == self.target or (self.task and task.get_name().endswith(self.task)):
            if self.delay:
                timer = threading.Timer(self.delay, self.kill)
                timer.daemon = True
                timer.start()
            else:
                self.kill()
