# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that drills: of what, how often, and how long it may take."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  component:
    description:
      - Name of the component.
    type: str
    required: true
  recovery_point:
    description:
      - The identifier of the recovery point, or V(newest).
    type: str
    default: newest
  drill_interval:
    description:
      - Do nothing while the last success is younger than this, such as V(1d). V(0) always drills.
    type: str
    default: 1d
  rto:
    description:
      - The most time that a restore may take, such as V(15m). Being slower fails nothing here; see RV(rto_met).
    type: str
"""
