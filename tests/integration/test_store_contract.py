# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every store promises, tried on each of them: a directory, a bucket with versions and locks, a plain bucket."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import hashlib
import pathlib
import secrets
import threading
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_store
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_bucket import Bucket
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store
from tests.servers.s3 import Gateway

MIB = 1 << 20


@pytest.fixture(scope="module")
def buckets(s3_gateway: Gateway) -> dict[str, str]:
    plain = s3_gateway.make_bucket(versioning=False, lock=False)
    return {"bucket": s3_gateway.make_bucket(), "bucket without versions": plain}


@pytest.fixture(params=["directory", "bucket", "bucket without versions"])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Store:
    if request.param == "directory":
        (tmp_path / "store").mkdir()
        return FileStore(str(tmp_path / "store"))
    gateway: Gateway = request.getfixturevalue("s3_gateway")
    bucket = request.getfixturevalue("buckets")[request.param]
    url = f"s3://{bucket}/some/prefix-{secrets.token_hex(4)}"
    return open_store(url, gateway.options() | {"part_size": 5 * MIB})


def contents(length: int) -> bytes:
    """The same bytes for the same length, and no two parts alike."""
    return b"".join(hashlib.sha256(b"%d" % block).digest() * 1024 for block in range(length // 32768 + 1))[:length]


@pytest.mark.parametrize("length", [0, 5 * MIB, 12 * MIB + 7])
def test_a_stream_comes_back(store: Store, length: int) -> None:
    data = contents(length)
    with store.writer("a/stream") as writer:
        for start in range(0, length, 700_001):
            writer.write(data[start : start + 700_001])
        with pytest.raises(ObjectMissing):
            store.stat("a/stream")
    assert (writer.version_id is not None) == ("versions" in store.features)
    assert store.stat("a/stream").length == length
    with store.open("a/stream") as source:
        assert source.read() == data
        assert source.read(1) == b""
    with store.open("a/stream", version=writer.version_id) as source:
        assert source.read(length + 1) == data
    with pytest.raises(ObjectExists), store.writer("a/stream") as writer:
        writer.write(b"x")
    assert store.read("a/stream", length) == data


def test_ranges(store: Store) -> None:
    data = contents(300_000)
    store.create("ranged", data)
    for offset, length in [(0, 10), (5, None), (299_999, 1), (299_999, 10), (300_000, None), (400_000, 5), (7, 0)]:
        with store.open("ranged", offset, length) as source:
            assert source.read() == data[offset : None if length is None else offset + length], (offset, length)
    with store.open("ranged") as source:
        assert [source.read(3), source.read(0), source.read(2)] == [data[:3], b"", data[3:5]]
    store.create("empty", b"")
    with store.open("empty") as source:
        assert source.read() == b""
    with pytest.raises(ObjectMissing):
        store.open("missing", 5, 0)


def test_a_second_create_changes_nothing(store: Store) -> None:
    store.create("a/b", b"first")
    with pytest.raises(ObjectExists, match="a/b"):
        store.create("a/b", b"first")
    assert store.read("a/b", 5) == b"first"
    with pytest.raises(IntegrityError, match="at most 4"):
        store.read("a/b", 4)


@pytest.mark.parametrize("length", [10, 6 * MIB])
def test_of_concurrent_writers_exactly_one_wins(store: Store, length: int) -> None:
    barrier = threading.Barrier(4 if length > MIB else 8)

    def write(number: int) -> bytes | None:
        data = bytes([number]) * length
        barrier.wait()
        try:
            if length > MIB:
                with store.writer("contended") as writer:
                    writer.write(data)
            else:
                store.create("contended", data)
        except ObjectExists:
            return None
        return data

    with concurrent.futures.ThreadPoolExecutor(barrier.parties) as threads:
        won = [data for data in threads.map(write, range(barrier.parties)) if data is not None]
    assert len(won) == 1
    assert store.read("contended", length) == won[0]
    assert len([*store.versions("contended")]) == 1


@pytest.mark.parametrize("length", [10, 11 * MIB])
def test_nothing_of_a_failed_writer_stays(store: Store, length: int) -> None:
    with pytest.raises(ZeroDivisionError), store.writer("a/broken") as writer:
        writer.write(contents(length))
        raise ZeroDivisionError
    assert [*store.list("")] == []
    assert store.forget_unfinished("") == 0


def test_listing(store: Store) -> None:
    keys = ["a/b", "a-b", "a/b.c", "a/c/d", "b", "a/c/e", "ab/c", "a/b-x/y"]
    for key in keys:
        store.create(key, key.encode())
    assert [found.key for found in store.list("")] == sorted(keys)
    for prefix in ("a", "a/", "a/b", "a/c/", "x"):
        assert [found.key for found in store.list(prefix)] == sorted(key for key in keys if key.startswith(prefix))
        assert [found.key for found in store.versions(prefix)] == sorted(key for key in keys if key.startswith(prefix))
    assert [*store.children("")] == ["a-b", "a/", "ab/", "b"]
    assert [*store.children("a/")] == ["b", "b-x/", "b.c", "c/"]
    assert [*store.children("none/")] == []
    assert {found.length for found in store.list("a/c")} == {5}


def test_more_objects_than_a_page_has(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Bucket.pages
    pages = lambda *args, **given: original(*args, **given, PaginationConfig={"PageSize": 7})  # noqa: E731
    monkeypatch.setattr(Bucket, "pages", pages)
    names = [f"{number:04d}" for number in range(20)]
    for name in names:
        store.create(f"many/{name}/x", b"")
    assert [found.key for found in store.list("many/")] == [f"many/{name}/x" for name in names]
    assert [found.key for found in store.versions("many/")] == [f"many/{name}/x" for name in names]
    assert [*store.children("many/")] == [f"{name}/" for name in names]


def test_deleting(store: Store) -> None:
    version = store.create("a/b", b"first")
    store.delete("a/b")
    store.delete("a/b")
    with pytest.raises(ObjectMissing):
        store.stat("a/b")
    assert [*store.list("")] == [] and [*store.children("")] == []
    if version is not None:
        assert store.read("a/b", 10, version) == b"first"
        assert store.stat("a/b", version).length == 5
        assert next((found.deleted, found.latest) for found in store.versions("a/b")) == (True, True)
    with contextlib.suppress(ObjectExists):  # where a delete marker takes the key
        assert (store.create("a/b", b"second") is None) == (version is None)
        assert store.read("a/b", 10) == b"second"
    store.create("a/b2", b"other")
    store.purge("a/b")
    store.purge("a/b")
    assert [found.key for found in store.versions("")] == ["a/b2"]
    if version is not None:
        with pytest.raises(ObjectMissing):
            store.read("a/b", 10, version)


def test_an_unknown_version(store: Store) -> None:
    store.create("a", b"x")
    if "versions" in store.features:
        with pytest.raises(ObjectMissing):
            store.read("a", 1, "01ARZ3NDEKTSV4RRFFQ69G5FAV")
        with pytest.raises(ObjectMissing):
            store.stat("a", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    elif isinstance(store, FileStore):
        assert store.read("a", 1, "01ARZ3NDEKTSV4RRFFQ69G5FAV") == b"x"


def test_locks(store: Store) -> None:
    version = store.create("a", b"x")
    until = _clock.now().replace(microsecond=0) + datetime.timedelta(hours=1)
    assert store.locked_until("a", version) is None
    if "locks" not in store.features:
        with pytest.raises(RepositoryError):
            store.extend_lock("a", version, until)
        return
    store.extend_lock("a", version, until)
    store.extend_lock("a", version, until - datetime.timedelta(minutes=10))
    assert store.locked_until("a", version) == until
    with pytest.raises(RepositoryError, match="locked until"):
        store.purge("a")
    assert store.read("a", 1) == b"x"
    held = store.create("b", b"y")
    store.set_hold("b", held, True)
    with pytest.raises(RepositoryError):
        store.purge("b")
    store.set_hold("b", held, False)
    store.purge("b")


def test_its_clock_is_the_one_that_stamps_objects(store: Store) -> None:
    about = datetime.timedelta(seconds=3)
    ours, before = _clock.now(), store.now()
    store.create("a", b"")
    stamped, after = store.stat("a").modified, store.now()
    assert before - about < stamped < after + about
    assert ours - about < after < _clock.now() + about
    assert store.now().tzinfo is not None


def test_it_can_be_written_to_and_nothing_stays(store: Store) -> None:
    store.check_writable()
    assert [*store.versions("")] == []
    assert store.forget_unfinished("") == 0


def test_bad_keys_are_refused_everywhere(store: Store) -> None:
    for key in ("", "/a", "a//b", "../x", "a/../b", ".a", "a/.b", "a b", "a\n", "x" * 901):
        refused_everywhere(store, key)


def refused_everywhere(store: Store, key: str) -> None:
    calls: list[t.Callable[[], t.Any]] = [
        lambda: store.create(key, b""),
        lambda: store.read(key, 1),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.purge(key),
        lambda: store.writer(key).__enter__(),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
