# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    InvalidInput,
    ObjectMissing,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import (
    Archive,
    Audit,
    StoredSegment,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_reading import Transaction
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import (
    ENGINE,
    Base,
    Plan,
    base_of,
    bases_for,
    plan,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import Segment, format_lsn
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import DamagedPoint, PointListing

SIZE = 16 << 20
FIVE = datetime.datetime(2026, 11, 21, 5, tzinfo=datetime.timezone.utc)


def hours(count: float) -> datetime.datetime:
    return FIVE + datetime.timedelta(hours=count)


def point(number: int, **changed: t.Any) -> RecoveryPoint:
    """A base that was taken in hour ``number`` and in segment ``10 * number``."""
    name = Segment(10 * number, 1).name(SIZE)
    content = {
        "label": f"base {number}",
        "generation": "0001",
        "archive_id": "15-1",
        "archive_start": name,
        "archive_stop": name,
        "stop_lsn": format_lsn(10 * number * SIZE + 256),
        "timeline": 1,
        "system_identifier": "7710538175551993172",
        "size": 1000,
        "segment_size": SIZE,
        "next_xid": str(700 + number),
        **changed,
    }
    moment = hours(number)
    return RecoveryPoint(
        "ledger_db",
        "local",
        "id",
        f"20261121T0{5 + number}0000Z-a1b2",
        ENGINE,
        "15.18",
        None,
        moment,
        moment,
        moment,
        1.0,
        [],
        {"pgbackrest": content},
        {},
        {},
    )


def listing(*points: RecoveryPoint) -> PointListing:
    return PointListing("ledger_db", sorted(points, key=lambda item: item.consistency_time, reverse=True))


class Source:
    """An archive of segments ``numbers``; a transaction ends in each, at the hour of its tenth."""

    def __init__(self, *numbers: int) -> None:
        names = [Segment(number, 1).name(SIZE) for number in numbers]
        self._archive = Archive([StoredSegment(name, "0" * 40, 1, True, name) for name in names])

    def archive(self, base: Base) -> Archive:
        return self._archive

    def last_transaction(self, base: Base, found: Audit) -> Transaction | None:
        if not found.usable:
            return None
        number = Segment.parse(found.usable[-1].name, SIZE).number
        return Transaction(hours(number / 10), format_lsn(number * SIZE + 4096), 750)

    def known_archived(self, base: Base) -> dict[str, str]:
        return {}


def planned(source: Source, target: Target, *points: RecoveryPoint) -> Plan:
    return plan(*bases_first(listing(*points), target, source))


def bases_first(found: PointListing, target: Target, source: Source) -> tuple[t.Any, ...]:
    bases, passed_over = bases_for(found, target, "newest")
    return bases, target, source, passed_over


def at(moment: datetime.datetime) -> Target:
    return Target("time", moment.strftime("%Y-%m-%dT%H:%M:%SZ"))


WHOLE = range(10, 40)


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (Target("newest"), "base 3"),
        (at(hours(2.5)), "base 2"),
        (at(hours(3)), "base 3"),
        (Target("lsn", format_lsn(30 * SIZE)), "base 2"),
        (Target("lsn", format_lsn(30 * SIZE + 256)), "base 3"),
        (Target("xid", "702"), "base 2"),
        # The same transaction as a view shows it that counts to 2^32.
        (Target("xid", str((1 << 32) + 702)), "base 3"),
        (Target("name", "before the accident"), "base 3"),
        (Target("immediate"), "base 3"),
    ],
)
def test_the_newest_base_before_the_target_is_taken(target: Target, label: str) -> None:
    assert planned(Source(*WHOLE), target, point(1), point(2), point(3)).base.label == label


def test_what_lies_before_every_base_is_refused_with_the_earliest_moment() -> None:
    with pytest.raises(ObjectMissing, match="before the end of every base backup") as refusal:
        bases_for(listing(point(1), point(2)), at(hours(0.5)), "newest")
    assert "2026-11-21T06:00:00" in str(refusal.value)
    with pytest.raises(ObjectMissing):
        bases_for(listing(point(1), point(2)), at(hours(1.5)), point(2).point_id)
    with pytest.raises(ObjectMissing):
        bases_for(listing(), Target("newest"), "newest")


def test_a_hole_refuses_what_lies_behind_it_and_nothing_else() -> None:
    holed = Source(*(number for number in WHOLE if number != 25))
    hole = Segment(25, 1).name(SIZE)
    for target in (at(hours(2.8)), Target("lsn", format_lsn(26 * SIZE))):
        with pytest.raises(IntegrityError, match=f"{hole} is missing") as refusal:
            planned(holed, target, point(1), point(2))
        # Up to the last transaction before the hole, it can be restored: by a command that can be pasted.
        assert f"restore_target_lsn={format_lsn(24 * SIZE + 4096)}" in str(refusal.value)
    with pytest.raises(IntegrityError, match="hole"):
        planned(holed, Target("newest"), point(2))
    assert planned(holed, at(hours(2.3)), point(2)).base.label == "base 2"
    assert planned(holed, Target("lsn", format_lsn(25 * SIZE - 1)), point(2)).base.label == "base 2"
    # A base behind the hole does not need it.
    assert planned(holed, Target("newest"), point(2), point(3)).base.label == "base 3"


def test_beyond_the_archive_is_no_hole() -> None:
    for target in (at(hours(9)), Target("lsn", format_lsn(99 * SIZE))):
        with pytest.raises(AssertionFailed, match="beyond the end of the archived log"):
            planned(Source(*WHOLE), target, point(1))
    # The last transaction itself, strictly.
    assert planned(Source(*WHOLE), at(hours(3.89)), point(1))
    with pytest.raises(AssertionFailed):
        planned(Source(*WHOLE), at(hours(3.9)), point(1))
    exclusive = Target("time", hours(3.9).strftime("%Y-%m-%dT%H:%M:%SZ"), inclusive=False)
    assert planned(Source(*WHOLE), exclusive, point(1))


def test_a_base_whose_own_log_is_not_whole_gives_way_to_an_older_one() -> None:
    long = point(2, archive_stop=Segment(22, 1).name(SIZE))
    holed = Source(*(number for number in WHOLE if number != 21))
    with pytest.raises(IntegrityError, match="log of its own time"):
        planned(holed, Target("immediate"), long)
    found = planned(holed, Target("immediate"), point(1), long)
    assert found.base.label == "base 1"
    assert [choice.outcome for choice in found.choices] == ["unusable"]


def test_damaged_points_are_passed_over_and_said() -> None:
    found = listing(point(1))
    found.damaged.append(DamagedPoint("20261121T090000Z-a1b2", "a flipped bit"))
    _bases, passed_over = bases_for(found, Target("newest"), "newest")
    assert [choice.reason for choice in passed_over] == ["a flipped bit"]


@pytest.mark.parametrize("changed", [{"archive_start": "../x"}, {"stop_lsn": "x"}, {"size": "much"}])
def test_a_catalogue_entry_that_cannot_be_one_is_refused(changed: dict[str, t.Any]) -> None:
    with pytest.raises(IntegrityError, match="does not say what pgBackRest holds"):
        base_of(point(1, **changed))


def test_a_point_of_another_engine_is_refused() -> None:
    other = point(1)
    other.engine = "postgresql"
    with pytest.raises(InvalidInput, match="another engine"):
        base_of(other)
