# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be kept of a component's recovery points: the numbers, read and checked."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.calendar_periods import PERIODS, time_zone

_MOST = 100_000
_LONGEST_S = 200 * 365.25 * 86400  # what a time can still be computed with


@dataclass(frozen=True)
class Policy:
    """How many points of which kind are kept. Durations in seconds."""

    #: In how many of the newest hours (days, weeks, months, years) that have a point one is kept.
    hourly: int = 24
    daily: int = 30
    weekly: int = 12
    monthly: int = 12
    yearly: int = 7
    #: How many of the newest points are kept, whenever they were taken.
    keep_last: int = 0
    #: Every point that shows a moment at most this long ago is kept.
    keep_within: float = 0.0
    #: Nothing younger is expired, by the moment that it shows or by when the store got it, whichever is later.
    min_age: float = 3600.0
    #: How long a damaged point is kept as evidence.
    keep_damaged: float = 30 * 86400.0
    #: How old a point without a manifest must be to be removed as the remains of a killed backup.
    incomplete_after: float = 86400.0
    #: Nothing is expired when the newest point is older: backups have stopped, or a clock is wrong. 0 never minds.
    stale_after: float = 30 * 86400.0
    #: On whose wall clock hours, days, weeks, months and years begin.
    timezone: str = "UTC"

    @classmethod
    def from_options(cls, options: t.Mapping[str, t.Any]) -> Policy:
        """The policy in a mapping with some of the fields, durations such as ``2d``; others are ignored.

        Raises :class:`InvalidInput` for what is no number, duration or time zone, and for a policy that keeps nothing.
        """
        values: dict[str, t.Any] = {}
        for field in dataclasses.fields(cls):
            given = options.get(field.name)
            if given is None:
                continue
            kind = type(field.default)
            values[field.name] = _count(field.name, given) if kind is int else given
            if kind is float:
                values[field.name] = _duration(field.name, given)
        policy = cls(**values)
        time_zone(str(policy.timezone))
        if not (policy.keep_last or policy.keep_within or any(policy.count(rule) for rule in PERIODS)):
            raise InvalidInput(
                "a retention policy that keeps nothing",
                expected=f"at least one of {', '.join(PERIODS)}, keep_last, keep_within above 0",
                found="0 in all of them",
            )
        return policy

    def count(self, rule: str) -> int:
        """How many periods of that rule are kept."""
        return t.cast(int, getattr(self, rule))

    @property
    def zone(self) -> datetime.tzinfo:
        return time_zone(self.timezone)

    def facts(self) -> dict[str, t.Any]:
        """The policy as data; durations in seconds."""
        return dataclasses.asdict(self)


def policy_for_replaced(policy: Policy, keep: float) -> Policy:
    """The policy for points of what restores replaced, kept for ``keep`` seconds; they show no history, so no period has one.

    The newest stays until another restore replaces something: it is what the last one can be undone with, however wrong a
    clock is.
    """
    return dataclasses.replace(
        policy,
        hourly=0,
        daily=0,
        weekly=0,
        monthly=0,
        yearly=0,
        keep_last=1,
        keep_within=keep,
        stale_after=0.0,
    )


def _count(name: str, given: t.Any) -> int:
    try:
        count = int(str(given))
    except ValueError:
        count = -1
    if not 0 <= count <= _MOST:
        raise InvalidInput(f"{name} is not a number of points", expected=f"0 to {_MOST}", found=repr(given)[:100])
    return count


def _duration(name: str, given: t.Any) -> float:
    try:
        seconds = parse_duration(given)
    except InvalidInput as error:
        error.message = f"{name} is not a duration"
        raise
    if seconds > _LONGEST_S:
        raise InvalidInput(f"{name} is too long", expected="at most 200 years", found=repr(given)[:100])
    return seconds
