# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Knows where the operator stands: the archive goes where the report of the run goes."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import complete_result
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_directory import report_directory


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module with ``report_dir`` as seen from the operator's working directory, and with complete commands."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        directory = report_directory(str(arguments.pop("report_dir", None) or ""), os.getcwd())
        if directory is not None:
            arguments["report_dir"] = directory
        result: dict[str, t.Any] = self._execute_module(
            module_name="sre.runbooks.diagnostics_archive", module_args=arguments, task_vars=task_vars
        )
        complete_result(result)
        return result
