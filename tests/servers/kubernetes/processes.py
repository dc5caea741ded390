# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that an earlier process started, handled like one's own."""

from __future__ import annotations

import math
import subprocess
import time
import typing as t

import psutil


class Process(t.Protocol):
    """What is needed of :class:`subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...

    def send_signal(self, sig: int, /) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Adopted:
    """A process by its number and the moment of its start: a number that went to another process is nobody."""

    def __init__(self, pid: int, started: float) -> None:
        self.pid = pid
        self._found: psutil.Process | None = None
        try:
            found = psutil.Process(pid)
            if abs(found.create_time() - started) < 1 and found.status() != psutil.STATUS_ZOMBIE:
                self._found = found
        except psutil.NoSuchProcess:
            pass

    def poll(self) -> int | None:
        if self._found is None or not self._found.is_running():
            return 0
        return 0 if self._found.status() == psutil.STATUS_ZOMBIE else None

    def send_signal(self, sig: int, /) -> None:
        if self._found is not None:
            self._found.send_signal(sig)

    def wait(self, timeout: float | None = None) -> int:
        """Also over when only a zombie is left, which nobody here can collect."""
        end = time.monotonic() + (timeout if timeout is not None else math.inf)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(0.02)
        return 0


def started(pid: int) -> float:
    """When a process started, in seconds since 1970."""
    return float(psutil.Process(pid).create_time())
