#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: repository
short_description: Make sure that an environment has a repository
version_added: 0.1.0
description:
  - Initialises the repository that keeps recovery points, proofs, leases and runs, or checks the one that is there.
  - A repository belongs to one environment. One of another environment, or a place that holds something else, is
    refused and left alone.
  - A repository on the file system that holds the data would be lost together with it, so that is refused too.
author: The sre.runbooks authors (@sre-runbooks)
options:
  state:
    description: The repository exists and can be written to.
    type: str
    choices: [present]
    default: present
  data_paths:
    description:
      - Directories that hold the data of the environment's components, on the host where this runs.
      - A repository on the file system of one of them is refused.
    type: list
    elements: path
    default: []
  require_immutable:
    description:
      - Refuse a repository whose content the identity used here could destroy, as M(sre.runbooks.repository_info) with
        O(sre.runbooks.repository_info#module:blast_radius=try) finds out. What it cannot find out does not count.
      - In check mode only what the store says of itself counts.
    type: bool
    default: false
  minimum_lock:
    description: For how long a new object has to be locked at least, for O(require_immutable).
    type: str
    default: 7d
  production_account:
    description: The account of what is backed up; with O(require_immutable) a bucket that belongs to it is refused.
    type: str
  allow_same_filesystem:
    description: Accept a repository on the file system of the data, knowing that losing the disk loses both.
    type: bool
    default: false
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.attributes
seealso:
  - module: sre.runbooks.repository_info
"""

EXAMPLES = r"""
- name: Make sure that there is a repository
  sre.runbooks.repository:
    repository: "{{ repository }}"
    environment_name: local

- name: Make sure that it does not share a disk with the data
  sre.runbooks.repository:
    repository: "{{ repository }}"
    environment_name: local
    data_paths:
      - "{{ directory }}"
    allow_same_filesystem: true # only for an environment that may be lost

- name: Refuse one that its own backup identity could destroy
  sre.runbooks.repository:
    repository: "{{ repository }}"
    environment_name: local
    require_immutable: "{{ repository is match('s3://') }}"
    minimum_lock: 30d
"""

RETURN = r"""
repository:
  description: The repository. In check mode, one that would be created has no id yet.
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
    same_filesystem:
      description: Those of O(data_paths) that share its file system.
      type: list
      elements: str
  sample:
    id: 26aa89b3-5650-467f-8142-f270e473fcbe
    url: file:///srv/repository
    environment: local
    free_bytes: 1048576000
    same_filesystem: []
blast_radius:
  description: As of M(sre.runbooks.repository_info), when it was asked for.
  returned: with O(require_immutable=true), for a repository that exists
  type: dict
diff:
  description: The repository's identity before and after.
  returned: always
  type: dict
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._module import REPOSITORY_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import (
    Demands,
    find_blast_radius,
    refuse_destroyable,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
    open_store,
    shared_file_systems,
)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    store = open_store(params["repository"], params["s3"])
    shared = shared_file_systems(store, params["data_paths"])
    if shared and not params["allow_same_filesystem"]:
        raise Refused(
            f"{store.url} is on the file system of the data",
            expected="a repository elsewhere",
            found=f"the same file system as {', '.join(shared)}",
            next_command="set repository_url to another place, or repository_allow_same_filesystem: true where both may be lost together",
        )
    environment = params["environment_name"]
    repository, created = initialise_repository(params["repository"], environment, module.check_mode, params["s3"])
    if repository is not None and not module.check_mode:
        repository.store.check_writable()
    identity = {"url": store.url, "environment": environment}
    return {
        "changed": created,
        **_blast_radius(module, repository),
        "repository": {
            **identity,
            "id": repository.id if repository else None,
            "free_bytes": repository.store.free_bytes() if repository else None,
            "same_filesystem": shared,
        },
        "diff": {"before": {} if created else identity, "after": identity},
    }


def _blast_radius(module: AnsibleModule, repository: Repository | None) -> dict[str, t.Any]:
    """Only of a repository that exists: a probe in an empty place would look like somebody's content."""
    params = module.params
    if not params["require_immutable"] or repository is None:
        return {}
    demands = Demands(
        minimum_lock=datetime.timedelta(seconds=_clock.parse_duration(params["minimum_lock"])),
        production_account=params["production_account"],
        data_paths=tuple(params["data_paths"]),
        trying=not module.check_mode,
    )
    radius = find_blast_radius(repository.store, demands)
    refuse_destroyable(repository.url, radius)
    return {"blast_radius": radius.facts()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "data_paths": {"type": "list", "elements": "path", "default": []},
            "allow_same_filesystem": {"type": "bool", "default": False},
            "require_immutable": {"type": "bool", "default": False},
            "minimum_lock": {"type": "str", "default": "7d"},
            "production_account": {"type": "str"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
