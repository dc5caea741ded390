# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store's faulty twin: the n-th call fails, the way disks, networks and full file systems do.

    store = FaultStore(FileStore(path), fail_at=7, fault="full")

Calls are counted over all methods in ``COUNTED``; a writer's ``write`` and its end are calls too, so a sweep of
``fail_at`` over ``range(store.calls)`` of a clean run meets every side effect.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import threading
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import (
    ObjectStat,
    ObjectVersion,
    Store,
)

#: ``error``: the call fails and did nothing. ``lost_answer``: it did its work, yet fails. ``full``: a write fails as a
#: full disk does. ``short``: a read ends early, in silence; a write is cut off and fails. ``time_out``: what writes is done,
#: what reads is not, and after a while it fails. ``throttle``: the store is too busy for this call and the three after it.
Fault = t.Literal["error", "lost_answer", "full", "short", "time_out", "throttle"]
FAULTS: tuple[Fault, ...] = t.get_args(Fault)
COUNTED = (
    *("create", "writer", "write", "commit", "read", "open", "stat", "list", "children", "versions", "delete", "purge"),
    *("forget_unfinished", "locked_until", "extend_lock", "set_hold", "now"),
)


class FaultStore:
    """Behaves like ``store`` until the call number ``fail_at`` (from 0); with ``fail_after`` it never recovers."""

    def __init__(
        self,
        store: Store,
        fail_at: int | None = None,
        fault: Fault = "error",
        lasting: bool = False,
        on_call: t.Callable[[str], object] = lambda _what: None,
    ) -> None:
        self.store = store
        self._on_call = on_call
        self.url = store.url
        self.parallel_reads = 1  # so that every run counts its calls in the same order
        self.calls = 0
        self.failed: list[str] = []
        self._fail_at = fail_at
        self._fault = fault
        self._lasting = lasting
        self._lock = threading.Lock()

    def _due(self, what: str) -> bool:
        with self._lock:
            number = self.calls
            self.calls += 1
            self._on_call(what)
            last = float("inf") if self._lasting else (self._fail_at or 0) + (3 if self._fault == "throttle" else 0)
            due = self._fail_at is not None and self._fail_at <= number <= last
            if due:
                self.failed.append(what)
            return due

    def _error(self, what: str) -> RepositoryError:
        if self._fault == "time_out":
            time.sleep(0.05)
            return RepositoryError(f"no answer in time: could not {what}", found="injected time-out")
        if self._fault == "throttle":
            return RepositoryError(f"could not {what}", found="injected 503 SlowDown")
        if self._fault == "full":
            return RepositoryError(f"the repository is full: could not {what}", found="injected ENOSPC")
        return RepositoryError(f"could not {what}", found=f"injected fault {self._fault}")

    def _call(self, what: str, work: t.Callable[[], t.Any], writes: bool) -> t.Any:
        due = self._due(what)
        if not due or (self._fault == "full" and not writes) or (self._fault == "short" and not writes):
            return work()
        if self._fault == "lost_answer" or (self._fault == "time_out" and writes):
            work()
        raise self._error(what)

    @property
    def features(self) -> frozenset[str]:
        return self.store.features

    def create(self, key: str, data: bytes) -> str | None:
        return t.cast("str | None", self._call(f"create {key}", lambda: self.store.create(key, data), True))

    @contextlib.contextmanager
    def writer(self, key: str) -> t.Iterator[_FaultyWriter]:
        if self._due(f"writer {key}") and self._fault != "short":
            raise self._error(f"write {key}")
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(self.store.writer(key))
            faulty = _FaultyWriter(self, target, key)
            yield faulty
            due = self._due(f"commit {key}")
            if due and self._fault != "lost_answer":
                raise self._error(f"write {key}")
        if due:
            raise self._error(f"write {key}")
        faulty.version_id = target.version_id

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        if self._due(f"read {key}"):
            if self._fault == "short":
                content = self.store.read(key, limit, version)
                return content[: len(content) // 2]
            if self._fault != "full":
                raise self._error(f"read {key}")
        return self.store.read(key, limit, version)

    def open(self, key: str, offset: int = 0, length: int | None = None, version: str | None = None) -> t.BinaryIO:
        if self._due(f"open {key}"):
            if self._fault == "short":
                with self.store.open(key, offset, length, version) as source:
                    content = source.read()
                return io.BytesIO(content[: len(content) // 2])
            if self._fault != "full":
                raise self._error(f"read {key}")
        return self.store.open(key, offset, length, version)

    def stat(self, key: str, version: str | None = None) -> ObjectStat:
        return t.cast(ObjectStat, self._call(f"stat {key}", lambda: self.store.stat(key, version), False))

    def list(self, prefix: str) -> t.Iterator[ObjectStat]:
        return iter(self._call(f"list {prefix}", lambda: list_of(self.store.list(prefix)), False))

    def children(self, prefix: str) -> t.Iterator[str]:
        return iter(self._call(f"children {prefix}", lambda: list_of(self.store.children(prefix)), False))

    def versions(self, prefix: str) -> t.Iterator[ObjectVersion]:
        return iter(self._call(f"versions {prefix}", lambda: list_of(self.store.versions(prefix)), False))

    def delete(self, key: str) -> None:
        self._call(f"delete {key}", lambda: self.store.delete(key), True)

    def purge(self, key: str) -> None:
        self._call(f"purge {key}", lambda: self.store.purge(key), True)

    def forget_unfinished(self, prefix: str, keep: str | None = None) -> int:
        forgotten = self._call(f"forget_unfinished {prefix}", lambda: self.store.forget_unfinished(prefix, keep), True)
        return t.cast(int, forgotten)

    def locked_until(self, key: str, version: str | None) -> datetime.datetime | None:
        until = self._call(f"locked_until {key}", lambda: self.store.locked_until(key, version), False)
        return t.cast("datetime.datetime | None", until)

    def extend_lock(self, key: str, version: str | None, until: datetime.datetime) -> None:
        self._call(f"extend_lock {key}", lambda: self.store.extend_lock(key, version, until), True)

    def set_hold(self, key: str, version: str | None, on: bool) -> None:
        self._call(f"set_hold {key}", lambda: self.store.set_hold(key, version, on), True)

    def now(self) -> datetime.datetime:
        return t.cast(datetime.datetime, self._call("now", self.store.now, False))

    def check_writable(self) -> None:
        self._call("check_writable", self.store.check_writable, True)

    def free_bytes(self) -> int | None:
        return self.store.free_bytes()

    def __getattr__(self, name: str) -> t.Any:
        """What a store has of its own, such as the path of one in a directory; never counted."""
        return getattr(self.store, name)


class _FaultyWriter:
    version_id: str | None = None

    def __init__(self, faults: FaultStore, target: t.Any, key: str) -> None:
        self._faults = faults
        self._target = target
        self._key = key

    def write(self, data: bytes) -> int:
        if self._faults._due(f"write {self._key}"):
            if self._faults._fault in ("short", "lost_answer"):
                self._target.write(data[: len(data) // 2])
            raise self._faults._error(f"write {self._key}")
        return t.cast(int, self._target.write(data))


def list_of(items: t.Iterable[t.Any]) -> list[t.Any]:
    """``list`` is a method's name above."""
    return [*items]
