# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paired, alternating measurements: what disturbs the machine disturbs both sides."""

from __future__ import annotations

import dataclasses
import statistics
import typing as t


@dataclasses.dataclass
class Result:
    """One line of ``build/bench.json``: medians of both sides, and the median of the pairs' ratios ours/theirs."""

    name: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    runs: int
    against: str


def paired(
    name: str, unit: str, against: str, runs: int, ours: t.Callable[[], float], theirs: t.Callable[[], float]
) -> Result:
    """Measure both sides ``runs`` times in turn, after one unmeasured run of each.

    Which side begins changes from pair to pair. ``ours`` and ``theirs`` return the value in ``unit``.
    """
    ours()
    theirs()
    pairs: list[tuple[float, float]] = []
    for number in range(runs):
        if number % 2:
            their_value = theirs()
            our_value = ours()
        else:
            our_value = ours()
            their_value = theirs()
        pairs.append((our_value, their_value))
    return Result(
        name,
        unit,
        round(statistics.median(pair[0] for pair in pairs), 3),
        round(statistics.median(pair[1] for pair in pairs), 3),
        round(statistics.median(mine / other for mine, other in pairs), 4),
        runs,
        against,
    )
