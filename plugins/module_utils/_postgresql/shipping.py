# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files leave for the repository while the tool that writes them still runs, each once its writer has closed it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
import types
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import CHUNK
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup

_POLL_S = 0.05
#: Bytes of finished files that may wait in the scratch directory before the tool is paused.
WAITING_LIMIT = 1 << 30


class Shipping:
    """Ships and deletes what a process group finishes in a directory.

    A file is finished when it was listed and, in a look at the group's open files *after* that, nobody had it open:
    the tool opens each file once, when it makes it.

    :arg ship: stores the file of that name; called from other threads; errors end the shipping.
    :arg last: whether a file of that name must wait until the tool has ended.
    """

    def __init__(
        self,
        directory: str,
        group: ProcessGroup,
        ship: t.Callable[[str], None],
        last: t.Callable[[str], bool],
        waiting_limit: int = WAITING_LIMIT,
    ) -> None:
        self._directory = directory
        self._group = group
        self._ship = ship
        self._last = last
        self._limit = waiting_limit
        # A large file keeps all processors busy by itself and costs tens of megabytes; small ones cost latency.
        self._large = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="ship-large")
        self._small = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="ship-small")
        self._waiting: dict[concurrent.futures.Future[None], int] = {}
        self._taken: set[str] = set()

    def __enter__(self) -> Shipping:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        for pool in (self._large, self._small):
            pool.shutdown(wait=True, cancel_futures=True)

    def while_running(self, check: t.Callable[[], None]) -> None:
        """Ship until the tool has ended; ``check`` is called now and then and may raise.

        Whether it ended well is for the caller to ask before shipping :meth:`the_rest`.
        """
        while self._group.running():
            self._take(final=False)
            self._collect()
            # What waits to be stored is bounded by making its producer wait.
            if sum(self._waiting.values()) > self._limit:
                self._group.pause()
            else:
                self._group.resume()
            check()
            time.sleep(_POLL_S)

    def the_rest(self, check: t.Callable[[], None]) -> set[str]:
        """Ship everything that is left, what must be last last; returns the names of all files."""
        self._take(final=False, ended=True)
        self._drain(check)
        self._take(final=True, ended=True)
        self._drain(check)
        return set(self._taken)

    def _take(self, final: bool, ended: bool = False) -> None:
        names = [entry for entry in sorted(os.listdir(self._directory)) if entry not in self._taken]
        held = set() if ended else self._group.open_files(self._directory)
        if held is None:
            return  # unseen: everything waits for the end
        root = os.path.realpath(self._directory)
        for name in names:
            if os.path.join(root, name) in held or (self._last(name) and not final):
                continue
            self._taken.add(name)
            path = os.path.join(self._directory, name)
            size = os.stat(path).st_size
            pool = self._large if size >= CHUNK else self._small
            self._waiting[pool.submit(self._one, name, path)] = size

    def _one(self, name: str, path: str) -> None:
        self._ship(name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def _collect(self) -> None:
        for future in [future for future in self._waiting if future.done()]:
            del self._waiting[future]
            future.result()

    def _drain(self, check: t.Callable[[], None]) -> None:
        while self._waiting:
            concurrent.futures.wait(self._waiting, timeout=1, return_when=concurrent.futures.FIRST_COMPLETED)
            self._collect()
            check()
