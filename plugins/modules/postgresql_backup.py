#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_backup
short_description: Make sure that a fresh recovery point of a PostgreSQL server exists
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Takes a logical recovery point of a server's databases with the server's own C(pg_dump), unless the newest one will
    still be within the RPO when the next scheduled run ends.
  - Each database is dumped in one snapshot, in which its rows are also counted and, by O(hash_policy), hashed. Objects
    are compressed, encrypted for O(encryption_recipients), and leave for the repository while the dump still runs.
  - The manifest is written last. A backup that fails or is killed leaves no recovery point; what it left is removed
    by the next one.
  - Needs a role with C(BYPASSRLS) (or a superuser) that may read everything, such as a member of C(pg_read_all_data),
    and a direct connection, not one through a pooler.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.backup
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
  - zstandard
  - pg_dump, pg_restore and pg_dumpall of the server's major version or newer
  - age or pyrage, when O(encryption_recipients) is set
options:
  databases:
    description:
      - Databases to back up. Without any, all but templates, databases that a restore prepares or keeps aside, and a
        maintenance database (O(login_db)) that holds no tables of its users.
    type: list
    elements: str
    default: []
  databases_excluded:
    description:
      - Databases to leave out.
    type: list
    elements: str
    default: []
  jobs:
    description:
      - Number of tables dumped (and counted) at once.
    type: int
    default: 2
  hash_policy:
    description:
      - Which tables' content is hashed in the snapshot, so that a restore can be compared by more than counts.
      - V(auto) hashes tables up to O(hash_limit).
    type: str
    choices: [none, auto, all]
    default: auto
  hash_limit:
    description:
      - Bytes of a table up to which V(auto) hashes it.
    type: int
    default: 268435456
  canary:
    description:
      - Write a row into each database just before its snapshot, which is sought after a restore. Never on a standby.
    type: bool
    default: true
  canary_schema:
    description:
      - Schema of the canary's small table; made when missing.
    type: str
    default: sre_runbooks
  globals:
    description:
      - Also store roles and tablespaces (C(pg_dumpall --globals-only)). Password hashes are included only when
        O(encryption_recipients) is set and the role is a superuser.
    type: bool
    default: true
  lock_timeout:
    description:
      - How long to wait for a table that somebody holds exclusively.
    type: str
    default: 1m
  scratch_dir:
    description:
      - Directory for what C(pg_dump) has written and the repository has not taken yet. It needs room for about the
        largest tables that are dumped at once. By default the directory of temporary files.
    type: path
seealso:
  - module: sre.runbooks.recovery_point_verify
  - module: sre.runbooks.postgresql_restore
  - module: sre.runbooks.postgresql_drill
"""

EXAMPLES = r"""
- name: Make sure that a fresh recovery point exists
  sre.runbooks.postgresql_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    rpo: 1h
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"

- name: Take one now, of two databases, encrypted
  sre.runbooks.postgresql_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    databases: [flights, "Another one"]
    force: true
    hash_policy: all
    encryption_recipients: "{{ encryption_recipients }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
recovery_point:
  description: The newest recovery point, just taken or fresh enough; null in check mode when there is none yet.
  returned: success
  type: dict
  sample:
    point_id: 20261121T051000Z-a1b2
    component: flights_db
    consistency_time: "2026-11-21T05:10:00.123456Z"
    duration_s: 4.2
    level: taken
plan:
  description: What the server holds and what backs it up.
  returned: success
  type: dict
  contains:
    databases:
      description: Names of the databases.
      type: list
      elements: str
    size:
      description: Their bytes on the server.
      type: int
    server_version:
      description: Version of the server.
      type: str
    tool_version:
      description: Version of C(pg_dump).
      type: str
    estimated_duration_s:
      description: Seconds that the last recovery point took; null when there is none.
      type: float
message:
  description: Why a recovery point was taken (or would be), or why none is needed.
  returned: success
  type: str
removed_incomplete:
  description: Ids of the remains of killed backups that were removed.
  returned: when a recovery point was taken
  type: list
  elements: str
diff:
  description: The newest recovery point before and after.
  returned: success
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._engines.postgresql import PostgresqlEngine
from ansible_collections.sre.runbooks.plugins.module_utils._engines.taking import BACKUP_OPTIONS, keep_fresh
from ansible_collections.sre.runbooks.plugins.module_utils._module import POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.dump import DumpOptions
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component


def engine_from(params: dict[str, t.Any]) -> PostgresqlEngine:
    """The engine that the options mean. Raises :class:`InvalidInput`."""
    options = DumpOptions(
        jobs=require_jobs(params["jobs"]),
        hash_policy=params["hash_policy"],
        hash_limit=params["hash_limit"],
        canary_schema=params["canary_schema"] if params["canary"] else None,
        lock_timeout_s=_clock.parse_duration(params["lock_timeout"]),
        scratch_dir=params["scratch_dir"],
        with_globals=params["globals"],
    )
    return PostgresqlEngine(
        address_from(params),
        check_component(params["component"]),
        options,
        params["databases"],
        params["databases_excluded"],
        params["bin_dir"],
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    return keep_fresh(module, engine_from(module.params))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **BACKUP_OPTIONS,
            **POSTGRESQL_OPTIONS,
            "databases": {"type": "list", "elements": "str", "default": []},
            "databases_excluded": {"type": "list", "elements": "str", "default": []},
            "jobs": {"type": "int", "default": 2},
            "hash_policy": {"type": "str", "choices": ["none", "auto", "all"], "default": "auto"},
            "hash_limit": {"type": "int", "default": 268435456},
            "canary": {"type": "bool", "default": True},
            "canary_schema": {"type": "str", "default": "sre_runbooks"},
            "globals": {"type": "bool", "default": True},
            "lock_timeout": {"type": "str", "default": "1m"},
            "scratch_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
