# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much the robustness suites run: a seeded sample, or with ``make soak`` every case."""

from __future__ import annotations

import itertools
import os
import time
import typing as t

SOAK = os.environ.get("SRE_RUNBOOKS_SOAK", "") == "1"
SEED = int(os.environ.get("SRE_RUNBOOKS_SEED", "20261121"))
#: Seconds between two lines about how far a suite is.
_EVERY_S = 30.0
#: About so many of a row of equal side effects.
_ROW = 8

Case = t.TypeVar("Case")


def worth_killing(effects: t.Sequence[str]) -> list[int]:
    """The numbers of the side effects; of a long row of the same kind, as when a directory's files are removed, only some."""
    chosen: list[int] = []
    for _verb, row in itertools.groupby(range(len(effects)), key=lambda number: effects[number].split(" ", 1)[0]):
        numbers = list(row)
        step = max(1, len(numbers) // _ROW)
        chosen += sorted({*numbers[::step], numbers[-1]})
    return chosen


def counted(suite: str, cases: t.Sequence[Case]) -> t.Iterator[Case]:
    """The cases; in a soak the screen shows now and then how many are done and how long it still takes."""
    began = shown = time.monotonic()
    for number, case in enumerate(cases):
        now = time.monotonic()
        if SOAK and now - shown >= _EVERY_S and number:
            shown = now
            left = (now - began) / number * (len(cases) - number)
            print(f"  {suite}: {number:,} of {len(cases):,}, {left / 60:.0f} min left", flush=True)
        yield case
