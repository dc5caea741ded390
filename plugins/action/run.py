# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells the module which process executes the run, so that a later run can prove that it is gone, and what was typed."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import completed
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import complete_result, current_invocation
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_directory import report_directory


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module with ``controller`` and ``invocation`` filled in."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        # This is a worker; the process that lives as long as the run is the one that forked it.
        arguments["controller"] = describe_holder(None, os.getppid())
        directory = report_directory(str(arguments.pop("report_dir", "") or ""), os.getcwd())
        invocation = current_invocation()
        arguments["invocation"] = invocation.to_data() if invocation else {}
        result: dict[str, t.Any] = self._execute_module(
            module_name="sre.runbooks.run", module_args=arguments, task_vars=task_vars
        )
        if result.get("record"):
            result["report_dir"] = directory or ""
            result["next_command"] = completed("the same command", invocation)
        complete_result(result)
        return result
