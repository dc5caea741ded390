#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: lease
short_description: Hold the exclusive right to operate on a component
version_added: 0.1.0
description:
  - Takes a component's lease for a run, or gives it back. Tasks of the same run act under it and renew it.
  - It ends by itself when nothing renews it for O(lease_ttl), so give it longer than the longest task that is not one
    of this collection's. One that belonged to a process of this host that is provably dead is replaced at once.
  - The lease is bookkeeping, so the task is never C(changed). In check mode it only looks whether the lease is free.
  - An action plugin fills in O(holder), the controlling process.
author: The sre.runbooks authors (@sre-runbooks)
options:
  state:
    description:
      - V(held) makes sure that the run holds the lease.
      - V(released) makes sure that the run does not hold it any more; other runs' leases are left alone. Without O(run_id),
        that nobody holds it, which needs O(lease_confirm) while somebody may still act under it.
    type: str
    choices: [held, released]
    default: held
  component:
    description: The component.
    type: str
    required: true
  run_id:
    description: The run that holds or releases the lease.
    type: str
  lease_confirm:
    description:
      - With O(state=released), the component's name releases the lease whoever holds it, for an operator who knows that
        nobody acts under it any more.
    type: str
  progress_path:
    description:
      - A file in which the task says for whom it waits, for the screen.
    type: path
  holder:
    description: The process that holds it, as a dictionary. The action plugin sets it; leave it out.
    type: dict
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.lease
  - sre.runbooks.attributes.bookkeeping
"""

EXAMPLES = r"""
- name: Take the lease, waiting for another run to end
  sre.runbooks.lease:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    run_id: 20261121T051000Z-restore-1a2b
    lease_ttl: 10m
    lease_wait: 5m

- name: Give it back
  sre.runbooks.lease:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    run_id: 20261121T051000Z-restore-1a2b
    state: released

- name: Take it away from a run that is certainly dead
  sre.runbooks.lease:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    state: released
    lease_confirm: flights_db
"""

RETURN = r"""
lease:
  description: The lease, or null when nobody ever held it. In check mode, as it is found.
  returned: success
  type: dict
  contains:
    epoch:
      description: Its number; it only ever grows, and is written into the target before it is changed.
      type: int
    held:
      description: Whether somebody holds it.
      type: bool
  sample: {epoch: 7, held: true}
released:
  description: Whether a lease was released, or in check mode would be. One that had ended by itself and was not given back counts.
  returned: O(state=released)
  type: bool
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._module import LEASE_OPTIONS, REPOSITORY_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository import leases
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import (
    LeaseState,
    current_lease,
    highest_epoch,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository, open_repository


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    confirm = params["lease_confirm"]
    if confirm is not None and confirm != component:
        raise Refused(
            "the confirmation names something else than the component",
            component,
            expected=f"lease_confirm={component}",
            found=f"lease_confirm={confirm}",
            next_command=f"if its lease is meant: the same command with --limit {component} -e lease_confirm={component}",
        )
    if not params["run_id"] and params["state"] == "held":
        raise InvalidInput("whose lease is not said", component, expected="run_id", found="none")
    repository = open_repository(params["repository"], params["environment_name"], params["s3"])
    if params["state"] == "released":
        return _released(module, repository)
    if module.check_mode:
        leases.refuse_held(repository, component, params["run_id"])
        return {"changed": False, "lease": _found(repository, component)}
    wait_s = _clock.parse_duration(params["lease_wait"])
    with Progress(params["progress_path"], what="taking the lease") as progress:
        lease = leases.acquire(
            repository,
            component,
            params["run_id"],
            params["holder"] or describe_holder(params["run_id"]),
            _clock.parse_duration(params["lease_ttl"]),
            wait_s,
            leases.shown_in(progress, wait_s),
        )
    return {"changed": False, "lease": {"epoch": lease.epoch, "held": True}}


def _released(module: AnsibleModule, repository: Repository) -> dict[str, t.Any]:
    params = module.params
    component, run_id = params["component"], params["run_id"]
    if params["lease_confirm"]:
        epoch = _not_given_back(repository, component)
    else:
        epoch = None
        # Before it is looked up; a store may have to write for its own time, which check mode does not.
        now = _clock.now() if module.check_mode or run_id else repository.store.now()
        found = current_lease(repository, component)
        if found is not None and not found.released and run_id in (None, "", found.run_id):
            epoch = found.epoch
            if not run_id and found.held(now):
                raise _in_use(component, found)
    if epoch is not None and not module.check_mode:
        # The one that was looked at: somebody may have taken the next one since.
        leases.break_lease(repository, component, epoch)
    return {"changed": False, "released": epoch is not None, "lease": _found(repository, component)}


def _not_given_back(repository: Repository, component: str) -> int | None:
    """The epoch of the lease that stands in anybody's way; a damaged one does."""
    epoch = highest_epoch(repository, component)
    try:
        found = current_lease(repository, component)
    except IntegrityError:
        return epoch
    return None if found is None or found.released else found.epoch


def _in_use(component: str, found: LeaseState) -> Refused:
    return Refused(
        "whoever holds the lease would lose it",
        component,
        expected=f"lease_confirm={component}, once it is certain that the run is dead",
        found=f"no confirmation, and {found.described()}",
        next_command=f"if it is: the same command with --limit {component} -e lease_confirm={component}",
    )


def _found(repository: Repository, component: str) -> dict[str, t.Any] | None:
    try:
        found = current_lease(repository, component)
    except IntegrityError:  # in check mode only: a damaged one that would be released
        return None
    return None if found is None else {"epoch": found.epoch, "held": found.held(_clock.now())}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **LEASE_OPTIONS,
            "state": {"type": "str", "choices": ["held", "released"], "default": "held"},
            "component": {"type": "str", "required": True},
            "run_id": {"type": "str"},
            "lease_confirm": {"type": "str"},
            "progress_path": {"type": "path"},
            "holder": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
