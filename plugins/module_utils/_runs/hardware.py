# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On what hardware something was measured: a recovery time means little without it."""

from __future__ import annotations

import os
import platform
import typing as t


def describe_hardware() -> dict[str, t.Any]:
    """``{host, cpus, cpu_model, memory_bytes, system}`` of this host; what can't be found out is None."""
    try:
        cpus: int | None = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        cpus = os.cpu_count()
    return {
        "host": platform.node(),
        "cpus": cpus,
        "cpu_model": _field("/proc/cpuinfo", "model name"),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _memory_bytes() -> int | None:
    total = _field("/proc/meminfo", "MemTotal")
    number = (total or "").split(" ")[0]
    return int(number) * 1024 if number.isdigit() else None


def _field(path: str, name: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                label, _, value = line.partition(":")
                if label.strip() == name:
                    return value.strip()
    except OSError:
        return None
    return None
