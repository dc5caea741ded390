# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the host's space goes, and who talks to whom: file systems, large and deleted files, sockets."""

from __future__ import annotations

import collections
import heapq
import os
import stat
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector

_FULL = 0.9
_SHOWN = 40
#: A file server that is away would hold whoever asks, and no time limit would free it.
_REMOTE = ("nfs", "cifs", "smb", "afs", "ceph", "gluster", "fuse", "9p", "lustre", "gpfs", "ocfs", "davfs", "beegfs")
#: What holds no files of its own.
_UNREAL: tuple[str, ...] = (
    "autofs",
    "bpf",
    "cgroup",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "hugetlbfs",
    "mqueue",
    "nsfs",
)
_UNREAL += (
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "binfmt_misc",
)
_STATES = {
    "01": "established",
    "02": "syn-sent",
    "03": "syn-received",
    "04": "fin-wait-1",
    "05": "fin-wait-2",
    "06": "time-wait",
    "07": "close",
    "08": "close-wait",
    "09": "last-ack",
    "0A": "listening",
    "0B": "closing",
}
_MANY_UNCLOSED = 200
#: The part of the time that a walk through directories may take.
_SHARE_OF_TIME = 0.5
_LONGEST_S = 20.0


def collectors(directories: t.Sequence[str]) -> list[Collector]:
    """What can be asked of this host. ``directories``: where large files are looked for."""
    return [
        Collector("host_disks", "file systems, space and inodes, transfers", _disks),
        Collector(
            "host_space",
            "largest files and directories, deleted files still open",
            lambda desk: _space(desk, directories),
        ),
        Collector("host_sockets", "connections by state, listening ports, open files", _sockets),
    ]


def _disks(desk: Desk) -> None:
    rows: list[tuple[t.Any, ...]] = []
    seen = set()
    for device, directory, kind in _mounts():
        if kind.startswith(_REMOTE):
            rows.append((directory, device, kind, "", "", "", "not asked: a file server may hang"))
            continue
        try:
            found = os.statvfs(directory)
            number = os.stat(directory).st_dev
        except OSError as error:
            rows.append((directory, device, kind, "", "", "", error.strerror))
            continue
        if found.f_blocks == 0 or number in seen:
            continue
        seen.add(number)
        # Of what everybody may use, as df has it.
        usable = found.f_blocks - found.f_bfree + found.f_bavail
        used = 1 - found.f_bavail / usable if usable else 1.0
        inodes = 1 - found.f_favail / found.f_files if found.f_files else 0.0
        size, free = found.f_blocks * found.f_frsize >> 20, found.f_bavail * found.f_frsize >> 20
        rows.append((directory, device, kind, size, free, f"{used:.0%}", f"{inodes:.0%} of inodes"))
        if used > _FULL:
            desk.finding(
                "failure" if used > 0.98 else "warning", f"{directory} is {used:.0%} full: {free} MiB are free"
            )
        if inodes > _FULL:
            desk.finding("warning", f"{directory} has used {inodes:.0%} of its inodes")
    desk.table("file_systems", ("directory", "device", "type", "MiB", "free", "used", "remarks"), rows)
    with open("/proc/diskstats", encoding="ascii", errors="replace") as file:
        desk.text("diskstats.txt", file.read(1 << 20))


def _mounts() -> list[tuple[str, str, str]]:
    """Device, directory and type of what is mounted and holds files."""
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split()
            dash = fields.index("-")
            directory = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
            if not fields[dash + 1].startswith(_UNREAL):
                found.append((fields[dash + 2], directory, fields[dash + 1]))
    return found


def _space(desk: Desk, directories: t.Sequence[str]) -> None:
    _deleted(desk)
    remote = [directory for _device, directory, kind in _mounts() if kind.startswith(_REMOTE)]
    until = time.monotonic() + min(_LONGEST_S, desk.left_s * _SHARE_OF_TIME)
    largest: list[tuple[int, str]] = []
    totals: collections.Counter[str] = collections.Counter()
    complete = True
    for top in directories:
        if top in remote:
            desk.problem(f"{top}: not looked through: a file server may hang")
            continue
        try:
            device = os.lstat(top).st_dev
        except OSError as error:
            desk.problem(f"{top}: {error.strerror}")
            continue
        for place, names, files in os.walk(top):
            if time.monotonic() > until:
                complete = False
                break
            names[:] = [name for name in names if _same_device(os.path.join(place, name), device, remote)]
            for name in files:
                path = os.path.join(place, name)
                try:
                    found = os.lstat(path)
                except OSError:
                    continue
                if not stat.S_ISREG(found.st_mode):
                    continue
                taken = found.st_blocks * 512
                totals[place] += taken
                heapq.heappush(largest, (taken, path))
                if len(largest) > _SHOWN:
                    heapq.heappop(largest)
    desk.table("largest_files", ("MiB", "file"), [(taken >> 20, path) for taken, path in sorted(largest, reverse=True)])
    rows = [(taken >> 20, path) for path, taken in totals.most_common(_SHOWN)]
    desk.table("largest_directories", ("MiB in its own files", "directory"), rows)
    if not complete:
        desk.problem(f"not all of {', '.join(directories)} was looked through in time")


def _same_device(path: str, device: int, remote: t.Sequence[str]) -> bool:
    if path in remote:
        return False
    try:
        return os.lstat(path).st_dev == device
    except OSError:
        return False


def _deleted(desk: Desk) -> None:
    """Files that have no name any more take space until those who have them open close them."""
    rows = []
    for pid, link, descriptor in _open_files():
        if not link.endswith(" (deleted)") or link.startswith(("/memfd:", "/dev/shm/")):
            continue
        try:
            found = os.stat(descriptor)
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode) and found.st_blocks:
            rows.append((found.st_blocks * 512 >> 20, pid, link))
    rows.sort(reverse=True)
    desk.table("deleted_and_open", ("MiB", "pid", "file"), rows[:_SHOWN])
    total = sum(row[0] for row in rows)
    if total > 1024:
        desk.finding("warning", f"deleted files that are still open take {total} MiB, most in process {rows[0][1]}")


def _open_files() -> t.Iterator[tuple[str, str, str]]:
    """Of every process that we may look into: its number, what is open, and where it can be looked at."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                yield pid, os.readlink(f"/proc/{pid}/fd/{name}"), f"/proc/{pid}/fd/{name}"
            except OSError:
                continue


def listening_sockets() -> list[tuple[int, str, int, str]]:
    """Port, protocol, how many connections wait to be accepted, and the socket's number, of TCP."""
    return [
        (int(fields[1].rpartition(":")[2], 16), protocol, int(fields[4].partition(":")[2], 16), fields[9])
        for protocol, fields in _tcp()
        if _STATES.get(fields[3]) == "listening"
    ]


def _tcp() -> t.Iterator[tuple[str, list[str]]]:
    for protocol in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{protocol}", encoding="ascii") as file:
                lines = file.readlines()[1:]
        except OSError:
            continue  # no such protocol here
        yield from ((protocol, line.split()) for line in lines)


def _sockets(desk: Desk) -> None:
    owners = {link[8:-1]: pid for pid, link, _path in _open_files() if link.startswith("socket:[")}
    states = collections.Counter(_STATES.get(fields[3], fields[3]) for _protocol, fields in _tcp())
    listening = [
        (port, protocol, waiting, owners.get(inode, "")) for port, protocol, waiting, inode in listening_sockets()
    ]
    desk.table("connections_by_state", ("state", "connections"), states.most_common())
    desk.table("listening", ("port", "protocol", "waiting to be accepted", "pid"), sorted(listening))
    for port, _protocol, waiting, _pid in listening:
        if waiting > 100:
            desk.finding("warning", f"{waiting} connections wait to be accepted at port {port}")
    if states["close-wait"] > _MANY_UNCLOSED:
        desk.finding(
            "warning", f"{states['close-wait']} connections were ended by the other side and are not closed here"
        )
    with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
        used, _free, most = map(int, file.read().split())
    desk.document("open_files", {"open": used, "most": most})
    if used > most * _FULL:
        desk.finding("warning", f"{used} of {most} files of the host are open")
