# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in a directory: ``file:///srv/repository``.

An object is written to a hidden file of the same file system, made durable, and appears under its name by a hard link,
which the kernel refuses when the name is taken: no reader ever sees a part, and one of two writers wins. The writer
holds a lock on its hidden file, so a file that can be locked belongs to a killed writer and is swept.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import secrets
import stat
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_errors import already_there, explanation
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import (
    ObjectStat,
    ObjectVersion,
    check_key,
    check_prefix,
)

#: Where objects are written before they appear; no key can start with a dot.
INCOMING = ".incoming"


class FileStore:
    """The store below ``path``, an absolute directory. See :class:`store.Store` for what the methods promise.

    It has neither versions nor locks: ``version`` is taken no notice of, so that a bucket copied into a directory opens.
    """

    features: frozenset[str] = frozenset()
    parallel_reads = 1

    def __init__(self, path: str) -> None:
        if not os.path.isabs(path):
            raise InvalidInput("not a repository's path", expected="an absolute path", found=repr(path))
        self.path = os.path.realpath(path)
        self.url = "file://" + urllib.parse.quote(self.path)
        self._swept = False

    # Reading

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        with self.open(key) as source:
            content = source.read(limit + 1)
        if len(content) > limit:
            raise IntegrityError(f"{key} is damaged", expected=f"at most {limit} bytes", found="more")
        return content

    def open(self, key: str, offset: int = 0, length: int | None = None, version: str | None = None) -> t.BinaryIO:
        path = self._path(key)
        with self._explained("read", key):
            # Neither a link out of the repository nor a pipe that blocks for ever is an object.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            source = os.fdopen(descriptor, "rb")
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                source.close()
                raise ObjectMissing(f"{key} is not a plain file", expected="an object", found=path)
            source.seek(offset)
        return source if length is None else t.cast(t.BinaryIO, _Slice(source, length))

    def stat(self, key: str, version: str | None = None) -> ObjectStat:
        with self._explained("read", key):
            found = os.stat(self._path(key), follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise ObjectMissing(f"{key} is not in the repository", found="no plain file of that name")
        return ObjectStat(key, found.st_size, _moment(found))

    def list(self, prefix: str) -> t.Iterator[ObjectStat]:
        check_prefix(prefix)
        return self._walk(prefix.rpartition("/")[0], prefix)

    def _walk(self, directory: str, prefix: str) -> t.Iterator[ObjectStat]:
        for name, entry in self._entries(directory):
            key = f"{directory}/{name}" if directory else name
            if not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if name.endswith("/"):
                yield from self._walk(key[:-1], prefix)
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # deleted since
                continue
            if key.startswith(prefix):
                yield ObjectStat(key, found.st_size, _moment(found))

    def children(self, prefix: str) -> t.Iterator[str]:
        check_prefix(prefix)
        for name, _entry in self._entries(prefix.rstrip("/")):
            if not name.endswith("/") or self._holds_file(os.path.join(self.path, prefix, name)):
                yield name

    def _entries(self, directory: str) -> t.Sequence[tuple[str, os.DirEntry[str]]]:
        """Objects and, ending in ``/``, directories; in the order that their keys' bytes have."""
        with self._explained("list", directory or "the repository"):
            try:
                with os.scandir(self._below_root(os.path.join(self.path, directory))) as entries:
                    found = [
                        (entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), entry)
                        for entry in entries
                        if not entry.name.startswith(".")
                        and (entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False))
                    ]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(found, key=lambda item: item[0])

    def _holds_file(self, directory: str) -> bool:
        """Whether there is an object anywhere below: a directory that a killed writer left empty is nothing."""
        directories: list[str] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    return True
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
        return any(self._holds_file(below) for below in directories)

    def versions(self, prefix: str) -> t.Iterator[ObjectVersion]:
        for found in self.list(prefix):
            yield ObjectVersion(found.key, None, found.length, found.modified)

    # Writing

    def create(self, key: str, data: bytes) -> str | None:
        with self.writer(key) as target:
            target.write(data)
        return None

    @contextlib.contextmanager
    def writer(self, key: str) -> t.Iterator[_Writer]:
        path = self._path(key)
        if os.path.lexists(path):
            raise already_there(key)
        with self._hidden_file(key) as (hidden, target):
            writer = _Writer(target, lambda: self._explained("write", key))
            yield writer
            with self._explained("write", key):
                target.flush()
                os.fsync(target.fileno())
                self._link(hidden, path)

    def _link(self, hidden: str, path: str) -> None:
        """Let the finished file appear as ``path``, durably."""
        directory = os.path.dirname(path)
        while True:
            try:
                created = self._make_directories(directory)
                os.link(hidden, path)
            except FileNotFoundError:
                if not os.path.lexists(hidden):
                    raise
                continue  # somebody deleted the last object there, and the directory with it
            for parent in [directory, *created]:
                _sync_directory(parent)
            return

    def _make_directories(self, directory: str) -> t.Sequence[str]:
        """Create what is missing; returns the directories whose own entries thereby changed."""
        self._below_root(directory)
        missing = []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
                os.chmod(path, self._mode() & 0o2770)
        return [os.path.dirname(path) for path in missing]

    def _mode(self) -> int:
        """The repository's own directory says who may read: its group bits hold for everything below."""
        return stat.S_IMODE(os.stat(self.path).st_mode)

    @contextlib.contextmanager
    def _hidden_file(self, key: str) -> t.Iterator[tuple[str, t.BinaryIO]]:
        """A new locked file in the hidden directory, gone afterwards."""
        with self._explained("write", key):
            incoming = os.path.join(self.path, INCOMING)
            if not os.path.isdir(incoming):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(incoming, 0o700)
                    os.chmod(incoming, self._mode() & 0o2770)
            if not self._swept:
                self.sweep()
            hidden, target = self._locked_file(incoming)
        try:
            yield hidden, target
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden)
            # What is still buffered belongs to a failed write: closing must not raise for it a second time.
            with contextlib.suppress(OSError):
                target.close()

    def _locked_file(self, incoming: str) -> tuple[str, t.BinaryIO]:
        while True:
            hidden = os.path.join(incoming, secrets.token_hex(8))
            descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                os.fchmod(descriptor, 0o600 | (self._mode() & 0o060))
                if os.fstat(descriptor).st_nlink:  # else it was swept between being created and being locked
                    return hidden, os.fdopen(descriptor, "r+b")
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(hidden)
                os.close(descriptor)
                raise
            os.close(descriptor)

    def sweep(self) -> int:
        """Remove what killed writers left behind; returns how many files. Runs by itself before a first write."""
        swept = 0
        incoming = os.path.join(self.path, INCOMING)
        with contextlib.suppress(FileNotFoundError), os.scandir(incoming) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
                    descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(entry.path)
                        swept += 1
                    finally:
                        os.close(descriptor)
        self._swept = True
        return swept

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._explained("delete", key):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            directory = os.path.dirname(path)
            with contextlib.suppress(OSError):  # not empty, or gone already
                while directory != self.path:
                    os.rmdir(directory)
                    directory = os.path.dirname(directory)
            with contextlib.suppress(FileNotFoundError):
                _sync_directory(directory)

    def purge(self, key: str) -> None:
        self.delete(key)

    def forget_unfinished(self, prefix: str, keep: str | None = None) -> int:
        return self.sweep()  # a lock tells which files are a killed writer's, wherever they belong

    def locked_until(self, key: str, version: str | None) -> datetime.datetime | None:
        self.stat(key)
        return None

    def extend_lock(self, key: str, version: str | None, until: datetime.datetime) -> None:
        raise self._without_locks(key)

    def set_hold(self, key: str, version: str | None, on: bool) -> None:
        raise self._without_locks(key)

    def _without_locks(self, key: str) -> RepositoryError:
        return RepositoryError(
            f"{key} cannot be locked",
            expected="a repository whose store has object locks, such as s3:// with object lock",
            found=f"{self.url}, a directory",
            next_command="keep the repository in a bucket with object lock, or do without locks and holds",
        )

    def make_root(self) -> bool:
        """Create the repository's own directory, closed to others; returns whether it was missing."""
        with self._explained("create", self.path):
            try:
                os.makedirs(self.path, mode=0o700)
            except FileExistsError:
                if os.path.isdir(self.path):
                    return False
                raise
            _sync_directory(os.path.dirname(self.path))
            return True

    # Measuring

    def now(self) -> datetime.datetime:
        # On a shared mount the server stamps files, and its clock is the one that every actor sees.
        try:
            with self._hidden_file("the repository's clock") as (_hidden, target):
                with self._explained("write", "the repository's clock"):
                    os.utime(target.fileno())
                    return _moment(os.fstat(target.fileno()))
        except RepositoryError:
            return _clock.now()

    def check_writable(self) -> None:
        with self._hidden_file("a test object") as (_hidden, target):
            with self._explained("write", "a test object"):
                target.write(b"x" * 4096)
                target.flush()
                os.fsync(target.fileno())

    def free_bytes(self) -> int | None:
        with self._explained("measure", "the repository"):
            found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    # Safety

    def _path(self, key: str) -> str:
        path = os.path.join(self.path, check_key(key))
        self._below_root(os.path.dirname(path))
        return path

    def _below_root(self, directory: str) -> str:
        """Refuse a directory that symbolic links lead out of the repository."""
        directory = directory.rstrip("/")
        if os.path.realpath(directory) != directory:
            raise RepositoryError(
                "a symbolic link leads elsewhere in the repository",
                expected="plain directories only",
                found=f"{directory} is {os.path.realpath(directory)}",
                next_command="replace the link by a mount, or move the whole repository",
            )
        return directory

    @contextlib.contextmanager
    def _explained(self, verb: str, key: str) -> t.Iterator[None]:
        """Turn what the operating system says into an error that names the repository and the way out."""
        try:
            yield
        except OSError as error:
            raise explanation(error, verb, key, self.url, self.path) from None


class _Writer:
    """The object that is being written: every byte or an error."""

    version_id: str | None = None

    def __init__(self, target: t.BinaryIO, explained: t.Callable[[], t.ContextManager[None]]) -> None:
        self._target = target
        self._explained = explained

    def write(self, data: bytes) -> int:
        with self._explained():
            return self._target.write(data)


class _Slice:
    """The next ``length`` bytes of a file, as a file."""

    def __init__(self, source: t.BinaryIO, length: int) -> None:
        self._source = source
        self._left = length

    def read(self, size: int = -1) -> bytes:
        content = self._source.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(content)
        return content

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> _Slice:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _moment(found: os.stat_result) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(found.st_mtime, datetime.timezone.utc)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
