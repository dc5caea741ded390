#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_copy
short_description: Copy a PostgreSQL server's files as they are, damage included
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Makes a physical copy for an inquiry, before anybody works on what may be the only one.
  - A server that answers is copied with C(pg_basebackup), which is told not to stop at broken checksums. A server that
    does not run is copied file by file from O(data_dir).
  - The copy has its name only when it is whole. A copy that is there already is kept, however old it is.
  - This is no recovery point, and nothing is restored from it.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
  - pg_basebackup
options:
  dest:
    description:
      - The directory to make, on the host of the task.
    type: path
    required: true
  data_dir:
    description:
      - The data directory of a server that does not run.
    type: path
  progress_path:
    description:
      - A file in which the task keeps its progress for the screen.
    type: path
seealso:
  - module: sre.runbooks.postgresql_integrity_info
"""

EXAMPLES = r"""
- name: Copy first
  sre.runbooks.postgresql_copy:
    dest: "{{ copy_dir }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
copy:
  description: What the copy is; in check mode, of the one that would be made.
  returned: success
  type: dict
  contains:
    taken:
      description: When it was made; not of one that would be made.
      type: str
    method:
      description: V(online) through the server, V(offline) from its files.
      type: str
    size:
      description: Bytes.
      type: int
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.copy import existing, make, plan
from ansible_collections.sre.runbooks.plugins.module_utils._module import POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    there = existing(params["dest"])
    if there is not None:
        return {"changed": False, "copy": there}
    address = address_from(params)
    chosen = plan(address, params["data_dir"], params["bin_dir"])
    copy: dict[str, t.Any] = {"method": chosen.method, "size": chosen.size}
    if not module.check_mode:
        with Progress(params["progress_path"]) as progress:
            copy = make(chosen, address, params["data_dir"], params["dest"], progress)
    return {
        "changed": True,
        "copy": copy,
        "diff": {"before": "", "after": f"{params['dest']}: a copy of {copy['size']} bytes, made {copy['method']}\n"},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "dest": {"type": "path", "required": True},
            "data_dir": {"type": "path"},
            "progress_path": {"type": "path"},
            **POSTGRESQL_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
