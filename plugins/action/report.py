# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Knows what the module cannot: where the operator stands, and what the commands to run next need to be pasted."""

from __future__ import annotations

import os
import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import completed, current_invocation

#: Below the working directory, where nobody said where reports go.
_DIRECTORY = "reports"


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
        arguments["components"] = completed(arguments.get("components") or [], invocation)
        return t.cast(
            "dict[str, t.Any]",
            completed(
                self._execute_module(module_name="sre.runbooks.report", module_args=arguments, task_vars=task_vars),
                invocation,
            ),
        )


def report_directory(given: str, here: str) -> str | None:
    """Where reports go: what was ``given`` as seen from ``here``; for nothing, ``reports`` there if it can be written to.

    A module would take a relative path for one below the playbook's directory, which is the installed collection's.
    """
    if given:
        return os.path.join(here, os.path.expanduser(given))
    directory = os.path.join(here, _DIRECTORY)
    place = directory if os.path.isdir(directory) else here
    # A project of AWX is read-only and its container forgotten: there the repository keeps the report.
    return directory if os.access(place, os.W_OK | os.X_OK) else None
