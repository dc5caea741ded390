#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terraform_state_drill
short_description: Prove that a Terraform state can be restored, and how long it takes
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Reads the newest recovery point, pushes its state with the program itself into the empty backend of a scratch directory,
    pulls it again, compares both, and writes the proofs C(restored) and C(asserted) with the time and the hardware.
  - The scratch directory has no configuration and no providers, so nothing that really exists is asked or touched.
  - It is removed in every case. What a killed drill left is removed by the next one.
  - Nothing is done while a recovery point of the component was asserted within O(drill_interval).
  - Proofs are bookkeeping, so the task never says C(changed).
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.encryption.identity
  - sre.runbooks.drill
requirements:
  - zstandard
  - age or pyrage
  - terraform or OpenTofu, of a version that can read the state
options:
  binary_path:
    description:
      - C(terraform) or C(tofu), as a path or a name on E(PATH). Without it, whichever is found.
    type: path
  scratch_dir:
    description:
      - Directory below which the scratch directory is made. By default that of temporary files.
    type: path
seealso:
  - module: sre.runbooks.terraform_state_backup
  - module: sre.runbooks.terraform_state_restore
"""

EXAMPLES = r"""
- name: Prove that the newest state can be restored
  sre.runbooks.terraform_state_drill:
    repository: "{{ repository }}"
    environment_name: local
    component: network
    binary_path: "{{ binary_path }}"
    encryption_identity_file: "{{ encryption_identity_file }}"
    rto: 5m
"""

RETURN = r"""
message:
  description: What was found out, in words.
  returned: success
  type: str
skipped_reason:
  description: Why nothing was done; empty when something was.
  returned: success
  type: str
recovery_point:
  description: The point, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
rto_measured_s:
  description: Seconds from reading the first object to the comparison; of the last drill when skipped.
  returned: when not in check mode
  type: float
rto_met:
  description: Whether that is within O(rto); null without one.
  returned: when not in check mode
  type: bool
durations:
  description: Seconds per phase (read, push, assert).
  returned: when a drill took place
  type: dict
hardware:
  description: On what it was measured.
  returned: when not in check mode
  type: dict
proof:
  description: The state's lineage, serial and content, and what differed.
  returned: when a drill took place
  type: dict
program:
  description: Terraform or OpenTofu.
  returned: when a drill took place
  type: str
tool_version:
  description: The program's version.
  returned: when a drill took place
  type: str
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import Means
from ansible_collections.sre.runbooks.plugins.module_utils._engines.drilling import DRILL_OPTIONS, drill, wanted
from ansible_collections.sre.runbooks.plugins.module_utils._module import ENCRYPTION_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import DrillWanted
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.drill import TerraformDrill
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import find_program


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    request = DrillWanted(**wanted(params))
    program = find_program(params["binary_path"], ".", request.component)

    def make(means: Means) -> TerraformDrill:
        return TerraformDrill(
            request,
            means.repository,
            program,
            params["scratch_dir"],
            means.identities,
            means.phases,
            means.progress,
        )

    return drill(module, request.component, make)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **DRILL_OPTIONS,
            **{name: option for name, option in ENCRYPTION_OPTIONS.items() if name != "encryption_recipients"},
            "binary_path": {"type": "path"},
            "scratch_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
