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
author: The sre.runbooks authors (@sre-runbooks)
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.attributes.info_module
seealso:
  - module: sre.runbooks.recovery_point_info
"""

EXAMPLES = r"""
- name: Look at the repository
  sre.runbooks.repository_info:
    repository: "{{ repository }}"
    environment_name: local
  register: found

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
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._module import REPOSITORY_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_components, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, LEVELS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository


def work(module: AnsibleModule) -> dict[str, t.Any]:
    repository = open_repository(module.params["repository"], module.params["environment_name"])
    components = [_component(repository, name) for name in list_components(repository)]
    return {
        "changed": False,
        "repository": {
            "id": repository.id,
            "url": repository.url,
            "environment": repository.environment,
            "free_bytes": repository.store.free_bytes(),
            "total_bytes": sum(component["bytes"] for component in components),
            "components": components,
        },
    }


def _component(repository: Repository, name: str) -> dict[str, t.Any]:
    listing = list_points(repository, name)
    now = _clock.now()
    newest = {level: listing.newest(level) for level in LEVELS}
    return {
        "name": name,
        "points": len(listing.points),
        "damaged": len(listing.damaged) + sum(point.level == DAMAGED for point in listing.points),
        "incomplete": len(listing.incomplete),
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
    run_module(AnsibleModule(argument_spec=dict(REPOSITORY_OPTIONS), supports_check_mode=True), work)


if __name__ == "__main__":
    main()
