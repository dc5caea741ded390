# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The arithmetic of objectives: from what happened in each step of time to SLI, error budget, burn rates and forecast.

Nothing here asks anybody. Ratios are from 0 to 1, durations in seconds, times Unix times.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput


@dataclasses.dataclass(frozen=True)
class BurnWindow:
    """A pair of windows: an alert needs the long one to be sure, and the short one to end soon after the trouble."""

    long_s: float
    short_s: float
    factor: float
    severity: str


#: The four pairs of the SRE workbook: 2 % of a month's budget in an hour, 5 % in six hours, 10 % in a day and in three.
BURN_WINDOWS = (
    BurnWindow(3600, 300, 14.4, "page"),
    BurnWindow(21600, 1800, 6.0, "page"),
    BurnWindow(86400, 7200, 3.0, "ticket"),
    BurnWindow(259200, 21600, 1.0, "ticket"),
)
#: The forecast goes on from what was burnt in the last so many parts of the window: of 30 days, the last day.
_FORECAST_PART = 30


@dataclasses.dataclass
class Steps:
    """Step ``i`` lasts from ``start + i * width`` to ``start + (i + 1) * width``.

    :ivar good: good events in each step; :ivar total: all events; :ivar covered: whether there was data for it.
    :ivar absent: queries that have no number at all; :ivar strange: those of them that have NaN or infinity.
    """

    start: float
    width: float
    good: list[float]
    total: list[float]
    covered: list[bool]
    absent: tuple[str, ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def end(self) -> float:
        return self.start + self.width * len(self.good)


@dataclasses.dataclass(frozen=True)
class Share:
    """What a stretch of time sums up to. ``coverage`` is the share of it for which there was data."""

    good: float
    total: float
    coverage: float

    @property
    def sli(self) -> float | None:
        """The share of good events; None when there was none at all, or what was counted cannot be."""
        if not self.total > 0 or self.good < 0:
            return None
        # Good and all events are counted at slightly different moments, so a little more good ones is nothing odd.
        ratio = self.good / self.total
        return None if ratio > 1.01 else min(ratio, 1.0)


def share(steps: Steps, start: float, end: float) -> Share:
    """Of the steps between two times, both rounded to a step. Time outside of the steps is not covered."""
    first, last = round((start - steps.start) / steps.width), round((end - steps.start) / steps.width)
    inside = slice(max(0, first), max(0, last))
    covered = sum(steps.covered[inside])
    return Share(
        math.fsum(steps.good[inside]),
        math.fsum(steps.total[inside]),
        covered / (last - first) if last > first else 0.0,
    )


def covered_in(steps: Steps, window: float, minimum_coverage: float) -> float:
    """Seconds until that share of the window before then has data, if there is some from the end of the steps on."""
    count = round(window / steps.width)
    gaps = [count - place for place, covered in enumerate(reversed(steps.covered[-count:]), start=1) if not covered]
    gaps += range(count - len(steps.covered))
    allowed = count - math.ceil(minimum_coverage * count - 1e-9)
    # The oldest leave the window first.
    return 0.0 if len(gaps) <= allowed else (sorted(gaps)[len(gaps) - allowed - 1] + 1) * steps.width


def sliced(steps: Steps, width: float, target: float, minimum_coverage: float) -> Steps:
    """The time slices as steps: each one event, good when at least ``target`` of its events were.

    A slice with too little data is not covered; one in which nothing happened is covered, and no event.
    """
    each = round(width / steps.width)
    result = Steps(steps.start, width, [], [], [])
    for place in range(0, len(steps.good) - each + 1, each):
        begin = steps.start + place * steps.width
        part = share(steps, begin, begin + width)
        sli = part.sli
        covered = part.coverage >= minimum_coverage and (sli is not None or part.total == 0)
        counts = covered and sli is not None
        result.covered.append(covered)
        result.total.append(1.0 if counts else 0.0)
        result.good.append(1.0 if counts and t.cast(float, sli) >= target else 0.0)
    return result


def shares(sli: t.Any, target: t.Any) -> tuple[float, float]:
    """Two values of unknown origin as an SLI and a target. Raises InvalidInput for what is none."""
    try:
        ratio, wanted = (math.nan if isinstance(value, bool) else float(value) for value in (sli, target))
    except (TypeError, ValueError):
        ratio = wanted = math.nan
    if not (0 <= ratio <= 1 and 0 < wanted < 1):
        raise InvalidInput(
            "not the share of good events and the share that is wanted",
            expected="from 0 to 1, and more than 0 and less than 1",
            found=f"{sli!r} and {target!r}",
        )
    return ratio, wanted


def burn_rate(sli: float, target: float) -> float:
    """How many times faster than allowed the error budget is used: 1 uses it up in exactly one window."""
    return (1.0 - sli) / (1.0 - target)


def error_budget(sli: float, target: float) -> dict[str, float]:
    """``total``: the share of bad events that the target allows; ``used`` and ``left``: shares of that budget.

    What is left is negative once more than the budget is used.
    """
    used = burn_rate(sli, target)
    return {"total": 1.0 - target, "used": used, "left": 1.0 - used}


def burn_rates(steps: Steps, target: float, minimum_coverage: float) -> list[dict[str, t.Any]]:
    """For each pair of windows the rates and whether both are above the factor.

    A window that has too little data, or in which nothing happened, has the rate None; then it is not known whether
    the pair fires, unless the other one says no.
    """
    rates = []
    for pair in BURN_WINDOWS:
        long, short = (_rate(steps, seconds, target, minimum_coverage) for seconds in (pair.long_s, pair.short_s))
        firing: bool | None = None
        if any(rate is not None and rate <= pair.factor for rate in (long, short)):
            firing = False
        elif long is not None and short is not None:
            firing = True
        rates.append(
            {
                "long_s": pair.long_s,
                "short_s": pair.short_s,
                "factor": pair.factor,
                "severity": pair.severity,
                "long": long,
                "short": short,
                "firing": firing,
            }
        )
    return rates


def exhausted_in(steps: Steps, window: float, used: float, target: float, minimum_coverage: float) -> float | None:
    """Seconds until the budget of a rolling window is used up if it is burnt on as lately; 0 when it is; None for never.

    As the window rolls, what was burnt long ago leaves it: a burn rate of at most 1 never uses up the budget.
    """
    if used >= 1:
        return 0.0
    rate = _rate(steps, window / _FORECAST_PART, target, minimum_coverage)
    if rate is None or rate <= 1:
        return None
    return window * (1 - used) / (rate - used)


def _rate(steps: Steps, seconds: float, target: float, minimum_coverage: float) -> float | None:
    # Of slices wider than the window, the last one.
    part = share(steps, steps.end - max(seconds, steps.width), steps.end)
    sli = part.sli
    return burn_rate(sli, target) if sli is not None and part.coverage >= minimum_coverage else None
