# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that connect a task with the run that it belongs to."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  run_id:
    description:
      - The run to whose timeline the steps of this task are added. Without it no timeline is written.
    type: str
  progress_path:
    description:
      - A file in which the task keeps its progress (bytes, rate, what it is doing) for the screen.
    type: path
"""
