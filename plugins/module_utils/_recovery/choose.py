# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which recovery points a restore may take, in which order, and what each choice loses."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, select_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint


@dataclasses.dataclass
class Choice:
    """A point that was considered. ``outcome``: chosen, damaged, failed, or older (not needed)."""

    point_id: str
    consistency_time: datetime.datetime | None
    outcome: str
    reason: str | None = None

    def facts(self, now: datetime.datetime) -> dict[str, t.Any]:
        moment = self.consistency_time
        return {
            "point_id": self.point_id,
            "consistency_time": _clock.format_time(moment) if moment else None,
            "outcome": self.outcome,
            "reason": self.reason,
            "loses_s": round((now - moment).total_seconds(), 3) if moment else None,
        }


def candidates(
    listing: PointListing, selector: str, before: datetime.datetime | None, fallback_points: int
) -> tuple[list[RecoveryPoint], list[Choice]]:
    """The points to try in turn, and those that are newer and known to be damaged.

    :arg selector: ``newest`` or a point's id; an id is never replaced by another point.
    :arg fallback_points: how many older ones may be tried after the newest.
    :raises ObjectMissing: none fits. :raises IntegrityError: the one asked for is damaged.
    """
    first = select_point(listing, selector, before)
    if selector != "newest":
        return [first], []
    fitting = [
        point
        for point in listing.points
        if point.level != DAMAGED and (before is None or point.consistency_time <= before)
    ]
    passed_over = [
        Choice(point.point_id, point.consistency_time, "damaged", "its newest verification failed")
        for point in listing.points
        if point.level == DAMAGED and point.consistency_time > first.consistency_time
    ]
    passed_over += [
        Choice(damaged.point_id, None, "damaged", damaged.reason)
        for damaged in listing.damaged
        # Its manifest cannot be trusted, so its id is all that tells its time.
        if damaged.point_id > first.point_id and (before is None or damaged.point_id[:16] <= f"{before:%Y%m%dT%H%M%SZ}")
    ]
    return fitting[: fallback_points + 1], sorted(passed_over, key=lambda choice: choice.point_id, reverse=True)


def require_engine(point: RecoveryPoint, engine: str) -> RecoveryPoint:
    """``point``, when it is of that engine. Raises :class:`InvalidInput`."""
    if point.engine != engine:
        raise InvalidInput(
            f"recovery point {point.point_id} is of another engine", point.component, engine, point.engine
        )
    return point


def describe_damaged(listing: PointListing) -> list[str]:
    """A warning a point that cannot be read."""
    return [f"recovery point {item.point_id} is damaged: {item.reason}" for item in listing.damaged]


def describe_choices(choices: t.Sequence[Choice], now: datetime.datetime) -> list[str]:
    """A sentence a choice for people: what was passed over and why, what the one taken loses."""
    sentences = []
    for choice in choices:
        if choice.outcome != "chosen":
            sentences.append(f"{choice.point_id} was passed over ({choice.outcome}: {choice.reason})")
        elif choice.consistency_time is not None:
            lost = _clock.format_duration((now - choice.consistency_time).total_seconds())
            sentences.append(
                f"{choice.point_id} shows {_clock.format_time(choice.consistency_time)};"
                f" what was written in the {lost} since is not in it"
            )
    return sentences
