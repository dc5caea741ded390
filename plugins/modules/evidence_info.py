#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_info
short_description: Examine the chain of evidence of a component's recovery points
version_added: 0.1.0
author: The sre.runbooks authors (@sre-runbooks)
description:
  - Reads every manifest, tombstone, proof and anchor of a component and tells whether the history is the one that was
    written. It names what was removed, reordered, back-dated, altered, hidden by a delete marker, duplicated, or signed by
    nobody who should.
  - No data is read; M(sre.runbooks.evidence) does that. A finding does not fail the task, so that an auditor sees all of
    them; O(fail_on_findings) does.
options:
  component:
    description: The component whose evidence is examined.
    type: str
    required: true
  expected_head:
    description:
      - The RV(head) that this module returned earlier and that was kept outside of the repository. Without it the removal
        of the newest recovery points together with all anchors that name them cannot be seen.
    type: str
  clock_bound:
    description:
      - How far the times that manifests claim may be from those of the store, such as V(15m).
      - V(0) does not compare times, for a repository that was copied.
    type: str
    default: 15m
  accepted_findings:
    description:
      - Ids of findings that were looked into, as RV(findings) has them, such as V(removed 20261121T051000Z-a1b2).
      - They are returned apart, and no longer count.
    type: list
    elements: str
    default: []
  fail_on_findings:
    description: Whether a finding fails the task.
    type: bool
    default: false
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.signing.trust
  - sre.runbooks.attributes.info_module
seealso:
  - module: sre.runbooks.evidence
  - module: sre.runbooks.recovery_point_info
"""

EXAMPLES = r"""
- name: Examine the history of the recovery points
  sre.runbooks.evidence_info:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
  register: examined

- name: Examine it against the head that the auditor kept
  sre.runbooks.evidence_info:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    expected_head: "{{ examined.head }}"
    fail_on_findings: true
"""

RETURN = r"""
head:
  description:
    - The newest recovery point of the history as C(<sequence>:<point id>:<sha256 of its manifest>), or null.
    - Keep it outside of the repository and give it as O(expected_head) later.
  returned: success
  type: str
  sample: 42:20261121T051000Z-a1b2:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
intact:
  description: Whether nothing was found that was not accepted.
  returned: success
  type: bool
history:
  description: How long it is.
  returned: success
  type: dict
  contains:
    points:
      description: How many recovery points are retained.
      type: int
    expired:
      description: How many were expired and left a tombstone.
      type: int
    unsigned:
      description: How many bear no signature. Always 0 where no public keys were given, since nobody looked.
      type: int
    anchors:
      description: How many anchors there are.
      type: int
findings:
  description: What is wrong, at most 200.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: By which it can be accepted.
      type: str
    kind:
      description: V(removed), V(reordered), V(back-dated), V(altered), V(hidden), V(duplicated), V(forged signature) or V(unsigned).
      type: str
    subject:
      description: The id of a recovery point, or the key of another object.
      type: str
    detail:
      description: One sentence.
      type: str
    expected:
      description: What should have been there.
      type: str
    found:
      description: What is there.
      type: str
    next_command:
      description: What to do.
      type: str
findings_count:
  description: How many there are in all.
  returned: success
  type: int
accepted:
  description: Findings that were accepted.
  returned: success
  type: list
  elements: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    REPOSITORY_OPTIONS,
    TRUST_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import (
    Question,
    examine,
    not_intact,
    parse_head,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    question = Question(
        clock_bound_s=_clock.parse_duration(params["clock_bound"]),
        expected_head=parse_head(params["expected_head"]) if params["expected_head"] else None,
        accepted=params["accepted_findings"],
    )
    repository = open_signed(params)
    found = examine(repository, params["component"], question)
    if found.findings and params["fail_on_findings"]:
        error = not_intact(found)
        module.fail_json(msg=str(error), error=error.facts(), **found.facts())
    return {"changed": False, **found.facts()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **TRUST_OPTIONS,
            "component": {"type": "str", "required": True},
            "expected_head": {"type": "str"},
            "clock_bound": {"type": "str", "default": "15m"},
            "accepted_findings": {"type": "list", "elements": "str", "default": []},
            "fail_on_findings": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
