#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_pitr_drill
short_description: Prove that a PostgreSQL server can be brought back to any moment
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Looks through the archived log for holes, picks a random moment in it, restores a base backup into a scratch directory,
    replays the log to that moment on a private server, shows that it stopped there, asks O(assertions), times it against
    O(rto), and removes everything.
  - The private server has no TCP, archives nothing, replicates nothing and runs no scheduler.
  - Writes what it found as proofs V(restored) and V(asserted) of the recovery point that it started from.
  - Does nothing when a recovery point has been asserted within O(drill_interval).
  - The moment is a random one, so O(assertions) have to hold at every moment.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.pitr
  - sre.runbooks.drill
  - sre.runbooks.assertions
requirements:
  - psycopg >= 3.1
  - pgbackrest >= 2.41
  - PostgreSQL's server programs of the backup's major version, 12 or newer
options:
  target:
    description:
      - V(random) picks a moment between the end of the last but one base backup and the last archived transaction.
      - V(newest) replays all that was archived.
    type: str
    choices: [random, newest]
    default: random
  seed:
    description:
      - Makes the random moment repeatable. By default a new one, which RV(seed) tells.
    type: int
  target_time:
    description:
      - That moment instead of O(target), in ISO 8601.
    type: str
  recovery_point:
    description:
      - The identifier of the recovery point to start from, or V(newest) for the newest one that lies before the target.
    type: str
    default: newest
  drill_interval:
    description:
      - Do nothing while the last success is younger than this, such as V(7d). V(0) always drills.
    type: str
    default: 7d
  settings:
    description:
      - Settings of the private server, such as C(shared_preload_libraries) of an extension that O(assertions) use.
    type: dict
    default: {}
  login_user:
    description:
      - A role of the server that may read everything, best a superuser. No password is needed.
    type: str
    default: postgres
  login_db:
    description:
      - The server's maintenance database, which holds the heartbeats.
    type: str
    default: postgres
  jobs:
    description:
      - Number of files restored at once.
    type: int
    default: 2
  timeout:
    description:
      - The most time that replaying the log may take.
    type: str
    default: 1d
  scratch_dir:
    description:
      - Directory below which the scratch copy lies. By default that of temporary files.
    type: path
  bin_dir:
    description:
      - Directory of the server's programs. Without it, it is looked for on E(PATH) and in the places of distributions.
    type: path
seealso:
  - module: sre.runbooks.postgresql_pitr_restore
  - module: sre.runbooks.postgresql_drill
"""

EXAMPLES = r"""
- name: Prove once a week that any moment can be returned to
  sre.runbooks.postgresql_pitr_drill:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    cipher_pass_file: "{{ cipher_pass_file }}"
    drill_interval: 7d
    rto: 15m
"""

RETURN = r"""
message:
  description: What was found out, in words.
  returned: success
  type: str
skipped_reason:
  description: Why nothing was done; empty when something was.
  returned: success
  type: str
recovery_point:
  description: The base that recovery started from, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
target:
  description: The moment that was restored.
  returned: when a drill took place
  type: dict
seed:
  description: What made it random.
  returned: when not skipped
  type: int
window:
  description: Between which moments it was picked; null when it was named.
  returned: when not skipped
  type: dict
plan:
  description: Target, base, timeline, and the audit of the log.
  returned: when not skipped
  type: dict
proof:
  description: Why the server stopped, what it had reached, the newest heartbeat, the answers to the assertions.
  returned: when a drill took place
  type: dict
rto_measured_s:
  description: Seconds from the first byte to the last assertion; of the last drill when skipped.
  returned: when not in check mode
  type: float
rto_met:
  description: Whether that is within O(rto); null without one.
  returned: when not in check mode
  type: bool
durations:
  description: Seconds per phase (audit the log, restore base backup, replay, assert).
  returned: when a drill took place
  type: dict
hardware:
  description: On what it was measured.
  returned: when not in check mode
  type: dict
server_version:
  description: Version of the server whose backup it is.
  returned: when a drill took place
  type: str
not_durable:
  description: Settings of the private server that a production server does not have.
  returned: when a drill took place
  type: list
  elements: str
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import secrets
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import ASSERTION_OPTIONS, Means, require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._engines.drilling import DRILL_OPTIONS, drill, wanted
from ansible_collections.sre.runbooks.plugins.module_utils._module import PITR_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import Access
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import passphrases
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.drill import PitrDrill, PitrDrillRequest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target, target_from


def request_from(params: dict[str, t.Any]) -> PitrDrillRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    target: Target | None = Target("newest") if params["target"] == "newest" else None
    if params["target_time"]:
        target = target_from(params)
    return PitrDrillRequest(
        **wanted(params),
        seed=secrets.randbelow(1 << 31) if params["seed"] is None else params["seed"],
        target=target,
        jobs=require_jobs(params["jobs"]),
        timeout=_clock.parse_duration(params["timeout"]),
        assertions=params["assertions"],
        settings=params["settings"],
        role=params["login_user"],
        login_db=params["login_db"],
        scratch_dir=params["scratch_dir"],
        bin_dir=params["bin_dir"],
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    request = request_from(params)
    access = Access(params["repository"], request.component, passphrases(params), params["s3"])

    def make(means: Means) -> PitrDrill:
        return PitrDrill(request, means.repository, access, means.phases, means.progress)

    return drill(module, request.component, make)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **DRILL_OPTIONS,
            **PITR_OPTIONS,
            **ASSERTION_OPTIONS,
            "target": {"type": "str", "choices": ["random", "newest"], "default": "random"},
            "seed": {"type": "int"},
            "target_time": {"type": "str"},
            "drill_interval": {"type": "str", "default": "7d"},
            "settings": {"type": "dict", "default": {}},
            "login_user": {"type": "str", "default": "postgres"},
            "login_db": {"type": "str", "default": "postgres"},
            "jobs": {"type": "int", "default": 2},
            "timeout": {"type": "str", "default": "1d"},
            "scratch_dir": {"type": "path"},
            "bin_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
