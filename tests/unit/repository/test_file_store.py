# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write-once objects in a directory: whole or not at all, one winner, nothing outside, clear errors."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import INCOMING, FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import check_key

ROOT = pathlib.Path(__file__).resolve().parents[3]
SEGMENT = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,5}", fullmatch=True)
KEY = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)


@pytest.fixture
def store(tmp_path: pathlib.Path) -> FileStore:
    made = FileStore(str(tmp_path / "store"))
    assert made.make_root()
    return made


def hidden(store: FileStore) -> list[str]:
    return os.listdir(os.path.join(store.path, INCOMING))


def test_an_object_comes_back(store: FileStore) -> None:
    store.create("a/b/c.json", b"content")
    assert store.read("a/b/c.json", 100) == b"content"
    with store.open("a/b/c.json", 3, 2) as source:
        assert source.read() == b"te"
    assert store.stat("a/b/c.json").length == 7
    assert hidden(store) == []


def test_a_second_create_changes_nothing(store: FileStore) -> None:
    store.create("key", b"first")
    with pytest.raises(ObjectExists):
        store.create("key", b"second")
    assert store.read("key", 100) == b"first"


@settings(max_examples=10, deadline=None)
@given(writers=st.integers(2, 12), length=st.integers(0, 200_000))
def test_of_concurrent_writers_exactly_one_wins(writers: int, length: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        ready, won, seen = threading.Barrier(writers + 1), [], set()
        done = threading.Event()

        def write(number: int) -> None:
            mine = FileStore(directory)
            content = bytes([number]) * (length + 1)
            ready.wait()
            try:
                mine.create("the/key", content)
            except ObjectExists:
                return
            won.append(content)

        def watch() -> None:
            mine = FileStore(directory)
            ready.wait()
            while not done.is_set():
                for found in mine.list(""):
                    seen.add(mine.read(found.key, 1_000_000))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        watcher = threading.Thread(target=watch)
        for thread in [*threads, watcher]:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watcher.join()
        assert len(won) == 1
        assert FileStore(directory).read("the/key", 1_000_000) == won[0]
        assert seen <= {won[0]}  # never a part, never another


def test_nothing_of_a_failed_writer_stays(store: FileStore) -> None:
    with pytest.raises(ValueError, match="the source failed"), store.writer("a/b") as target:
        target.write(b"half")
        assert list(store.list("")) == []
        assert list(store.children("")) == []
        raise ValueError("the source failed")
    assert list(store.list("")) == []
    assert hidden(store) == []


def test_an_unfinished_object_is_not_listed(store: FileStore) -> None:
    with store.writer("a/b") as target:
        target.write(b"half" * 100_000)
        assert list(store.list("")) == []
    assert [found.key for found in store.list("")] == ["a/b"]


@pytest.mark.parametrize("at", ["write", "fsync", "link"])
def test_a_killed_writer_leaves_nothing_visible_and_is_swept(store: FileStore, at: str) -> None:
    program = f"""
import os, sys
sys.path[:0] = {[str(ROOT / ".local" / "collections")]!r}
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
store = FileStore({store.path!r})
real_link, real_fsync = os.link, os.fsync
def link(*args):
    if {at!r} == "link": os.kill(os.getpid(), 9)
    real_link(*args)
def fsync(fd):
    if {at!r} == "fsync": os.kill(os.getpid(), 9)
    real_fsync(fd)
os.link, os.fsync = link, fsync
with store.writer("a/b") as target:
    target.write(b"half" * 100_000)
    if {at!r} == "write": os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(store.list("")) == []
    assert list(store.children("")) == []
    assert len(hidden(store)) == 1
    store.create("other", b"")
    assert hidden(store) == []


def test_a_power_cut_takes_nothing_back(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kill shows a missing fsync: the bytes before the name, then every directory that got an entry or lost one."""
    done: list[tuple[str, str]] = []
    real = {"fsync": os.fsync, "link": os.link, "unlink": os.unlink}

    def noting(name: str, path_of: t.Callable[..., str]) -> None:
        def call(*arguments: t.Any) -> None:
            done.append((name, os.path.relpath(path_of(*arguments), store.path)))
            real[name](*arguments)

        monkeypatch.setattr(os, name, call)

    noting("fsync", lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}"))
    noting("link", lambda _hidden, path: path)
    noting("unlink", lambda path: path)
    store.create("kept", b"x")
    done.clear()
    store.create("points/one/manifest.json", b"content")
    (linked,) = (number for number, (name, _path) in enumerate(done) if name == "link")
    before, after = done[:linked], done[linked + 1 :]
    assert [name for name, path in before if path.startswith(INCOMING)] == ["fsync"], done
    assert {path for name, path in after if name == "fsync"} >= {"points/one", "points", "."}, done
    done.clear()
    store.delete("points/one/manifest.json")
    assert done == [("unlink", "points/one/manifest.json"), ("fsync", ".")]


def test_a_living_writer_is_not_swept(store: FileStore) -> None:
    with store.writer("a/b") as target:
        target.write(b"content")
        FileStore(store.path).create("other", b"")
        assert store.sweep() == 0
    assert store.read("a/b", 100) == b"content"


def test_a_crash_between_directory_and_object_leaves_no_child(store: FileStore) -> None:
    os.makedirs(os.path.join(store.path, "points", "20261121T051000Z-a1b2", "objects"))
    assert list(store.children("points/")) == []
    store.create("points/20261121T051000Z-a1b2/objects/x", b"")
    assert list(store.children("points/")) == ["20261121T051000Z-a1b2/"]


@settings(max_examples=30, deadline=None)
@given(keys=st.sets(KEY, max_size=12), prefix=st.one_of(st.just(""), KEY, KEY.map(lambda key: key + "/")))
def test_listing_is_what_a_sorted_set_of_keys_gives(keys: set[str], prefix: str) -> None:
    # No object is also the directory of another.
    keys = {key for key in keys if not any(other.startswith(key + "/") for other in keys)}
    with tempfile.TemporaryDirectory() as directory:
        store = FileStore(directory)
        for key in keys:
            store.create(key, key.encode())
        matching = sorted(key for key in keys if key.startswith(prefix))
        assert [found.key for found in store.list(prefix)] == matching
        if prefix.endswith("/") or not prefix:
            below = [key[len(prefix) :].partition("/") for key in matching]
            assert list(store.children(prefix)) == sorted({name + slash for name, slash, _rest in below})
        for key in keys:
            store.delete(key)
        assert list(store.list("")) == [] and set(os.listdir(directory)) <= {INCOMING}


@settings(max_examples=300, deadline=None)
@given(key=st.one_of(st.text(max_size=30), KEY, st.text(alphabet="a./\\\0~-_", max_size=12)))
def test_a_key_never_leaves_the_repository(key: str) -> None:
    try:
        check_key(key)
    except InvalidInput:
        return
    path = os.path.join("/the/root", key)
    assert os.path.normpath(path) == path and path.startswith("/the/root/")
    assert not any(segment.startswith(".") for segment in key.split("/"))
    assert key.isascii() and key.isprintable() and "\\" not in key


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".incoming/x", "a/.x", "a\nb", "a\0", "ä", "a" * 1000]
)
def test_bad_keys_are_refused_everywhere(store: FileStore, key: str) -> None:
    for call in (
        lambda: store.create(key, b""),
        lambda: store.read(key, 1),
        lambda: store.open(key),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.writer(key).__enter__(),
    ):
        with pytest.raises(InvalidInput):
            call()


def test_links_lead_nowhere(store: FileStore, tmp_path: pathlib.Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    os.symlink(tmp_path / "outside", os.path.join(store.path, "directory"))
    os.symlink(tmp_path / "outside" / "secret", os.path.join(store.path, "file"))
    for key in ("directory/secret", "file"):
        with pytest.raises(RepositoryError):
            store.read(key, 100)
    with pytest.raises(RepositoryError):
        store.create("directory/new", b"")
    with pytest.raises(RepositoryError):
        store.delete("directory/secret")
    assert list(store.list("")) == [] and list(store.children("")) == []
    assert sorted(os.listdir(tmp_path / "outside")) == ["secret"]


def test_a_pipe_is_no_object(store: FileStore) -> None:
    os.mkfifo(os.path.join(store.path, "pipe"))
    with pytest.raises(ObjectMissing):
        store.read("pipe", 1)
    assert list(store.list("")) == []


def test_too_long_an_object_is_not_read(store: FileStore) -> None:
    store.create("key", b"12345")
    assert store.read("key", 5) == b"12345"
    with pytest.raises(IntegrityError):
        store.read("key", 4)


def test_a_missing_object(store: FileStore) -> None:
    for call in (lambda: store.read("a/b", 1), lambda: store.open("a/b"), lambda: store.stat("a/b")):
        with pytest.raises(ObjectMissing) as raised:
            call()
        assert "a/b" in str(raised.value) and store.url in str(raised.value)
    store.delete("a/b")
    store.create("file", b"")
    with pytest.raises(ObjectMissing):
        store.read("file/below", 1)


def test_the_repository_says_who_may_read(store: FileStore) -> None:
    store.create("a/closed", b"")
    assert os.stat(os.path.join(store.path, "a")).st_mode & 0o777 == 0o700
    assert os.stat(os.path.join(store.path, "a/closed")).st_mode & 0o777 == 0o600
    os.chmod(store.path, 0o2770)
    store.create("b/shared", b"")
    assert os.stat(os.path.join(store.path, "b")).st_mode & 0o7777 == 0o2770
    assert os.stat(os.path.join(store.path, "b/shared")).st_mode & 0o777 == 0o660


def test_deleting_and_creating_in_one_directory_at_once(store: FileStore) -> None:
    """Removing the last object removes the directory that another writer is about to use."""
    failures = []

    def churn(name: str) -> None:
        mine = FileStore(store.path)
        try:
            for number in range(100):
                mine.create(f"deep/er/{name}-{number}", b"")
                mine.delete(f"deep/er/{name}-{number}")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(store.list("")) == []


def test_its_clock_is_the_one_that_stamps_objects(store: FileStore) -> None:
    before = store.now()
    store.create("key", b"")
    after = store.now()
    assert before <= store.stat("key").modified <= after
    assert hidden(store) == []


@pytest.fixture
def small_disk(tmp_path: pathlib.Path):
    """A real file system of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(disk: pathlib.Path, store: FileStore) -> None:
    """To the last byte, then see whether the repository is found writable."""
    with open(disk / ".filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    store.check_writable()


def test_a_full_repository(small_disk: pathlib.Path) -> None:
    store = FileStore(str(small_disk))
    store.create("before", b"x" * 1000)
    for call in (
        lambda: store.create("large", b"x" * 5_000_000),
        lambda: [store.create(f"many/{number}", b"x" * 100_000) for number in range(100)],
        lambda: fill(small_disk, store),
    ):
        with pytest.raises(RepositoryError) as raised:
            call()
        assert "is full" in str(raised.value) and "ENOSPC" in str(raised.value)
        assert "df -h" in (raised.value.next_command or "")
    assert hidden(store) == []
    assert all(found.length in (1000, 100_000) for found in store.list(""))
    assert store.read("before", 1000) == b"x" * 1000
    (small_disk / ".filler").unlink()
    for found in list(store.list("many/")):
        store.delete(found.key)
    store.create("after", b"y" * 100_000)


@pytest.fixture
def unwritable(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> t.Iterator[FileStore]:
    """Holds one key. Root may write anywhere, except on what is mounted read-only."""
    if os.geteuid() == 0:
        small_disk = request.getfixturevalue("small_disk")
        store = FileStore(str(small_disk))
        store.create("key", b"")
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        yield store
        return
    store = FileStore(str(tmp_path / "repository"))
    store.create("key", b"")
    shutil.rmtree(os.path.join(store.path, INCOMING))
    os.chmod(store.path, 0o500)
    yield store
    os.chmod(store.path, 0o700)


def test_an_unwritable_repository(unwritable: FileStore) -> None:
    for call in (lambda: unwritable.create("new", b""), unwritable.check_writable):
        with pytest.raises(RepositoryError) as raised:
            call()
        assert unwritable.path in str(raised.value) and raised.value.next_command
        assert "cannot be used" in str(raised.value)
    with pytest.raises(RepositoryError):
        unwritable.delete("key")
    assert unwritable.read("key", 1) == b""
    unwritable.now()  # an age can be told all the same
