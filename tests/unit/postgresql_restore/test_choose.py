# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which points a restore may take, and what it says about the others."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import (
    Choice,
    candidates,
    describe_choices,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import DamagedPoint, PointListing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof

START = datetime.datetime(2026, 11, 21, 5, 0, tzinfo=datetime.timezone.utc)


def point(hour: int, damaged: bool = False) -> RecoveryPoint:
    moment = START + datetime.timedelta(hours=hour)
    found = RecoveryPoint(
        "flights_db",
        "local",
        "id",
        f"{moment:%Y%m%dT%H%M%SZ}-a1b2",
        "postgresql",
        "15.1",
        None,
        moment,
        moment,
        moment,
        1.0,
        [],
        {},
        {},
        {},
    )
    if damaged:
        found.proofs.append(Proof("verified", moment, outcome="failed"))
    return found


def listing(damaged: t.Sequence[bool]) -> PointListing:
    """Newest first."""
    points = [point(hour, bad) for hour, bad in reversed(list(enumerate(reversed(damaged))))]
    return PointListing("flights_db", points)


@given(st.lists(st.booleans(), max_size=6), st.integers(0, 3))
def test_undamaged_points_in_turn_and_every_newer_damaged_one_named(damaged: list[bool], older: int) -> None:
    points = listing(damaged)
    good = [item for item in points.points if item.level != "damaged"]
    if not good:
        with pytest.raises(ObjectMissing):
            candidates(points, "newest", None, older)
        return
    tried, passed_over = candidates(points, "newest", None, older)
    assert tried == good[: older + 1]
    newer = [item.point_id for item in points.points if item.consistency_time > good[0].consistency_time]
    assert [choice.point_id for choice in passed_over] == newer


def test_a_damaged_manifest_is_named_when_it_is_newer() -> None:
    points = listing([False, False])
    newer, older = "20261122T000000Z-ffff", "20261120T000000Z-ffff"
    points.damaged = [DamagedPoint(newer, "digest"), DamagedPoint(older, "digest")]
    _tried, passed_over = candidates(points, "newest", None, 2)
    assert [choice.point_id for choice in passed_over] == [newer]


def test_a_named_point_is_never_replaced() -> None:
    points = listing([True, False])
    bad, good = (item.point_id for item in points.points)
    assert candidates(points, good, None, 5)[0] == [points.points[1]]
    with pytest.raises(IntegrityError):
        candidates(points, bad, None, 5)


def test_only_points_before_the_moment() -> None:
    points = listing([False, False, False])
    tried, _passed = candidates(points, "newest", START + datetime.timedelta(minutes=90), 5)
    assert [item.consistency_time for item in tried] == [START + datetime.timedelta(hours=1), START]


def test_people_read_what_is_lost() -> None:
    now = START + datetime.timedelta(hours=3)
    newer, older = START + datetime.timedelta(hours=2), START
    choices = [Choice("b", newer, "damaged", "an object is missing"), Choice("a", older, "chosen")]
    assert describe_choices(choices, now) == [
        "b was passed over (damaged: an object is missing)",
        "a shows 2026-11-21T05:00:00.000000Z; what was written in the 3 h 00 m since is not in it",
    ]
    assert [choice.facts(now)["loses_s"] for choice in choices] == [3600.0, 10800.0]
