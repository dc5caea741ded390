#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_info
short_description: List the recovery points of a component
version_added: 0.1.0
description:
  - Lists a component's recovery points, newest first, as chosen by time, proof level and age.
  - Damaged and incomplete ones are listed apart, whatever was chosen.
  - Reads manifests and proofs, never the stored objects; use M(sre.runbooks.recovery_point_verify) for those.
author: The sre.runbooks authors (@sre-runbooks)
options:
  component:
    description: The component whose points are wanted.
    type: str
    required: true
  recovery_point:
    description: The id of the only point that is wanted.
    type: str
  before:
    description: Only points that show this moment or an earlier one, such as V(2026-11-21T05:10:00Z).
    type: str
  after:
    description: Only points that show this moment or a later one.
    type: str
  minimum_level:
    description:
      - Only points that reach this level of the proof ladder.
      - V(any) also lists those whose newest verification failed.
    type: str
    choices: [any, taken, verified, restored, asserted]
    default: any
  maximum_age:
    description: Only points that show a moment at most this long ago, such as V(24h).
    type: str
  limit:
    description: How many points to return at most. RV(count) tells how many were chosen.
    type: int
    default: 50
  objects:
    description: Also return every object of each point and the proofs in full. That can be a lot.
    type: bool
    default: false
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.signing.trust
  - sre.runbooks.attributes.info_module
seealso:
  - module: sre.runbooks.recovery_point_verify
"""

EXAMPLES = r"""
- name: List what there is
  sre.runbooks.recovery_point_info:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db

- name: Look for a point of the last day that has been read back
  sre.runbooks.recovery_point_info:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    minimum_level: verified
    maximum_age: 24h
    limit: 1
  register: found

- name: Look at what there was before a mistake was made
  sre.runbooks.recovery_point_info:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    before: "2026-11-21T05:10:00Z"
    objects: true
"""

RETURN = r"""
recovery_points:
  description: The chosen points, newest first, at most O(limit).
  returned: success
  type: list
  elements: dict
  contains:
    point_id:
      description: The point's id.
      type: str
    component:
      description: The component.
      type: str
    environment:
      description: The environment.
      type: str
    repository_id:
      description: The repository's id.
      type: str
    engine:
      description: What wrote it.
      type: str
    engine_version:
      description: The version of the component's server.
      type: str
    run_id:
      description: The run that took it.
      type: str
    started:
      description: When taking it began.
      type: str
    consistency_time:
      description: The moment that it shows.
      type: str
    finished:
      description: When its last object was stored.
      type: str
    duration_s:
      description: Seconds that taking it needed.
      type: float
    age_s:
      description: Seconds since the moment that it shows.
      type: float
    objects_count:
      description: How many objects it has.
      type: int
    size:
      description: Bytes in the repository.
      type: int
    raw_size:
      description: Bytes before compression and encryption.
      type: int
    encrypted:
      description: Whether any object is encrypted.
      type: bool
    sequence:
      description: Its number in the component's history, from 1 and without a gap.
      type: int
    previous:
      description: The point before it in the component's history.
      type: str
    manifest_sha256:
      description: The sha256 of its manifest, which the next point names.
      type: str
    level:
      description: C(taken), C(verified), C(restored), C(asserted), or C(damaged) when the newest verification failed.
      type: str
    proofs:
      description: The latest 20 proofs, oldest first (C(level), C(at), C(outcome)); in full with O(objects=true).
      type: list
      elements: dict
    needs:
      description: Ids of the points without which it cannot be restored.
      type: list
      elements: str
    pins:
      description: Who wants it kept and was not contradicted, as M(sre.runbooks.recovery_point_pin) returns it; those that are over included.
      type: list
      elements: dict
    objects:
      description: The objects. Only with O(objects=true).
      type: list
      elements: dict
    content:
      description: What the engine noted of the content. Only with O(objects=true).
      type: dict
newest:
  description: The first of RV(recovery_points), or null.
  returned: success
  type: dict
count:
  description: How many points were chosen.
  returned: success
  type: int
total:
  description: How many points have a readable manifest.
  returned: success
  type: int
damaged:
  description: Points whose manifest cannot be trusted or whose newest verification failed, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{point_id: 20261121T051000Z-a1b2, reason: its newest verification failed}]
expiring:
  description: Ids of points with a tombstone of which something is left; nobody restores them, the next retention run finishes them.
  returned: success
  type: list
  elements: str
incomplete:
  description: Ids of points without a manifest, which are no recovery points; being taken now, or left by a killed backup.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    REPOSITORY_OPTIONS,
    TRUST_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import list_pins
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points, load_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, at_least
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    if params["limit"] < 0:
        raise InvalidInput("not a limit", expected="a number from 0", found=str(params["limit"]))
    wanted = _wish(params)
    repository = open_signed(params)
    if params["recovery_point"]:
        # Says clearly that it is not there, or is damaged, instead of listing nothing.
        load_point(repository, params["component"], params["recovery_point"])
    listing = list_points(repository, params["component"])
    chosen = [point for point in listing.points if wanted(point)]
    facts = [_facts(repository, point, params["objects"]) for point in chosen[: params["limit"]]]
    damaged = [{"point_id": point.point_id, "reason": point.reason} for point in listing.damaged]
    damaged += [
        {"point_id": point.point_id, "reason": "its newest verification failed"}
        for point in listing.points
        if point.level == DAMAGED
    ]
    return {
        "changed": False,
        "recovery_points": facts,
        "newest": facts[0] if facts else None,
        "count": len(chosen),
        "total": len(listing.points),
        "damaged": damaged,
        "incomplete": listing.incomplete,
        "expiring": listing.expiring,
    }


def _wish(params: dict[str, t.Any]) -> t.Callable[[RecoveryPoint], bool]:
    """What the parameters ask of a point; refuses what is no time or duration before anything is opened."""
    before = _clock.parse_time(params["before"], "before") if params["before"] else None
    after = _clock.parse_time(params["after"], "after") if params["after"] else None
    oldest = _clock.parse_duration(params["maximum_age"]) if params["maximum_age"] else None
    now = _clock.now()

    def wanted(point: RecoveryPoint) -> bool:
        return (
            (not params["recovery_point"] or point.point_id == params["recovery_point"])
            and (before is None or point.consistency_time <= before)
            and (after is None or point.consistency_time >= after)
            and (oldest is None or point.age_s(now) <= oldest)
            and (params["minimum_level"] == "any" or at_least(point.level, params["minimum_level"]))
        )

    return wanted


def _facts(repository: Repository, point: RecoveryPoint, objects: bool) -> dict[str, t.Any]:
    facts = {**point.facts(), "age_s": round(point.age_s(_clock.now()), 3), "needs": list(point.needs)}
    facts["pins"] = [pin.facts() for pin in list_pins(repository.store, point.prefix)]
    if objects:
        facts["objects"] = [stored.to_dict() for stored in point.objects]
        facts["content"] = point.content
        facts["proofs"] = [proof.facts() for proof in point.proofs]
    return facts


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **TRUST_OPTIONS,
            "component": {"type": "str", "required": True},
            "recovery_point": {"type": "str"},
            "before": {"type": "str"},
            "after": {"type": "str"},
            "minimum_level": {
                "type": "str",
                "choices": ["any", "taken", "verified", "restored", "asserted"],
                "default": "any",
            },
            "maximum_age": {"type": "str"},
            "limit": {"type": "int", "default": 50},
            "objects": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
