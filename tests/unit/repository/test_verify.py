# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a point back finds whatever was done to it, and finds nothing where nothing was done."""

from __future__ import annotations

import io
import os
import pathlib
import random
import tempfile

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    WrongIdentity,
    store_stream,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point

from .conftest import NOON

KEY = pyrage.x25519.Identity.generate()
NOBODY = Identities(None, None)
OWNER = Identities(str(KEY), None)
KINDS = ("flip", "cut", "longer", "empty", "remove", "swap", "extra")


def taken(repository: Repository, encrypted: bool = False) -> RecoveryPoint:
    writer = begin_point(repository, "db", "postgresql", None)
    encoding = Encoding(recipients=[str(KEY.to_public())] if encrypted else [])
    for number in range(3):
        name = f"db-0001/{number}.dat{encoding.suffix}"
        data = random.Random(number).randbytes(2000) + b"x" * 5000
        writer.add(store_stream(repository.store, writer.object_key(name), name, io.BytesIO(data), encoding))
    return writer.commit(engine_version="15", consistency_time=NOON, content={}, restore_guide="guide")


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), data=st.data())
def test_every_corruption_is_found_and_named(kind: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        repository, _created = initialise_repository(f"file://{directory}/r", "testing", check_mode=False)
        assert repository is not None
        point = taken(repository)
        assert verify_point(repository, point, NOBODY).failures == []
        stored = data.draw(st.sampled_from(point.objects))
        path = pathlib.Path(directory) / "r" / stored.key
        content = bytearray(path.read_bytes())
        name = stored.name
        if kind == "flip":
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        elif kind == "longer":
            content += b"\0"
        elif kind == "empty":
            content.clear()
        if kind == "remove":
            path.unlink()
        elif kind == "swap":
            other = data.draw(st.sampled_from([item for item in point.objects if item != stored]))
            os.replace(pathlib.Path(directory) / "r" / other.key, path)
        elif kind == "extra":
            (path.parent / "extra").write_bytes(b"")
            name = "extra"
        else:
            path.write_bytes(bytes(content))
        result = verify_point(repository, point, NOBODY)
        assert not result.ok
        assert any(name in failure for failure in result.failures)


def test_encrypted_objects_are_decrypted_where_that_is_possible(repository: Repository) -> None:
    point = taken(repository, encrypted=True)
    assert (verify_point(repository, point, OWNER).decoded, len(point.objects)) == (4, 4)
    without = verify_point(repository, point, NOBODY)
    assert (without.ok, without.objects, without.decoded) == (True, 4, 1)
    with pytest.raises(WrongIdentity):
        verify_point(repository, point, Identities(str(pyrage.x25519.Identity.generate()), None))
    path = pathlib.Path(repository.store.path) / point.objects[0].key
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    for identities in (NOBODY, OWNER):
        assert not verify_point(repository, point, identities).ok


def test_progress_reaches_its_total(repository: Repository) -> None:
    class Counted:
        total = done = 0

        def step(self, what: str, total: int | None = None) -> None:
            self.total = total or 0

        def add(self, count: int) -> None:
            self.done += count

    for encrypted, identities in ((False, NOBODY), (True, NOBODY), (True, OWNER)):
        progress = Counted()
        verify_point(repository, taken(repository, encrypted), identities, progress)  # type: ignore[arg-type]
        assert progress.done == progress.total > 0


def test_a_listed_point_verifies_like_a_taken_one(repository: Repository) -> None:
    taken(repository)
    assert verify_point(repository, list_points(repository, "db").points[0], NOBODY).ok


def test_a_repository_that_is_away_says_nothing_about_its_points(repository: Repository) -> None:
    point = taken(repository)
    place = pathlib.Path(repository.store.path)
    away = place.with_name("unmounted")
    place.rename(away)
    place.mkdir()
    with pytest.raises(RepositoryError, match="is away"):
        verify_point(repository, point, NOBODY)
    place.rmdir()
    away.rename(place)
    assert verify_point(repository, point, NOBODY).ok
