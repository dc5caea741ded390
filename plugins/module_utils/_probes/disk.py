# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disk kind: space and inodes left, for an ordinary user, on the file system of a path."""

from __future__ import annotations

import os
import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, text

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


class DiskCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._path: str = options["path"]
        self._own_hint: str | None = options["hint"]
        self._bytes: int | None = options["free_bytes"]
        self._percent: float | None = options["free_percent"]
        if self._bytes is None and self._percent is None:
            self._percent = 10.0
        self._warning: float | None = options["warning_percent"]
        self._inodes: float | None = options["free_inodes_percent"]
        wanted = []
        if self._bytes is not None:
            wanted.append(f"at least {in_units(self._bytes)} free")
        if self._percent is not None:
            wanted.append(f"at least {self._percent:g} % free")
        if self._inodes is not None:
            wanted.append(f"at least {self._inodes:g} % of the inodes free")
        self.expected = ", ".join(wanted)
        self.hint = f"du -xh --max-depth=1 {shlex.quote(self._path)} | sort -h | tail"

    def look(self) -> Reading:
        try:
            found = os.statvfs(self._path)
        except FileNotFoundError:
            if self._own_hint is None:
                self.hint = f"findmnt; ls -la {shlex.quote(_nearest_directory(self._path))}"
            return self.reading("failed", "no such path", f"{self._path} does not exist")
        except OSError as error:
            return self.reading("unknown", "nothing", f"{self._path}: {error.strerror}")
        # As df counts: what is reserved for root is neither free nor in use.
        free = found.f_bavail * found.f_frsize
        size = (found.f_blocks - found.f_bfree) * found.f_frsize + free
        percent = 100.0 * free / size if size else 0.0
        # Some file systems (btrfs) have no fixed number of inodes and say 0.
        inodes = 100.0 * found.f_favail / found.f_files if found.f_files else 100.0
        measured = f"{in_units(free)} free of {in_units(size)} ({percent:.1f} %)"
        values = {
            "free_bytes": free,
            "size_bytes": size,
            "free_percent": round(percent, 2),
            "free_inodes_percent": round(inodes, 2),
        }
        too_little = (self._bytes is not None and free < self._bytes) or (
            self._percent is not None and percent < self._percent
        )
        if too_little:
            return self.reading("failed", measured, f"too little space for {self._path}", **values)
        if self._inodes is not None and inodes < self._inodes:
            return self.reading(
                "failed", f"{inodes:.1f} % of the inodes free", f"too few inodes for {self._path}", **values
            )
        if self._warning is not None and percent < self._warning:
            return self.reading("warning", measured, f"less than {self._warning:g} % free", **values)
        return self.reading("ok", measured, "as expected", **values)


def _nearest_directory(path: str) -> str:
    """The innermost part of the path that is there."""
    while path not in ("", "/") and not os.path.isdir(path):
        path = os.path.dirname(path.rstrip("/"))
    return path or "."


def size(value: t.Any) -> int:
    """``1048576``, ``"500M"``, ``"1.5 GiB"``: bytes, in powers of 1024."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", str(value).strip().lower())
    if match is None:
        raise ValueError("a size such as 1048576, 500M or 1.5 GiB is expected")
    return int(float(match[1]) * _UNITS[match[2]])


def percentage(value: t.Any) -> float:
    found = float(str(value).strip().rstrip("%"))
    if not 0 <= found <= 100:
        raise ValueError("a percentage from 0 to 100 is expected")
    return found


def in_units(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


DISK = Kind(
    name="disk",
    options={
        "path": Option(text, required=True),
        "free_bytes": Option(size),
        "free_percent": Option(percentage),
        "free_inodes_percent": Option(percentage),
        "warning_percent": Option(percentage),
    },
    prepare=DiskCheck,
    target=lambda options: t.cast(str, options["path"]),
)
