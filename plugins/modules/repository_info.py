#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: repository_info
short_description: Tell what a repository holds
version_added: 0.1.0
description:
  - Tells a repository's identity and, per component, how many recovery points there are, how large they are, the newest
    of each proof level, and who holds the lease.
  - Reads manifests and the names of proofs, never the stored objects.
  - With O(blast_radius) it also finds out what the identity that it uses could do to the repository if it were stolen.
author: The sre.runbooks authors (@sre-runbooks)
options:
  blast_radius:
    description:
      - V(look) asks the store what it says of versions, locks, public access, owner, lifecycle rules and encryption.
      - V(try) also tries, harmlessly, what this identity may do, on one small object of its own a day below
        C(control/probes/) and on objects that do not exist. It never changes the configuration of a bucket. What
        cannot be tried without risk is V(unknown). In check mode it is as V(look).
      - Where everything is refused, as it should be, the probe stays, locked as every object is.
    type: str
    choices: [none, look, try]
    default: none
  documents:
    description:
      - Also read every small document of the repository (proofs, pins, tombstones, leases, records of runs) and say which
        is missing, changed, in another's place, or not of this collection. It costs a request for each.
    type: bool
    default: false
  minimum_lock:
    description: For how long a new object has to be locked at least, such as V(30d).
    type: str
    default: 7d
  production_account:
    description: The account of what is backed up; the bucket should belong to another one.
    type: str
  data_paths:
    description: Directories of the data, on the host where this runs; a repository in a directory is compared with them.
    type: list
    elements: path
    default: []
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.attributes.bookkeeping
seealso:
  - module: sre.runbooks.recovery_point_info
"""

EXAMPLES = r"""
- name: Look at the repository
  sre.runbooks.repository_info:
    repository: "{{ repository }}"
    environment_name: local
  register: found

- name: Find out what a thief of this identity could do
  sre.runbooks.repository_info:
    repository: "{{ repository }}"
    environment_name: local
    blast_radius: try
    minimum_lock: 30d
  register: lint

- name: Show it, a line per question
  ansible.builtin.debug:
    var: lint.blast_radius.lines

- name: Show the newest asserted point of each component
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.newest.asserted }}"
  loop: "{{ found.repository.components }}"
"""

RETURN = r"""
repository:
  description: The repository and what it holds.
  returned: success
  type: dict
  contains:
    id:
      description: The id that every actor must find.
      type: str
    url:
      description: The place, in normal form.
      type: str
    environment:
      description: The environment that it belongs to.
      type: str
    free_bytes:
      description: Bytes that still fit; null when the store has no such limit.
      type: int
    total_bytes:
      description: Bytes of all recovery points' objects.
      type: int
    components:
      description: What there is of each component.
      type: list
      elements: dict
      contains:
        name:
          description: The component.
          type: str
        points:
          description: How many recovery points have a readable manifest.
          type: int
        damaged:
          description: How many have none, or failed their newest verification.
          type: int
        incomplete:
          description: How many were never finished.
          type: int
        expiring:
          description: How many are being removed.
          type: int
        bytes:
          description: Bytes of its points' objects.
          type: int
        newest:
          description:
            - Per level (C(taken), C(verified), C(restored), C(asserted)) the newest undamaged point that reaches it, as
              C(point_id), C(consistency_time) and C(age_s); null when there is none.
          type: dict
        lease:
          description: The lease in its highest epoch (C(epoch), C(held), C(holder), C(renewed), C(ttl_s)), or null.
          type: dict
documents:
  description: Whether every small document is in its place and as it was written.
  returned: with O(documents=true)
  type: dict
  contains:
    intact:
      description: Whether nothing was found.
      type: bool
    findings:
      description: What was, the first 200 of it, as M(sre.runbooks.evidence_info) returns it.
      type: list
      elements: dict
    findings_count:
      description: How many there are in all.
      type: int
blast_radius:
  description: What this identity could do to the repository.
  returned: with O(blast_radius=look) or O(blast_radius=try)
  type: dict
  contains:
    overall:
      description: The worst result, V(pass), V(fail) or V(unknown).
      type: str
    immutable:
      description: Whether no failure means that content could be lost for ever.
      type: bool
    checks:
      description:
        - One answer per question, with C(check), C(result), C(expected), C(found), C(remedy) or null, and C(destroys),
          which says of a failure that content could be lost for ever; other failures hide or expose it.
      type: list
      elements: dict
    lines:
      description: The same for people, a line each.
      type: list
      elements: str
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._module import REPOSITORY_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import Demands, find_blast_radius
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_findings
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_components, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, LEVELS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository


def work(module: AnsibleModule) -> dict[str, t.Any]:
    repository = open_repository(module.params["repository"], module.params["environment_name"], module.params["s3"])
    components = [_component(repository, name) for name in list_components(repository)]
    return {
        "changed": False,
        **_blast_radius(module, repository),
        **_documents(module, repository),
        "repository": {
            "id": repository.id,
            "url": repository.url,
            "environment": repository.environment,
            "free_bytes": repository.store.free_bytes(),
            "total_bytes": sum(component["bytes"] for component in components),
            "components": components,
        },
    }


def _blast_radius(module: AnsibleModule, repository: Repository) -> dict[str, t.Any]:
    params = module.params
    if params["blast_radius"] == "none":
        return {}
    demands = Demands(
        minimum_lock=datetime.timedelta(seconds=_clock.parse_duration(params["minimum_lock"])),
        production_account=params["production_account"],
        data_paths=tuple(params["data_paths"]),
        trying=params["blast_radius"] == "try" and not module.check_mode,
    )
    return {"blast_radius": find_blast_radius(repository.store, demands).facts()}


def _documents(module: AnsibleModule, repository: Repository) -> dict[str, t.Any]:
    if not module.params["documents"]:
        return {}
    found = layout_findings(repository)
    facts = [finding.facts() for finding in found[:200]]
    return {"documents": {"intact": not found, "findings": facts, "findings_count": len(found)}}


def _component(repository: Repository, name: str) -> dict[str, t.Any]:
    listing = list_points(repository, name)
    now = _clock.now()
    newest = {level: listing.newest(level) for level in LEVELS}
    return {
        "name": name,
        "points": len(listing.points),
        "damaged": len(listing.damaged) + sum(point.level == DAMAGED for point in listing.points),
        "incomplete": len(listing.incomplete),
        "expiring": len(listing.expiring),
        "bytes": sum(point.size for point in listing.points),
        "newest": {
            level: point
            and {
                "point_id": point.point_id,
                "consistency_time": _clock.format_time(point.consistency_time),
                "age_s": round(point.age_s(now), 3),
            }
            for level, point in newest.items()
        },
        "lease": _lease(repository, name),
    }


def _lease(repository: Repository, name: str) -> dict[str, t.Any] | None:
    try:
        found = current_lease(repository, name)
    except IntegrityError as error:
        return {"held": True, "damaged": str(error)}
    return found.facts(_clock.now()) if found is not None else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            "blast_radius": {"type": "str", "choices": ["none", "look", "try"], "default": "none"},
            "documents": {"type": "bool", "default": False},
            "minimum_lock": {"type": "str", "default": "7d"},
            "production_account": {"type": "str"},
            "data_paths": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
