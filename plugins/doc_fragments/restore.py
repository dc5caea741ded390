# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that restores: what from, what may be replaced, and what is done anyway."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  component:
    description:
      - Name of the component that is restored.
    type: str
    required: true
  recovery_point:
    description:
      - The identifier of the recovery point, or V(newest) for the newest that verifies now.
    type: str
    default: newest
  fallback_points:
    description:
      - With O(recovery_point=newest), how many older points may be tried when the newest is damaged or does not hold.
    type: int
    default: 2
  confirm:
    description:
      - Must equal O(component) when something live would be replaced.
    type: str
  force:
    description:
      - Restore even if the same was restored before.
    type: bool
    default: false
  only_missing:
    description:
      - Be content with what is there already, whatever it was made from, and restore only what is missing. For a rebuild.
    type: bool
    default: false
"""

    # For engines that keep what was live: sre.runbooks.restore.kept.
    KEPT = r"""
options:
  release:
    description:
      - Remove what former restores of the component kept, instead of restoring.
    type: bool
    default: false
  release_after:
    description:
      - Remove what former restores kept and put aside longer ago than this, such as V(7d).
    type: str
"""
