# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes of a server of our own, seen from outside: found, told apart from others, ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import stat
import time

from ansible_collections.sre.runbooks.plugins.module_utils._process_group import children

_IPC_RMID = 0
_PORT_LINE, _SOCKET_LINE, _MEMORY_LINE, _STATUS_LINE = 3, 4, 6, 7


class Postmaster:
    """What ``postmaster.pid`` in a data directory says, and whether it is still true."""

    def __init__(self, data_dir: str) -> None:
        self._data_dir = data_dir
        try:
            with open(os.path.join(data_dir, "postmaster.pid"), encoding="utf-8", errors="replace") as file:
                self._lines = [line.strip() for line in file.read().splitlines()]
        except OSError:
            self._lines = []
        first = self._lines[0].lstrip("-") if self._lines else ""
        self.recorded_pid = int(first) if first.isdigit() else None

    @property
    def pid(self) -> int | None:
        """The server's process number when it runs; None otherwise, whatever a stale file says."""
        pid = self.recorded_pid
        return pid if pid is not None and serves(pid, self._data_dir) else None

    @property
    def ready(self) -> bool:
        """Whether the server says that it accepts connections (what ``pg_ctl`` waits for too)."""
        return len(self._lines) > _STATUS_LINE and self._lines[_STATUS_LINE] in ("ready", "standby")

    @property
    def port(self) -> int | None:
        line = self._lines[_PORT_LINE] if len(self._lines) > _PORT_LINE else ""
        return int(line) if line.isdigit() else None

    @property
    def socket_dir(self) -> str | None:
        return self._lines[_SOCKET_LINE] or None if len(self._lines) > _SOCKET_LINE else None

    def kill(self) -> None:
        """End the server and its children as a crash would (SIGKILL), and free the memory that it then cannot."""
        pid = self.pid
        if pid is None:
            return
        family = [pid, *children(pid)]
        for member in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(alive(member) for member in family) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.free_memory()

    def forget_dead(self, socket_dir: str, port: int) -> None:
        """Remove the lock files of a server that was killed and whose parent has not noticed.

        The process number of such a one still exists, so that a new server would take it for running. Nothing is
        removed while anything is attached to its memory.
        """
        if self.recorded_pid is None or not _is_zombie(self.recorded_pid) or self._attached():
            return
        lock = os.path.join(socket_dir, f".s.PGSQL.{port}.lock")
        for path in (os.path.join(self._data_dir, "postmaster.pid"), lock):
            with contextlib.suppress(OSError):
                with open(path, encoding="utf-8", errors="replace") as file:
                    if file.readline().strip().lstrip("-") == str(self.recorded_pid):
                        os.unlink(path)

    def _attached(self) -> bool:
        fields = self._lines[_MEMORY_LINE].split() if len(self._lines) > _MEMORY_LINE else []
        with contextlib.suppress(OSError, IndexError):
            with open("/proc/sysvipc/shm", encoding="ascii") as file:
                # key, id, permissions, size, creator, last user, attached
                return any(row[1] == fields[1] and row[6] != "0" for row in map(str.split, file) if len(row) > 6)
        return False

    def free_memory(self) -> None:
        """Remove the shared memory segment that a killed server left behind."""
        fields = self._lines[_MEMORY_LINE].split() if len(self._lines) > _MEMORY_LINE else []
        if len(fields) == 2 and fields[1].isdigit() and self.pid is None:
            ctypes.CDLL(None).shmctl(int(fields[1]), _IPC_RMID, None)


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be noticed by its parent does not."""
    return _state(pid) not in (None, b"Z", b"X")


def _is_zombie(pid: int) -> bool:
    return _state(pid) == b"Z"


def _state(pid: int) -> bytes | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()[0]
    except (OSError, IndexError):
        return None


def serves(pid: int, data_dir: str) -> bool:
    """Whether the process is a server over that directory: process numbers are used again."""
    if not alive(pid):
        return False
    try:
        there, here = os.stat(f"/proc/{pid}/cwd"), os.stat(data_dir)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino) and stat.S_ISDIR(here.st_mode)
    except FileNotFoundError:
        return False
    except PermissionError:
        # Another account's process: its working directory is not ours to see, its command line is.
        return _names(pid, data_dir)


def _names(pid: int, data_dir: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsencode(data_dir) in file.read().split(b"\0")
    except OSError:
        return False
