# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings what a host collected to the controller as a file, and shows how far that is."""

from __future__ import annotations

import contextlib
import os
import typing as t
import uuid

from ansible import constants

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import unpack
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.told import told
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.plugin_utils.progress import ProgressAction


class ActionModule(ProgressAction):
    """Runs the module and leaves ``part_path`` in its result in place of the part itself, which would fill the screen."""

    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """As for every module whose progress is shown."""
        result = super().run(tmp, task_vars)
        part = result.pop("part", None)
        if part is not None:
            # Ansible's own directory, nobody else's to read, which goes when the playbook ends however it ends.
            path = os.path.join(constants.DEFAULT_LOCAL_TMP, f"sre-runbooks-diagnostics-{uuid.uuid4().hex}")
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(part)
            result["part_path"] = path
            # On the way, Ansible put stars in place of every letter that is a password.
            with contextlib.suppress(IntegrityError):
                result.update(told(unpack(part)))
        return result
