# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened in each step, out of the points of series that Prometheus gives at the steps' bounds."""

from __future__ import annotations

import bisect
import dataclasses
import math
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Series


@dataclasses.dataclass(frozen=True)
class Edge:
    """A stretch of which the bounds do not tell all: a counter began, began anew, or ended between them.

    :ivar value: what it was at the bound ``before``, or None where it began after it.
    :ivar counted: what was counted for it between the bounds ``before`` and ``after``.
    """

    series: str
    before: int
    after: int
    value: float | None
    counted: float


class Bounds:
    """Times ``start``, ``start + width``, …: ``count`` steps between them."""

    def __init__(self, start: float, width: float, count: int) -> None:
        self.start, self.width, self.count = start, width, count

    def at(self, index: int) -> float:
        return self.start + index * self.width

    def index(self, moment: float) -> int:
        return round((moment - self.start) / self.width)


class Counters:
    """The increases of any number of counters, added up step by step. Give it their points in order of time.

    Between two points of a counter lies what it grew by, or, when it is smaller, what it is: it began anew at zero. An
    increase over several steps without a point is shared among them, and they are not covered.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.increases = [0.0] * bounds.count
        #: How many counters have both bounds of each step.
        self.seen = [0] * bounds.count
        self._edges: list[Edge] = []
        self._bounds = bounds
        self._last: dict[str, tuple[int, float]] = {}
        self._suspects: set[tuple[str, int]] = set()
        self._strange = False

    def suspect(self, resets: t.Iterable[Series]) -> None:
        """Say where counters began anew, before their points there are added: what ``resets(…) > 0`` answers.

        A counter that overtakes what it was before the next bound cannot be told by its points from one that grew.
        """
        for one in resets:
            self._suspects |= {(one.name, self._bounds.index(moment)) for moment, _ in one.points}

    def add(self, series: t.Iterable[Series]) -> None:
        for one in series:
            name = one.name
            # As functions answer, without the name of the metric.
            bare = Series({key: value for key, value in one.labels.items() if key != "__name__"}, []).name
            last = self._last.get(name)
            for moment, value in one.points:
                if not math.isfinite(value):
                    self._strange = True
                    continue
                index = self._bounds.index(moment)
                if last is not None:
                    anew = any((bare, place) in self._suspects for place in range(last[0] + 1, index + 1))
                    self._between(name, *last, index, value, anew)
                elif index > 0:
                    self._edges.append(Edge(name, index - 1, index, None, 0.0))
                last = (index, value)
            if last is not None:
                self._last[name] = last

    def any(self) -> bool:
        """Whether there was any number at all."""
        return bool(self._last)

    def only_strange(self) -> bool:
        """Whether there was something, and none of it a number: NaN and infinity."""
        return self._strange and not self.any()

    def edges(self) -> list[Edge]:
        """To be asked once everything was added."""
        ends = [
            Edge(name, index, index + 1, value, 0.0)
            for name, (index, value) in self._last.items()
            if index < self._bounds.count
        ]
        return self._edges + ends

    def mend(self, edge: Edge, points: t.Sequence[tuple[float, float]]) -> None:
        """Replace what was counted over an edge by what the counter's own samples there say."""
        since, until = self._bounds.at(edge.before), self._bounds.at(edge.after)
        first, last = (bisect.bisect_right(points, (moment, math.inf)) for moment in (since, until))
        inside = [later for _, later in points[first:last] if math.isfinite(later)]
        if not inside:
            return
        increase, value = 0.0, inside[0] if edge.value is None else edge.value
        for later in inside:
            increase += later - value if later >= value else later
            value = later
        self._spread(edge.before, edge.after, increase - edge.counted)

    def give_up(self, edge: Edge) -> None:
        """What happened at an edge will not be known: its steps are not covered."""
        for index in range(edge.before, edge.after):
            self.seen[index] = 0

    def _between(self, name: str, before: int, old: float, after: int, new: float, anew: bool) -> None:
        increase = new - old if new >= old else new
        if new < old or anew:
            self._edges.append(Edge(name, before, after, old, increase))
        self._spread(before, after, increase)
        if after == before + 1:
            self.seen[before] += 1

    def _spread(self, before: int, after: int, increase: float) -> None:
        for index in range(before, after):
            self.increases[index] += increase / (after - before)


class Values:
    """One series of values, each standing for the step that ends with it."""

    def __init__(self, bounds: Bounds, query: str) -> None:
        self.values: list[float | None] = [None] * bounds.count
        self._owner: list[str | None] = [None] * bounds.count
        self._bounds = bounds
        self._query = query
        self._strange = False

    def add(self, series: t.Iterable[Series]) -> None:
        """Raises EngineError when two series have a value at one moment."""
        for one in series:
            for moment, value in one.points:
                index = self._bounds.index(moment) - 1
                if index < 0:
                    continue
                if self._owner[index] not in (None, one.name):
                    raise EngineError(
                        f"two series where one is expected, of the query {self._query}",
                        expected="an expression of one series, such as sum(…)",
                        found=f"{self._owner[index]} and {one.name}",
                    )
                self._owner[index] = one.name
                finite = math.isfinite(value)
                self._strange = self._strange or not finite
                self.values[index] = value if finite else None

    def keep_only(self, bounds: t.Collection[int]) -> None:
        """Take the values at all other bounds for what they are: carried on from data that has ended."""
        kept = {bound - 1 for bound in bounds}
        for index in range(len(self.values)):
            if index not in kept:
                self.values[index] = None

    def absent(self, index: int) -> bool:
        """Whether a step has no value, not even one that is no number."""
        return self._owner[index] is None

    def any(self) -> bool:
        """Whether there was any number at all."""
        return any(value is not None for value in self.values)

    def only_strange(self) -> bool:
        """Whether there was something, and none of it a number: NaN and infinity."""
        return self._strange and not self.any()
