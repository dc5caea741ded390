#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: encryption_info
short_description: Say which recovery points the identities at hand open
version_added: 0.1.0
description:
  - Tries the age identities at hand on the headers of a component's recovery points, so that a lost key is named before
    it is needed. One small ranged read for each point, no data.
  - age does not say for whom a header is. What the repository says about recipients is believed for those whose identity
    is not at hand, and tried for the others.
  - Warns of points that no identity here opens. That may be wanted, where only an offline key opens them.
author: The sre.runbooks authors (@sre-runbooks)
options:
  component:
    description: The component whose points are looked at, with those that its restores replaced.
    type: str
    required: true
  recovery_point:
    description: V(all), V(newest), or the id of the only point to look at.
    type: str
    default: all
  depth:
    description:
      - V(point) tries the header of one object of each point, V(object) those of all its objects.
    type: str
    choices: [point, object]
    default: point
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.encryption.rotation
  - sre.runbooks.attributes.info_module
seealso:
  - module: sre.runbooks.recovery_point_rewrap
"""

EXAMPLES = r"""
- name: Look whether every recovery point opens with the keys of the break-glass kit
  sre.runbooks.encryption_info:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    encryption_identity_file: "{{ age_identity_file }}"
    encryption_recipients: "{{ encryption_recipients }}"
  register: keys

- name: Refuse to go on without a key
  ansible.builtin.assert:
    that: keys.orphaned | length == 0
    fail_msg: "{{ keys.problems | join(' ') }}"
"""

RETURN = r"""
recovery_points:
  description: The points, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    point_id: {description: The point's id., type: str}
    consistency_time: {description: The moment that it shows., type: str}
    state:
      description:
        - V(opens) with an identity at hand; V(orphaned) when none opens it; V(damaged) when its headers are; V(plain) when
          it is not encrypted; V(untried) when no identity is at hand.
      type: str
    recipients: {description: For whom it is said to be encrypted., type: list, elements: str}
    opened_by: {description: Recipients whose identity is at hand and opened it., type: list, elements: str}
    current: {description: Whether every current recipient can open it; null when none were given., type: bool}
    headers:
      description: Its objects' own headers (V(original)) and its rewraps, with C(recipients) and C(opened_by) of each.
      type: list
      elements: dict
    problems: {description: Headers that are damaged., type: list, elements: str}
orphaned:
  description: Ids of the points that no identity at hand opens.
  returned: success
  type: list
  elements: str
not_current:
  description: Ids of the encrypted points that not every current recipient can open.
  returned: success
  type: list
  elements: str
damaged:
  description: Ids of the points whose headers or manifest are damaged.
  returned: success
  type: list
  elements: str
identities:
  description: The recipients whose identity is at hand.
  returned: success
  type: list
  elements: str
elsewhere:
  description: Recipients of the points, and current ones, whose identity is not at hand. Somebody has to have it.
  returned: success
  type: list
  elements: str
problems:
  description: What an operator has to know, in sentences; they are warned of too.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    REPOSITORY_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import Identities, check_recipients
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import list_for, replaced_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import (
    OTHER_KIND,
    KeyRing,
    PointOpenings,
    look_into,
    spelt,
    unreadable_here,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    PointListing,
    select_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository

_SHOWN = 5


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    recipients = check_recipients(params["encryption_recipients"])
    ring = KeyRing(
        Identities(
            params["encryption_identity"], params["encryption_identity_file"], params["encryption_identity_files"]
        )
    )
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    selector = params["recovery_point"]
    listing = list_for(repository, params["component"], selector)
    deep = params["depth"] == "object"
    chosen = _chosen(listing, selector)
    if selector == "all":
        chosen += replaced_points(repository, params["component"])
    found = [look_into(repository, point, ring, deep) for point in chosen]
    problems = _problems(found, ring, recipients)
    for problem in problems:
        module.warn(f"{params['component']}: {problem}")
    named = {spelt(recipient): recipient for openings in found for recipient in openings.recipients}
    named.update({spelt(recipient): recipient for recipient in recipients})
    return {
        "changed": False,
        "recovery_points": [
            {**openings.facts(), "current": _current(openings, recipients, ring)} for openings in found
        ],
        "orphaned": _ids(found, "orphaned"),
        "not_current": [openings.point.point_id for openings in found if _current(openings, recipients, ring) is False],
        "damaged": _ids(found, "damaged") + [damaged.point_id for damaged in listing.damaged],
        "identities": ring.recipients + [OTHER_KIND] * ring.needs_payload,
        "elsewhere": sorted(named[name] for name in named if name not in ring.recipients),
        "problems": problems,
    }


def _chosen(listing: PointListing, selector: str) -> list[RecoveryPoint]:
    if selector == "all":
        return list(listing.points)
    if selector == "newest":
        return listing.points[:1]
    return [point for point in listing.points if point.point_id == selector] or [select_point(listing, selector)]


def _current(openings: PointOpenings, recipients: list[str], ring: KeyRing) -> bool | None:
    if not recipients:
        return None
    return openings.state == "plain" or openings.serving(recipients, ring) is not None


def _ids(found: t.Iterable[PointOpenings], state: str) -> list[str]:
    return [openings.point.point_id for openings in found if openings.state == state]


def _problems(found: list[PointOpenings], ring: KeyRing, recipients: list[str]) -> list[str]:
    problems = []
    orphaned = [openings for openings in found if openings.state == "orphaned"]
    if orphaned:
        wanted = sorted({recipient for openings in orphaned for recipient in openings.recipients})
        problems.append(
            f"no identity here opens {_listed([openings.point.point_id for openings in orphaned])}; "
            f"expected: that of one of {', '.join(wanted) or 'recipients that nobody noted'}; "
            f"found: those of {', '.join(ring.recipients) or OTHER_KIND}; next: find who keeps it, before it is needed"
        )
    damaged = [openings for openings in found if openings.problems]
    if damaged:
        problems.append(
            f"damaged headers in {_listed([openings.point.point_id for openings in damaged])}: {damaged[0].problems[0]}; "
            "next: ansible-playbook sre.runbooks.verify_backups"
        )
    unreadable = unreadable_here(recipients, ring.identities)
    if unreadable is not None:
        problems.append(unreadable)
    return problems


def _listed(ids: list[str]) -> str:
    shown = ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
    return f"recovery point {shown}" if len(ids) == 1 else f"{len(ids)} recovery points ({shown})"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **ENCRYPTION_OPTIONS,
            "encryption_identity_files": {"type": "list", "elements": "path", "default": [], "no_log": False},
            "component": {"type": "str", "required": True},
            "recovery_point": {"type": "str", "default": "all"},
            "depth": {"type": "str", "choices": ["point", "object"], "default": "point"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
