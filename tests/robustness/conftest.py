# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared by the robustness suites: the results as JSON."""

from __future__ import annotations

import fcntl
import json
import time
import typing as t

import pytest

from tests.robustness.runbooks import disturbed  # noqa: F401
from tests.robustness.scale import SEED, SOAK
from tools.local_environment import ROOT

#: Unit tests: `make unit` runs them, with the same examples each time.
collect_ignore = [] if SOAK else ["test_properties.py"]
_TARGET = ROOT / "build" / ("soak.json" if SOAK else "robustness.json")


@pytest.fixture
def results() -> t.Callable[..., None]:
    """Call it with suite, cases and failed, and more by name; everything lands in build/soak.json or build/robustness.json.

    Written at once, so that a soak that is cut off leaves what it had; a suite's earlier row is replaced.
    """
    began = time.monotonic()

    def record(suite: str, cases: int, failed: int, **more: t.Any) -> None:
        row = {
            "suite": suite,
            "seed": SEED,
            "cases": cases,
            "failed": failed,
            "duration_s": round(time.monotonic() - began, 1),
            **more,
        }
        _TARGET.parent.mkdir(exist_ok=True)
        with _TARGET.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # suites may run side by side
            file.seek(0)
            rows = [other for other in json.loads(file.read() or "[]") if other["suite"] != suite]
            file.truncate(0)
            file.write(json.dumps([*rows, row], indent=2) + "\n")

    return record
