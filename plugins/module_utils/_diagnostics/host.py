# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host says of itself through ``/proc``: load, memory, and the processes that take most of both."""

from __future__ import annotations

import dataclasses
import os
import pwd
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

#: Between two looks at how much CPU time a process has had.
_SAMPLE_S = 1.0
_SHOWN = 40
_BUSY = 0.9
_MEMORY_LEFT = 0.1
_PRESSURE_PERCENT = 10.0


@dataclasses.dataclass(frozen=True)
class Process:
    """``cpu_s``: seconds of CPU time since it began; ``memory``: resident bytes; ``program``: its short name."""

    pid: int
    user: str
    state: str
    cpu_s: float
    memory: int
    threads: int
    command: str
    program: str


#: Of a table of processes, but for what they take of the CPU now.
HEADINGS = ("pid", "user", "state", "cpu s", "MiB", "threads", "command")


def as_row(one: Process) -> tuple[t.Any, ...]:
    """As :data:`HEADINGS`."""
    return one.pid, one.user, one.state, f"{one.cpu_s:.1f}", one.memory >> 20, one.threads, one.command


def collectors() -> list[Collector]:
    """What can be asked of this host."""
    return [
        Collector("host_load", "load, CPU time, pressure", _load),
        Collector("host_memory", "memory, swap, who was killed for it", _memory),
        Collector("host_processes", "processes that take most CPU and memory", _processes),
    ]


def _load(desk: Desk) -> None:
    before = _cpu_times()
    time.sleep(min(_SAMPLE_S, desk.left_s / 2))
    spent = {name: after - before.get(name, 0) for name, after in _cpu_times().items()}
    total = sum(spent.values()) or 1
    cpus = os.cpu_count() or 1
    one, five, fifteen = os.getloadavg()
    shares = {name: f"{value / total:.1%}" for name, value in spent.items()}
    uptime = float(_read("/proc/uptime").split()[0])
    desk.document(
        "load",
        {
            "cpus": cpus,
            "load": [one, five, fifteen],
            "cpu_time": shares,
            "up_s": round(uptime),
            "kernel": os.uname().release,
        },
    )
    busy = 1 - (spent.get("idle", 0) + spent.get("iowait", 0)) / total
    if busy > _BUSY:
        desk.finding("warning", f"{busy:.0%} of {cpus} CPUs are busy, load {one:.1f}")
    if spent.get("iowait", 0) / total > 0.2:
        desk.finding("warning", f"{spent['iowait'] / total:.0%} of the CPU time is spent waiting for disks")
    pressures = []
    for name in ("cpu", "memory", "io"):
        try:
            text = _read(f"/proc/pressure/{name}")
        except OSError:
            continue  # a kernel without it
        pressures += [f"{name} {line}" for line in text.splitlines()]
        for line in text.splitlines():
            stalled = dict(part.partition("=")[::2] for part in line.split()[1:])
            if line.startswith("full") and float(stalled.get("avg60", 0)) > _PRESSURE_PERCENT:
                desk.finding("warning", f"for {stalled['avg60']} % of the last minute nothing ran for want of {name}")
    if pressures:
        desk.text("pressure.txt", "\n".join(pressures) + "\n")


def _memory(desk: Desk) -> None:
    text = _read("/proc/meminfo")
    desk.text("meminfo.txt", text)
    found = {line.partition(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.split()[1:]}
    total, available = found.get("MemTotal", 0), found.get("MemAvailable", 0)
    if total and available / total < _MEMORY_LEFT:
        desk.finding("warning", f"{available >> 10} MiB of {total >> 10} MiB of memory are available")
    swap, unused = found.get("SwapTotal", 0), found.get("SwapFree", 0)
    if swap and unused / swap < _MEMORY_LEFT:
        desk.finding("warning", f"{(swap - unused) >> 10} MiB of {swap >> 10} MiB of swap are in use")
    counters = [
        line for line in _read("/proc/vmstat").splitlines() if line.startswith(("oom_kill", "pswp", "pgmajfault"))
    ]
    desk.text("counters.txt", "\n".join(counters) + "\n")
    killed = next((int(line.split()[1]) for line in counters if line.startswith("oom_kill ")), 0)
    if killed:
        who = counted(killed, "process was", "processes were")
        desk.finding("warning", f"{who} killed for want of memory since the host started")


def _processes(desk: Desk) -> None:
    before = {process.pid: process.cpu_s for process in all_processes(desk, with_words=False)}
    began = time.monotonic()
    time.sleep(min(_SAMPLE_S, desk.left_s / 2))
    passed = time.monotonic() - began
    found = all_processes(desk)
    share = {one.pid: max(0.0, one.cpu_s - before.get(one.pid, one.cpu_s)) / passed for one in found}
    headings = (*HEADINGS[:3], "cpu %", *HEADINGS[3:])

    def row(one: Process) -> tuple[t.Any, ...]:
        shown = as_row(one)
        return (*shown[:3], f"{share[one.pid] * 100:.0f}", *shown[3:])

    by_cpu = sorted(found, key=lambda one: (-share[one.pid], -one.cpu_s))
    desk.table("by_cpu", headings, [row(one) for one in by_cpu[:_SHOWN]])
    desk.table("by_memory", headings, [row(one) for one in sorted(found, key=lambda one: -one.memory)[:_SHOWN]])
    stuck = [one for one in found if one.state == "D"]
    if stuck:
        desk.table("waiting_for_disks", headings, [row(one) for one in stuck[:_SHOWN]])
        who = counted(len(stuck), "process waits", "processes wait")
        desk.finding("warning", f"{who} for a disk or a file server and cannot be ended")
    dead = sum(one.state == "Z" for one in found)
    if dead > 100:
        desk.finding("warning", f"{dead} processes have ended and nobody has taken note")
    for one in by_cpu[:1]:
        if share[one.pid] > _BUSY:
            desk.finding("note", f"process {one.pid} takes {share[one.pid]:.1f} CPUs: {one.command[:120]}")


def all_processes(desk: Desk, with_words: bool = True) -> list[Process]:
    """Those that may be seen, their command lines masked; without ``with_words`` only what can be counted."""
    found = []
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            status = _read(f"/proc/{name}/stat")
            # The program's name is in parentheses and may hold any character.
            short, rest = status.partition("(")[2].rpartition(")")[::2]
            fields = rest.split()
            words = _read(f"/proc/{name}/cmdline").rstrip("\0").split("\0") if with_words else []
            user = _user(os.stat(f"/proc/{name}").st_uid) if with_words else ""
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile, or is hidden from us
        command = desk.masker.command(words) if words and words[0] else f"[{short}]"
        cpu_s = (int(fields[11]) + int(fields[12])) / ticks
        memory, threads = int(fields[21]) * page, int(fields[17])
        found.append(Process(int(name), user, fields[0], cpu_s, memory, threads, command, short))
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _cpu_times() -> dict[str, int]:
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return dict(zip(names, map(int, _read("/proc/stat").split("\n", 1)[0].split()[1:9])))


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(1 << 20)
