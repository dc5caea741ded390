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
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
  - zstandard
  - pg_dump, pg_restore and pg_dumpall of the server's major version or newer
  - age or pyrage, when O(encryption_recipients) is set
options:
  component:
    description:
      - Name of the component that is backed up.
    type: str
    required: true
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
  rpo:
    description:
      - The most time whose changes may be lost, such as V(24h).
    type: str
    default: 24h
  interval:
    description:
      - Time until the next scheduled backup begins. Half of O(rpo) by default.
    type: str
  force:
    description:
      - Take a recovery point however fresh the newest is.
    type: bool
    default: false
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
  compression_level:
    description:
      - Level of zstd.
    type: int
    default: 3
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

import contextlib
import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines.postgresql import (
    ENGINE,
    PostgresqlEngine,
    PostgresqlPlan,
)
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    LEASE_OPTIONS,
    POSTGRESQL_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import check_recipients
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.dump import DumpOptions
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import FIRST_STRICT, loads_into
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding, shown_in
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import unreadable_here
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    PointListing,
    begin_point,
    list_points,
    remove_incomplete,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
    open_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import with_signing
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


class Need:
    """Whether a recovery point is to be taken, and why."""

    def __init__(self, params: dict[str, t.Any], recipients: t.Sequence[str]) -> None:
        self._force = bool(params["force"])
        self._encrypted = bool(recipients)
        self.rpo_s = _clock.parse_duration(params["rpo"])
        self.interval_s = _clock.parse_duration(params["interval"]) if params["interval"] else self.rpo_s / 2

    def reason(self, newest: RecoveryPoint | None, plan: PostgresqlPlan, now: datetime.datetime) -> str | None:
        """Why one is to be taken; None when ``newest`` will still be within the RPO when the next run has ended."""
        if self._force:
            return "force was asked for"
        if newest is None:
            return "there is no recovery point"
        if not plan.covered_by(newest):
            return f"{newest.point_id} does not hold every database"
        if self._encrypted and not any("age" in stored.encoding for stored in newest.objects):
            return f"{newest.point_id} is not encrypted"
        # The next run begins after the interval and ends when it has taken as long as this one.
        age_then = newest.age_s(now) + self.interval_s + newest.duration_s
        if age_then > self.rpo_s:
            return (
                f"{newest.point_id} would be {_clock.format_duration(age_then)} old when the next backup has ended,"
                f" more than the RPO of {_clock.format_duration(self.rpo_s)}"
            )
        return None


def _described(point: RecoveryPoint | None) -> str:
    if point is None:
        return "no recovery point\n"
    return f"recovery point: {point.point_id}\nconsistency time: {_clock.format_time(point.consistency_time)}\n"


def _result(
    changed: bool, message: str, plan: PostgresqlPlan, before: RecoveryPoint | None, after: RecoveryPoint | None
) -> dict[str, t.Any]:
    expected = "recovery point: a new one\n" if changed and after is before else _described(after)
    return {
        "changed": changed,
        "message": message,
        "recovery_point": after.facts() if after is not None else None,
        "plan": {**plan.facts(), "estimated_duration_s": before.duration_s if before is not None else None},
        "diff": {"before": _described(before), "after": expected},
    }


def _options(params: dict[str, t.Any]) -> DumpOptions:
    if not 1 <= params["jobs"] <= 64:
        raise InvalidInput("not a number of jobs", expected="1 to 64", found=str(params["jobs"]))
    if not 1 <= params["compression_level"] <= 19:
        raise InvalidInput("not a level of zstd", expected="1 to 19", found=str(params["compression_level"]))
    return DumpOptions(
        jobs=params["jobs"],
        hash_policy=params["hash_policy"],
        hash_limit=params["hash_limit"],
        canary_schema=params["canary_schema"] if params["canary"] else None,
        lock_timeout_s=_clock.parse_duration(params["lock_timeout"]),
        scratch_dir=params["scratch_dir"],
        with_globals=params["globals"],
    )


def _listing(module: AnsibleModule, repository: Repository | None, component: str) -> PointListing:
    if repository is None:
        return PointListing(component)
    listing = list_points(repository, component)
    for damaged in listing.damaged:
        module.warn(f"{component}: recovery point {damaged.point_id} is damaged: {damaged.reason}")
    return listing


def _open(module: AnsibleModule) -> Repository | None:
    url, environment = module.params["repository"], module.params["environment_name"]
    if module.check_mode:
        # An earlier task of the same check may only have predicted the repository.
        return initialise_repository(url, environment, True, module.params["s3"])[0]
    return with_signing(open_repository(url, environment, module.params["s3"]), module.params)


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    recipients = check_recipients(params["encryption_recipients"])
    unreadable = unreadable_here(
        recipients, Identities(params["encryption_identity"], params["encryption_identity_file"])
    )
    if unreadable is not None:
        module.warn(f"{component}: {unreadable}")
    need, options = Need(params, recipients), _options(params)
    encoding = Encoding(recipients=recipients, level=params["compression_level"])
    repository = _open(module)
    engine = PostgresqlEngine(
        address_from(params), component, options, params["databases"], params["databases_excluded"], params["bin_dir"]
    )
    plan = engine.plan()
    if not loads_into(plan.tools.version[0], plan.major):
        module.warn(
            f"{component}: pg_dump {plan.tools.version_text} of a server {plan.major} cannot be restored into that version again, "
            f"only into {FIRST_STRICT} or newer; next: install postgresql-client-{plan.major}"
        )
    before = _listing(module, repository, component).newest()
    reason = need.reason(before, plan, _clock.now())
    if reason is None:
        return _result(False, "the newest recovery point is fresh enough", plan, before, before)
    if module.check_mode or repository is None:
        return _result(True, reason, plan, before, before)
    holder = describe_holder(params["run_id"])
    ttl, wait = _clock.parse_duration(params["lease_ttl"]), _clock.parse_duration(params["lease_wait"])
    with (
        Progress(params["progress_path"]) as progress,
        holding(repository, component, params["run_id"], holder, ttl, wait, shown_in(progress, wait)) as lease,
    ):
        # Somebody may have taken one while we waited.
        before = list_points(repository, component).newest()
        reason = need.reason(before, plan, _clock.now())
        if reason is None:
            return _result(False, "the newest recovery point is fresh enough", plan, before, before)
        removed = remove_incomplete(repository, component)
        recorder = Recorder(repository, params["run_id"], component)
        try:
            with recorder.step("back up", reason=reason) as step:
                writer = begin_point(repository, component, ENGINE, params["run_id"])
                point = engine.take(plan, writer, encoding, progress, recorder, lease.check)
                step.outcome = "changed"
                step.facts.update(recovery_point=point.point_id, size=point.size, duration_s=point.duration_s)
        except BaseException:
            # Space first: a full repository must not stay full of what nobody can use.
            with contextlib.suppress(RunbookError, OSError):
                lease.check()
                remove_incomplete(repository, component)
            raise
    _warn(module, point)
    return {**_result(True, reason, plan, before, point), "removed_incomplete": removed}


def _warn(module: AnsibleModule, point: RecoveryPoint) -> None:
    stored = point.content.get("globals")
    if stored and stored["problem"]:
        module.warn(f"{point.component}: {stored['problem']}")
    for entry in point.content["databases"]:
        canary = entry["canary"]
        if canary and canary["problem"]:
            module.warn(f"{point.component}: no canary in {entry['name']!r}: {canary['problem']}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **SIGNING_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **POSTGRESQL_OPTIONS,
            "component": {"type": "str", "required": True},
            "databases": {"type": "list", "elements": "str", "default": []},
            "databases_excluded": {"type": "list", "elements": "str", "default": []},
            "rpo": {"type": "str", "default": "24h"},
            "interval": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "jobs": {"type": "int", "default": 2},
            "hash_policy": {"type": "str", "choices": ["none", "auto", "all"], "default": "auto"},
            "hash_limit": {"type": "int", "default": 268435456},
            "canary": {"type": "bool", "default": True},
            "canary_schema": {"type": "str", "default": "sre_runbooks"},
            "globals": {"type": "bool", "default": True},
            "lock_timeout": {"type": "str", "default": "1m"},
            "scratch_dir": {"type": "path"},
            "compression_level": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
