# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second stream beside the one that is being stored: what one pass over objects sorts out is stored meanwhile."""

from __future__ import annotations

import queue
import threading
import types
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import Reading, Source
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import StoredObject

#: Chunks that may wait.
_WAITING = 4
_POLL_S = 0.1


class _Abandoned(Exception):
    """Raised in the stream whose other half failed, so that it leaves no object."""


class SideStream:
    """Chunks put here are stored as one object by a thread, which only runs once there is one.

    :arg ship: stores what a source holds. Its errors are raised by :meth:`put` and :meth:`finish`.
    """

    def __init__(self, ship: t.Callable[[Source], StoredObject]) -> None:
        self._ship = ship
        self._chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._stored: StoredObject | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> SideStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._hand(_Abandoned())
            self._thread.join()

    def put(self, chunk: bytes) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="side-stream", daemon=True)
            self._thread.start()
        if not self._hand(chunk):
            self._raise()

    def finish(self) -> StoredObject | None:
        """The whole object; None when nothing was put."""
        if self._thread is None:
            return None
        self._hand(None)
        self._thread.join()
        self._raise()
        return self._stored

    def _hand(self, item: bytes | BaseException | None) -> bool:
        """Whether the thread still takes something."""
        while self._thread is not None and self._thread.is_alive():
            try:
                self._chunks.put(item, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._stored = self._ship(Reading(self._incoming()))
        except BaseException as error:  # handed over, whatever it is
            self._error = error

    def _incoming(self) -> t.Iterator[bytes]:
        while True:
            item = self._chunks.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
