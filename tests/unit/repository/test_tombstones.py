# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tombstones: written once, read with suspicion, and what they do to listing and choosing."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectExists, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    list_points,
    load_point,
    remove_incomplete,
    select_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import (
    Tombstone,
    read_tombstone,
    tombstone_ids,
    tombstone_key,
    write_tombstone,
)

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)


def tombstone(point_id: str, **fields: object) -> Tombstone:
    details = {
        "component": "db", "point_id": point_id, "expired_at": NOON, "run_id": None, "reason": "no rule keeps it",
        "policy": {"daily": 30}, "manifest_sha256": "a" * 64, "sequence": 7, "previous": None, "previous_sha256": None,
        "consistency_time": NOON - HOUR, "level": "taken", "size": 12, "objects_count": 3, **fields,
    }  # fmt: skip
    return Tombstone(**details)


@pytest.mark.parametrize(
    "fields", [{}, {"sequence": None, "consistency_time": None, "manifest_sha256": None}, {"run_id": "a-run"}]
)
def test_a_tombstone_comes_back_as_it_was_written(repository: Repository, fields: dict[str, object]) -> None:
    written = tombstone("20261121T100000Z-a1b2", **fields)
    write_tombstone(repository, written)
    assert read_tombstone(repository, "db", written.point_id) == written
    assert tombstone_ids(repository.store, "db") == {written.point_id}
    with pytest.raises(ObjectExists):
        write_tombstone(repository, dataclasses.replace(written, reason="another"))


def test_a_tombstone_in_another_s_place_or_with_a_changed_byte_is_none(repository: Repository) -> None:
    written = tombstone("20261121T100000Z-a1b2")
    repository.store.create(tombstone_key("db", "20261121T100000Z-ffff"), written.to_document())
    with pytest.raises(IntegrityError, match="damaged"):
        read_tombstone(repository, "db", "20261121T100000Z-ffff")
    write_tombstone(repository, written)
    path = pathlib.Path(repository.store.path) / tombstone_key("db", written.point_id)
    path.write_bytes(path.read_bytes().replace(b"no rule", b"my rule"))
    with pytest.raises(IntegrityError, match="damaged"):
        read_tombstone(repository, "db", written.point_id)


def test_a_point_with_a_tombstone_is_expiring_and_nothing_else(repository: Repository, take) -> None:
    old, new = take(NOON - HOUR), take(NOON)
    write_tombstone(repository, tombstone(new.point_id))
    listing = list_points(repository, "db")
    assert [point.point_id for point in listing.points] == [old.point_id]
    assert listing.expiring == [new.point_id] and not listing.incomplete and not listing.damaged
    assert select_point(listing).point_id == old.point_id
    with pytest.raises(ObjectMissing, match="has expired and is being removed"):
        select_point(listing, new.point_id)
    with pytest.raises(ObjectMissing, match="has expired"):
        load_point(repository, "db", new.point_id)
    repository.store.delete(new.manifest_key)  # as after a kill at the last moment
    listing = list_points(repository, "db")
    assert listing.expiring == [new.point_id] and not listing.incomplete
    assert remove_incomplete(repository, "db") == []
    assert load_point(repository, "db", old.point_id).point_id == old.point_id


def test_nothing_is_proven_about_a_point_that_has_expired_meanwhile(repository: Repository, take) -> None:
    point = take(NOON)
    write_tombstone(repository, tombstone(point.point_id))
    for outcome in ("ok", "failed"):
        with pytest.raises(ObjectMissing, match="has expired meanwhile"):
            write_proof(repository, point, "verified", None, 1.0, {}, outcome)
