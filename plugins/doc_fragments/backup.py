# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of every module that takes recovery points: of what, and when one is due."""

from __future__ import annotations

_DUE = r"""
options:
  component:
    description:
      - Name of the component that is backed up.
    type: str
    required: true
  rpo:
    description:
      - The most time whose changes may be lost, such as V(24h).
    type: str
    default: 24h
  interval:
    description:
      - Time until the next scheduled backup begins. Half of O(rpo) by default.
    type: str
  force:
    description:
      - Take a recovery point however fresh the newest is.
    type: bool
    default: false
"""


class ModuleDocFragment:
    DOCUMENTATION = (
        _DUE
        + r"""
  compression_level:
    description:
      - Level of zstd.
    type: int
    default: 3
"""
    )

    # For modules whose content does not pass our pipeline: sre.runbooks.backup.due.
    DUE = _DUE
