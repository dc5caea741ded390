#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: terraform_state_restore
short_description: Make a Terraform state equal to a recovery point
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Reads the newest recovery point that verifies now (or a named one), pushes its state through the backend's own program
    (C(terraform state push), or C(tofu)), pulls it again and compares both.
  - Only the state is restored. What really exists is neither asked nor touched; C(terraform plan) says afterwards what
    differs.
  - A live state is only replaced with O(confirm). One of another lineage is that of something else, and one with a higher
    serial knows what was made since the recovery point; both are refused without O(force).
  - RV(change) names what the state would forget and what would come back, in check mode too.
  - What was live is kept beforehand as an encrypted recovery point of C(<component>--before), which is never the newest
    and can be restored by its identifier.
  - Where nothing is live, an empty state is pushed first, so that the state comes back under its own lineage and not under
    a new one that the program would give it.
  - Where the lineage is the live one, the state is pushed with a serial above the live one and without C(-force), so that
    the program itself refuses when somebody has applied in the meantime.
  - A second run changes nothing while the state is that of the recovery point.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.restore
  - sre.runbooks.terraform
requirements:
  - zstandard
  - age or pyrage
options:
  before:
    description:
      - Only points that show this moment or an earlier one, in ISO 8601.
    type: str
  confirm:
    description:
      - Must equal O(component) when a live state would be replaced that is not empty.
    type: str
  force:
    description:
      - Also replace a live state that has a higher serial, or is of another lineage. O(confirm) is needed all the same.
    type: bool
    default: false
  encryption_recipients:
    description:
      - The age recipients (V(age1...)) for which the live state is kept. Needed when one would be replaced.
    type: list
    elements: str
    default: []
seealso:
  - module: sre.runbooks.terraform_state_backup
  - module: sre.runbooks.terraform_state_drill
"""

EXAMPLES = r"""
- name: Bring the newest state back after the live one was lost or spoilt
  sre.runbooks.terraform_state_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: network
    confirm: network
    force: true
    project_path: "{{ project_path }}"
    binary_path: "{{ binary_path }}"
    encryption_recipients: "{{ encryption_recipients }}"
    encryption_identity_file: "{{ encryption_identity_file }}"
"""

RETURN = r"""
message:
  description: What was done, in words; with a restore, what the chosen recovery point does not hold.
  returned: success
  type: str
recovery_point:
  description: The point that the state shows, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
choices:
  description: The points that were considered, with V(outcome) (chosen, damaged, failed), the reason, and V(loses_s).
  returned: success
  type: list
  elements: dict
state:
  description: The state that is live (in check mode, as it still is), with lineage, serial and what it holds.
  returned: success
  type: dict
change:
  description: Addresses of instances (and names of outputs) that the state has C(forgotten), C(brought_back) or C(altered).
  returned: success
  type: dict
kept:
  description: The recovery point in which the former state is kept, for O(recovery_point); null when there was none.
  returned: success
  type: str
proof:
  description: Lineage, serial and content that were pulled again.
  returned: when something was restored
  type: dict
durations:
  description: Seconds per phase (read, keep the live state, push, assert).
  returned: when something was restored
  type: dict
rto_measured_s:
  description: Seconds from the start of the task to the comparison.
  returned: when something was restored
  type: float
diff:
  description: Serial and instances before and after.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import Means
from ansible_collections.sre.runbooks.plugins.module_utils._engines.restoring import RESTORE_OPTIONS, restore, wanted
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    TERRAFORM_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import check_recipients
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import workdir_from
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.restore import TerraformRequest, TerraformRestore


def request_from(params: dict[str, t.Any]) -> TerraformRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    return TerraformRequest(
        **wanted(params),
        before=_clock.parse_time(params["before"], "before") if params["before"] else None,
        recipients=check_recipients(params["encryption_recipients"]),
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    request, workdir = request_from(module.params), workdir_from(module.params)

    def make(means: Means) -> TerraformRestore:
        return TerraformRestore(request, means.repository, workdir, means.identities, means.phases, means.progress)

    return restore(module, request.component, make, describe_difference)


def describe_difference(result: dict[str, t.Any]) -> dict[str, str]:
    """What the state gains and loses, one address a line."""
    change = result["change"]
    if not result["changed"] or change is None:
        return {"before": "", "after": ""}
    before = [*change["forgotten"], *(f"{name} (live)" for name in change["altered"])]
    after = [*change["brought_back"], *(f"{name} (restored)" for name in change["altered"])]
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**RESTORE_OPTIONS, **ENCRYPTION_OPTIONS, **TERRAFORM_OPTIONS, "before": {"type": "str"}},
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
