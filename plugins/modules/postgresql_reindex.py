#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_reindex
short_description: Rebuild damaged PostgreSQL indexes from their tables
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Lets the named indexes be sound. Each is looked at with amcheck first, and only a damaged or invalid one is rebuilt.
  - Rebuilds concurrently, so that the application goes on, except for system catalogues and before PostgreSQL 12.
  - What a killed concurrent rebuild left behind is dropped.
  - An index is derived from its table, yet have a copy first; M(sre.runbooks.postgresql_copy) makes one.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
options:
  indexes:
    description:
      - The indexes, named as by M(sre.runbooks.postgresql_integrity_info).
    type: list
    elements: dict
    required: true
    suboptions:
      database:
        description:
          - The database that holds the index.
        type: str
        required: true
      name:
        description:
          - The index, with its schema where that is not on the search path.
        type: str
        required: true
  lock_timeout:
    description:
      - How long to wait for a lock, such as V(30s).
    type: str
    default: 30s
  progress_path:
    description:
      - A file in which the task keeps its progress for the screen.
    type: path
seealso:
  - module: sre.runbooks.postgresql_integrity_info
"""

EXAMPLES = r"""
- name: Rebuild an index if it is damaged
  sre.runbooks.postgresql_reindex:
    indexes:
      - database: flights
        name: flights_pkey
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
indexes:
  description: What was done to each index, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    database:
      description: The database.
      type: str
    name:
      description: The index.
      type: str
    action:
      description: V(reindexed), V(dropped) or V(kept).
      type: str
    reason:
      description: Why.
      type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.rebuild import rebuild
from ansible_collections.sre.runbooks.plugins.module_utils._module import POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    lock_timeout = int(parse_duration(params["lock_timeout"]) * 1000)
    with Progress(params["progress_path"]) as progress:
        done = [
            one
            for database, names in _by_database(params["indexes"]).items()
            for one in rebuild(address_from(params), database, names, lock_timeout, module.check_mode, progress)
        ]
    acted = [one for one in done if one.action != "kept"]
    return {
        "changed": bool(acted),
        "indexes": [vars(one) for one in done],
        "diff": {
            "before": "".join(f"{one.database}: {one.name}: {one.reason}\n" for one in acted),
            "after": "".join(f"{one.database}: {one.name}: {one.action}\n" for one in acted),
        },
    }


def _by_database(indexes: t.Sequence[dict[str, str]]) -> dict[str, list[str]]:
    """Database → its indexes, each once, in the order in which they were named."""
    found: dict[str, list[str]] = {}
    for index in indexes:
        names = found.setdefault(index["database"], [])
        if index["name"] not in names:
            names.append(index["name"])
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "indexes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "database": {"type": "str", "required": True},
                    "name": {"type": "str", "required": True},
                },
            },
            "lock_timeout": {"type": "str", "default": "30s"},
            "progress_path": {"type": "path"},
            **POSTGRESQL_OPTIONS,
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
