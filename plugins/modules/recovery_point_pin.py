#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_pin
short_description: Keep a recovery point whatever the retention policy says, with a reason
version_added: 0.1.0
description:
  - Says beside a recovery point who wants it kept, why, and until when, in a write-once object. A release is one more such
    object, so that what was wanted stays on record for as long as the point is there.
  - A pin ends at O(expires) or when it is released, a hold only when it is released. Pins with different reasons are
    independent of each other; with the same reason, the one that ends at another time takes the place of the earlier one.
  - Where the store has object locks, a hold is also the store's own legal hold on every object of the point.
  - Works under the component's lease, so that no retention run overlooks it.
author: The sre.runbooks authors (@sre-runbooks)
options:
  component:
    description: The component whose point is meant.
    type: str
    required: true
  recovery_point:
    description: The point's id, even a damaged one's or that of what a restore replaced, or V(newest).
    type: str
    default: newest
  state:
    description: Whether the point is pinned. V(absent) releases those with O(reason), or without it all of that O(kind).
    type: str
    choices: [present, absent]
    default: present
  kind:
    description: A pin, which can expire, or a legal hold, which cannot.
    type: str
    choices: [pin, hold]
    default: pin
  reason:
    description: Why, for those who read the retention plan. Required with O(state=present).
    type: str
  expires:
    description:
      - The moment until which a pin holds, such as V(2027-01-31) or V(2027-01-31T12:00:00Z); without an offset it is UTC.
      - Without it a pin holds until it is released.
    type: str
  by:
    description: Who wants it. The user and host that the module runs as, by default.
    type: str
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.attributes
seealso:
  - module: sre.runbooks.recovery_point_expire
"""

EXAMPLES = r"""
- name: Keep the newest point until the audit is over
  sre.runbooks.recovery_point_pin:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    reason: audit of the year 2026
    expires: "2037-01-31"
    by: ana

- name: Keep it until the lawyers say otherwise
  sre.runbooks.recovery_point_pin:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    kind: hold
    reason: case 17

- name: The lawyers say otherwise
  sre.runbooks.recovery_point_pin:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    kind: hold
    reason: case 17
    state: absent
"""

RETURN = r"""
recovery_point:
  description: The point's id.
  returned: success
  type: str
pins:
  description: What keeps the point after this task (in check mode, would keep it), oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: C(pin) or C(hold).
      type: str
    reason:
      description: Why.
      type: str
    by:
      description: Who wants it.
      type: str
    at:
      description: Since when.
      type: str
    expires:
      description: Until when, or null.
      type: str
    name:
      description: The name of the object that says so; null for one that would be written.
      type: str
store_holds:
  description: On how many objects the store's own legal hold was put or renewed, or from how many it was taken.
  returned: success
  type: int
"""

import getpass
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    LEASE_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import name_for
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding, shown_in
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pin_change import PinWish, apply_pin, plan_pin
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    wish = _wish(params)
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    if module.check_mode:
        name = name_for(repository, component, params["recovery_point"])
        return plan_pin(repository, name, params["recovery_point"], wish, _clock.now()).facts()
    holder = describe_holder(params["run_id"])
    ttl, wait = _clock.parse_duration(params["lease_ttl"]), _clock.parse_duration(params["lease_wait"])
    with Progress(params["progress_path"]) as progress:
        shown = shown_in(progress, wait)
        with holding(repository, component, params["run_id"], holder, ttl, wait, shown) as lease:
            name = name_for(repository, component, params["recovery_point"])
            change = plan_pin(repository, name, params["recovery_point"], wish, repository.store.now())
            recorder = Recorder(repository, params["run_id"], component)
            with recorder.step(params["kind"], recovery_point=change.point_id, state=params["state"]) as step:
                lease.check()
                apply_pin(repository, change, wish)
                step.outcome = "changed" if change.changed else "ok"
                step.facts.update(reason=wish.reason, by=wish.by)
    return change.facts()


def _wish(params: dict[str, t.Any]) -> PinWish:
    present = params["state"] == "present"
    reason = " ".join((params["reason"] or "").split())
    if (present and not reason) or len(reason) > 1000:
        raise InvalidInput(
            "a pin needs a reason",
            params["component"],
            expected="pin_reason, at most 1000 characters for those who read the plan",
            found=repr(reason[:50]) if reason else "none",
            next_command='say why it is kept, such as: the same command with -e \'{"pin_reason": "audit of this year"}\'',
        )
    if params["expires"] and (params["kind"] == "hold" or not present):
        raise InvalidInput(
            "only a pin that is present expires",
            params["component"],
            expected="no pin_expires with pin_kind=hold or pin_state=absent",
            found=f"pin_expires={params['expires']}",
        )
    expires = _clock.parse_time(params["expires"], "expires") if params["expires"] else None
    return PinWish(present, params["kind"], reason, params["by"] or _user(), expires)


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        name = "somebody"
    return f"{name}@{socket.gethostname()}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            "component": {"type": "str", "required": True},
            "recovery_point": {"type": "str", "default": "newest"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "kind": {"type": "str", "choices": ["pin", "hold"], "default": "pin"},
            "reason": {"type": "str"},
            "expires": {"type": "str"},
            "by": {"type": "str"},
        },
        required_if=[("state", "present", ("reason",))],
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
