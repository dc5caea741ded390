# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the kernel says about processes (Linux, ``/proc``)."""

from __future__ import annotations

import dataclasses
import os
import typing as t


@dataclasses.dataclass(frozen=True)
class Process:
    """:ivar started: clock ticks since boot; with the boot id and the pid it names one process for ever."""

    pid: int
    parent: int
    group: int
    state: str
    started: int

    @property
    def dead(self) -> bool:
        """Ended, though its parent has not asked for its exit code yet."""
        return self.state in "ZXx"


def process(pid: int) -> Process | None:
    """None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    # The second field is the name in parentheses, which may hold spaces and parentheses itself.
    fields = stat[stat.rindex(b")") + 2 :].split()
    return Process(pid, int(fields[1]), int(fields[2]), fields[0].decode("ascii"), int(fields[19]))


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def members(group: int) -> list[Process]:
    """The living processes of a process group."""
    found = (process(pid) for pid in pids())
    return [one for one in found if one is not None and one.group == group and not one.dead]


def arguments(pid: int) -> list[str]:
    """The command line; empty for a kernel thread or a process that has gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            content = file.read(1 << 20)
    except OSError:
        return []
    return [part.decode("utf-8", "replace") for part in content.rstrip(b"\0").split(b"\0")] if content else []


def ancestors(pid: int) -> t.Iterator[int]:
    """The process itself, its parent, and so on."""
    while pid > 0:
        yield pid
        found = process(pid)
        pid = found.parent if found is not None else 0


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
