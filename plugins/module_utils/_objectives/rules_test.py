# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A unit test for generated rules, for ``promtool test rules``: they fire when they should, and only then.

Each case asks of as many objectives as it can: promtool evaluates every rule of the file for every case, so that a case for
each objective would take time that grows with their square.
"""

from __future__ import annotations

import fractions
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._objectives.calculation import BURN_WINDOWS
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import Objective
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.made_up import (
    Matcher,
    besides,
    matchers_of,
    satisfying,
    selects,
    series,
)
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.rules import (
    BURNS,
    NO_DATA,
    WINDOWS,
    generate,
    labels_of,
    recorded,
)

#: Rules are evaluated so often for so long. Each moment counts: subqueries over days are what takes promtool its time.
_EVERY, _MINUTES = 5, 30
#: Events a minute of made up counters, and how many of them are bad.
_EVENTS, _BAD = 10, 1
#: Names of counters, with their labels and their events a minute.
_Counters = dict[str, tuple[dict[str, str], int]]


def generate_test(objectives: t.Sequence[Objective], rule_file: str) -> dict[str, t.Any]:
    """The content of the test file.

    :arg rule_file: the rules' file, from the directory of the test file.
    """
    tests = [*_burning(objectives), *_recording(objectives), _idle(objectives), _no_data(objectives)]
    return {"rule_files": [rule_file], "evaluation_interval": f"{_EVERY}m", "tests": tests}


def _burning(objectives: t.Sequence[Objective]) -> t.Iterator[dict[str, t.Any]]:
    short = {pair.short_s for pair in BURN_WINDOWS}
    for name, burning in (
        ("burning for days: every pair that can", set(WINDOWS)),
        ("within the budget: nothing", set()),
        ("over, and the short windows say so: only what is not over there", set(WINDOWS) - short),
    ):
        yield _burn(objectives, name, burning)


def _burn(objectives: t.Sequence[Objective], name: str, burning: set[float]) -> dict[str, t.Any]:
    given: list[dict[str, str]] = []
    expected: list[dict[str, t.Any]] = []
    for objective in objectives:
        # A target that leaves much cannot be missed 14.4 times over, so a rate may be above less than all factors.
        fast, calm = min(1.0, 15 * objective.allowed), objective.allowed / 2
        shares = {seconds: fast if seconds in burning else calm for seconds in WINDOWS}
        given += [
            {
                "series": series({"__name__": recorded(seconds), **labels_of(objective)}),
                "values": f"{share:.12f}x{_MINUTES}",
            }
            for seconds, share in shares.items()
        ]
        alerts = [rule for rule in generate([objective])["groups"][0]["rules"] if rule.get("alert") == BURNS]
        expected += [
            {"exp_labels": alert["labels"], "exp_annotations": alert["annotations"]}
            for pair, alert in zip(BURN_WINDOWS, alerts)
            if min(shares[pair.long_s], shares[pair.short_s]) > pair.factor * objective.allowed
        ]
    test = {"eval_time": f"{_MINUTES}m", "alertname": BURNS, "exp_alerts": expected}
    return {"name": name, "interval": "1m", "input_series": given, "alert_rule_test": [test]}


def _no_data(objectives: t.Sequence[Objective]) -> dict[str, t.Any]:
    rules = [rule for group in generate(objectives)["groups"] for rule in group["rules"]]
    expected = [
        {"exp_labels": rule["labels"], "exp_annotations": rule["annotations"]}
        for rule in rules
        if rule.get("alert") == NO_DATA
    ]
    return {
        "name": "all series are gone: that is said of each objective",
        "interval": "1m",
        "input_series": [],
        "alert_rule_test": [
            {"eval_time": "5m", "alertname": NO_DATA, "exp_alerts": []},
            {"eval_time": f"{_MINUTES}m", "alertname": NO_DATA, "exp_alerts": expected},
        ],
    }


class _Asked:
    """An objective whose counters can be made up.

    :ivar mixed: its counters with the good or bad ones first.
    """

    def __init__(self, objective: Objective, part: list[Matcher], whole: list[Matcher]) -> None:
        self.objective, self._part, self._whole = objective, part, whole
        self.mixed = self._make_up()

    def _make_up(self) -> _Counters:
        """Nothing where no labels were found."""
        part, whole = self._part, self._whole
        of_part = _EVENTS - _BAD if self.objective.good else _BAD
        if _metric(part) != _metric(whole):
            found = (satisfying(part), of_part), (satisfying(whole), _EVENTS)
        else:
            found = (satisfying([*whole, *part]), of_part), (besides(whole, part), _EVENTS - of_part)
        counters = {series(labels): (labels, each) for labels, each in found if labels and "__name__" in labels}
        return counters if len(counters) == len(found) else {}

    def only_bad(self) -> _Counters:
        """New instances that only fail: nothing has counted a good event yet."""
        name, (labels, _) = list(self.mixed.items())[1]
        return {name: (labels, _EVENTS)}

    def count(self, counters: _Counters) -> tuple[int, int]:
        """What its queries select of them: good or bad events a minute, and all."""
        part, whole = (
            sum(each for labels, each in counters.values() if selects(matchers, labels))
            for matchers in (self._part, self._whole)
        )
        return part, whole

    def bad_share(self, part: int, whole: int) -> fractions.Fraction | None:
        bad = whole - part if self.objective.good else part
        return fractions.Fraction(bad, whole) if whole else None


class _Scene:
    """Objectives whose made up counters leave each other's share of bad events as it is: one case asks of them all."""

    def __init__(self, bad: fractions.Fraction) -> None:
        self.bad = bad
        self.counters: _Counters = {}
        self.counts: list[tuple[_Asked, int, int]] = []

    def takes(self, asked: _Asked, counters: _Counters) -> bool:
        """Take the objective in, unless a share would change."""
        if any(self.counters.get(name, counter) != counter for name, counter in counters.items()):
            return False
        added = {name: counter for name, counter in counters.items() if name not in self.counters}
        counts = [(asked, *asked.count({**self.counters, **added}))]
        for one, part, whole in self.counts:
            more_part, more_whole = one.count(added)
            counts.append((one, part + more_part, whole + more_whole))
        if any(one.bad_share(part, whole) != self.bad for one, part, whole in counts):
            return False
        self.counters.update(added)
        self.counts = counts
        return True


def _asked(objectives: t.Sequence[Objective]) -> list[_Asked]:
    found = []
    for objective in objectives:
        if not objective.counter or objective.total is None:
            continue
        part, whole = matchers_of(t.cast(str, objective.good or objective.bad)), matchers_of(objective.total)
        if part is None or whole is None:
            continue
        asked = _Asked(objective, part, whole)
        if asked.mixed:
            found.append(asked)
    return found


def _metric(matchers: t.Sequence[Matcher]) -> set[tuple[str, str]]:
    return {(operator, value) for name, operator, value in matchers if name == "__name__"}


def _recording(objectives: t.Sequence[Objective]) -> t.Iterator[dict[str, t.Any]]:
    every = [asked for asked in _asked(objectives) if not asked.objective.slice_s]
    mixed = [(asked, asked.mixed) for asked in every]
    only_bad = [(asked, asked.only_bad()) for asked in every if asked.objective.good]
    for name, share, given in (
        ("a tenth of all events is bad: that is recorded", fractions.Fraction(_BAD, _EVENTS), mixed),
        ("only bad events have series: all are bad", fractions.Fraction(1), only_bad),
    ):
        scenes = _scenes(share, given)
        for number, scene in enumerate(scenes, start=1):
            yield _recorded(scene, f"{name} ({number} of {len(scenes)})")


def _scenes(bad: fractions.Fraction, given: t.Sequence[tuple[_Asked, _Counters]]) -> list[_Scene]:
    scenes: list[_Scene] = []
    for asked, counters in given:
        if not any(scene.takes(asked, counters) for scene in scenes):
            alone = _Scene(bad)
            if alone.takes(asked, counters):
                scenes.append(alone)
    return scenes


def _recorded(scene: _Scene, name: str) -> dict[str, t.Any]:
    return {
        "name": name,
        "interval": "1m",
        "input_series": [
            {"series": counter, "values": f"0+{each}x{_MINUTES}"} for counter, (_, each) in scene.counters.items()
        ],
        "promql_expr_test": [_share_test(asked.objective, float(scene.bad)) for asked, _, _ in scene.counts],
    }


def _share_test(objective: Objective, bad: float) -> dict[str, t.Any]:
    share = series({"__name__": recorded(WINDOWS[0]), "slo": objective.name})
    return {
        "expr": f"abs({share} - {bad:g}) < bool 0.000001",
        "eval_time": f"{_MINUTES}m",
        "exp_samples": [{"labels": series(labels_of(objective)), "value": 1}],
    }


def _idle(objectives: t.Sequence[Objective]) -> dict[str, t.Any]:
    made_up = {asked.objective.name: asked.mixed for asked in _asked(objectives)}
    given = sorted({name for counters in made_up.values() for name in counters})
    return {
        "name": "nobody asks: of no objective whose counters are made up here is anybody alerted",
        "interval": "1m",
        "input_series": [{"series": counter, "values": f"{_EVENTS}x{_MINUTES}"} for counter in given],
        "promql_expr_test": [{"expr": f'ALERTS{{slo="{name}"}}', "eval_time": f"{_MINUTES}m"} for name in made_up],
    }
