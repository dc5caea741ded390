# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One bad read neither leads to an older point nor is noted for good; damage does both."""

from __future__ import annotations

import datetime
import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.fallback import restore_first_good

NOW = datetime.datetime(2026, 11, 21, 5, 0, tzinfo=datetime.timezone.utc)
NEWEST, OLDER = (
    t.cast("t.Any", types.SimpleNamespace(point_id=name, component="flights_db", consistency_time=NOW))
    for name in ("20261121T040000Z-1a2b", "20261121T030000Z-3c4d")
)


class Notes:
    """Stands for the proofs."""

    def __init__(self) -> None:
        self.failed_points: list[str] = []

    def failed(self, point: t.Any, *_rest: t.Any) -> None:
        self.failed_points.append(point.point_id)


def restore(
    bad_reads: dict[str, int], error: type[Exception] = IntegrityError
) -> t.Callable[[t.Any], dict[str, t.Any]]:
    left = dict(bad_reads)

    def attempt(point: t.Any) -> dict[str, t.Any]:
        if left.get(point.point_id, 0):
            left[point.point_id] -= 1
            raise error("cut off")
        return {"restored": point.point_id}

    return attempt


def test_one_bad_read_is_read_again() -> None:
    notes, warnings = Notes(), list[str]()
    attempt = restore({NEWEST.point_id: 1})
    result, choices = restore_first_good([NEWEST, OLDER], [], attempt, t.cast("t.Any", notes), warnings)
    assert result == {"restored": NEWEST.point_id} and not notes.failed_points
    assert [choice.outcome for choice in choices] == ["chosen"]
    assert warnings == [
        f"recovery point {NEWEST.point_id} was read a second time, and was whole then; at first: cut off"
    ]


def test_two_bad_reads_are_damage() -> None:
    notes, warnings = Notes(), list[str]()
    attempt = restore({NEWEST.point_id: 2})
    result, choices = restore_first_good([NEWEST, OLDER], [], attempt, t.cast("t.Any", notes), warnings)
    assert result == {"restored": OLDER.point_id} and notes.failed_points == [NEWEST.point_id]
    assert [choice.outcome for choice in choices] == ["damaged", "chosen"]


def test_what_is_no_damage_is_raised_at_once() -> None:
    notes, warnings = Notes(), list[str]()
    attempt = restore({NEWEST.point_id: 1}, RepositoryError)
    with pytest.raises(RepositoryError):
        restore_first_good([NEWEST, OLDER], [], attempt, t.cast("t.Any", notes), warnings)
    assert not notes.failed_points and not warnings
