# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options about the exclusive right to operate on a component."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  lease_ttl:
    description:
      - How long the lease on the component outlives its last renewal, such as V(2m).
      - It is renewed while the task runs. A holder on the same host that is provably dead is replaced at once.
    type: str
    default: 2m
  lease_wait:
    description:
      - How long to wait for a lease that somebody else holds, such as V(10m). V(0) fails at once.
    type: str
    default: "0"
"""
