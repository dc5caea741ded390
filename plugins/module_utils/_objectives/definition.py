# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an objective is: an SLO document in a subset of OpenSLO v1, checked whole before anything is asked.

``docs/objectives.md`` describes the subset. What is outside of it is refused by name and never passed over, since an
objective that is judged by half of its definition would be another one.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import nearest
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.expression import refused
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.judging import is_selector

KINDS = ("availability", "latency", "throughput", "ratio", "threshold")
OPERATORS = {"lte": "<=", "lt": "<", "gte": ">=", "gt": ">"}
#: Slices of one window; more would be more points than one question should ask for.
SLICES_LIMIT = 43_200
MEND = "mend it in the variable objectives of the inventory (docs/objectives.md), then: the same command without -e objectives"
_LONGEST_S = 400 * 86400.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")
#: Annotations that begin so are ours; all others are left alone.
_OURS = "sre.runbooks/"
_COVERAGE = f"{_OURS}minimum_coverage"
_SERIES = f"{_OURS}minimum_series"
_LABELS = ("component", "kind")
_DOCUMENT = ("apiVersion", "kind", "metadata", "spec")
_METADATA = ("name", "displayName", "labels", "annotations")
_SPEC = ("description", "service", "indicator", "timeWindow", "budgetingMethod", "objectives")
_TARGET = ("displayName", "op", "value", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow")


@dataclasses.dataclass(frozen=True)
class Objective:
    """One objective. Durations are in seconds, ratios from 0 to 1.

    :ivar counter: the queries of a ratio are selectors of counters; else they are values to be added up over time.
    :ivar good: of a ratio, the good events; None where ``bad`` is given, and in a threshold.
    :ivar threshold: the expression of a threshold, compared by ``operator`` with ``value``.
    :ivar slice_s: the width of time slices, or None where occurrences are counted.
    :ivar minimum_coverage: share of the window that must have data; None for the caller's.
    :ivar minimum_series: so many series must be there at a moment for it to count as covered.
    """

    name: str
    service: str
    component: str | None
    description: str
    kind: str
    target: float
    window_s: float
    counter: bool = True
    good: str | None = None
    bad: str | None = None
    total: str | None = None
    threshold: str | None = None
    operator: str = "lte"
    value: float = 0.0
    slice_s: float | None = None
    slice_target: float = 0.0
    minimum_coverage: float | None = None
    minimum_series: int = 1

    @property
    def allowed(self) -> float:
        """The share of bad events (or slices) that the target leaves: the whole error budget."""
        return 1.0 - self.target

    @property
    def limit(self) -> str:
        """The value of a threshold with all its digits: a limit that was rounded is another one."""
        whole = repr(self.value)
        return whole[:-2] if whole.endswith(".0") else whole

    @property
    def queries(self) -> tuple[str, ...]:
        return tuple(query for query in (self.good, self.bad, self.total, self.threshold) if query is not None)


def define(document: t.Any, position: int = 1) -> Objective:
    """Raises InvalidInput that names the objective and the place in it.

    :arg position: its place in the list, from 1, to name one that has no name.
    """
    reader = _Reader(f"objective {position}")
    reader.mapping(document, "", _DOCUMENT)
    metadata = reader.mapping(document.get("metadata"), "metadata", _METADATA)
    name = reader.text(metadata.get("name"), "metadata.name")
    if not _NAME.fullmatch(name):
        raise reader.bad("metadata.name", "small letters, digits, - and _, at most 63", name)
    reader.where = f"objective {name}"
    reader.fixed(document, "apiVersion", "openslo/v1")
    reader.fixed(document, "kind", "SLO")
    labels = reader.open_mapping(metadata.get("labels", {}), "metadata.labels", _LABELS)
    annotations = reader.open_mapping(metadata.get("annotations", {}), "metadata.annotations", (_COVERAGE, _SERIES))
    spec = reader.mapping(document.get("spec"), "spec", _SPEC)
    window = _window(reader, spec)
    target = reader.only(spec.get("objectives"), "spec.objectives")
    reader.mapping(target, "spec.objectives[0]", _TARGET)
    values = {**_indicator(reader, spec, target), **_budgeting(reader, spec, target, window)}
    component, named_kind = (reader.label(labels.get(key), f"metadata.labels.{key}") for key in _LABELS)
    kind = named_kind or ("threshold" if values.get("threshold") else "ratio")
    if kind not in KINDS:
        raise reader.bad("metadata.labels.kind", f"one of {', '.join(KINDS)}", kind)
    return Objective(
        name=name,
        service=reader.text(spec.get("service"), "spec.service"),
        component=component,
        description=str(spec.get("description") or metadata.get("displayName") or ""),
        kind=kind,
        window_s=window,
        minimum_coverage=reader.ratio(annotations[_COVERAGE], f"metadata.annotations[{_COVERAGE}]", closed=True)
        if _COVERAGE in annotations
        else None,
        minimum_series=reader.whole(annotations.get(_SERIES, 1), f"metadata.annotations[{_SERIES}]"),
        **values,
    )


def shortened(objective: Objective, window: float) -> Objective:
    """The same over another window. Raises InvalidInput when its slices do not fit into that."""
    if not 60 <= window <= _LONGEST_S or (objective.slice_s and not _slices_fit(window, objective.slice_s)):
        slices = (
            f" and at least two of its time slices of {format_duration(objective.slice_s)}" if objective.slice_s else ""
        )
        raise InvalidInput(
            f"objective {objective.name}: it cannot be judged over this window",
            expected=f"from 1m to 400d{slices}",
            found=format_duration(window),
            next_command="choose another objectives_window, or leave this one out with objectives_only, then:"
            " the same command without -e objectives_window",
        )
    return dataclasses.replace(objective, window_s=window)


def _slices_fit(window: float, width: float) -> bool:
    return window / SLICES_LIMIT <= width <= window / 2


def _window(reader: _Reader, spec: dict[str, t.Any]) -> float:
    window = reader.only(spec.get("timeWindow"), "spec.timeWindow")
    reader.mapping(window, "spec.timeWindow[0]", ("duration", "isRolling"))
    if not reader.boolean(window.get("isRolling", True), "spec.timeWindow[0].isRolling"):
        raise reader.bad("spec.timeWindow[0].isRolling", "true: windows of the calendar are not supported", "false")
    seconds = reader.duration(window.get("duration"), "spec.timeWindow[0].duration")
    if not 60 <= seconds <= _LONGEST_S:
        raise reader.bad("spec.timeWindow[0].duration", "from 1m to 400d", window["duration"])
    return seconds


def _indicator(reader: _Reader, spec: dict[str, t.Any], target: dict[str, t.Any]) -> dict[str, t.Any]:
    indicator = reader.mapping(spec.get("indicator"), "spec.indicator", ("metadata", "spec"))
    reader.mapping(indicator.get("metadata", {}), "spec.indicator.metadata", _METADATA)
    place = "spec.indicator.spec"
    inner = reader.mapping(indicator.get("spec"), place, ("description", "ratioMetric", "thresholdMetric"))
    if ("ratioMetric" in inner) == ("thresholdMetric" in inner):
        raise reader.bad(place, "either ratioMetric or thresholdMetric", ", ".join(inner) or "none of them")
    if "thresholdMetric" in inner:
        operator = target.get("op")
        if operator not in OPERATORS:
            raise reader.bad("spec.objectives[0].op", f"one of {', '.join(OPERATORS)}", operator)
        return {
            "threshold": reader.query(inner["thresholdMetric"], f"{place}.thresholdMetric", compared=True),
            "operator": operator,
            "value": reader.number(target.get("value"), "spec.objectives[0].value"),
        }
    place += ".ratioMetric"
    ratio = reader.mapping(inner["ratioMetric"], place, ("counter", "good", "bad", "total"))
    for key in ("op", "value"):
        if key in target:
            raise reader.bad(f"spec.objectives[0].{key}", "nothing, for a ratio", target[key])
    if "total" not in ratio or ("good" in ratio) == ("bad" in ratio):
        raise reader.bad(place, "total, and either good or bad", ", ".join(ratio) or "none of them")
    counter = reader.boolean(ratio.get("counter", True), f"{place}.counter")
    queries = {
        key: reader.query(ratio[key], f"{place}.{key}") if key in ratio else None for key in ("good", "bad", "total")
    }
    for key, query in queries.items():
        if counter and query is not None and not is_selector(query):
            raise reader.bad(
                f"{place}.{key}",
                'a selector of counters such as requests_total{code!~"5.."}, since a sum hides that one of them began anew;'
                " or counter: false, with such as sum(rate(…))",
                query,
            )
    return {"counter": counter, **queries}


def _budgeting(reader: _Reader, spec: dict[str, t.Any], target: dict[str, t.Any], window: float) -> dict[str, t.Any]:
    place = "spec.objectives[0]"
    if ("target" in target) == ("targetPercent" in target):
        raise reader.bad(place, "either target or targetPercent", ", ".join(target))
    if "target" in target:
        ratio = reader.ratio(target["target"], f"{place}.target", instead="targetPercent")
    else:
        ratio = reader.percent(target["targetPercent"], f"{place}.targetPercent") / 100
    values: dict[str, t.Any] = {"target": ratio}
    method = str(spec.get("budgetingMethod", "Occurrences"))
    if method not in ("Occurrences", "Timeslices"):
        raise reader.bad("spec.budgetingMethod", "Occurrences or Timeslices", method)
    if method == "Occurrences":
        for key in ("timeSliceTarget", "timeSliceWindow"):
            if key in target:
                raise reader.bad(f"{place}.{key}", "nothing, where occurrences are counted", target[key])
        return values
    width = reader.duration(target.get("timeSliceWindow"), f"{place}.timeSliceWindow")
    if width < 1 or width != int(width) or not _slices_fit(window, width):
        raise reader.bad(
            f"{place}.timeSliceWindow", f"whole seconds, 2 to {SLICES_LIMIT} slices a window", target["timeSliceWindow"]
        )
    slice_target = reader.ratio(target.get("timeSliceTarget"), f"{place}.timeSliceTarget", closed=True)
    return {**values, "slice_s": width, "slice_target": slice_target}


class _Reader:
    """Takes values out of a document, and says where in it one is not of the expected form."""

    def __init__(self, where: str) -> None:
        self.where = where

    def bad(self, place: str, expected: str, found: t.Any) -> InvalidInput:
        return InvalidInput(
            f"{self.where}: bad {place or 'document'}",
            expected=expected,
            found="nothing" if found is None else repr(found)[:200],
            next_command=MEND,
        )

    def mapping(self, value: t.Any, place: str, known: t.Sequence[str]) -> dict[str, t.Any]:
        if not isinstance(value, dict):
            raise self.bad(place, "a mapping", value)
        for key in value:
            if key not in known:
                near = nearest(str(key), known)
                hint = f", did you mean {near}?" if near else ""
                raise self.bad(f"{place}.{key}".lstrip("."), f"keys among {', '.join(known)}{hint}", key)
        return value

    def open_mapping(self, value: t.Any, place: str, known: t.Sequence[str]) -> dict[str, t.Any]:
        """One that may have any other key, but none that was surely meant to be one of ours."""
        if not isinstance(value, dict):
            raise self.bad(place, "a mapping", value)
        for key in value:
            if key in known:
                continue
            near = _nearest(str(key), known)
            if near is not None or str(key).lower().startswith(_OURS):
                hint = f", did you mean {near}?" if near else ""
                raise self.bad(f"{place}[{key}]", f"of ours, {' and '.join(known)}{hint}", key)
        return value

    def label(self, value: t.Any, place: str) -> str | None:
        if isinstance(value, dict) or (isinstance(value, list) and len(value) > 1):
            raise self.bad(place, "a text, or a list of one", value)
        return first_label(value)

    def only(self, value: t.Any, place: str) -> dict[str, t.Any]:
        """OpenSLO has lists here; of what this subset knows there is one each."""
        if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
            raise self.bad(place, "a list of one mapping", value)
        return value[0]

    def fixed(self, document: dict[str, t.Any], key: str, value: str) -> None:
        if document.get(key, value) != value:
            raise self.bad(key, value, document[key])

    def text(self, value: t.Any, place: str) -> str:
        if not isinstance(value, str) or not value.strip():
            raise self.bad(place, "a text", value)
        return value.strip()

    def number(self, value: t.Any, place: str) -> float:
        try:
            converted = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            converted = math.nan
        if not math.isfinite(converted):
            raise self.bad(place, "a number", value)
        return converted

    def whole(self, value: t.Any, place: str) -> int:
        converted = self.number(value, place)
        if converted != int(converted) or converted < 1:
            raise self.bad(place, "a whole number from 1", value)
        return int(converted)

    def ratio(self, value: t.Any, place: str, closed: bool = False, instead: str | None = None) -> float:
        """:arg instead: the key that takes percents, where there is one."""
        converted = self.number(value, place)
        if not (0 < converted < 1 or (closed and converted == 1)):
            meant = ""
            if 1 < converted < 100 or (closed and converted == 100):
                meant = f"{instead}: {value}" if instead else f"{converted / 100:.12g}"
            among = "more than 0 and " + ("at most 1" if closed else "less than 1")
            raise self.bad(place, among + (f", did you mean {meant}?" if meant else ""), value)
        return converted

    def percent(self, value: t.Any, place: str) -> float:
        """A target of a hundredth or less is rarer than a ratio that was written for percents."""
        converted = self.number(value, place)
        if not 1 < converted < 100:
            meant = f", did you mean target: {value}?" if 0 < converted < 1 else ""
            raise self.bad(place, f"more than 1 and less than 100{meant}", value)
        return converted

    def boolean(self, value: t.Any, place: str) -> bool:
        if str(value).lower() not in ("true", "false"):
            raise self.bad(place, "true or false", value)
        return str(value).lower() == "true"

    def duration(self, value: t.Any, place: str) -> float:
        # OpenSLO's M, Q and Y are of no fixed length, and M must not be taken for minutes.
        if not isinstance(value, str) or not re.fullmatch(r"(\d+(\.\d+)?\s*[wdhms]\s*)+", value.strip()):
            raise self.bad(place, "such as 30d, 4w, 1h or 1m (minutes)", value)
        return parse_duration(value)

    def query(self, value: t.Any, place: str, compared: bool = False) -> str:
        """A text, or OpenSLO's ``metricSource``."""
        if not isinstance(value, str):
            source = self.mapping(value, place, ("metricSource",)).get("metricSource")
            source = self.mapping(source, f"{place}.metricSource", ("type", "spec"))
            if str(source.get("type", "prometheus")).lower() != "prometheus":
                raise self.bad(f"{place}.metricSource.type", "Prometheus", source["type"])
            place += ".metricSource.spec"
            value = self.mapping(source.get("spec"), place, ("query",)).get("query")
            place += ".query"
        query = self.text(value, place)
        expected = refused(query, compared)
        if expected is not None:
            raise self.bad(place, expected, query)
        return query


def _nearest(key: str, known: t.Sequence[str]) -> str | None:
    """The known key that this one nearly is, be it without our prefix: what is longer has a meaning of its own."""
    found = []
    for one in known:
        for meant, least in ((one, 0.9 if one.startswith(_OURS) else 0.75), (one.rpartition("/")[2], 0.75)):
            likeness = difflib.SequenceMatcher(None, key.lower(), meant).ratio()
            if likeness >= least and abs(len(key) - len(meant)) <= 1:
                found.append((likeness, one))
    return max(found)[1] if found else None


def first_label(label: t.Any) -> str | None:
    """A label of OpenSLO is a text or a list of texts."""
    value = label[0] if isinstance(label, list) and label else label
    return str(value) if value not in (None, "", []) else None
