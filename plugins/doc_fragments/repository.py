# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say which repository is meant, and for which environment."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  repository:
    description:
      - Where recovery points, proofs, leases and runs are kept, such as V(file:///srv/repository).
      - Falls back to the environment variable E(SRE_RUNBOOKS_REPOSITORY).
      - V(file://) needs a file system with hard links that only holds the repository, or a declared shared mount.
    type: str
    required: true
  environment_name:
    description:
      - The name of the environment that the inventory describes. A repository belongs to one environment; another
        name is refused.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
"""
