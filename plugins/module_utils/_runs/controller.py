# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who executes a run: a process that can later be recognised, or proven to be gone."""

from __future__ import annotations

import enum
import os
import platform
import typing as t


class Presence(enum.Enum):
    """What can be said from here about a process recorded earlier."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


def describe_process(pid: int) -> dict[str, t.Any]:
    """``{host, boot_id, pid_namespace, pid, pid_started}``; what this system does not tell is the empty text."""
    return {
        "host": platform.node(),
        "boot_id": _boot_id(),
        "pid_namespace": _pid_namespace(),
        "pid": pid,
        "pid_started": _pid_started(pid),
    }


def presence_of(process: t.Mapping[str, t.Any]) -> Presence:
    """Whether the described process still runs; UNKNOWN for another machine or another boot.

    A pid proves nothing by itself, since it is used again: the start time belongs to it.
    """
    boot_id, pid, started = process.get("boot_id"), process.get("pid"), process.get("pid_started")
    comparable = boot_id and started and isinstance(pid, int) and process.get("pid_namespace")
    if not comparable or process.get("host") != platform.node() or not _boot_id():
        return Presence.UNKNOWN
    if boot_id != _boot_id():
        # The same host name with another boot id: a reboot, or two machines that share a name.
        return Presence.UNKNOWN
    if process.get("pid_namespace") != _pid_namespace():
        return Presence.UNKNOWN
    return Presence.ALIVE if _pid_started(pid) == started else Presence.GONE


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _pid_started(pid: int) -> str:
    """The process's start in clock ticks since boot; empty when there is no such process, or only its remains."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name is in parentheses and may hold anything, so count from behind it.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")
