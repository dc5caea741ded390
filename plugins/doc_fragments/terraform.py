# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say where a Terraform state is; their names are those of community.general.terraform."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  project_path:
    description:
      - The working directory of the configuration, in which C(terraform init) was run, on the host where the task runs.
    type: path
    required: true
  binary_path:
    description:
      - C(terraform) or C(tofu), as a path or a name on E(PATH).
      - Without it, the one that prepared O(project_path) is taken, as far as that is known.
    type: path
  workspace:
    description:
      - The workspace. Without it, the one that is selected in O(project_path).
    type: str
  environment_file:
    description:
      - A file of C(NAME=value) lines that are given to the program, such as the credentials of its backend, on the host
        where the task runs.
      - It must not be readable by everyone.
    type: path
  lock_timeout:
    description:
      - How long to wait for somebody else's lock of the state, such as V(2m).
    type: str
    default: "0"
  timeout:
    description:
      - The most time that one call of the program may take.
    type: str
    default: 5m
requirements:
  - terraform or OpenTofu, of a version that can read the state
"""
