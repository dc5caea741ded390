#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_volume_size
short_description: Make sure that a PersistentVolumeClaim has a size
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Expands the volume of a claim, and waits until the volume and its file system have grown.
  - A size that is smaller than what the claim has is refused, because volumes never shrink; so is one that the claim's storage
    class does not allow.
  - When the call ended before the volume had grown, the next one goes on waiting.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.kubernetes
requirements:
  - kubernetes >= 31
options:
  namespace:
    description:
      - Namespace of the claim.
    type: str
    required: true
  claim:
    description:
      - Name of the PersistentVolumeClaim.
    type: str
    required: true
  size:
    description:
      - The size that it is to have, such as V(20Gi).
    type: str
    required: true
  timeout:
    description:
      - How long the expansion may take, such as V(10m).
    type: str
    default: 10m
  progress_path:
    description:
      - File for the progress of the work, for the action plugin of the same name.
    type: path
seealso:
  - module: sre.runbooks.kubernetes_backup
"""

EXAMPLES = r"""
- name: Make room for the uploads
  sre.runbooks.kubernetes_volume_size:
    kubeconfig: "{{ kubeconfig }}"
    namespace: shop
    claim: uploads
    size: 2Gi
"""

RETURN = r"""
claim:
  description: The claim as it is, or in check mode would be.
  returned: success
  type: dict
  contains:
    claim:
      description: Its name.
      type: str
    request:
      description: The size that it asks for.
      type: str
    capacity:
      description: The size that it has.
      type: str
    pending:
      description: Whether its volume has grown and its file system grows when a pod next has it.
      type: bool
message:
  description: What was done, in a sentence.
  returned: success
  type: str
  sample: "claim shop/uploads grew from 1Gi to 2Gi"
diff:
  description: The claim's sizes before and after.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_size import Expansion, Size
from ansible_collections.sre.runbooks.plugins.module_utils._module import KUBERNETES_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress


def _in_words(name: str, before: Size, after: Size) -> str:
    if after.pending:
        return f"claim {name} has a volume of {after.request}; its file system grows when a pod next has it"
    if before.capacity == after.capacity:
        return f"claim {name} has {after.capacity}"
    return f"claim {name} grew from {before.capacity} to {after.capacity}"


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    timeout_s = parse_duration(params["timeout"])
    with connect(params) as cluster, Progress(params["progress_path"]) as progress:
        expansion = Expansion(cluster, params["namespace"], params["claim"], params["size"])
        expansion.require_possible()
        if module.check_mode:
            after = expansion.predicted()
        else:
            if expansion.needed:
                expansion.ask()
            after = expansion.wait(timeout_s, progress)
    before = expansion.before
    name = f"{params['namespace']}/{params['claim']}"
    return {
        "changed": expansion.needed,
        "message": _in_words(name, before, after),
        "claim": after.facts(),
        "diff": {"before": before.facts(), "after": after.facts()},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "claim": {"type": "str", "required": True},
            "size": {"type": "str", "required": True},
            "timeout": {"type": "str", "default": "10m"},
            "progress_path": {"type": "path"},
            **KUBERNETES_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
