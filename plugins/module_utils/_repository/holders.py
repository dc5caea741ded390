# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds a lease: a process, described so that another one on the same host can tell whether it still lives."""

from __future__ import annotations

import os
import socket
import typing as t


def describe_holder(run_id: str | None, pid: int | None = None) -> dict[str, t.Any]:
    """The holder document for process ``pid`` (default: this one)."""
    pid = pid or os.getpid()
    return {
        "run_id": run_id,
        "host": socket.gethostname()[:255],
        "boot_id": _boot_id(),
        "pid_namespace": _pid_namespace(),
        "pid": pid,
        "pid_started": _start_time(pid),
    }


def provably_dead(holder: t.Mapping[str, t.Any]) -> bool:
    """Whether the process has certainly ended. False whenever this host cannot know, as for a process elsewhere."""
    return _runs_still(holder) is False


def provably_alive(holder: t.Mapping[str, t.Any]) -> bool:
    """Whether the process certainly still runs. False whenever this host cannot know."""
    return _runs_still(holder) is True


def _runs_still(holder: t.Mapping[str, t.Any]) -> bool | None:
    """None for what this host cannot know. A pid is used again, so the start time belongs to it."""
    pid, started = holder.get("pid"), holder.get("pid_started")
    boot_id, namespace = _boot_id(), _pid_namespace()
    if not (isinstance(pid, int) and isinstance(started, str) and boot_id and namespace):
        return None
    if holder.get("boot_id") != boot_id or holder.get("pid_namespace") != namespace:
        return None
    return _start_time(pid) == started


def _boot_id() -> str | None:
    return _first_line("/proc/sys/kernel/random/boot_id")


def _pid_namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _start_time(pid: int) -> str | None:
    """When the process started, in clock ticks since boot; None when there is none, or only its remains."""
    line = _first_line(f"/proc/{pid}/stat")
    if line is None:
        return None
    # The name in parentheses may hold anything, parentheses and spaces included.
    fields = line.rpartition(")")[2].split()
    return None if len(fields) < 20 or fields[0] in ("Z", "X") else fields[19]


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.readline().strip()
    except OSError:
        return None
