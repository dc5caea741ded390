#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_integrity_info
short_description: Look through a PostgreSQL server for damage
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Looks at checksums, at the catalogue, for files that are missing, with amcheck at every B-tree and every table, and reads every row.
  - Says what is damaged, in which blocks, and what would mend it. It never fails for damage; RV(verdict) tells it.
  - Changes nothing and takes no lock that writers notice. Where the extension amcheck is not installed it is created in a transaction
    that is rolled back.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.info_module
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
options:
  databases:
    description:
      - The databases to look through; all that accept connections by default.
    type: list
    elements: str
    default: []
  depth:
    description:
      - V(quick) looks at checksums, the catalogue, files and invalid indexes.
      - V(structure) also looks into every B-tree and, from PostgreSQL 14 on, every table.
      - V(full) also reads every row.
    type: str
    choices: [quick, structure, full]
    default: full
  progress_path:
    description:
      - A file in which the task keeps its progress for the screen.
    type: path
seealso:
  - module: sre.runbooks.postgresql_reindex
  - module: sre.runbooks.postgresql_copy
"""

EXAMPLES = r"""
- name: Look for damage
  sre.runbooks.postgresql_integrity_info:
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
  register: integrity

- name: Go no further on a damaged server
  ansible.builtin.assert:
    that: integrity.verdict == 'sound'
"""

RETURN = r"""
verdict:
  description: V(sound), V(rebuildable) when only indexes are damaged, else V(damaged).
  returned: success
  type: str
findings:
  description: Everything that is wrong.
  returned: success
  type: list
  elements: dict
  contains:
    database:
      description: The database.
      type: str
    object:
      description: Qualified name of the relation, or what of the catalogue is concerned.
      type: str
    check:
      description: What found it, one of V(catalogue), V(file), V(index), V(heap), V(read).
      type: str
    detail:
      description: What is wrong, often in the server's own words.
      type: str
    repair:
      description: V(reindex), V(drop) for what a killed rebuild left, or V(restore).
      type: str
    blocks:
      description: Numbers of the damaged blocks, where they are known, at most 100.
      type: list
      elements: int
unchecked:
  description: What could not be looked at, and why. A sound verdict reaches only as far as this is empty.
  returned: success
  type: list
  elements: str
databases:
  description: The databases that were looked through.
  returned: success
  type: list
  elements: str
checksums:
  description: Whether the server's pages have checksums.
  returned: success
  type: bool
dangerous_settings:
  description: Settings with which a server damages itself or hides damage, and past checksum failures.
  returned: success
  type: list
  elements: str
indexes_count:
  description: How many indexes were looked into.
  returned: success
  type: int
tables_count:
  description: How many tables were looked into.
  returned: success
  type: int
bytes:
  description: Their size.
  returned: success
  type: int
duration_s:
  description: Seconds that it took.
  returned: success
  type: float
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.diagnosis import DEPTHS, diagnose
from ansible_collections.sre.runbooks.plugins.module_utils._module import POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    with Progress(params["progress_path"]) as progress:
        found = diagnose(address_from(params), params["databases"], params["depth"], progress)
    return {"changed": False, **found.facts()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "databases": {"type": "list", "elements": "str", "default": []},
            "depth": {"type": "str", "choices": list(DEPTHS), "default": "full"},
            "progress_path": {"type": "path"},
            **POSTGRESQL_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
