#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_rewrap
short_description: Every retained recovery point opens with the current recipients
version_added: 0.1.0
description:
  - Looks at the age headers of each of a component's recovery points. A point that is not encrypted for all of
    O(encryption_recipients) gets new headers for them beside its objects, from an identity that opens it. Its data is
    neither rewritten nor read, except for what proves the new headers. Points of what restores of the component replaced
    are among them.
  - Nothing is changed or removed; the old key still opens the old headers. Whoever may have a copy of the old key can
    still open what was encrypted for it. Against that, only new recovery points and the expiry of the old ones help.
  - Points that are expiring are left alone. A point that no identity here opens is named, and fails the task after all
    others have been done.
  - A task that is killed leaves nothing that is taken for new headers; the next one writes them.
author: The sre.runbooks authors (@sre-runbooks)
options:
  component:
    description: The component whose points are rewrapped.
    type: str
    required: true
  depth:
    description:
      - How far the new headers are proven before they count, with the identities at hand that are of current recipients.
      - V(headers) opens every new header and the first chunk of every object. V(sample) also decrypts the smallest object
        of each point to its end and compares its hash, V(full) all of them.
    type: str
    choices: [headers, sample, full]
    default: sample
  allow_unproven:
    description:
      - Whether new headers may be written although no identity at hand is that of a current recipient, so that nothing
        here can prove that they open.
    type: bool
    default: false
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption.rotation
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
seealso:
  - module: sre.runbooks.encryption_info
"""

EXAMPLES = r"""
- name: Let every recovery point open with the new key
  sre.runbooks.recovery_point_rewrap:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    encryption_recipients: "{{ encryption_recipients }}"
    encryption_identity_file: "{{ age_identity_file }}"
    encryption_identity_files:
      - "{{ old_identity_file }}"
"""

RETURN = r"""
recovery_points:
  description: Every retained point, newest first, with what was (in check mode, would be) done about it.
  returned: when the points could be looked at
  type: list
  elements: dict
  contains:
    point_id: {description: The point's id., type: str}
    action:
      description: V(none), V(rewrap), or V(impossible) when no identity here opens it or its headers are damaged.
      type: str
    reason: {description: Why., type: str}
    rewrap_id: {description: The new headers' id; null where none were written., type: str}
    proven: {description: Recipients whose identity opened the new headers., type: list, elements: str}
rewrapped:
  description: How many points got (in check mode, would get) new headers.
  returned: when the points could be looked at
  type: int
impossible:
  description: Ids of the points that still do not open with the current recipients. They fail the task.
  returned: when the points could be looked at
  type: list
  elements: str
unproven:
  description: Current recipients whose identity is not at hand, so that nothing here proved that they can open anything.
  returned: when the points could be looked at
  type: list
  elements: str
detail:
  description: The outcome in a sentence.
  returned: when the points could be looked at
  type: str
"""

import contextlib
import typing as t
from contextlib import AbstractContextManager

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    LEASE_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    complete,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import Identities, check_recipients
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import refuse_held
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import KeyRing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewrap import Planned
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import DEPTHS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rotation import Rotation
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    recipients = check_recipients(params["encryption_recipients"])
    ring = KeyRing(
        Identities(
            params["encryption_identity"], params["encryption_identity_file"], params["encryption_identity_files"]
        )
    )
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    replaced = None
    with contextlib.suppress(InvalidInput):  # a name too long for restores to have kept anything
        replaced = before_component(component)
    rotation = Rotation(repository, component, recipients, ring, params["depth"], params["allow_unproven"], replaced)
    if module.check_mode:
        refuse_held(repository, component, params["run_id"])
    rotation.look()
    if rotation.wanted and not module.check_mode:
        _act(module, rotation)
    for point_id in rotation.unreadable:
        module.warn(f"{component}: recovery point {point_id} is damaged and was not looked at")
    facts = rotation.facts(module.check_mode)
    error = rotation.error()
    if error is not None:
        complete(error, component)
        module.fail_json(msg=str(error), error=error.facts(), **facts)
    return facts


def _act(module: AnsibleModule, rotation: Rotation) -> None:
    params = module.params
    run_id = params["run_id"]
    recorder = Recorder(rotation.repository, run_id, rotation.component)
    ttl, wait = _clock.parse_duration(params["lease_ttl"]), _clock.parse_duration(params["lease_wait"])

    def record(planned: Planned) -> AbstractContextManager[t.Any]:
        return recorder.step("rewrap", recovery_point=planned.point.point_id, reason=planned.reason)

    with (
        Progress(params["progress_path"]) as progress,
        exclusive(rotation.repository, rotation.component, run_id, ttl, wait, progress) as lease,
    ):
        # Retention or another rotation may have been at work while we waited.
        rotation.look()
        rotation.act(lease.check, record, run_id, progress)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            **ENCRYPTION_OPTIONS,
            "encryption_identity_files": {"type": "list", "elements": "path", "default": [], "no_log": False},
            "component": {"type": "str", "required": True},
            "depth": {"type": "str", "choices": list(DEPTHS), "default": "sample"},
            "allow_unproven": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
