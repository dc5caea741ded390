#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_restore
short_description: Make a PostgreSQL server's databases equal to a recovery point
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Loads the newest recovery point that verifies now (or a named one) into C(<database>__restoring) beside the live
    database, gives it what belongs to a database (owner, locale, settings, rights, comment), collects statistics,
    compares it with everything that was measured when it was backed up, and asks O(assertions).
  - Only then the databases change places, by renames in one transaction. What was live before stays as
    C(<database>__before_<point>), closed to connections, until it is released.
  - Refuses beforehand what would fail (space, version, extensions, locales, roles, tablespaces, rights), a server that is
    marked as another environment's (M(sre.runbooks.environment_marker)), and live databases without O(confirm).
  - When the newest point turns out to be damaged, or does not hold what it should, the next older one is tried, and
    RV(choices) says what each choice loses.
  - A failure leaves the live databases as they were. Killed at any moment and run again, it converges.
  - A second run changes nothing while the databases are those restored from that point; see O(force).
  - With O(only_missing), databases that are there and satisfy O(assertions) are left as they are; when one is missing, all
    are restored.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.encryption
  - sre.runbooks.restore
  - sre.runbooks.restore.kept
  - sre.runbooks.assertions
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
  - zstandard
  - pg_restore of the server's major version or newer
  - age or pyrage, for encrypted recovery points
options:
  databases:
    description:
      - Databases to restore. Without any, all of the recovery point. All that are named change places together.
    type: list
    elements: str
    default: []
  before:
    description:
      - Only points that show this moment or an earlier one, in ISO 8601.
    type: str
  jobs:
    description:
      - Number of tables loaded, analysed and compared at once.
    type: int
    default: 4
  target_suffix:
    description:
      - Restore into databases of another name, the recorded one with this at its end, and leave the live ones alone.
    type: str
    default: ""
  create_roles:
    description:
      - Create recorded roles that the server lacks. Existing roles are not altered.
    type: bool
    default: false
  restore_globals:
    description:
      - V(missing) is the same as O(create_roles=true).
      - V(all) also makes existing roles and tablespaces as recorded, on a server that is empty; on another one it acts as
        V(missing). The role that is logged in is never altered.
    type: str
    choices: [never, missing, all]
    default: never
  tablespaces:
    description:
      - V(recorded) puts everything where it was, V(default) into the server's default tablespace.
    type: str
    choices: [recorded, default]
    default: recorded
  subscriptions:
    description:
      - Restore subscriptions (disabled, as C(pg_dump) writes them). By default they are left out and reported.
    type: bool
    default: false
  scratch_dir:
    description:
      - Directory for the decoded objects while they are loaded. By default that of temporary files.
    type: path
notes:
  - The database that the module is logged in to (O(login_db)) holds the bookkeeping and cannot be replaced itself.
  - Databases that are not in the recovery point are left alone.
seealso:
  - module: sre.runbooks.postgresql_backup
  - module: sre.runbooks.postgresql_drill
  - module: sre.runbooks.environment_marker
"""

EXAMPLES = r"""
- name: Restore the newest recovery point that verifies
  sre.runbooks.postgresql_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    confirm: flights_db
    assertions:
      - name: every flight of 2013 is there
        database: flights
        query: SELECT count(*) FROM flights
        expected: "336776"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"

- name: Look at the content of a recovery point beside the live database
  sre.runbooks.postgresql_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    databases: [flights]
    target_suffix: _yesterday
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"

- name: Drop what former restores kept
  sre.runbooks.postgresql_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    release: true
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
message:
  description: What was done, in words; with a restore, what the chosen recovery point does not hold.
  returned: success
  type: str
recovery_point:
  description: The point that the databases show, as M(sre.runbooks.recovery_point_info) returns it.
  returned: when not only releasing
  type: dict
databases:
  description: Per restored database its names, what was kept, sessions that were ended, rows and tables.
  returned: success
  type: list
  elements: dict
  sample:
    - database: flights
      restored_as: flights
      kept_as: flights__before_20261121T051000Z-a1b2
      sessions_ended: 3
      left_out: []
      refused_settings: []
      tables: 6
      rows: 361234
      hashed: 6
      sequences: 1
      large_objects: 0
choices:
  description: The points that were considered, with V(outcome) (chosen, damaged, failed), the reason, and V(loses_s).
  returned: when not only releasing
  type: list
  elements: dict
durations:
  description: Seconds per phase (check, read, roles, load, analyze, assert, swap).
  returned: when something was restored
  type: dict
rto_measured_s:
  description: Seconds from the start of the task to the moment when the restored databases were in place.
  returned: when something was restored
  type: float
proof:
  description: What was compared and asked, canaries included.
  returned: when something was restored
  type: dict
kept:
  description: What restores of the component have put aside and is still there.
  returned: success
  type: list
  elements: dict
released:
  description: What was (in check mode, would be) dropped of it.
  returned: success
  type: list
  elements: dict
created_roles:
  description: Roles (and tablespaces) that were created.
  returned: when something was restored
  type: list
  elements: str
altered_roles:
  description: Existing roles that were made as recorded.
  returned: when something was restored
  type: list
  elements: str
left_behind:
  description: Replication slots, subscriptions, publications and scheduled jobs of the databases that were put aside.
  returned: when something was restored
  type: dict
differences:
  description: What is not as it was on purpose, such as newer versions of extensions.
  returned: when something was restored
  type: list
  elements: str
unchecked:
  description: What could not be checked beforehand.
  returned: when something was restored
  type: list
  elements: str
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import ASSERTION_OPTIONS, Means, require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._engines.restoring import (
    KEPT_OPTIONS,
    RESTORE_OPTIONS,
    kept_wanted,
    restore_or_release,
    wanted,
)
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    POSTGRESQL_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.restore import Restore
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.restore_target import RestoreRequest

#: Options that mean the same in the request.
_SAME = (
    "databases",
    "target_suffix",
    "assertions",
    "create_roles",
    "restore_globals",
    "tablespaces",
    "subscriptions",
    "scratch_dir",
    "bin_dir",
)


def request_from(params: dict[str, t.Any]) -> RestoreRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    return RestoreRequest(
        **wanted(params),
        jobs=require_jobs(params["jobs"]),
        before=_clock.parse_time(params["before"], "before") if params["before"] else None,
        release_after=kept_wanted(params),
        **{name: params[name] for name in _SAME},
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    request, address = request_from(module.params), address_from(module.params)

    def make(means: Means) -> Restore:
        return Restore(request, means.repository, address, means.identities, means.phases, means.progress)

    return restore_or_release(module, request.component, make, describe_difference)


def describe_difference(result: dict[str, t.Any]) -> dict[str, str]:
    """The databases and what is kept of them, before and after."""
    before = [f"{item['restored_as']}: live" for item in result["databases"] if item["kept_as"]]
    after = [
        f"{item['restored_as']}: recovery point {result['recovery_point']['point_id']}" for item in result["databases"]
    ]
    after += [f"{item['kept_as']}: kept" for item in result["databases"] if item["kept_as"]]
    before += [f"{item['kept_as']}: kept" for item in result["released"]]
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **RESTORE_OPTIONS,
            **KEPT_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **POSTGRESQL_OPTIONS,
            **ASSERTION_OPTIONS,
            "databases": {"type": "list", "elements": "str", "default": []},
            "before": {"type": "str"},
            "jobs": {"type": "int", "default": 4},
            "target_suffix": {"type": "str", "default": ""},
            "create_roles": {"type": "bool", "default": False},
            "restore_globals": {"type": "str", "choices": ["never", "missing", "all"], "default": "never"},
            "tablespaces": {"type": "str", "choices": ["recorded", "default"], "default": "recorded"},
            "subscriptions": {"type": "bool", "default": False},
            "scratch_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
