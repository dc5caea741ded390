# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells the module ``lease`` which process controls the run, so that its death frees the lease at once."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.plugin_utils.progress import ProgressAction


class ActionModule(ProgressAction):
    """Runs the module with ``holder`` filled in, and shows for whom it waits."""

    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """As for every module whose progress is shown."""
        arguments = dict(self._task.args)
        # This plugin runs in a worker that ends with the task; the run lives as long as the worker's parent.
        arguments.setdefault("holder", describe_holder(arguments.get("run_id"), os.getppid()))
        self._task.args = arguments
        return super().run(tmp, task_vars)
