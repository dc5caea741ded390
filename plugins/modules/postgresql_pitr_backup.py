#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_pitr_backup
short_description: Make sure that a PostgreSQL server's archive is within its RPO and that backups to start from are fresh
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - For a server that M(sre.runbooks.postgresql_archiving) has set up. The RPO is the archive's matter, so every call writes
    a heartbeat, ends the segment and waits until it is in the repository.
  - Takes a full, differential or incremental backup with pgBackRest when one is due, and enters it into the catalogue as
    a recovery point. Its data stays in pgBackRest's own repository.
  - A backup that a killed run left without a recovery point is adopted. A recovery point whose backup is gone is named and
    marked as damaged.
  - Runs on the server's own host, as the server's account or as root.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.repository
  - sre.runbooks.signing
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.backup.due
  - sre.runbooks.postgresql
requirements:
  - psycopg >= 3.1
  - pgbackrest >= 2.41, of a release that knows the server's major version
options:
  type:
    description:
      - The kind of backup; V(auto) takes the largest that is due.
      - Without a usable full backup it is a full one in any case.
    type: str
    choices: [auto, full, differential, incremental]
    default: auto
  rpo:
    description:
      - The most time whose changes may be lost, such as V(10m).
    type: str
    default: 10m
  full_interval:
    description:
      - How old the newest full backup may become.
    type: str
    default: 7d
  differential_interval:
    description:
      - How old the newest full or differential backup may become.
    type: str
    default: 1d
  incremental_interval:
    description:
      - How old the newest backup of any kind may become. The older it is, the more log a restore has to replay.
    type: str
    default: 6h
  jobs:
    description:
      - Number of processes that copy and compress.
    type: int
    default: 2
  timeout:
    description:
      - How long to wait for the heartbeat's segment, such as V(60s).
    type: str
    default: 60s
  config_dir:
    description:
      - As for M(sre.runbooks.postgresql_archiving).
    type: path
seealso:
  - module: sre.runbooks.postgresql_archiving
  - module: sre.runbooks.postgresql_backup
  - module: sre.runbooks.recovery_point_verify
"""

EXAMPLES = r"""
- name: Make sure that the archive and its backups are fresh
  sre.runbooks.postgresql_pitr_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    rpo: 1m
    config_dir: "{{ config_dir }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"

- name: Take a full backup now
  sre.runbooks.postgresql_pitr_backup:
    repository: "{{ repository }}"
    environment_name: local
    component: ledger_db
    type: full
    force: true
    config_dir: "{{ config_dir }}"
    login_host: "{{ login_host }}"
    login_port: "{{ login_port }}"
    login_user: "{{ login_user }}"
    login_password_file: "{{ login_password_file }}"
"""

RETURN = r"""
recovery_point:
  description: The newest recovery point of this server, just taken or fresh enough; null in check mode when there is none.
  returned: success
  type: dict
  sample:
    point_id: 20261121T051000Z-a1b2
    component: ledger_db
    consistency_time: "2026-11-21T05:10:00.000000Z"
    level: taken
type:
  description: The kind of backup that was taken (or would be); null when none is due.
  returned: success
  type: str
message:
  description: Why a backup was taken (or would be), or why none is needed.
  returned: success
  type: str
archive:
  description: What the archive held, in check mode without having been asked to take more.
  returned: success
  type: dict
  contains:
    lag_before_s:
      description: Seconds of changes that a disaster would have lost when the task began; null when nothing had been archived.
      type: float
    within_rpo:
      description: Whether that was within O(rpo).
      type: bool
    segment:
      description: The segment that was ended and found in the repository; null in check mode.
      type: str
    heartbeat:
      description: The row written before it; null in check mode.
      type: dict
adopted:
  description: Ids of recovery points made for backups that a killed run had left without one (in check mode, their labels).
  returned: success
  type: list
  elements: str
missing_backups:
  description: A sentence for each recovery point whose backup is gone.
  returned: success
  type: list
  elements: str
plan:
  description: What the server holds and where it archives to.
  returned: success
  type: dict
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
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._engines import taking
from ansible_collections.sre.runbooks.plugins.module_utils._engines.acting import require_jobs
from ansible_collections.sre.runbooks.plugins.module_utils._engines.postgresql_pitr import (
    ENGINE,
    PitrPlan,
    PostgresqlPitrEngine,
)
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    LEASE_OPTIONS,
    POSTGRESQL_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import catalogue, schedule, switch
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import Backup
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from, connect
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    begin_point,
    list_points,
    remove_incomplete,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder


class _Call:
    """One call: the parameters, opened."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = params = module.params
        require_jobs(params["jobs"])
        self.component = check_component(params["component"])
        self.address = address_from(params)
        self.rpo_s = _clock.parse_duration(params["rpo"])
        self.timeout_s = _clock.parse_duration(params["timeout"])
        self.schedule = schedule.Schedule(
            full_s=_clock.parse_duration(params["full_interval"]),
            differential_s=_clock.parse_duration(params["differential_interval"]),
            incremental_s=_clock.parse_duration(params["incremental_interval"]),
            interval_s=_clock.parse_duration(params["interval"]) if params["interval"] else self.rpo_s / 2,
        )
        self.repository = open_signed(params)
        self.engine = PostgresqlPitrEngine(
            self.address, self.component, self.repository.url, params["s3"], params["config_dir"], params["jobs"]
        )
        self.plan: PitrPlan = self.engine.plan()
        self.before = self.newest()

    def compare(self) -> catalogue.Comparison:
        listing = list_points(self.repository, self.component)
        return catalogue.compare(self.repository, listing, self.plan.info, self.plan.place.generation)

    def newest(self) -> RecoveryPoint | None:
        """The newest undamaged point of this server and generation."""
        for point in list_points(self.repository, self.component).points:
            if point.engine == ENGINE and point.level != DAMAGED and self.plan.covered_by(point):
                return point
        return None

    def due(self, compared: catalogue.Comparison) -> tuple[str, str] | None:
        """As :func:`schedule.due`, of the backups that are whole as far as is known."""
        usable = {label for label, point in compared.known.items() if point.level != DAMAGED}
        database = self.plan.info.current
        history = [
            (backup.type, backup.stopped)
            for backup in self.plan.info.backups
            if {backup.label, *backup.references} <= usable and database and backup.database_id == database.id
        ]
        return schedule.due(history, self.schedule, _clock.now(), self.params["type"], self.params["force"])


def _result(
    call: _Call,
    changed: bool,
    chosen: tuple[str, str] | None,
    archive: dict[str, t.Any],
    adopted: list[str],
    missing: list[str],
    predicted: bool = False,
) -> dict[str, t.Any]:
    after = call.newest()
    kind, reason = chosen if chosen is not None else (None, "the newest backups are fresh enough")
    return {
        "changed": changed,
        "message": reason if kind is None else f"{'would take' if predicted else 'took'} a {kind} backup: {reason}",
        "type": kind,
        "recovery_point": after.facts() if after is not None else None,
        "archive": archive,
        "adopted": adopted,
        "missing_backups": missing,
        "plan": call.plan.facts(),
        "diff": taking.difference(call.before, after, predicted),
    }


def work(module: AnsibleModule) -> dict[str, t.Any]:
    call = _Call(module)
    with contextlib.closing(connect(call.address)) as session:
        lag = switch.lag_s(session)
    within = lag is not None and lag <= call.rpo_s
    archive: dict[str, t.Any] = {"lag_before_s": lag, "within_rpo": within, "segment": None, "heartbeat": None}
    if lag is not None and not within:
        module.warn(
            f"{call.component}: the archive was {_clock.format_duration(lag)} behind, more than the RPO of"
            f" {_clock.format_duration(call.rpo_s)}"
        )
    if module.check_mode:
        compared = call.compare()
        chosen = call.due(compared)
        missing = [f"{point.point_id}: its backup is gone" for point in compared.gone]
        labels = [backup.label for backup in compared.unknown]
        changed = chosen is not None or bool(labels)
        return _result(call, changed, chosen, archive, labels, missing, changed)
    with (
        Progress(call.params["progress_path"]) as progress,
        taking.alone(call.repository, call.component, call.params, progress) as lease,
    ):
        return _under_lease(module, call, lease, archive, progress)


def _under_lease(
    module: AnsibleModule, call: _Call, lease: Lease, archive: dict[str, t.Any], progress: Progress
) -> dict[str, t.Any]:
    params = call.params
    recorder = Recorder(call.repository, params["run_id"], call.component)
    with recorder.step("archive a segment") as step, contextlib.closing(connect(call.address)) as session:
        moment = switch.archive_now(
            session, call.engine.tool(), call.component, call.plan.archive_id, call.timeout_s, lease.check
        )
        archive.update(segment=moment.segment, heartbeat=moment.heartbeat.facts())
        step.facts.update(segment=moment.segment, lag_before_s=archive["lag_before_s"])
    # Somebody may have taken one while we waited.
    call.plan = call.engine.plan()
    compared = call.compare()
    missing = catalogue.mark_gone(call.repository, compared.gone, params["run_id"])
    for sentence in missing:
        module.warn(f"{call.component}: {sentence}; next: take a full backup, and find out who removed it")
    if compared.unknown:
        remove_incomplete(call.repository, call.component)
    adopted = [_adopt(call, compared, backup, lease, recorder) for backup in compared.unknown]
    chosen = call.due(compared)
    if chosen is None:
        return _result(call, bool(adopted), None, archive, adopted, missing)
    remove_incomplete(call.repository, call.component)
    kind, reason = chosen
    with recorder.step("back up", reason=reason) as step:
        lease.check()
        writer = begin_point(call.repository, call.component, ENGINE, params["run_id"])
        backup = call.engine.back_up(call.plan, schedule.TYPES[kind], writer.point_id, progress, lease.check)
        lease.check()
        next_xid = call.engine.next_xid()
        point = call.engine.catalogue(call.plan, backup, compared.known, writer, moment.heartbeat, next_xid)
        step.outcome = "changed"
        step.facts.update(
            recovery_point=point.point_id,
            backup=backup.label,
            size=backup.repository_delta,
            duration_s=point.duration_s,
        )
    if backup.error:
        module.warn(
            f"{call.component}: pgBackRest met damaged pages; next: ansible-playbook sre.runbooks.diagnose_postgresql"
        )
    return _result(call, True, chosen, archive, adopted, missing)


def _adopt(call: _Call, compared: catalogue.Comparison, backup: Backup, lease: Lease, recorder: Recorder) -> str:
    """Make the recovery point that a killed run did not come to make."""
    with recorder.step("adopt a backup", backup=backup.label) as step:
        lease.check()
        writer = begin_point(call.repository, call.component, ENGINE, call.params["run_id"])
        # First: killed after it, the next run finds a name without a point and adopts it again.
        catalogue.annotate(call.engine.tool(), backup.label, writer.point_id)
        took = (backup.stopped - backup.started).total_seconds()
        point = call.engine.catalogue(call.plan, backup, compared.known, writer, None, None, took)
        compared.known[backup.label] = point
        step.outcome = "changed"
        step.facts.update(recovery_point=point.point_id)
    return point.point_id


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **SIGNING_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            **POSTGRESQL_OPTIONS,
            **taking.DUE_OPTIONS,
            "type": {"type": "str", "choices": ["auto", "full", "differential", "incremental"], "default": "auto"},
            "rpo": {"type": "str", "default": "10m"},
            "full_interval": {"type": "str", "default": "7d"},
            "differential_interval": {"type": "str", "default": "1d"},
            "incremental_interval": {"type": "str", "default": "6h"},
            "jobs": {"type": "int", "default": 2},
            "timeout": {"type": "str", "default": "60s"},
            "config_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
