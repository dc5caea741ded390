# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recording rules and multi-window burn-rate alerts of Prometheus, out of the same definitions."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._objectives.calculation import BURN_WINDOWS
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import OPERATORS, Objective
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.expression import presence

#: How often values that are no counters are looked at within a window, in seconds.
_RESOLUTION_S = 60
BURNS, NO_DATA = "ObjectiveBurnsBudget", "ObjectiveHasNoData"
#: Every window of the alerts, the shortest first.
WINDOWS = tuple(sorted({seconds for pair in BURN_WINDOWS for seconds in (pair.long_s, pair.short_s)}))


def generate(objectives: t.Sequence[Objective]) -> dict[str, t.Any]:
    """The content of a rule file, as plain data."""
    return {"groups": [_group(objective) for objective in objectives]}


def recorded(seconds: float) -> str:
    """The name of the series with the share of bad events over a window."""
    return f"slo:bad:ratio_rate{in_prometheus(seconds)}"


def in_prometheus(seconds: float) -> str:
    """A duration as Prometheus writes it: ``5m``, ``3d``."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def labels_of(objective: Objective) -> dict[str, str]:
    labels = {"slo": objective.name, "service": _no_template(objective.service)}
    return {**labels, "component": _no_template(objective.component)} if objective.component else labels


def _group(objective: Objective) -> dict[str, t.Any]:
    labels = labels_of(objective)
    rules: list[dict[str, t.Any]] = [
        {"record": recorded(seconds), "expr": bad_share(objective, seconds), "labels": labels} for seconds in WINDOWS
    ]
    rules.append({"record": "slo:target:ratio", "expr": f"vector({_plain(objective.target)})", "labels": labels})
    rules += [_alert(objective, *pair) for pair in _pairs()]
    rules.append(
        {
            "alert": NO_DATA,
            "expr": f"absent({_presence(objective)})",
            "for": "10m",
            # absent() keeps the labels of a selector; the others are said here.
            "labels": {**labels, "severity": "ticket"},
            "annotations": {
                "summary": f"{objective.name} of {_no_template(objective.service)} has no data: whether it is met is not known",
                "next": "ansible-playbook sre.runbooks.verify_objectives",
            },
        }
    )
    return {"name": f"objective {objective.name}", "rules": rules}


def _pairs() -> t.Iterator[tuple[float, float, float, str]]:
    for pair in BURN_WINDOWS:
        yield pair.long_s, pair.short_s, pair.factor, pair.severity


def _alert(objective: Objective, long_s: float, short_s: float, factor: float, severity: str) -> dict[str, t.Any]:
    limit = f"{factor:g} * {_plain(objective.allowed)}"
    long, short = (f"{_series(objective, seconds)} > {limit}" for seconds in (long_s, short_s))
    return {
        "alert": BURNS,
        "expr": f"{long} and ignoring(__name__) {short}",
        # The series has these of the objective, too; but without them here, promtool takes two objectives' for duplicates.
        "labels": {**labels_of(objective), "severity": severity, "window": in_prometheus(long_s)},
        "annotations": {
            "summary": (
                f"{objective.name} of {_no_template(objective.service)} used its error budget more than {factor:g} times too fast"
                f" for {in_prometheus(long_s)}"
            ),
            "description": _no_template(objective.description or objective.name),
            "next": "ansible-playbook sre.runbooks.verify_objectives",
        },
    }


def _series(objective: Objective, seconds: float) -> str:
    return f'{recorded(seconds)}{{slo="{objective.name}"}}'


def bad_share(objective: Objective, seconds: float) -> str:
    """The expression for the share of bad events (or slices) over a window. NaN where nothing happened."""
    window = in_prometheus(seconds)
    if objective.slice_s:
        # Slices wider than the window slide: each moment's is the one that ends then.
        every = in_prometheus(min(objective.slice_s, seconds))
        return f"1 - avg_over_time(({_good_slice(objective, objective.slice_s)})[{window}:{every}])"
    if objective.threshold is not None:
        return f"1 - avg_over_time(({_good_values(objective)})[{window}:{in_prometheus(_RESOLUTION_S)}])"
    part, total = _sums(objective, window)
    return _bad_of(objective, part, total)


def _presence(objective: Objective) -> str:
    """What has a value as long as there is data, be it NaN because nothing happens."""
    if objective.threshold is not None:
        question = f"sum({objective.threshold})"
    elif objective.slice_s:
        question = _bad_of(objective, *_sums(objective, in_prometheus(WINDOWS[0])))
    else:
        question = _series(objective, WINDOWS[0])
    # A value over a long range is there long after its data has ended.
    underneath = presence(t.cast(str, objective.total if objective.threshold is None else objective.threshold))
    return question if underneath is None else f"({question}) and on () ({underneath})"


def _sums(objective: Objective, window: str) -> tuple[str, str]:
    """The good or the bad events over a window, and all of them."""
    if objective.counter:
        part, total = (f"sum(rate({query}[{window}]))" for query in (_part(objective), objective.total))
    else:
        resolution = in_prometheus(_RESOLUTION_S)
        part, total = (
            f"sum(sum_over_time(({query})[{window}:{resolution}]))" for query in (_part(objective), objective.total)
        )
    # New instances that only fail have no series of good events yet: then there are none.
    return (part if objective.bad else f"({part} or 0 * {total})"), total


def _bad_of(objective: Objective, part: str, total: str) -> str:
    return f"{part} / {total}" if objective.bad else f"1 - {part} / {total}"


def _good_values(objective: Objective) -> str:
    """1 for a good value, 0 for a bad one, and nothing for NaN and infinity: with ``bool`` NaN would be bad."""
    value = f"(({objective.threshold}) > -Inf < +Inf)"
    return f"{value} {OPERATORS[objective.operator]} bool {objective.limit}"


def _good_slice(objective: Objective, width: float) -> str:
    """1 for a moment whose last slice was good, else 0; nothing where nothing happened in it."""
    if objective.threshold is not None:
        resolution = in_prometheus(min(width, _RESOLUTION_S))
        share = f"avg_over_time(({_good_values(objective)})[{in_prometheus(width)}:{resolution}])"
    else:
        part, total = _sums(objective, in_prometheus(width))
        share = f"(1 - ({_bad_of(objective, part, f'({total} > 0)')}))"
    return f"{share} >= bool {_plain(objective.slice_target)}"


def _part(objective: Objective) -> str:
    return t.cast(str, objective.good or objective.bad)


def _plain(ratio: float) -> str:
    """Without the noise of binary fractions, and never in exponents."""
    return f"{ratio:.12f}".rstrip("0").rstrip(".")


def _no_template(text: str) -> str:
    """What Prometheus does not take for a template."""
    return text.replace("{{", "{ {")
