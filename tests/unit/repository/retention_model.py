# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which points docs/retention.md keeps, said a second time: slow, from the text, without looking at the first one.

Every rule is a question about one point, answered by going through all the others.
"""

from __future__ import annotations

import datetime
import typing as t

LADDER = ["taken", "verified", "restored", "asserted"]


def period(rule: str, moment: datetime.datetime, zone: datetime.tzinfo) -> tuple[t.Any, ...]:
    local = moment.astimezone(zone)
    day = datetime.date(local.year, local.month, local.day)
    if rule == "hourly":
        return (day, local.hour, local.utcoffset())
    if rule == "daily":
        return (day,)
    if rule == "weekly":
        return (day - datetime.timedelta(days=day.weekday()),)  # its Monday
    if rule == "monthly":
        return (day.year, day.month)
    return (day.year,)


def is_sound(point: t.Any, now: datetime.datetime) -> bool:
    return point.level != "damaged" and point.at <= now + datetime.timedelta(seconds=60)


def newer(one: t.Any, other: t.Any) -> bool:
    return (one.at, one.point_id) > (other.at, other.point_id)


def stands_for_its_period(rule: str, point: t.Any, sound: list[t.Any], zone: datetime.tzinfo) -> bool:
    mine = period(rule, point.at, zone)
    same = [other for other in sound if period(rule, other.at, zone) == mine]
    proven = [other for other in same if other.level != "taken"]
    return not any(newer(other, point) for other in (proven or same)) and point in (proven or same)


def is_kept_alone(point: t.Any, points: list[t.Any], policy: t.Any, now: datetime.datetime) -> bool:
    """Whether anything but a need keeps it."""
    sound = [other for other in points if is_sound(other, now)]
    age = (now - point.at).total_seconds()
    if point.at > now + datetime.timedelta(seconds=60) or point.held:
        return True
    if policy.keep_within and age <= policy.keep_within:
        return True
    if age < policy.min_age or (point.stored_at and (now - point.stored_at).total_seconds() < policy.min_age):
        return True
    if point.locked_until and point.locked_until > now:
        return True
    if point.level == "damaged":
        return age <= policy.keep_damaged or not any(newer_time(other, point) for other in sound)
    ahead = [other for other in sound if newer(other, point)]
    if len(ahead) < policy.keep_last:
        return True
    for rung in range(LADDER.index(point.level) + 1):
        if not any(LADDER.index(other.level) >= rung for other in ahead):
            return True  # the newest of that level
    if all((other.sequence, other.at, other.point_id) <= (point.sequence, point.at, point.point_id) for other in sound):
        return True
    for rule in ("hourly", "daily", "weekly", "monthly", "yearly"):
        limit = getattr(policy, rule)
        mine = period(rule, point.at, policy.zone)
        # How many periods have a point newer than the newest of mine?
        newest_of_mine = max(
            (other for other in sound if period(rule, other.at, policy.zone) == mine),
            key=lambda other: (other.at, other.point_id),
        )
        later = {period(rule, other.at, policy.zone) for other in sound if newer(other, newest_of_mine)} - {mine}
        if len(later) < limit and stands_for_its_period(rule, point, sound, policy.zone):
            return True
    return False


def newer_time(other: t.Any, point: t.Any) -> bool:
    return bool(other.at > point.at)


def kept(points: list[t.Any], policy: t.Any, now: datetime.datetime) -> set[str]:
    """The ids of the points that stay."""
    found = {point.point_id for point in points if is_kept_alone(point, points, policy, now)}
    while True:
        needed = {need for point in points if point.point_id in found for need in point.needs}
        more = (needed & {point.point_id for point in points}) - found
        if not more:
            return found
        found |= more
