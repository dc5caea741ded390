# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a retention run would do to a component's repository, with the reason for each point. Writes nothing."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    ObjectMissing,
    Refused,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import (
    POINT_ID,
    RecoveryPoint,
    point_prefix,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import list_pins
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points, read_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention import Candidate, Plan, decide
from ansible_collections.sre.runbooks.plugins.module_utils._repository.stored import stat_stored
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import read_tombstone

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy

#: What can happen to a point. ``finish`` goes on removing one, ``withdraw`` takes a tombstone back from one that is
#: whole and that the policy keeps, ``remove`` takes away what a killed backup left, ``leave`` does nothing.
KEEP, EXPIRE, FINISH, WITHDRAW, REMOVE, LEAVE = "keep", "expire", "finish", "withdraw", "remove", "leave"

#: What is small, says something of the data, and goes after it.
_LATE = ("pins/", "proofs/", "manifest.json.minisig", "manifest.json")


@dataclass
class Row:
    """One point of the plan. ``at`` is the moment that it shows or, where that cannot be read, when it was begun."""

    point_id: str
    action: str
    reasons: list[str]
    at: datetime.datetime
    level: str
    size: int = 0
    needs: tuple[str, ...] = ()

    def facts(self) -> dict[str, t.Any]:
        return {
            "point_id": self.point_id,
            "action": self.action,
            "reasons": self.reasons,
            "consistency_time": format_time(self.at),
            "level": self.level,
            "size": self.size,
        }


@dataclass
class ExpiryPlan:
    """The rows, newest first; what somebody should look at; and which kept points' locks are due for extension."""

    component: str
    policy: Policy
    #: For which moment it was made, by the store's clock.
    now: datetime.datetime
    rows: list[Row]
    warnings: list[str] = field(default_factory=list)
    extend_locks: list[str] = field(default_factory=list)
    #: What is known of the points that go; a damaged manifest's is missing.
    points: dict[str, RecoveryPoint] = field(default_factory=dict)

    def of(self, *actions: str) -> list[Row]:
        return [row for row in self.rows if row.action in actions]


def plan_expiry(
    repository: Repository,
    component: str,
    policy: Policy,
    now: datetime.datetime,
    lock_horizon: float = 0.0,
) -> ExpiryPlan:
    """What has to be done now, by the store's clock ``now``. Exact under the component's lease.

    :arg lock_horizon: seconds that kept points' locks shall at least last, on a store with locks; 0 leaves them alone.
    :raises Refused: the newest point is older than the policy's ``stale_after``, and something would be expired.
    """
    survey = _Survey(repository, component, now)
    survey.look()
    decided = decide(survey.candidates.values(), policy, now)
    if decided.expired:
        # Only asked of those that would go: it can only add reasons for keeping.
        for decision in decided.expired:
            survey.candidates[decision.point_id] = survey.with_storage(decision.candidate)
        decided = decide(survey.candidates.values(), policy, now)
    if decided.refusal:
        raise _stale(component, policy, decided.refusal)
    rows = [*_decided_rows(decided, survey.tombstoned), *survey.rows, *_incomplete_rows(survey, policy)]
    rows.sort(key=lambda row: (row.at, row.point_id), reverse=True)
    plan = ExpiryPlan(component, policy, now, rows, decided.warnings + survey.warnings)
    going = {row.point_id for row in plan.of(EXPIRE, FINISH)}
    plan.points = {point_id: point for point_id, point in survey.points.items() if point_id in going}
    if lock_horizon and "locks" in repository.store.features:
        plan.extend_locks = [
            row.point_id for row in plan.of(KEEP, WITHDRAW) if survey.lock_is_short(row.point_id, lock_horizon)
        ]
    return plan


class _Survey:
    """What the repository shows."""

    def __init__(self, repository: Repository, component: str, now: datetime.datetime) -> None:
        self.repository = repository
        self.component = component
        self.now = now
        self.candidates: dict[str, Candidate] = {}
        self.points: dict[str, RecoveryPoint] = {}
        self.tombstoned: set[str] = set()
        self.incomplete: list[str] = []
        self.rows: list[Row] = []
        self.warnings: list[str] = []

    def look(self) -> None:
        listing = list_points(self.repository, self.component)
        self.incomplete = listing.incomplete
        for point in listing.points:
            self._add(point)
        for damaged in listing.damaged:
            self._add_damaged(damaged.point_id)
        for point_id in listing.expiring:
            self._add_expiring(point_id)

    def _add(self, point: RecoveryPoint) -> None:
        self.points[point.point_id] = point
        self.candidates[point.point_id] = Candidate(
            point.point_id,
            point.consistency_time,
            point.level,
            self._held(point.point_id),
            point.needs,
            point.size,
            point.sequence,
        )

    def _add_damaged(self, point_id: str) -> None:
        if not re.fullmatch(POINT_ID, point_id):
            self.warnings.append(f"{point_id!r} is not a recovery point's id: left alone")
            return
        try:
            read_point(self.repository, self.component, point_id)
        except IntegrityError:
            held = self._held(point_id)
            self.candidates[point_id] = Candidate(point_id, begun(point_id), DAMAGED, held)
            return
        # A store that cannot be read at the moment says nothing about a point, and an answer that changes says less.
        raise RepositoryError(
            f"the manifest of {point_id} reads now so and now so",
            self.component,
            expected="the same answer twice",
            found="damaged at first, whole a moment later",
            next_command="check the repository's storage and network, then: the same command",
        )

    def _add_expiring(self, point_id: str) -> None:
        """A tombstone is no permission: whoever can write one must not thereby remove a point that is to be kept."""
        point = self._whole(point_id)
        if point is not None:
            self.tombstoned.add(point_id)
            self._add(point)
            return
        until = self._locked_until(point_id)
        kept = [*self._held(point_id), *([] if until is None else [_locked(until)])]
        reasons = [self._begun_words(point_id), *kept]
        action = LEAVE if kept else FINISH
        self.rows.append(Row(point_id, action, reasons, begun(point_id), "expiring"))

    def _whole(self, point_id: str) -> RecoveryPoint | None:
        try:
            point = read_point(self.repository, self.component, point_id)
            for stored in point.objects:
                if stat_stored(self.repository.store, stored).length != stored.length:
                    return None
        except (ObjectMissing, IntegrityError):
            return None
        return point

    def _begun_words(self, point_id: str) -> str:
        try:
            tombstone = read_tombstone(self.repository, self.component, point_id)
        except RunbookError:
            return "its removal began, and its tombstone cannot be read"
        run = f" by run {tombstone.run_id}" if tombstone.run_id else ""
        return f"its removal began {_moment(tombstone.expired_at)}{run}: {tombstone.reason}"

    def _held(self, point_id: str) -> tuple[str, ...]:
        pins = list_pins(self.repository.store, point_prefix(self.component, point_id))
        return tuple(pin.words() for pin in pins if pin.active(self.now))

    def with_storage(self, item: Candidate) -> Candidate:
        """The candidate with what only its store knows of it."""
        manifest = point_prefix(self.component, item.point_id) + "manifest.json"
        stored = self.repository.store.stat(manifest).modified
        return dataclasses.replace(item, stored_at=stored, locked_until=self._locked_until(item.point_id))

    def _locked_until(self, point_id: str) -> datetime.datetime | None:
        """The latest lock, that lasts still, on the point's data or, where that is gone, on what is left.

        What was said of it later (proofs, pins) is locked later too and would keep it for ever by being said again.
        """
        store = self.repository.store
        if "locks" not in store.features:
            return None
        prefix = point_prefix(self.component, point_id)
        there = [version for version in store.versions(prefix) if not version.deleted]
        data = [version for version in there if not removed_late(version.key[len(prefix) :])]
        found = [store.locked_until(version.key, version.version_id) for version in data or there]
        return max((until for until in found if until is not None and until > self.now), default=None)

    def lock_is_short(self, point_id: str, horizon: float) -> bool:
        """Whether less than half of the horizon is left. Asked of the manifest alone, which is extended last."""
        store = self.repository.store
        manifest = point_prefix(self.component, point_id) + "manifest.json"
        for version in store.versions(manifest):
            if version.key == manifest and not version.deleted:
                until = store.locked_until(version.key, version.version_id)
                return until is None or (until - self.now).total_seconds() < horizon / 2
        return False

    def has_manifest(self, point_id: str) -> bool:
        """Whether any version of a manifest is there, even one that a delete marker hides."""
        manifest = point_prefix(self.component, point_id) + "manifest.json"
        return any(
            version.key == manifest and not version.deleted for version in self.repository.store.versions(manifest)
        )

    def incomplete_action(self, point_id: str, policy: Policy) -> tuple[str, list[str]]:
        age = (self.now - begun(point_id)).total_seconds()
        since = f"incomplete: begun {_moment(begun(point_id))}, never finished"
        if self.has_manifest(point_id):
            self.warnings.append(f"{point_id}: its manifest is hidden by a delete marker; somebody deleted it")
            return LEAVE, ["its manifest is hidden by a delete marker, which is for a person to look at"]
        if age <= policy.incomplete_after:
            return LEAVE, [f"{since}, perhaps being taken now"]
        until = self._locked_until(point_id)
        return (REMOVE, [since]) if until is None else (LEAVE, [since, _locked(until)])


def _incomplete_rows(survey: _Survey, policy: Policy) -> list[Row]:
    rows = []
    for point_id in survey.incomplete:
        if not re.fullmatch(POINT_ID, point_id):
            survey.warnings.append(f"{point_id!r} is not a recovery point's id: left alone")
            continue
        action, reasons = survey.incomplete_action(point_id, policy)
        rows.append(Row(point_id, action, reasons, begun(point_id), "incomplete"))
    return rows


def _decided_rows(decided: Plan, tombstoned: t.Container[str]) -> t.Iterator[Row]:
    for decision in decided.decisions:
        item = decision.candidate
        again = item.point_id in tombstoned
        action = (WITHDRAW if again else KEEP) if decision.keep else (FINISH if again else EXPIRE)
        yield Row(item.point_id, action, decision.reasons, item.at, item.level, item.size, item.needs)


def removed_late(name: str) -> int:
    """0 for a point's data, which goes first; for what goes after it, its place in that order, the manifest's the last."""
    return next((place for place, last in enumerate(_LATE, start=1) if name.startswith(last)), 0)


def begun(point_id: str) -> datetime.datetime:
    """When taking the point began, as its id says; the beginning of time for an id that is no date."""
    try:
        found = datetime.datetime.strptime(point_id[:16], "%Y%m%dT%H%M%SZ")
    except ValueError:
        found = datetime.datetime.min
    return found.replace(tzinfo=datetime.timezone.utc)


def _moment(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _locked(until: datetime.datetime) -> str:
    return f"locked until {_moment(until)}"


def _stale(component: str, policy: Policy, found: str) -> Refused:
    return Refused(
        "its newest recovery point is so old that nothing is expired: backups have stopped, or a clock is wrong",
        component,
        expected=f"a point of the last {policy.stale_after / 86400:g} d (stale_after)",
        found=found,
        next_command=f"ansible-playbook sre.runbooks.back_up_components --limit {component}",
    )
