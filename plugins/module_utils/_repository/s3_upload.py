# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write a stream into a bucket: in parts, several at once, in bounded memory, every part with its SHA-256.

What is in flight is bounded for all writers of a store together (``Budget``); beside it each writer fills one part. So
the memory is ``part_size`` x (``concurrency`` + writers). A part's size doubles every 1,000 parts, because an object has
at most 10,000 of them: those of 8 MiB hold more than 7 TiB that way, and the first 8 GB need no more memory. When
parts are larger than the budget, one at a time is in flight.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import LARGEST_PART

#: S3's limit.
MOST_PARTS = 10_000
_DOUBLING = 1_000


def part_size(number: int, first: int) -> int:
    """Bytes of the part ``number`` (from 1) when the first has ``first`` bytes."""
    return int(min(LARGEST_PART, first * 2 ** ((number - 1) // _DOUBLING)))


def checksum(data: bytes | bytearray) -> str:
    """SHA-256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def checksum_of_parts(checksums: t.Sequence[str]) -> str:
    """S3's checksum of an object in parts: that of its parts' checksums."""
    joined = b"".join(base64.b64decode(part) for part in checksums)
    return f"{checksum(joined)}-{len(checksums)}"


def compare_checksum(key: str, expected: str, found: str | None) -> None:
    """Raises :class:`IntegrityError` when the service has received something else than was sent."""
    if found is not None and found != expected:
        raise IntegrityError(
            f"{key} arrived damaged in the repository",
            expected=f"SHA-256 {expected} (base64)",
            found=found,
            next_command="look for a faulty network card, proxy or memory if it happens again; now: the same command",
        )


class Budget:
    """At most ``limit`` bytes in flight, or one thing that is larger."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._changed = threading.Condition()

    def take(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._limit)
            self._taken += size

    def give_back(self, size: int) -> None:
        with self._changed:
            self._taken -= size
            self._changed.notify_all()


class Requests(t.Protocol):
    """What a writer needs of its store for one key; each raises a :class:`RunbookError`."""

    def put(self, body: bytes | bytearray) -> str | None:
        """Create the whole object; its version."""

    def begin(self) -> str:
        """Begin an upload in parts; its id."""

    def upload_part(self, upload_id: str, number: int, body: bytearray) -> dict[str, t.Any]:
        """Upload one; what :meth:`complete` must say of it."""

    def complete(self, upload_id: str, parts: list[dict[str, t.Any]]) -> str | None:
        """Create the object of its parts; its version."""

    def abort(self, upload_id: str) -> None:
        """Forget the parts."""


class UploadWriter:
    """Takes a stream; :meth:`finish` makes the object, :meth:`abandon` leaves nothing."""

    version_id: str | None = None

    def __init__(
        self, key: str, requests: Requests, executor: concurrent.futures.Executor, budget: Budget, first_part: int
    ) -> None:
        self._key = key
        self._requests = requests
        self._executor = executor
        self._budget = budget
        self._first_part = first_part
        self._filling = bytearray()
        self._upload_id: str | None = None
        self._parts: list[concurrent.futures.Future[dict[str, t.Any]]] = []
        self._failed = threading.Event()

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            room = part_size(len(self._parts) + 1, self._first_part) - len(self._filling)
            if not room:
                self._send()
                continue
            self._filling += view[:room]
            view = view[room:]
        return len(data)

    def finish(self) -> None:
        """Create the object. Raises :class:`ObjectExists` and whatever went wrong with a part."""
        if self._upload_id is None:
            self.version_id = self._requests.put(self._filling)
            return
        if self._filling:
            self._send()
        concurrent.futures.wait(self._parts)
        self._raise_first_failure()
        parts = [part.result() for part in self._parts]
        self.version_id = self._requests.complete(self._upload_id, parts)

    def abandon(self) -> None:
        """Stop what is under way and forget it; never raises for what cannot be undone: it is swept later."""
        self._failed.set()
        for part in self._parts:
            part.cancel()
        concurrent.futures.wait(self._parts)
        if self._upload_id is not None:
            with contextlib.suppress(RunbookError):
                self._requests.abort(self._upload_id)

    def _send(self) -> None:
        """Hand the filled part over; waits while enough is in flight."""
        self._raise_first_failure()
        if self._upload_id is None:
            self._upload_id = self._requests.begin()
        if len(self._parts) == MOST_PARTS:
            raise IntegrityError(
                f"{self._key} is too large for an object",
                expected=f"at most {MOST_PARTS} parts",
                found="more",
                next_command="raise part_size in repository_s3",
            )
        body, self._filling = self._filling, bytearray()
        size = len(body)
        self._budget.take(size)
        try:
            future = self._executor.submit(self._upload, self._upload_id, len(self._parts) + 1, body)
        except BaseException:
            self._budget.give_back(size)
            raise
        future.add_done_callback(lambda _future: self._budget.give_back(size))
        self._parts.append(future)

    def _upload(self, upload_id: str, number: int, body: bytearray) -> dict[str, t.Any]:
        if self._failed.is_set():
            raise concurrent.futures.CancelledError
        try:
            return self._requests.upload_part(upload_id, number, body)
        except BaseException:
            self._failed.set()
            raise

    def _raise_first_failure(self) -> None:
        """Say early that a part failed: the rest of the stream would be sent for nothing."""
        if not self._failed.is_set():
            return
        for part in self._parts:
            error = part.exception() if part.done() and not part.cancelled() else None
            if error is not None and not isinstance(error, concurrent.futures.CancelledError):
                raise error
