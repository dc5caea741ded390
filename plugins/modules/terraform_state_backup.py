#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terraform_state_backup
short_description: Make sure that a fresh recovery point of a Terraform state exists
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Pulls the state through its own backend (C(terraform state pull), or C(tofu)) and stores it as a recovery point, unless
    the newest one holds this very state and will still be within the RPO when the next scheduled run ends.
  - A state is full of secrets. It is only stored encrypted; without O(encryption_recipients) nothing is done. The manifest,
    which is not encrypted, tells lineage, serial, and how many instances of which type there are.
  - The state is not locked while it is pulled. The backend hands out whole states only.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.backup
  - sre.runbooks.terraform
requirements:
  - zstandard
  - age or pyrage
seealso:
  - module: sre.runbooks.terraform_state_restore
  - module: sre.runbooks.terraform_state_drill
  - module: sre.runbooks.recovery_point_verify
"""

EXAMPLES = r"""
- name: Make sure that the newest state is in the repository
  sre.runbooks.terraform_state_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: network
    project_path: "{{ project_path }}"
    binary_path: "{{ binary_path }}"
    encryption_recipients: "{{ encryption_recipients }}"
"""

RETURN = r"""
recovery_point:
  description: The newest recovery point, just taken or fresh enough; null in check mode when there is none yet.
  returned: success
  type: dict
  sample:
    point_id: 20261121T051000Z-a1b2
    component: network
    consistency_time: "2026-11-21T05:10:00.123456Z"
    level: taken
plan:
  description: What the backend holds.
  returned: success
  type: dict
  contains:
    lineage:
      description: The state's identity, which it keeps for life.
      type: str
    serial:
      description: Counts its changes.
      type: int
    instances:
      description: Number of instances of resources.
      type: int
    kinds:
      description: Number of instances per type of resource.
      type: dict
    outputs:
      description: Names of the outputs.
      type: list
      elements: str
    terraform_version:
      description: Version that wrote the state.
      type: str
    program:
      description: Terraform or OpenTofu.
      type: str
    tool_version:
      description: The program's version.
      type: str
    size:
      description: Bytes of the state.
      type: int
    estimated_duration_s:
      description: Seconds that the last recovery point took; null when there is none.
      type: float
message:
  description: Why a recovery point was taken (or would be), or why none is needed.
  returned: success
  type: str
removed_incomplete:
  description: Ids of the remains of killed backups that were removed.
  returned: when a recovery point was taken
  type: list
  elements: str
diff:
  description: The newest recovery point before and after.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._engines.taking import BACKUP_OPTIONS, keep_fresh
from ansible_collections.sre.runbooks.plugins.module_utils._engines.terraform import TerraformEngine
from ansible_collections.sre.runbooks.plugins.module_utils._module import TERRAFORM_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import workdir_from


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    return keep_fresh(module, TerraformEngine(workdir_from(params), component, params["encryption_recipients"]))


def main() -> None:
    module = AnsibleModule(
        argument_spec={**BACKUP_OPTIONS, **TERRAFORM_OPTIONS},
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
