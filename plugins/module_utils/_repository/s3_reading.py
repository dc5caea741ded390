# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read an object of a bucket as a file that goes on after a broken connection: there, and in the same object."""

from __future__ import annotations

import random
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import code_of, status_of

_READ = 1 << 20
_LONGEST_PAUSE_S = 10.0


class ResumingReader:
    """The bytes of one version of an object, from ``offset``, at most ``length``.

    A connection that breaks is replaced by one that asks for the rest of the same version; only so many failures in a
    row that no byte came in between are given up.

    :arg get: ``get_object`` of the key, taking the further arguments of a request.
    :arg explain: makes the error to raise of boto3's.
    """

    def __init__(
        self,
        key: str,
        get: t.Callable[..., t.Mapping[str, t.Any]],
        explain: t.Callable[[BaseException], Exception],
        attempts: int,
        offset: int = 0,
        length: int | None = None,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = key
        self._get = get
        self._explain = explain
        self._attempts = attempts
        self._position = offset
        self._end = None if length is None else offset + length
        self._sleep = sleep
        self._condition: dict[str, str] = {}
        self._failures = 0
        self._body: t.Any = None
        self._ended = False
        self._connect()

    def read(self, size: int = -1) -> bytes:
        """Exactly ``size`` bytes unless the object ends before; all of the rest without a size."""
        parts: list[bytes] = []
        missing = size if size is not None and size >= 0 else None
        while not self._ended and missing != 0:
            part = self._read_some(_READ if missing is None else min(missing, _READ))
            parts.append(part)
            if missing is not None:
                missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_some(self, size: int) -> bytes:
        """At least a byte, or the end."""
        while True:
            if self._end is not None and self._position >= self._end:
                self._ended = True
                self.close()
                return b""
            try:
                part: bytes = self._body.read(size if self._end is None else min(size, self._end - self._position))
            except Exception as error:  # urllib3's and the sockets' own come as they are
                self._broken(error)
                continue
            self._position += len(part)
            if part:
                self._failures = 0
                return part
            self._broken(EOFError(f"the connection ended at byte {self._position} of {self._end}"))

    def _broken(self, error: BaseException) -> None:
        self.close()
        self._failures += 1
        if self._failures >= self._attempts:
            raise self._explain(error) from None
        self._sleep(min(_LONGEST_PAUSE_S, 0.1 * 2**self._failures) * random.uniform(0.5, 1.0))
        self._connect()

    def _connect(self) -> None:
        """Ask for what is still missing."""
        arguments = dict(self._condition)
        last = "" if self._end is None else str(max(self._end, self._position + 1) - 1)
        if self._position or last:
            arguments["Range"] = f"bytes={self._position}-{last}"
        try:
            response = self._get(**arguments)
        except Exception as error:
            if code_of(error) == "InvalidRange" or status_of(error) == 416:
                self._ended = True  # it ends before the first byte that was asked for
                return
            if self._condition and status_of(error) in (412, 404):
                raise IntegrityError(
                    f"{self._key} was replaced while it was read",
                    expected=f"the object as it was ({self._condition.get('IfMatch', '')})",
                    found=f"HTTP {status_of(error)}",
                    next_command="find out who writes into the repository; its objects are never changed",
                ) from None
            raise self._explain(error) from None
        self._body = response["Body"]
        stop = self._position + int(response["ContentLength"])
        self._end = stop if self._end is None else min(self._end, stop)
        self._condition = {"IfMatch": response["ETag"]}

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def __enter__(self) -> ResumingReader:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
