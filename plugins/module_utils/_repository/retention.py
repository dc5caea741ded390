# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which recovery points are kept, and why: a pure function of the points, the policy and the time.

Periods are counted over those that have a point, so that the passing of time alone expires nothing that a rule of
periods keeps: when backups stop, or a clock jumps, what is there stays. In each period one point stands for all: the
newest that was verified or better, else the newest, so that a later point of which nothing is known does not displace
one that was proven. Damaged points and points from the future stand for nothing.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._repository.calendar_periods import PERIODS, period_label
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, LEVELS, at_least
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

#: How far a point may show a later moment than the store's clock and still count as taken now.
TOLERANCE = datetime.timedelta(minutes=1)
#: The level that a point must have to stand for its period before a newer one.
PREFERRED = "verified"


@dataclass(frozen=True)
class Candidate:
    """What the policy has to know of a point."""

    point_id: str
    #: The moment that it shows.
    at: datetime.datetime
    level: str
    #: Why somebody wants it kept, in words: pins and holds that are in force.
    held: tuple[str, ...] = ()
    #: Ids of the points without which it cannot be restored.
    needs: tuple[str, ...] = ()
    size: int = 0
    #: Its number in the component's history, where that is known.
    sequence: int = 0
    #: When the store got it, by its own clock, where that was looked up.
    stored_at: datetime.datetime | None = None
    #: Until when the store lets nobody delete it, where that was looked up.
    locked_until: datetime.datetime | None = None


@dataclass
class Decision:
    """What happens to a point, and all reasons for it, in words."""

    candidate: Candidate
    keep: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def point_id(self) -> str:
        return self.candidate.point_id


@dataclass
class Plan:
    """The decisions, newest point first; what somebody should look at; and why nothing may be expired, if so."""

    decisions: list[Decision]
    warnings: list[str]
    refusal: str | None

    @property
    def expired(self) -> list[Decision]:
        return [decision for decision in self.decisions if not decision.keep]


def decide(candidates: t.Iterable[Candidate], policy: Policy, now: datetime.datetime) -> Plan:
    """Keep or expire each point. ``now`` is the store's time."""
    ordered = sorted(candidates, key=lambda item: (item.at, item.point_id), reverse=True)
    decisions = {item.point_id: Decision(item) for item in ordered}
    # Newest first; only these can stand for anything.
    sound = [item for item in ordered if item.level != DAMAGED and item.at <= now + TOLERANCE]
    _keep_newest(sound, decisions)
    if sound:
        last = max(sound, key=lambda item: (item.sequence, item.at, item.point_id))
        if last is not sound[0]:  # taken under a clock that was behind
            _keep(decisions, last, "last taken")
    for number, item in enumerate(sound[: policy.keep_last], start=1):
        _keep(decisions, item, f"last {number} of {policy.keep_last}")
    periods = {rule: _Periods(rule, policy, sound) for rule in PERIODS if policy.count(rule)}
    for found in periods.values():
        for item, reason in found.kept():
            _keep(decisions, item, reason)
    for item in ordered:
        for reason in _own_reasons(item, policy, now, sound):
            _keep(decisions, item, reason)
    warnings = _keep_needed(decisions)
    for decision in decisions.values():
        if not decision.keep:
            decision.reasons = _why_expired(decision.candidate, policy, periods)
    plan = Plan(list(decisions.values()), _oddities(ordered, policy, now) + warnings, None)
    plan.refusal = _staleness(plan, sound, policy, now)
    return plan


def _keep(decisions: dict[str, Decision], item: Candidate, reason: str) -> None:
    decision = decisions[item.point_id]
    decision.keep = True
    decision.reasons.append(reason)


def _keep_newest(sound: t.Sequence[Candidate], decisions: dict[str, Decision]) -> None:
    """The newest point, and the newest of each level: what a restore would choose first."""
    newest: dict[str, Candidate] = {}
    for level in LEVELS:
        found = next((item for item in sound if at_least(item.level, level)), None)
        if found is not None:
            newest[level] = found
    for level, item in newest.items():
        higher = LEVELS[LEVELS.index(level) + 1 : LEVELS.index(level) + 2]
        if level == LEVELS[0]:
            _keep(decisions, item, "newest")
        elif not higher or newest.get(higher[0]) is not item:
            _keep(decisions, item, f"newest {level}")


class _Periods:
    """The points by the hours (days, …) that they lie in, and who stands for each."""

    def __init__(self, rule: str, policy: Policy, sound: t.Sequence[Candidate]) -> None:
        self.rule = rule
        self.count = policy.count(rule)
        self.zone = policy.zone
        members: dict[str, list[Candidate]] = {}
        for item in sound:
            members.setdefault(period_label(rule, item.at, self.zone), []).append(item)
        self.representatives = {
            label: next((item for item in items if at_least(item.level, PREFERRED)), items[0])
            for label, items in list(members.items())[: self.count]
        }

    def kept(self) -> t.Iterator[tuple[Candidate, str]]:
        for number, (label, item) in enumerate(self.representatives.items(), start=1):
            yield item, f"{self.rule} {number} of {self.count} ({label})"

    def why_not(self, item: Candidate) -> str:
        label = period_label(self.rule, item.at, self.zone)
        if label in self.representatives:
            return f"{self.rule}: {self.representatives[label].point_id} stands for {label}"
        return f"{self.rule}: {label} is not among the newest {self.count} {PERIODS[self.rule]}s with a point"


def _own_reasons(
    item: Candidate, policy: Policy, now: datetime.datetime, sound: t.Sequence[Candidate]
) -> t.Iterator[str]:
    """What keeps a point whatever others there are."""
    age = (now - item.at).total_seconds()
    if item.at > now + TOLERANCE:
        yield f"from the future: shows {_day_and_time(item.at)}, and the repository's clock says {_day_and_time(now)}"
    if policy.keep_within and age <= policy.keep_within:
        yield f"keep-within {_duration(policy.keep_within)}"
    youngest = age if item.stored_at is None else min(age, (now - item.stored_at).total_seconds())
    if youngest < policy.min_age:
        since = "" if youngest == age else f", stored {_day_and_time(t.cast(datetime.datetime, item.stored_at))}"
        yield f"younger than the minimum age of {_duration(policy.min_age)}{since}"
    yield from item.held
    if item.locked_until is not None and item.locked_until > now:
        yield f"locked until {_day_and_time(item.locked_until)}"
    if item.level == DAMAGED and item.at <= now + TOLERANCE:
        if age <= policy.keep_damaged:
            until = item.at + datetime.timedelta(seconds=policy.keep_damaged)
            yield f"damaged: kept as evidence until {_day_and_time(until)}"
        elif not sound or sound[0].at <= item.at:
            yield "damaged: kept because no undamaged point is newer"


def _keep_needed(decisions: dict[str, Decision]) -> list[str]:
    """Keep what kept points need, and what those need; returns what is missing, in words."""
    needed_by: dict[str, list[str]] = {}
    missing = []
    waiting = [decision for decision in decisions.values() if decision.keep]
    for decision in waiting:  # grows while it is gone through
        for need in decision.candidate.needs:
            if need not in decisions:
                missing.append(f"{decision.point_id} needs {need}, which is not there: it cannot be restored")
                continue
            users = needed_by.setdefault(need, [])
            users.append(decision.point_id)
            if len(users) == 1 and not decisions[need].keep:
                decisions[need].keep = True
                waiting.append(decisions[need])
    for need, users in needed_by.items():
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        decisions[need].reasons.append(f"needed by {users[0]}{more}")
    return missing


def _why_expired(item: Candidate, policy: Policy, periods: t.Mapping[str, _Periods]) -> list[str]:
    if item.level == DAMAGED:
        return [f"damaged: evidence is kept for {_duration(policy.keep_damaged)}, and newer points are undamaged"]
    return [found.why_not(item) for found in periods.values()] or ["no rule keeps it"]


def _oddities(ordered: t.Sequence[Candidate], policy: Policy, now: datetime.datetime) -> list[str]:
    """What a person should hear of, although the plan has dealt with it."""
    future = [item.point_id for item in ordered if item.at > now + TOLERANCE]
    damaged = [item.point_id for item in ordered if item.level == DAMAGED]
    found = []
    if future:
        found.append(
            f"{counted(len(future), 'point')} from the future, kept and counted nowhere: {', '.join(future[:5])}; "
            f"the repository's clock says {_day_and_time(now)}: either it is wrong, or the one was under which they were taken"
        )
    if damaged:
        kept = _duration(policy.keep_damaged)
        found.append(
            f"{counted(len(damaged), 'damaged point')}, kept as evidence for {kept} each: {', '.join(damaged[:5])}"
        )
    return found


def _staleness(plan: Plan, sound: t.Sequence[Candidate], policy: Policy, now: datetime.datetime) -> str | None:
    """A clock that is ahead shows as a newest point that is too old; so do backups that have stopped."""
    if not policy.stale_after or not sound or not plan.expired:
        return None
    age = (now - sound[0].at).total_seconds()
    if age <= policy.stale_after:
        return None
    return f"{sound[0].point_id} is {format_duration(age)} old"


def _day_and_time(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(seconds: float) -> str:
    """As people write it in a policy: ``2d``, ``36h``, ``90m``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
