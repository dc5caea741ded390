# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every new point names the one before it, whatever happened to that one meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._repository import points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.links import Link, chain_head
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import Tombstone, write_tombstone


def path_of(repository: Repository, key: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / key  # type: ignore[attr-defined]


def bury(repository: Repository, point: RecoveryPoint) -> None:
    write_tombstone(
        repository,
        Tombstone(
            component=point.component,
            point_id=point.point_id,
            expired_at=now(),
            run_id=None,
            reason="a test",
            policy={},
            manifest_sha256=point.manifest_sha256,
            sequence=point.sequence,
            previous=point.previous,
            previous_sha256=point.previous_sha256,
            consistency_time=point.consistency_time,
            level=point.level,
            size=point.size,
            objects_count=len(point.objects),
        ),
    )
    for found in list(repository.store.list(point.prefix)):
        repository.store.delete(found.key)


@pytest.fixture
def in_one_second(monkeypatch) -> None:
    """Ids whose order is not the order in which the points were taken."""
    numbers = itertools.count(0xFFFF, -1)
    monkeypatch.setattr(points.secrets, "token_hex", lambda size: f"{next(numbers):04x}")


def test_points_of_one_second_are_linked_in_the_order_in_which_they_were_taken(
    repository: Repository, take, in_one_second
) -> None:
    assert chain_head(repository, "db") is None
    taken = [take() for _ in range(4)]
    assert [point.sequence for point in taken] == [1, 2, 3, 4]
    assert (taken[0].previous, taken[0].previous_sha256) == (None, None)
    for before, after in itertools.pairwise(taken):
        digest = hashlib.sha256(path_of(repository, before.manifest_key).read_bytes()).hexdigest()
        assert (after.previous, after.previous_sha256) == (before.point_id, digest)
    assert chain_head(repository, "db") == Link(taken[3].point_id, 4, str(taken[3].manifest_sha256))
    assert take(component="other").sequence == 1


def test_an_expired_point_stays_in_the_history(repository: Repository, take) -> None:
    first, second = take(), take()
    bury(repository, first)
    bury(repository, second)
    third = take()
    assert (third.sequence, third.previous, third.previous_sha256) == (3, second.point_id, second.manifest_sha256)


def test_a_point_that_is_being_taken_is_no_part_of_the_history(repository: Repository, take) -> None:
    first = take()
    unfinished = points.begin_point(repository, "db", "postgresql", None)
    repository.store.create(unfinished.object_key("a"), b"x")
    assert take().previous == first.point_id


def test_a_damaged_manifest_is_linked_as_it_was_when_it_was_taken(repository: Repository, take) -> None:
    point = take()
    path_of(repository, point.manifest_key).write_bytes(b"{}")
    after = take()
    assert (after.sequence, after.previous, after.previous_sha256) == (2, point.point_id, point.manifest_sha256)


def test_a_manifest_that_nothing_remembers_keeps_its_place(repository: Repository, take) -> None:
    take()
    point = take()
    path_of(repository, point.manifest_key).write_bytes(b"{}")
    for proof in path_of(repository, f"{point.prefix}proofs").iterdir():
        proof.unlink()
    after = take()
    assert (after.sequence, after.previous) == (3, point.point_id)
    assert after.previous_sha256 == hashlib.sha256(b"{}").hexdigest()


def test_finding_the_head_of_a_whole_history_reads_one_manifest(repository: Repository, take, monkeypatch) -> None:
    numbers = itertools.count()
    monkeypatch.setattr(points.secrets, "token_hex", lambda size: f"{next(numbers):04x}")
    for _ in range(5):
        take()
    read: list[str] = []
    real = repository.store.read
    monkeypatch.setattr(
        type(repository.store), "read", lambda self, key, *rest, **more: read.append(key) or real(key, *rest, **more)
    )
    head = chain_head(repository, "db")
    assert head is not None and head.sequence == 5 and len(read) == 1
