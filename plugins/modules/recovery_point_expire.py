#!/usr/bin/python
# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_point_expire
short_description: Keep what the retention policy keeps of a component's recovery points, and nothing else
version_added: 0.1.0
description:
  - Keeps one recovery point in each of the newest hours, days, ISO weeks, months and years that have one, the newest few,
    and all of the recent past; removes the others. In each period the newest point that was verified or better stands for
    it, or the newest if there is none.
  - Never removes the newest point, the newest one of any level of the proof ladder, a pinned or held one, what a kept point
    needs, one from the future, one that the store got less than O(min_age) ago, or one that the store keeps locked.
  - A damaged point stands for nothing. It is kept as evidence for O(keep_damaged), then expires.
  - Works under the component's lease. A removal begins with a tombstone, which stays, and ends with the manifest; killed
    anywhere, the next run finishes it. A point whose removal has begun is neither listed nor restored. A tombstone of a
    whole point that the policy keeps is taken back.
  - Recovery points of what restores of the component replaced go by their age alone, see O(keep_replaced).
  - In check mode nothing is written and the plan is returned, with every reason for every point.
author: The sre.runbooks authors (@sre-runbooks)
options:
  component:
    description: The component whose points expire.
    type: str
    required: true
  hourly:
    description: In how many of the newest hours that have a point one is kept.
    type: int
    default: 24
  daily:
    description: As O(hourly), for days.
    type: int
    default: 30
  weekly:
    description: As O(hourly), for weeks of ISO 8601, from Monday.
    type: int
    default: 12
  monthly:
    description: As O(hourly), for months.
    type: int
    default: 12
  yearly:
    description: As O(hourly), for years.
    type: int
    default: 7
  keep_last:
    description: How many of the newest points are kept, whenever they were taken.
    type: int
    default: 0
  keep_within:
    description: Every point that shows a moment at most this long ago is kept, such as V(2d). V(0) keeps none for that.
    type: str
    default: "0"
  min_age:
    description: Nothing expires that shows a moment, or was stored, less than this long ago.
    type: str
    default: 1h
  keep_damaged:
    description: How long a damaged point is kept as evidence, from the moment that it shows.
    type: str
    default: 30d
  incomplete_after:
    description: What a killed backup left, without a manifest, is removed when it was begun longer ago than this.
    type: str
    default: 1d
  stale_after:
    description:
      - When the newest point is older than this, nothing is expired and the task fails, since backups have stopped or a
        clock is wrong. V(0) never minds.
    type: str
    default: 30d
  timezone:
    description: On whose wall clock hours, days, weeks, months and years begin, such as V(Europe/Berlin).
    type: str
    default: UTC
  keep_replaced:
    description:
      - How long recovery points are kept that hold what a restore replaced (C(<component>--before), of Kubernetes and
        Terraform), from the moment that they show. The newest of them stays.
    type: str
    default: 30d
  lock_horizon:
    description:
      - On a store with object locks, the locks of kept points are extended to this long from now as soon as less than
        half of it is left. V(0) leaves locks alone. What is locked cannot be removed earlier, whatever the policy says.
    type: str
    default: "0"
extends_documentation_fragment:
  - sre.runbooks.repository
  - sre.runbooks.signing.key
  - sre.runbooks.run
  - sre.runbooks.lease
  - sre.runbooks.attributes
seealso:
  - module: sre.runbooks.recovery_point_pin
  - module: sre.runbooks.recovery_point_info
  - plugin: sre.runbooks.retention_preview
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Look at what would go, and why the rest stays
  sre.runbooks.recovery_point_expire:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
  check_mode: true
  register: planned

- name: Keep what the default policy keeps
  sre.runbooks.recovery_point_expire:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db

- name: Keep two days in full, then a week of days as people in Berlin count them
  sre.runbooks.recovery_point_expire:
    repository: "{{ repository }}"
    environment_name: local
    component: flights_db
    keep_within: 2d
    hourly: 0
    daily: 7
    weekly: 0
    monthly: 0
    yearly: 0
    timezone: Europe/Berlin
"""

RETURN = r"""
plan:
  description: Every point with what happens to it, newest first; before anything was done. Those of what restores replaced follow.
  returned: success
  type: list
  elements: dict
  contains:
    point_id:
      description: The point's id.
      type: str
    action:
      description:
        - C(keep); C(expire); C(finish) for one whose removal has begun; C(withdraw) for a kept one with a tombstone;
          C(remove) for what a killed backup left; C(leave) for what cannot or must not be touched.
      type: str
    reasons:
      description: Every reason, in words.
      type: list
      elements: str
    consistency_time:
      description: The moment that it shows; where that cannot be read, when taking it began.
      type: str
    level:
      description: Its level on the proof ladder, or C(damaged), C(incomplete), C(expiring).
      type: str
    size:
      description: Bytes in the repository, without manifest and proofs.
      type: int
  sample:
    - point_id: 20261121T051000Z-a1b2
      action: keep
      reasons: [newest, "daily 1 of 30 (2026-11-21)"]
      consistency_time: "2026-11-21T05:10:00.000000Z"
      level: verified
      size: 123456
plan_lines:
  description: The plan in lines for people.
  returned: success
  type: list
  elements: str
kept:
  description: How many points stay, those of what restores replaced not among them.
  returned: success
  type: int
expired:
  description: Ids of the points that were removed (in check mode, would be), those whose removal had begun earlier included.
  returned: success
  type: list
  elements: str
withdrawn:
  description: Ids of kept points from which a tombstone was taken back.
  returned: success
  type: list
  elements: str
removed_incomplete:
  description: Ids of points without a manifest whose remains were removed.
  returned: success
  type: list
  elements: str
locks_extended:
  description: Ids of kept points whose locks were extended, which is never C(changed).
  returned: success
  type: list
  elements: str
waiting_for_locks:
  description: Ids of expired points whose data is gone and whose proofs or manifest are locked; a later run ends it. Empty in check mode.
  returned: success
  type: list
  elements: str
bytes:
  description: How many stored bytes were removed; in check mode those of the objects of the points that would go.
  returned: success
  type: int
policy:
  description: The policy, durations in seconds.
  returned: success
  type: dict
detail:
  description: What was done, in a sentence.
  returned: success
  type: str
failures:
  description: What could not be removed, by point; the task fails then, and the next run tries again.
  returned: when something could not be removed
  type: dict
"""

import contextlib
import dataclasses
import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    LEASE_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_KEY_OPTIONS,
    run_module,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expire import Expiry, Outcome, joined, predicted
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import ExpiryPlan, plan_expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease, holding, shown_in
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import (
    Policy,
    policy_for_replaced,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.retention_text import plan_lines
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted


def work(module: AnsibleModule) -> dict[str, t.Any]:
    params = module.params
    component = check_component(params["component"])
    policy = Policy.from_options(params)
    horizon = _clock.parse_duration(params["lock_horizon"])
    replaced = policy_for_replaced(policy, _clock.parse_duration(params["keep_replaced"]))
    repository = open_signed(params)
    if module.check_mode:
        plans = _plans(repository, component, policy, replaced, _clock.now(), horizon)
        return _result(module, plans, joined([predicted(plan) for plan in plans]))
    holder = describe_holder(params["run_id"])
    ttl, wait = _clock.parse_duration(params["lease_ttl"]), _clock.parse_duration(params["lease_wait"])
    with Progress(params["progress_path"]) as progress:
        shown = shown_in(progress, wait)
        with holding(repository, component, params["run_id"], holder, ttl, wait, shown) as lease:
            progress.step("listing recovery points")
            now = repository.store.now()
            plans = _plans(repository, component, policy, replaced, now, horizon)
            until = now + datetime.timedelta(seconds=horizon)
            outcome = _execute(repository, plans, lease, params["run_id"], progress, until)
    if outcome.failures:
        error = _incomplete(component, outcome)
        module.fail_json(msg=str(error), error=error.facts(), failures=outcome.failures)
    return _result(module, plans, outcome)


def _plans(
    repository: Repository,
    component: str,
    policy: Policy,
    replaced: Policy,
    now: datetime.datetime,
    horizon: float,
) -> list[ExpiryPlan]:
    """Of the component's points and, where restores replaced something, of what they kept."""
    plans = [plan_expiry(repository, component, policy, now, horizon)]
    with contextlib.suppress(InvalidInput):  # a name too long for restores to have kept anything
        plans.append(plan_expiry(repository, before_component(component), replaced, now, horizon))
    return plans


def _execute(
    repository: Repository,
    plans: t.Sequence[ExpiryPlan],
    lease: Lease,
    run_id: str | None,
    progress: Progress,
    locked_until: datetime.datetime,
) -> Outcome:
    recorder = Recorder(repository, run_id, plans[0].component)
    with recorder.step("expire") as step:
        outcomes = []
        for plan in plans:
            expiry = Expiry(repository, plan, lease.check, run_id, progress)
            expiry.extend_locks(locked_until)
            outcomes.append(expiry.run())
        outcome = joined(outcomes)
        step.outcome = "failed" if outcome.failures else "changed" if outcome.changed else "ok"
        step.facts.update(
            expired=len(outcome.expired) + len(outcome.finished),
            removed=len(outcome.removed),
            bytes=outcome.bytes,
            failures=[f"{point_id}: {words}" for point_id, words in list(outcome.failures.items())[:20]],
        )
    return outcome


def _result(module: AnsibleModule, plans: t.Sequence[ExpiryPlan], outcome: Outcome) -> dict[str, t.Any]:
    rows = []
    for plan in plans:
        for warning in plan.warnings:
            module.warn(f"{plan.component}: {warning}")
        rows += [row.facts() for row in plan.rows]
    gone = {*outcome.expired, *outcome.finished, *outcome.removed}
    remaining = [row for row in rows if row["point_id"] not in gone]
    kept = len(plans[0].of("keep", "withdraw"))
    return {
        "changed": outcome.changed,
        "detail": _detail(kept, outcome, module.check_mode),
        "plan": rows,
        "plan_lines": plan_lines(rows),
        "kept": kept,
        "expired": [*outcome.finished, *outcome.expired],
        "withdrawn": outcome.withdrawn,
        "removed_incomplete": outcome.removed,
        "locks_extended": outcome.extended,
        "waiting_for_locks": outcome.waiting,
        "bytes": outcome.bytes,
        "policy": dataclasses.asdict(plans[0].policy),
        "diff": {"before": _listed(rows), "after": _listed(remaining)},
    }


def _detail(kept: int, outcome: Outcome, check_mode: bool) -> str:
    count = len(outcome.expired) + len(outcome.finished)
    verb = "would be removed" if check_mode else "removed"
    remains = f", remains of {counted(len(outcome.removed), 'killed backup')}" if outcome.removed else ""
    return f"{counted(kept, 'point')} kept, {counted(count, 'expired point')}{remains} {verb}"


def _listed(rows: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    return "".join(f"{row['point_id']} {row['consistency_time']} {row['level']}\n" for row in rows)


def _incomplete(component: str, outcome: Outcome) -> RepositoryError:
    some = [f"{point_id}: {words}" for point_id, words in list(outcome.failures.items())[:5]]
    return RepositoryError(
        f"{counted(len(outcome.failures), 'recovery point')} could not be removed",
        component,
        expected=f"{len(outcome.failures)} fewer, after {len(outcome.expired) + len(outcome.finished)} were",
        found=" | ".join(some)[:2000],
        next_command="see that the retention identity (repository_retention_s3) may delete, then: "
        f"ansible-playbook sre.runbooks.expire_backups --limit {component}",
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **REPOSITORY_OPTIONS,
            **SIGNING_KEY_OPTIONS,
            **RUN_OPTIONS,
            **LEASE_OPTIONS,
            "component": {"type": "str", "required": True},
            "hourly": {"type": "int", "default": 24},
            "daily": {"type": "int", "default": 30},
            "weekly": {"type": "int", "default": 12},
            "monthly": {"type": "int", "default": 12},
            "yearly": {"type": "int", "default": 7},
            "keep_last": {"type": "int", "default": 0},
            "keep_within": {"type": "str", "default": "0"},
            "min_age": {"type": "str", "default": "1h"},
            "keep_damaged": {"type": "str", "default": "30d"},
            "incomplete_after": {"type": "str", "default": "1d"},
            "stale_after": {"type": "str", "default": "30d"},
            "timezone": {"type": "str", "default": "UTC"},
            "keep_replaced": {"type": "str", "default": "30d"},
            "lock_horizon": {"type": "str", "default": "0"},
        },
        supports_check_mode=True,
    )
    run_module(module, work)


if __name__ == "__main__":
    main()
