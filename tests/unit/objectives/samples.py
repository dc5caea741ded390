# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Samples as a Prometheus holds them, answered as it would answer, and what they add up to one by one."""

from __future__ import annotations

import bisect
import itertools
import re

from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Series

LOOKBACK = 300.0
#: By the name of the metric, the samples of each of its series.
Samples = dict[str, list[list[tuple[float, float]]]]


class SampleServer:
    """Answers the few queries that objectives ask. ``questions`` are all that were asked."""

    url = "http://prometheus.example"

    def __init__(self, samples: Samples, now: float = 0.0, ahead: float = 0.0) -> None:
        self.samples = samples
        self.now, self.ahead = now, ahead
        self.questions: list[str] = []

    def time(self) -> tuple[float, float]:
        return self.now, self.ahead

    def command(self, path: str, form: dict[str, str]) -> str:
        return f"curl {path} {form['query']}"

    def query(self, expression: str, at: float) -> list[Series]:
        self.questions.append(expression)
        counted = re.fullmatch(r"count\((.*)\)", expression)
        if counted:
            found = [1 for one in self.samples[counted[1]] if latest(one, at) is not None]
            return [Series({}, [(at, float(len(found)))])] if found else []
        ranged = re.fullmatch(r"(.*)\[(\d+)s\]", expression)
        assert ranged, expression
        since = at - float(ranged[2])
        series = [
            Series(_labels(ranged[1], place), [point for point in one if since <= point[0] <= at])
            for place, one in enumerate(self.samples[ranged[1]])
        ]
        return [one for one in series if one.points]

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        self.questions.append(expression)
        series = []
        moments = [start + index * step for index in range(round((end - start) / step) + 1)]
        resets = re.fullmatch(r"resets\((.*)\[(\d+)s\]\) > 0", expression)
        if resets:
            for place, one in enumerate(self.samples[resets[1]]):
                drops = [(earlier[0], later[0]) for earlier, later in itertools.pairwise(one) if later[1] < earlier[1]]
                points = [(at, 1.0) for at in moments if any(at - float(resets[2]) < a and b <= at for a, b in drops)]
                series += [Series({"instance": str(place)}, points)] if points else []
            return series
        for place, one in enumerate(self.samples[expression]):
            points = [(moment, value) for moment in moments if (value := latest(one, moment)) is not None]
            if points:
                series.append(Series(_labels(expression, place), points))
        return series


def latest(samples: list[tuple[float, float]], at: float) -> float | None:
    """The newest sample's value that Prometheus would take at a moment."""
    place = bisect.bisect_right(samples, (at, float("inf"))) - 1
    return samples[place][1] if place >= 0 and at - samples[place][0] <= LOOKBACK else None


def increase(series: list[list[tuple[float, float]]], start: float, end: float) -> float:
    """What counters counted between two times, sample by sample: the plain way, for comparison."""
    whole = 0.0
    for samples in series:
        value = latest(samples, start)
        for moment, later in samples:
            if start < moment <= end:
                if value is not None:
                    whole += later - value if later >= value else later
                value = later
    return whole


def _labels(name: str, place: int) -> dict[str, str]:
    return {"__name__": name, "instance": str(place)}
