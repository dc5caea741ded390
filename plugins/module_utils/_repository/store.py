# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a repository's store must be able to do. One store is one file; everything above uses only this."""

from __future__ import annotations

import datetime
import re
import typing as t
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_LONGEST_KEY = 900  # S3 allows 1024 bytes, its own prefix included.


@dataclass(frozen=True)
class ObjectStat:
    """What a listing says about an object: its length in bytes and when it came to be, by the store's clock."""

    key: str
    length: int
    modified: datetime.datetime


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object, or a delete marker (``deleted``), which hides the versions below it and has no length."""

    key: str
    version_id: str | None
    length: int
    modified: datetime.datetime
    latest: bool = True
    deleted: bool = False


class ObjectWriter(t.Protocol):
    """Takes an object's bytes; the object becomes visible, whole, when the context that gave it ends cleanly."""

    #: The version that was made, after the context was left, on a store that has versions.
    version_id: str | None

    def write(self, data: bytes) -> int: ...


class Store(t.Protocol):
    """Write-once objects under validated keys. Errors are :class:`RepositoryError` and its kinds.

    ``version`` reads that version of an object, even one that a delete marker or a later version hides. A store without
    versions has no such thing to hide it and reads the object.
    """

    url: str
    #: How many small reads at once are worth it: one in a directory, more where each answer takes its way.
    parallel_reads: int

    @property
    def features(self) -> frozenset[str]:
        """What the store was found to have: ``versions`` (nothing is overwritten), ``locks`` (nor deleted early)."""

    def create(self, key: str, data: bytes) -> str | None:
        """Store a small object durably; returns its version, where there are versions.

        Raises :class:`ObjectExists` when the key is taken, with nothing changed.
        """

    def writer(self, key: str) -> AbstractContextManager[ObjectWriter]:
        """Stream an object: durable and visible on a clean exit, nothing left after an exception.

        Raises :class:`ObjectExists` on leaving (or entering) when the key is taken.
        """

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        """The whole object; more than ``limit`` bytes raise :class:`IntegrityError` before they are read."""

    def open(self, key: str, offset: int = 0, length: int | None = None, version: str | None = None) -> t.BinaryIO:
        """Read from ``offset``, at most ``length`` bytes. Raises :class:`ObjectMissing`."""

    def stat(self, key: str, version: str | None = None) -> ObjectStat:
        """Raises :class:`ObjectMissing`."""

    def list(self, prefix: str) -> t.Iterator[ObjectStat]:
        """Every whole object whose key starts with ``prefix``, in the order of the keys' bytes."""

    def children(self, prefix: str) -> t.Iterator[str]:
        """The names directly below ``prefix`` (which ends in ``/``), sorted; a name with objects below it ends in ``/``.

        It costs as much as there are names, however many objects lie below them.
        """

    def versions(self, prefix: str) -> t.Iterator[ObjectVersion]:
        """Every version and delete marker whose key starts with ``prefix``: by key, then the newest first."""

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is fine. Where there are versions, a delete marker hides it."""

    def purge(self, key: str) -> None:
        """Remove every version of an object and its delete markers, for ever; a missing one is fine.

        Raises :class:`RepositoryError` for what a lock or a hold keeps.
        """

    def forget_unfinished(self, prefix: str, keep: str | None = None) -> int:
        """Free what writers of objects below ``prefix`` (and not below ``keep``) began and never finished; how many.

        Only call it where no other writer can be at work there, as under a component's lease.
        """

    def locked_until(self, key: str, version: str | None) -> datetime.datetime | None:
        """Until when nobody can delete that version; None without a lock. Raises :class:`ObjectMissing`."""

    def extend_lock(self, key: str, version: str | None, until: datetime.datetime) -> None:
        """Keep that version until then at least; a lock is never shortened.

        Raises :class:`RepositoryError`, also on a store without locks.
        """

    def set_hold(self, key: str, version: str | None, on: bool) -> None:
        """Keep that version until the hold is taken off again, whatever its lock says. Errors as :meth:`extend_lock`."""

    def now(self) -> datetime.datetime:
        """The store's own clock, the one that stamps ``ObjectStat.modified``. May write a temporary file.

        Where nothing can be written it is this host's clock: good enough for an age, and a lease fails on writing.
        """

    def check_writable(self) -> None:
        """Write and forget a few bytes. Raises :class:`RepositoryError` saying why that is not possible."""

    def free_bytes(self) -> int | None:
        """Bytes that still fit, or None where the store has no such limit."""


def check_key(key: str) -> str:
    """The key itself, or :class:`InvalidInput`: a key can neither leave the repository nor hide in it."""
    if len(key) > _LONGEST_KEY or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise InvalidInput(
            "not a key of the repository",
            expected=f"at most {_LONGEST_KEY} characters: segments of A-Z a-z 0-9 . _ - that do not start with a dot",
            found=repr(key[:200]),
        )
    return key


def check_prefix(prefix: str) -> str:
    """As :func:`check_key` for what a listing starts with; empty or ending in ``/`` is fine too."""
    if prefix:
        check_key(prefix[:-1] if prefix.endswith("/") else prefix)
    return prefix
