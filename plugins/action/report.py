# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Knows what the module cannot: where the operator stands, and what the commands to run next need to be pasted."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import completed
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import complete_error, current_invocation
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_directory import report_directory


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module with ``report_dir`` as seen from the operator's working directory, and with complete commands."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if "report_dir" in arguments:
            directory = report_directory(str(arguments["report_dir"] or ""), os.getcwd())
            arguments.pop("report_dir")
            if directory is not None:
                arguments["report_dir"] = directory
        invocation = current_invocation()
        for name in ("components", "objectives"):
            arguments[name] = completed(arguments.get(name) or [], invocation)
        result = t.cast(
            "dict[str, t.Any]",
            completed(
                self._execute_module(module_name="sre.runbooks.report", module_args=arguments, task_vars=task_vars),
                invocation,
            ),
        )
        complete_error(result, invocation)
        return result
