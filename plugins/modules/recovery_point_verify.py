#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_verify
short_description: Read a recovery point back and prove that it is whole
version_added: 0.1.0
description:
  - Reads every byte of a recovery point, compares length and hash, decrypts it where an identity is given, decompresses
    it, and finds objects that are missing or that the manifest does not know.
  - Writes a proof beside the point, of success or of failure. A point that fails is damaged, and no longer chosen by
    anything, until it verifies again. It never deletes or repairs.
  - For a point of M(sre.runbooks.postgresql_pitr_backup), pgBackRest reads its backups and the whole archive back, which
    takes its program and the passphrase. The point is verified when every file of its backup, of those that this one
    needs, and every segment that makes it consistent is whole. Damage of the log elsewhere is a warning.
  - A point that was proven within O(reverify_after) is not read again.
  - Proofs are bookkeeping, so the task is never C(changed). In check mode nothing is read or written.
author: The sre.runbooks authors (@sre-runbooks)
options:
  component:
    description: The component whose point is verified.
    type: str
    required: true
  recovery_point:
    description: The point's id, or V(newest); the newest one even if it is damaged.
    type: str
    default: newest
  reverify_after:
    description: A successful proof younger than this is enough, such as V(7d). V(0) always reads.
    type: str
    default: 7d
  force:
    description: Read the point again, however young its proof is.
    type: bool
    default: false
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.encryption.identity
  - sre.runbooks.pitr
  - sre.runbooks.attributes.bookkeeping
seealso:
  - module: sre.runbooks.recovery_point_info
"""

EXAMPLES = r"""
- name: Read the newest recovery point back
  sre.runbooks.recovery_point_verify:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db

- name: Read it again, whatever is known of it
  sre.runbooks.recovery_point_verify:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    force: true
"""

RETURN = r"""
recovery_point:
  description: The point, as M(sre.runbooks.recovery_point_info) returns it, with its level after this task.
  returned: when there is such a point
  type: dict
read:
  description: Whether it was read now (in check mode, would be), as opposed to having been proven recently.
  returned: success
  type: bool
objects:
  description: How many objects are whole.
  returned: when the point was read
  type: int
bytes:
  description: How many stored bytes those have.
  returned: when the point was read
  type: int
decoded:
  description: How many of them were also decrypted and decompressed. Fewer than RV(objects) means that no identity was given.
  returned: when the point was read
  type: int
duration_s:
  description: Seconds that reading took.
  returned: when the point was read
  type: float
failures:
  description: What is wrong, one entry per object, at most 200.
  returned: when the point was read
  type: list
  elements: str
failures_count:
  description: How many failures there are in all.
  returned: when the point was read
  type: int
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    PITR_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.catalogue import ENGINE
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import passphrases
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.verify_points import PgbackrestReader
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    list_points,
    load_point,
    select_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import (
    DAMAGED,
    newest_proof,
    write_proof,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import VerifyResult, verify_point
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    reverify_after = 0.0 if params["force"] else _clock.parse_duration(params["reverify_after"])
    repository = open_signed(params)
    point = _find(module, repository, params["component"], params["recovery_point"])
    if _proven(point, reverify_after):
        return {"changed": False, "read": False, "recovery_point": point.facts()}
    if module.check_mode:
        return {"changed": False, "read": True, "recovery_point": point.facts()}
    identities = Identities(params["encryption_identity"], params["encryption_identity_file"])
    reader = PgbackrestReader(repository, passphrases(params), params["s3"]) if point.engine == ENGINE else None
    recorder = Recorder(repository, params["run_id"], point.component)
    with recorder.step("verify", recovery_point=point.point_id) as step, Progress(params["progress_path"]) as progress:
        began = time.monotonic()
        result = verify_point(repository, point, identities, progress, reader)
        duration = time.monotonic() - began
        step.outcome = "ok" if result.ok else "failed"
        step.facts.update(objects=result.objects, bytes=result.bytes, failures=result.failures[:20])
        outcome = "ok" if result.ok else "failed"
        write_proof(repository, point, "verified", params["run_id"], duration, result.details(), outcome)
    facts = _facts(point, result, duration)
    if not result.ok:
        error = _damage(point, result)
        module.fail_json(msg=str(error), error=error.facts(), **facts)
    for note in result.notes[:20]:
        module.warn(f"{point.component}: {point.point_id} is whole, but not what follows it: {note}")
    if result.decoded < result.objects:
        module.warn(
            f"{result.objects - result.decoded} objects of {point.point_id} are whole but were not decrypted: no identity was given"
        )
    return {"changed": False, **facts}


def _find(module: AnsibleModule, repository: Repository, component: str, selector: str) -> RecoveryPoint:
    if selector != "newest":
        return load_point(repository, component, selector)
    listing = list_points(repository, component)
    for damaged in listing.damaged:
        module.warn(f"{component}: recovery point {damaged.point_id} is damaged: {damaged.reason}")
    return listing.points[0] if listing.points else select_point(listing)


def _proven(point: RecoveryPoint, reverify_after: float) -> bool:
    newest = newest_proof(point.proofs, "verified")
    if newest is None or point.level == DAMAGED:
        return False
    return (_clock.now() - newest.at).total_seconds() < reverify_after


def _facts(point: RecoveryPoint, result: VerifyResult, duration: float) -> dict[str, t.Any]:
    return {
        "read": True,
        "recovery_point": point.facts(),
        "objects": result.objects,
        "bytes": result.bytes,
        "decoded": result.decoded,
        "duration_s": round(duration, 3),
        "failures": result.failures[:200],
        "failures_count": len(result.failures),
    }


def _damage(point: RecoveryPoint, result: VerifyResult) -> IntegrityError:
    return IntegrityError(
        f"recovery point {point.point_id} is damaged",
        point.component,
        expected=f"{counted(len(point.objects), 'object')} as in the manifest",
        found=f"{counted(len(result.failures), 'failure')}: {' | '.join(result.failures[:20])}",
        next_command=f"ansible-playbook sre.runbooks.back_up_components --limit {point.component}",
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **SIGNING_OPTIONS,
            **RUN_OPTIONS,
            **PITR_OPTIONS,
            "encryption_identity": ENCRYPTION_OPTIONS["encryption_identity"],
            "encryption_identity_file": ENCRYPTION_OPTIONS["encryption_identity_file"],
            "component": {"type": "str", "required": True},
            "recovery_point": {"type": "str", "default": "newest"},
            "reverify_after": {"type": "str", "default": "7d"},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
