# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pins and holds: said, taken back, over, copied, damaged."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, ObjectExists
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import list_pins, release_pin, write_pin
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def test_a_pin_is_there_until_its_time_and_a_hold_until_it_is_released(repository: Repository, take) -> None:
    point = take()
    pin = write_pin(repository, "db", point.point_id, "pin", "the audit\nwants it", "ana@ops", NOON, NOON + DAY)
    hold = write_pin(repository, "db", point.point_id, "hold", "case 17", "legal", NOON + DAY)
    assert list_pins(repository.store, point.prefix) == [pin, hold]
    assert pin.active(NOON) and not pin.active(NOON + DAY) and hold.active(NOON + 10000 * DAY)
    assert pin.words() == "pinned until 2026-11-22T12:00:00Z by ana@ops because the audit wants it"
    assert hold.words() == "legal hold by legal because case 17"
    release_pin(repository, "db", point.point_id, hold, "case closed", "legal", NOON + 2 * DAY)
    assert list_pins(repository.store, point.prefix) == [pin]
    with pytest.raises(ObjectExists):
        release_pin(repository, "db", point.point_id, hold, "again", "legal", NOON + 3 * DAY)
    # Neither makes the point look as if something foreign lay in it.
    (listed,) = list_points(repository, "db").points
    assert verify_point(repository, listed, Identities()).ok
    assert layout_failures(repository) == []


@pytest.mark.parametrize("how", ["pin", "release"])
def test_damage_and_copies_never_let_a_point_go(repository: Repository, take, how: str) -> None:
    point, other = take(), take()
    hold = write_pin(repository, "db", point.point_id, "hold", "case 17", "legal", NOON)
    release_pin(repository, "db", point.point_id, hold, "case closed", "legal", NOON)
    root = pathlib.Path(repository.store.path)
    directory, elsewhere = root / point.prefix / "pins", root / other.prefix / "pins"
    assert list_pins(repository.store, point.prefix) == []
    if how == "release":
        path = directory / f"{hold.name}-released.json"
        path.write_bytes(path.read_bytes().replace(b"closed", b"opened"))
        assert list_pins(repository.store, point.prefix) == [hold]
        return
    newer = write_pin(repository, "db", other.point_id, "hold", "case 18", "legal", NOON + DAY)
    (elsewhere / f"{newer.name}-released.json").write_bytes((directory / f"{hold.name}-released.json").read_bytes())
    assert list_pins(repository.store, other.prefix) == [newer]
    path = elsewhere / f"{newer.name}.json"
    path.write_bytes(path.read_bytes()[:-9])
    (found,) = list_pins(repository.store, other.prefix)
    assert found.kind == "hold" and found.active(NOON) and "cannot be read" in found.reason
    assert any("pins/" in failure for failure in layout_failures(repository))


@pytest.mark.parametrize(("kind", "reason", "expires"), [("hold", "x", NOON), ("pin", " ", None), ("wish", "x", None)])
def test_what_is_no_pin_is_refused(repository: Repository, take, kind: str, reason: str, expires: object) -> None:
    with pytest.raises(InvalidInput):
        write_pin(repository, "db", take().point_id, kind, reason, "ana", NOON, expires)
