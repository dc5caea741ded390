# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks Prometheus what happened, in bounded pieces.

Counters are read themselves, at the bounds of steps, and added up here: ``increase()`` would extrapolate, and what it
gives for neighbouring windows does not add up to what it gives for both. Where a counter began, began anew or ended,
its own samples around that moment are read, so that what it counted there is not lost.
"""

from __future__ import annotations

import operator
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.calculation import Steps
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.counters import Bounds, Counters, Edge, Values
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import Objective
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.expression import presence
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import (
    PrometheusError,
    Series,
    Server,
)

#: Prometheus gives at most 11,000 points of a series at once.
_POINTS = 10_000
#: Points of all series together in one answer, about 12 MB.
_ANSWER_POINTS = 400_000
_SERIES_LIMIT = 20_000
#: So many questions for the samples at which counters began, began anew or ended, the latest ones first. The steps of
#: what is left then are not covered.
_EDGE_QUESTIONS = 200
#: One such question is about so many seconds at most, and counts on samples that are so far apart.
_EDGE_SPAN_S, _SAMPLES_APART_S = 21_600, 15
#: So long Prometheus carries a value on, and one second for bounds that belong to both sides.
_CARRIED_S = 301
_COMPARE: dict[str, t.Callable[[float, float], bool]] = {
    "lte": operator.le,
    "lt": operator.lt,
    "gte": operator.ge,
    "gt": operator.gt,
}


def read(server: Server, objective: Objective, end: float, width: float, count: int) -> Steps:
    """What happened in ``count`` steps of ``width`` seconds before ``end``.

    :raises PrometheusError: for a query that was not answered, whole. :raises EngineError: for two series where one is
        expected, and for too many.
    """
    bounds = Bounds(end - width * count, width, count)
    steps = Steps(bounds.start, width, [0.0] * count, [0.0] * count, [False] * count)
    if objective.threshold is not None:
        values = _values(server, objective.threshold, bounds)
        _threshold(steps, objective, values)
        _note(steps, {objective.threshold: values})
        return steps
    part, total = _pair(objective)
    if objective.counter:
        counters = _counters(server, part, bounds), _counters(server, total, bounds)
        _counted(steps, objective, *counters)
        _note(steps, {part: counters[0], total: counters[1]})
    else:
        pair = _values(server, part, bounds), _values(server, total, bounds)
        _valued(steps, objective, *pair)
        _note(steps, {part: pair[0], total: pair[1]})
    return steps


def _note(steps: Steps, found: t.Mapping[str, Counters | Values]) -> None:
    """Note of which queries there is no number, and of which of them something else."""
    steps.absent = tuple(query for query, values in found.items() if not values.any())
    steps.strange = tuple(query for query, values in found.items() if values.only_strange())


def _pair(objective: Objective) -> tuple[str, str]:
    return t.cast(str, objective.good or objective.bad), t.cast(str, objective.total)


def _threshold(steps: Steps, objective: Objective, found: Values) -> None:
    compare = _COMPARE[objective.operator]
    for index, value in enumerate(found.values):
        if value is not None:
            steps.covered[index] = True
            steps.total[index] = 1.0
            steps.good[index] = 1.0 if compare(value, objective.value) else 0.0


def _counted(steps: Steps, objective: Objective, part: Counters, total: Counters) -> None:
    for index in range(len(steps.good)):
        steps.total[index] = total.increases[index]
        steps.good[index] = part.increases[index] if objective.good else total.increases[index] - part.increases[index]
        # Of bad ones one series will do: they need not exist for every instance. Good ones need not exist at all: new
        # instances that only fail have none.
        there = objective.good is not None or part.seen[index] > 0
        steps.covered[index] = there and total.seen[index] >= objective.minimum_series


def _valued(steps: Steps, objective: Objective, part: Values, total: Values) -> None:
    for index, (one, whole) in enumerate(zip(part.values, total.values)):
        if objective.good is not None and part.absent(index):
            one = 0.0
        if one is not None and whole is not None:
            steps.covered[index] = True
            steps.total[index] = whole
            steps.good[index] = one if objective.good else whole - one


def _counters(server: Server, query: str, bounds: Bounds) -> Counters:
    counters = Counters(bounds)
    each = _each(server, query, bounds)
    anew = f"resets({query}[{round(bounds.width) + _CARRIED_S}s]) > 0"
    for resets, piece in zip(_pieces(server, anew, bounds, each), _pieces(server, query, bounds, each)):
        counters.suspect(resets)
        counters.add(piece)
    groups = _near(counters.edges(), min(_EDGE_SPAN_S, each * _SAMPLES_APART_S) / bounds.width)
    for number, edges in enumerate(groups):
        points = None if number >= _EDGE_QUESTIONS else _samples(server, query, bounds, edges)
        for edge in edges:
            if points is None:
                counters.give_up(edge)
            else:
                counters.mend(edge, points.get(edge.series, []))
    return counters


def _near(edges: t.Sequence[Edge], span: float) -> list[list[Edge]]:
    """Edges within ``span`` steps together, the latest first."""
    groups: list[list[Edge]] = []
    for edge in sorted(edges, key=lambda edge: (edge.after, edge.before), reverse=True):
        if groups and groups[-1][0].after - edge.before <= span:
            groups[-1].append(edge)
        else:
            groups.append([edge])
    return groups


def _samples(
    server: Server, query: str, bounds: Bounds, edges: t.Sequence[Edge]
) -> dict[str, list[tuple[float, float]]] | None:
    """The samples around edges by the name of their series; None when they are too many to be read."""
    since, until = (bounds.at(index) for index in (min(edge.before for edge in edges), edges[0].after))
    try:
        found = server.query(f"{query}[{max(1, round(until - since))}s]", until)
    except PrometheusError as error:
        if error.reason != "size":
            raise
        return None
    return {one.name: one.points for one in found}


def _values(server: Server, query: str, bounds: Bounds) -> Values:
    values = Values(bounds, query)
    for piece in _pieces(server, query, bounds, _POINTS):
        values.add(piece)
    question = presence(query)
    if question is not None:
        moments = [
            bounds.index(moment)
            for piece in _pieces(server, question, bounds, _POINTS)
            for one in piece
            for moment, _ in one.points
        ]
        values.keep_only(moments)
    return values


def _each(server: Server, query: str, bounds: Bounds) -> int:
    """How many points of each series one answer may have."""
    count = server.query(f"count({query})", bounds.at(bounds.count))
    series = int(count[0].points[0][1]) if count else 1
    if series > _SERIES_LIMIT:
        raise EngineError(
            f"the query {query} has too many series",
            expected=f"at most {_SERIES_LIMIT}",
            found=str(series),
            next_command="record their sum of rates with a rule, and use it with counter: false",
        )
    return max(20, min(_POINTS, _ANSWER_POINTS // max(1, series)))


def _pieces(server: Server, query: str, bounds: Bounds, each: int) -> t.Iterator[list[Series]]:
    """The points at all bounds, from the first to the last, in answers of bounded size."""
    for first in range(0, bounds.count + 1, each):
        last = min(first + each - 1, bounds.count)
        yield server.query_range(query, bounds.at(first), bounds.at(last), bounds.width)
