# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The promql kind: the value of an expression against limits, or against the same hour of former weeks.

An expression without a value is never ok: absent and stale series, NaN and infinity are "unknown", and so are two series
where one is expected, which are named.
"""

from __future__ import annotations

import math
import statistics
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    choice,
    integer,
    number,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.prometheus_access import ACCESS, ServerCheck
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Series, Server
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.judging import only_one
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_WEEK_S = 7 * 86400
_SHOWN = 10


class PromqlCheck(ServerCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._expression: str = options["expression"]
        self._which: str = options["series"]
        self._weeks: int | None = options["baseline_weeks"]
        self._band: float = options["baseline_percent"]
        self._limits = {name: options[name] for name in ("minimum", "maximum", "warning_minimum", "warning_maximum")}
        if self._weeks is None and all(limit is None for limit in self._limits.values()):
            raise ValueError("minimum, maximum, warning_minimum, warning_maximum or baseline_weeks is needed")
        if self._weeks is not None and self._which != "one":
            raise ValueError("a baseline needs an expression of one series")
        self.expected = self._in_words()
        self.hint = self.server.command("/api/v1/query", {"query": self._expression})

    def judge(self, server: Server) -> Reading:
        series = server.query(self._expression)
        wrong = only_one(series) if self._which == "one" or not series else None
        if wrong is not None:
            return self.reading("unknown", counted(len(series), "series", "series"), wrong, series=_names(series))
        many = next((one for one in series if len(one.points) != 1), None)
        if many is not None:
            wrong = "a range and not a value: choose one, such as max_over_time(…)"
            return self.reading("unknown", f"{counted(len(many.points), 'sample')} of {many.name}", wrong)
        # NaN is no value, and infinity none that a limit could be compared with in earnest.
        usable = [one for one in series if math.isfinite(one.points[0][1])]
        if not usable or (self._which != "any" and len(usable) < len(series)):
            odd = next(one for one in series if not math.isfinite(one.points[0][1]))
            value = f"{odd.points[0][1]:g}"
            return self.reading("unknown", value, f"the value of {odd.name} is no number: {value}")
        if self._weeks is None:
            return self._judge_series(usable)
        return self._judge_baseline(server, usable[0])

    def _judge_series(self, series: list[Series]) -> Reading:
        judged = sorted(((*self._against_limits(one.points[0][1]), one) for one in series), key=lambda item: item[0])
        # "any" is content with its best series, "one" and "all" are as good as their worst.
        rank, problem, one = judged[0] if self._which == "any" else judged[-1]
        value = one.points[0][1]
        measured = f"{value:g}" if len(series) == 1 else f"{value:g} ({one.name})"
        message = "as expected" if problem is None else problem
        return self.reading(("ok", "warning", "failed")[rank], measured, message, value=value, series=_names(series))

    def _against_limits(self, value: float) -> tuple[int, str | None]:
        for rank, prefix in ((2, ""), (1, "warning_")):
            low, high = self._limits[f"{prefix}minimum"], self._limits[f"{prefix}maximum"]
            if low is not None and value < low:
                return rank, f"below {low:g}"
            if high is not None and value > high:
                return rank, f"above {high:g}"
        return 0, None

    def _judge_baseline(self, server: Server, one: Series) -> Reading:
        """The median of former weeks, each the mean of the hour around this time of that week."""
        weeks = t.cast(int, self._weeks)
        moment, value = one.points[0]
        former = []
        for week in range(1, weeks + 1):
            around = moment - week * _WEEK_S + 1800
            found = server.query(f"avg_over_time(({self._expression})[1h:1m])", around)
            former += [series.points[0][1] for series in found if len(found) == 1]
        former = [past for past in former if math.isfinite(past)]
        values: dict[str, t.Any] = {"value": value, "former": former}
        if len(former) * 2 < weeks or not former:
            message = f"only {len(former)} of {counted(weeks, 'former week')} have a value"
            return self.reading("unknown", f"{value:g}", message, **values)
        median = statistics.median(former)
        low, high = sorted((median * (1 - self._band / 100), median * (1 + self._band / 100)))
        values.update(baseline=median, low=low, high=high)
        measured = f"{value:g}, in former weeks {median:g}"
        rank, problem = self._against_limits(value)
        if rank < 2 and not low <= value <= high:
            rank, problem = 2, f"{'below' if value < low else 'above'} the band from {low:g} to {high:g}"
        return self.reading(("ok", "warning", "failed")[rank], measured, problem or "as expected", **values)

    def _in_words(self) -> str:
        words = {
            "minimum": "at least {:g}",
            "maximum": "at most {:g}",
            "warning_minimum": "better at least {:g}",
            "warning_maximum": "better at most {:g}",
        }
        parts = [words[name].format(limit) for name, limit in self._limits.items() if limit is not None]
        if self._weeks is not None:
            parts.append(f"within {self._band:g} % of the same hour of {counted(self._weeks, 'former week')}")
        who = {"one": "", "any": " in any series", "all": " in all series"}[self._which]
        return f"{shown(self._expression)} {', '.join(parts)}{who}"


def _names(series: t.Sequence[Series]) -> list[str]:
    return [one.name for one in series[:_SHOWN]]


PROMQL = Kind(
    name="promql",
    options={
        **ACCESS,
        "expression": Option(text, required=True),
        "series": Option(choice("one", "any", "all"), default="one"),
        "minimum": Option(number),
        "maximum": Option(number),
        "warning_minimum": Option(number),
        "warning_maximum": Option(number),
        "baseline_weeks": Option(integer(1, 52)),
        "baseline_percent": Option(percentage, default=20.0),
    },
    prepare=PromqlCheck,
    target=lambda options: t.cast(str, options["expression"])[:60],
)
