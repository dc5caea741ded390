# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory that behaves like a bucket with versions and object locks, as far as retention is concerned."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectVersion, Store


class LockingStore:
    """``locks`` says until when a key cannot be purged, ``holds`` which cannot at all, ``hidden`` has a delete marker."""

    features = frozenset({"versions", "locks"})

    def __init__(self, store: Store) -> None:
        self._store = store
        self.locks: dict[str, datetime.datetime] = {}
        self.holds: set[str] = set()
        self.hidden: set[str] = set()

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._store, name)

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        if key in self.hidden and version is None:
            raise ObjectMissing(f"{key} is not in the repository")
        return self._store.read(key, limit)

    def versions(self, prefix: str) -> t.Iterator[ObjectVersion]:
        for found in self._store.list(prefix):
            if found.key in self.hidden:
                yield ObjectVersion(found.key, "marker", 0, found.modified, True, True)
            yield ObjectVersion(found.key, "v1", found.length, found.modified, found.key not in self.hidden)

    def purge(self, key: str) -> None:
        if key in self.holds or self.locks.get(key, _clock.now()) > _clock.now():
            raise RepositoryError(f"{key} is locked", found="AccessDenied")
        self._store.purge(key)
        self.hidden.discard(key)

    def locked_until(self, key: str, version: str | None) -> datetime.datetime | None:
        return self.locks.get(key)

    def extend_lock(self, key: str, version: str | None, until: datetime.datetime) -> None:
        self.locks[key] = max(until, self.locks.get(key, until))

    def set_hold(self, key: str, version: str | None, on: bool) -> None:
        (self.holds.add if on else self.holds.discard)(key)
