#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_pitr_restore
short_description: Bring a PostgreSQL server back to a moment
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Recovers a whole server (a cluster) to the newest archived moment, to a time, a position in its log, a transaction or
    a named restore point, from the base backups and the log that M(sre.runbooks.postgresql_pitr_backup) and
    M(sre.runbooks.postgresql_archiving) keep with pgBackRest.
  - Looks through the archived log first. PostgreSQL takes a hole in it for its end, recovers to there and calls that a
    success; here a hole before the target is refused with the name of the segment and the newest moment that can be
    reached, before anything is touched.
  - Restores into C(<data_dir>__restoring) beside the live data and replays there on a private server (no TCP, nothing
    archived). Every segment is compared with the hash that its name carries.
  - Shows from the server's own words that it stopped at the target. A log that ended before is a failure.
  - Asks O(assertions), and only then stops the live server, lets the directories change places, and starts it again.
    What was live before stays as C(<data_dir>__before_<time>) until it is released. When the restored server does not
    come up, the former data are put back.
  - A failure before that leaves the live data as they were. Killed at any moment and run again, it converges.
  - A second run with the same target changes nothing while the data directory is the one that was restored; see O(force).
  - With O(only_missing), a server that is there and holds something is left as it is.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.pitr
  - sre.runbooks.restore
  - sre.runbooks.restore.kept
  - sre.runbooks.assertions
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
  - pgbackrest >= 2.41
  - PostgreSQL's server programs of the backup's major version, 12 or newer
options:
  target_time:
    description:
      - Recover to this moment, in ISO 8601. Everything that was committed by then is there, nothing later.
    type: str
  target_lsn:
    description:
      - Recover to this position in the log, such as V(16/B374D848).
      - A position that the server told (C(pg_current_wal_lsn())) is the start of the next record; with
        O(target_inclusive=false) that record is left out.
    type: str
  target_xid:
    description:
      - Recover to the end of this transaction.
    type: str
  target_name:
    description:
      - Recover to the restore point of this name (C(pg_create_restore_point)).
    type: str
  target_immediate:
    description:
      - Recover to the end of the base backup, and no further.
    type: bool
    default: false
  target_inclusive:
    description:
      - Whether what happened at the very target is still wanted.
    type: bool
    default: true
  target_timeline:
    description:
      - Along which timeline. V(latest), V(current) (that of the base backup) or a number, such as that of a former life
        of the server which an earlier restore abandoned.
    type: str
    default: latest
  data_dir:
    description:
      - The server's data directory. By default, what the running server says. It is neither a link nor a mount point.
    type: path
  start_command:
    description:
      - Command and arguments that start the server, such as C(systemctl start postgresql@15-main).
      - Not needed for servers of M(sre.runbooks.postgresql_instance).
    type: list
    elements: str
    default: []
  stop_command:
    description:
      - Command and arguments that stop it.
    type: list
    elements: str
    default: []
  recovery_point:
    description:
      - The identifier of the recovery point to start from, or V(newest) for the newest one that lies before the target.
    type: str
    default: newest
  fallback_points:
    description:
      - With O(recovery_point=newest), how many older ones may be tried when one turns out to be damaged, or when a
        transaction or name is not behind it.
    type: int
    default: 2
  settings:
    description:
      - Settings of the private server on which the log is replayed, such as C(shared_preload_libraries) of an extension
        that O(assertions) use. Its own configuration files are not read.
    type: dict
    default: {}
  jobs:
    description:
      - Number of files restored at once.
    type: int
    default: 2
  timeout:
    description:
      - The most time that replaying the log may take, such as V(12h).
    type: str
    default: 1d
  server_timeout:
    description:
      - The most time that the server may take to stop or to start.
    type: str
    default: 5m
  verify_archiving:
    description:
      - Whether a segment of the new timeline is sent to the archive at the end, to show that archiving goes on.
    type: bool
    default: true
  archive_timeout:
    description:
      - How long to wait for that segment.
    type: str
    default: 60s
notes:
  - The module runs on the server's host, as the server's account or as root.
  - C(<data_dir>.pitr.json) beside the data directory says what was restored, what is kept, and what is under way.
  - The live server's configuration files are kept; those of the moment that is restored are not taken over.
  - A cluster with tablespaces is refused. A drill restores it.
seealso:
  - module: sre.runbooks.postgresql_pitr_drill
  - module: sre.runbooks.postgresql_archiving
  - module: sre.runbooks.postgresql_restore
"""

EXAMPLES = r"""
- name: Bring the server back to just before the accident
  sre.runbooks.postgresql_pitr_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    cipher_pass_file: "{{ cipher_pass_file }}"
    target_time: "{{ target_time }}"
    confirm: ledger_db
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"

- name: Delete the data that former restores kept
  sre.runbooks.postgresql_pitr_restore:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    release: true
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
message:
  description: What was done, in words.
  returned: success
  type: str
recovery_point:
  description: The base that recovery started from, as M(sre.runbooks.recovery_point_info) returns it; null when nothing was to do.
  returned: when not only releasing
  type: dict
plan:
  description: Target, base, timeline, the audit of the log with its faults, and the newest transaction where it was looked for.
  returned: when something was (or would be) restored
  type: dict
proof:
  description: Target, why the server stopped, what it had reached, the newest heartbeat, the answers to the assertions.
  returned: when something was restored
  type: dict
timeline:
  description: The timeline that the restored server writes.
  returned: when something was restored
  type: int
choices:
  description: The recovery points that were considered, with V(outcome) (chosen, damaged, failed, unusable) and the reason.
  returned: when something was (or would be) restored
  type: list
  elements: dict
passed_over:
  description: The same in sentences, for those that were not chosen.
  returned: when something was (or would be) restored
  type: list
  elements: str
rpo_measured_s:
  description: With the newest moment as target, seconds between the newest heartbeat that is there and the last that was written.
  returned: when something was restored
  type: float
rto_measured_s:
  description: Seconds from the start of the task to the moment when the restored server answered.
  returned: when something was restored
  type: float
durations:
  description: Seconds per phase (audit the log, restore base backup, replay, assert, promote, swap, archive the new timeline).
  returned: when something was restored
  type: dict
kept_as:
  description: Where the former data are.
  returned: when something was restored
  type: str
archived:
  description: The heartbeat and the segment that showed that the new timeline is archived.
  returned: when something was restored
  type: dict
kept:
  description: Data directories that restores have put aside and that are still there.
  returned: success
  type: list
  elements: dict
released:
  description: Those of them that were (in check mode, would be) deleted.
  returned: success
  type: list
  elements: dict
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
from ansible_collections.sre.runbooks.plugins.module_utils._module import PITR_OPTIONS, POSTGRESQL_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import Access
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import passphrases
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore import PitrRequest, PitrRestore
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import target_from
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from

#: Options that mean the same in the request.
_SAME = ("data_dir", "assertions", "start_command", "stop_command", "settings", "verify_archiving", "bin_dir")
_DURATIONS = ("timeout", "server_timeout", "archive_timeout")


def request_from(params: dict[str, t.Any]) -> PitrRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    durations: dict[str, t.Any] = {name: _clock.parse_duration(params[name]) for name in _DURATIONS}
    return PitrRequest(
        **wanted(params),
        target=target_from(params),
        jobs=require_jobs(params["jobs"]),
        release_after=kept_wanted(params),
        **{name: params[name] for name in _SAME},
        **durations,
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    request, address = request_from(params), address_from(params)
    access = Access(params["repository"], request.component, passphrases(params), params["s3"])

    def make(means: Means) -> PitrRestore:
        return PitrRestore(request, means.repository, access, address, means.phases, means.progress)

    return restore_or_release(module, request.component, make, lambda result: describe_difference(request, result))


def describe_difference(request: PitrRequest, result: dict[str, t.Any]) -> dict[str, str]:
    """The data and what is kept of them, before and after."""
    before = [f"{item['path']}: kept" for item in result["released"]]
    after = []
    if result["changed"] and result.get("plan"):
        before.append("data: as they are now")
        after.append(f"data: as at {request.target.words()}, from {result['recovery_point']['point_id']}")
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **RESTORE_OPTIONS,
            **KEPT_OPTIONS,
            **PITR_OPTIONS,
            **POSTGRESQL_OPTIONS,
            **ASSERTION_OPTIONS,
            "target_time": {"type": "str"},
            "target_lsn": {"type": "str"},
            "target_xid": {"type": "str"},
            "target_name": {"type": "str"},
            "target_immediate": {"type": "bool", "default": False},
            "target_inclusive": {"type": "bool", "default": True},
            "target_timeline": {"type": "str", "default": "latest"},
            "data_dir": {"type": "path"},
            "start_command": {"type": "list", "elements": "str", "default": []},
            "stop_command": {"type": "list", "elements": "str", "default": []},
            "settings": {"type": "dict", "default": {}},
            "jobs": {"type": "int", "default": 2},
            "timeout": {"type": "str", "default": "1d"},
            "server_timeout": {"type": "str", "default": "5m"},
            "verify_archiving": {"type": "bool", "default": True},
            "archive_timeout": {"type": "str", "default": "60s"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
