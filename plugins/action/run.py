# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells the module which process executes the run, so that a later run can prove that it is gone."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import complete_result


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module with ``controller`` filled in."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        # This is a worker; the process that lives as long as the run is the one that forked it.
        arguments["controller"] = describe_holder(None, os.getppid())
        result: dict[str, t.Any] = self._execute_module(
            module_name="sre.runbooks.run", module_args=arguments, task_vars=task_vars
        )
        complete_result(result)
        return result
