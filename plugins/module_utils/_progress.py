# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a long step is, in a small file: a module cannot print while it runs, so its action plugin polls this."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
import time
import types
import typing as t

_INTERVAL_S = 0.5


class Progress:
    """Counts bytes and writes ``{"what", "done", "total", "step_s", "updated"}`` at most twice a second.

    Safe to use from several threads. A progress that cannot be written never fails the work.

    :arg path: the file, or None to only count.
    :arg total_bytes: None when unknown.
    :arg what: the step in words, such as ``"dumping nycflights"``.
    """

    def __init__(self, path: str | None, total_bytes: int | None = None, what: str = "") -> None:
        self._path = path
        self._lock = threading.Lock()
        self._written_at = 0.0
        self._begin(what, total_bytes)
        self._write()

    def step(self, what: str, total: int | None = None) -> None:
        """A new step begins: the count starts again, of ``total`` bytes."""
        with self._lock:
            self._begin(what, total)
            self._write()

    def add(self, count: int) -> None:
        """``count`` more bytes are done."""
        with self._lock:
            self.done += count
            if self._path is not None and time.monotonic() - self._written_at >= _INTERVAL_S:
                self._write()

    def close(self) -> None:
        """Remove the file."""
        if self._path is not None:
            with self._lock, contextlib.suppress(OSError):
                os.unlink(self._path)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self._began_at = time.monotonic()

    def _write(self) -> None:
        if self._path is None:
            return
        self._written_at = time.monotonic()
        state: dict[str, t.Any] = {
            "what": self.what,
            "done": self.done,
            "total": self.total,
            "step_s": round(self._written_at - self._began_at, 3),
            "updated": time.time(),
        }
        # The directory may be everybody's: a name that nobody can have prepared, and no following of links.
        fresh = f"{self._path}.{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            # Readable by all, since the poller may be another user than the module; it says nothing secret.
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(state, file)
                os.replace(fresh, self._path)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(fresh)
