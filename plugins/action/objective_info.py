# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Completes the commands to run next in what the module says."""

from __future__ import annotations

from ansible_collections.sre.runbooks.plugins.plugin_utils.completing import CompletingAction


class ActionModule(CompletingAction):
    """Nothing of its own: the module does the work."""
