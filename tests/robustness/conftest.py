# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared by the robustness suites: the results as JSON."""

from __future__ import annotations

import json
import typing as t

import pytest

from tests.robustness.scale import SEED, SOAK
from tools.local_environment import ROOT


@pytest.fixture(scope="session")
def results() -> t.Iterator[t.Callable[[str, int, int], None]]:
    """Call it with suite, cases and failed; everything lands in build/soak.json or build/robustness.json."""
    rows: list[dict[str, t.Any]] = []

    def record(suite: str, cases: int, failed: int) -> None:
        rows.append({"suite": suite, "seed": SEED, "cases": cases, "failed": failed})

    yield record
    target = ROOT / "build" / ("soak.json" if SOAK else "robustness.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
