# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in memory that keeps every version, and whose clock and contents a test may tamper with."""

from __future__ import annotations

import dataclasses
import datetime
import io
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectExists, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import (
    ObjectStat,
    ObjectVersion,
    check_key,
    check_prefix,
)


@dataclasses.dataclass(frozen=True)
class Version:
    version_id: str
    content: bytes | None  # None is a delete marker
    modified: datetime.datetime


class VersionedStore:
    """``objects`` holds the versions of each key, the newest last."""

    url = "memory://"
    parallel_reads = 2

    def __init__(self, features: t.Iterable[str] = ("versions",)) -> None:
        self.features = frozenset(features)
        self.objects: dict[str, list[Version]] = {}
        self.reads: list[str] = []
        self._count = 0

    # What an honest store does

    def create(self, key: str, data: bytes) -> str:
        if self._latest(check_key(key)) is not None:
            raise ObjectExists(f"{key} is there")
        return self.put(key, data)

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        self.reads.append(key)
        content = self._content(key, version)
        if len(content) > limit:
            raise IntegrityError(f"{key} is damaged")
        return content

    def open(self, key: str, offset: int = 0, length: int | None = None, version: str | None = None) -> t.BinaryIO:
        self.reads.append(key)
        return io.BytesIO(self._content(key, version)[offset:][:length])

    def stat(self, key: str, version: str | None = None) -> ObjectStat:
        found = self._latest(key)
        if found is None:
            raise ObjectMissing(f"{key} is not there")
        return ObjectStat(key, len(found.content or b""), found.modified)

    def list(self, prefix: str) -> t.Iterator[ObjectStat]:
        for key in sorted(self.objects):
            if key.startswith(check_prefix(prefix)) and self._latest(key) is not None:
                yield self.stat(key)

    def children(self, prefix: str) -> t.Iterator[str]:
        names = set()
        for found in self.list(prefix):
            name, slash, _rest = found.key[len(prefix) :].partition("/")
            names.add(name + slash)
        return iter(sorted(names))

    def versions(self, prefix: str) -> t.Iterator[ObjectVersion]:
        for key in sorted(self.objects):
            if key.startswith(check_prefix(prefix)):
                for number, version in enumerate(reversed(self.objects[key])):
                    yield ObjectVersion(
                        key,
                        version.version_id,
                        len(version.content or b""),
                        version.modified,
                        number == 0,
                        version.content is None,
                    )

    def delete(self, key: str) -> None:
        if self._latest(key) is not None:
            self._add(key, None)

    def purge(self, key: str) -> None:
        self.objects.pop(key, None)

    def now(self) -> datetime.datetime:
        return _clock.now()

    # What nobody should do

    def put(self, key: str, data: bytes) -> str:
        """Write over whatever is there."""
        return self._add(key, data)

    def replace(self, key: str, data: bytes) -> None:
        """As if it never had been another: the last version, changed in place."""
        self.objects[key][-1] = dataclasses.replace(self.objects[key][-1], content=data)

    def _add(self, key: str, content: bytes | None) -> str:
        self._count += 1
        version = Version(f"v{self._count}", content, _clock.now())
        if "versions" not in self.features:
            self.objects.pop(key, None)
        if "versions" in self.features or content is not None:
            self.objects.setdefault(key, []).append(version)
        return version.version_id

    def _latest(self, key: str) -> Version | None:
        versions = self.objects.get(key)
        return versions[-1] if versions and versions[-1].content is not None else None

    def _content(self, key: str, version: str | None) -> bytes:
        for found in self.objects.get(key, []):
            if version is not None and found.version_id == version and found.content is not None:
                return found.content
        latest = self._latest(key)
        if version is not None or latest is None or latest.content is None:
            raise ObjectMissing(f"{key} is not there")
        return latest.content
