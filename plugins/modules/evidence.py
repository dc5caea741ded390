#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence
short_description: All retained recovery points of a component are whole, and their history is the one that was written
version_added: 0.1.0
author: The sre.runbooks authors (@sre-runbooks)
description:
  - Examines the chain of evidence as M(sre.runbooks.evidence_info) does, verifies every retained recovery point, and writes
    an anchor that says how far the history reached, which later shows whether its end was cut off.
  - Every object is looked at in one listing on every run, so that what is missing, cut off, longer or added is found at
    once. Bytes are read again only for a point that was not proven within O(reverify_after), whose newest verification
    failed, or whose objects the listing shows to be newer than its proof.
  - A point that fails gets a proof that says so, and is not chosen by anything until it verifies again. Nothing is deleted
    or repaired.
  - Proofs and anchors are bookkeeping, so the task is never C(changed). In check mode nothing is written and no data is
    read.
options:
  component:
    description: The component whose recovery points are verified.
    type: str
    required: true
  reverify_after:
    description: A successful proof younger than this is enough, such as V(7d). V(0) always reads.
    type: str
    default: 7d
  force:
    description:
      - Open every manifest and read every byte again, however young the proofs are; also every pin and lease, and look
        for objects that the collection has not written.
    type: bool
    default: false
  expected_head:
    description: The RV(head) that an auditor kept outside of the repository.
    type: str
  clock_bound:
    description:
      - How far the times that manifests claim may be from those of the store, such as V(15m).
      - V(0) does not compare times, for a repository that was copied.
    type: str
    default: 15m
  accepted_findings:
    description: Ids of findings that were looked into; they are returned apart, and no longer fail the task.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.run
  - sre.runbooks.encryption.identity
  - sre.runbooks.pitr
  - sre.runbooks.signing
  - sre.runbooks.attributes.bookkeeping
seealso:
  - module: sre.runbooks.evidence_info
  - module: sre.runbooks.recovery_point_verify
"""

EXAMPLES = r"""
- name: Verify all recovery points and their history
  sre.runbooks.evidence:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    reverify_after: 30d
"""

RETURN = r"""
head:
  description: The newest recovery point of the history as C(<sequence>:<point id>:<sha256 of its manifest>), or null.
  returned: always
  type: str
intact:
  description: Whether nothing was found that was not accepted.
  returned: always
  type: bool
history:
  description: How many C(points), C(expired) ones, C(unsigned) ones and C(anchors) there are.
  returned: always
  type: dict
findings:
  description: What is wrong with the evidence, as M(sre.runbooks.evidence_info) returns it.
  returned: always
  type: list
  elements: dict
findings_count:
  description: How many there are in all.
  returned: always
  type: int
accepted:
  description: Findings that were accepted.
  returned: always
  type: list
  elements: dict
read:
  description: Ids of the points whose bytes were read and are whole (in check mode, that would be read).
  returned: always
  type: list
  elements: str
unchanged:
  description: How many points are whole in the listing and were proven recently enough.
  returned: always
  type: int
damaged:
  description: What is wrong with points, by their ids.
  returned: always
  type: dict
undecided:
  description: Why points could not be judged, by their ids; such as for want of the right identity.
  returned: always
  type: dict
objects:
  description: How many objects were read and are whole.
  returned: always
  type: int
bytes:
  description: How many stored bytes those have.
  returned: always
  type: int
anchor:
  description: The key of the anchor that was written; null where the newest one says the same, or something is wrong with the history.
  returned: always
  type: str
duration_s:
  description: Seconds that it took.
  returned: always
  type: float
detail:
  description: One sentence for the report.
  returned: always
  type: str
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    PITR_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import passphrases
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.verify_points import PgbackrestReader
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import (
    Examination,
    Question,
    examine,
    not_intact,
    parse_head,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import distinct
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_findings
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retained import (
    Effort,
    Retained,
    anchor,
    damage,
    verify_retained,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component, run_id, began = params["component"], params["run_id"], time.monotonic()
    effort = Effort(_clock.parse_duration(params["reverify_after"]), params["force"])
    question = Question(
        clock_bound_s=_clock.parse_duration(params["clock_bound"]),
        expected_head=parse_head(params["expected_head"]) if params["expected_head"] else None,
        accepted=params["accepted_findings"],
        everything=params["force"],
    )
    repository = open_signed(params)
    identities = Identities(params["encryption_identity"], params["encryption_identity_file"])
    recorder = Recorder(repository, None if module.check_mode else run_id, component)
    with recorder.step("verify backups") as step, Progress(params["progress_path"]) as progress:
        found = examine(repository, component, question)
        if not found.retained() and not found.findings:
            raise _nothing(component, repository.url)
        if params["force"]:
            said = [*found.findings, *layout_findings(repository, component)]
            found.findings = [finding for finding in distinct(said) if finding.id not in question.accepted]
        reader = PgbackrestReader(repository, passphrases(params), params["s3"])
        done = verify_retained(repository, found, effort, identities, run_id, progress, module.check_mode, reader)
        anchored = None
        if not found.findings and not module.check_mode:
            anchored = anchor(repository, found, done, run_id)
        step.outcome = "ok" if done.ok and not found.findings else "failed"
        detail = _sentence(found, done)
        step.facts.update(
            detail=detail, anchor=anchored, findings=[str(finding)[:500] for finding in found.findings[:20]]
        )
    facts = {
        **found.facts(),
        **done.facts(),
        "anchor": anchored,
        "duration_s": round(time.monotonic() - began, 3),
        "detail": detail,
    }
    _tell(module, found, done)
    if not done.ok or found.findings:
        error = damage(component, done) if not done.ok else not_intact(found)
        if not done.ok and found.findings:
            error.found = f"{error.found}; {not_intact(found).found}"
        module.fail_json(msg=str(error), error=error.facts(), **facts)
    return {"changed": False, **facts}


def _nothing(component: str, url: str) -> ObjectMissing:
    """Where nothing was looked at nothing was shown."""
    return ObjectMissing(
        "there is no recovery point to verify",
        component,
        expected=f"at least one in {url}",
        found="none",
        next_command=f"ansible-playbook sre.runbooks.back_up_components --limit {component}",
    )


def _sentence(found: Examination, done: Retained) -> str:
    said = [
        counted(len(found.retained()), "recovery point"),
        f"{len(done.unchanged)} unchanged",
        f"{len(done.read)} read",
        f"{len(done.damaged)} damaged" if done.damaged else "",
        f"{len(done.undecided)} not judged" if done.undecided else "",
        f"{counted(len(found.findings), 'finding')} about their history" if found.findings else "history intact",
        counted(len(found.accepted), "accepted finding") if found.accepted else "",
    ]
    return ", ".join(part for part in said if part)


def _tell(module: AnsibleModule, found: Examination, done: Retained) -> None:
    for finding in found.accepted:
        module.warn(f"{found.component}: accepted: {finding.kind}: {finding.detail}")
    if done.not_decrypted:
        module.warn(f"{done.not_decrypted} objects are whole but were not decrypted: no identity was given")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **RUN_OPTIONS,
            **SIGNING_OPTIONS,
            **PITR_OPTIONS,
            "encryption_identity": ENCRYPTION_OPTIONS["encryption_identity"],
            "encryption_identity_file": ENCRYPTION_OPTIONS["encryption_identity_file"],
            "component": {"type": "str", "required": True},
            "reverify_after": {"type": "str", "default": "7d"},
            "force": {"type": "bool", "default": False},
            "expected_head": {"type": "str"},
            "clock_bound": {"type": "str", "default": "15m"},
            "accepted_findings": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
