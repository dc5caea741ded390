# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What objectives compute equals what the samples add up to one by one."""

from __future__ import annotations

import math
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._objectives.calculation import (
    Steps,
    burn_rate,
    burn_rates,
    covered_in,
    error_budget,
    exhausted_in,
    share,
    sliced,
)
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.counters import Bounds, Counters
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import Objective
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.reading import read
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Series
from tests.unit.objectives.samples import SampleServer, increase

NOW = 1_000_000.0
WIDTH, COUNT = 120, 60


def objective(**changes: t.Any) -> Objective:
    base: dict[str, t.Any] = {
        "name": "o",
        "service": "s",
        "component": None,
        "description": "",
        "kind": "ratio",
        "target": 0.99,
        "window_s": float(WIDTH * COUNT),
        "good": "good",
        "total": "total",
    }
    return Objective(**{**base, **changes})


@st.composite
def counter(draw: st.DrawFn) -> list[tuple[float, float]]:
    """A counter scraped about each 15 s for longer than the window, with gaps, beginnings anew, and an end."""
    samples = []
    moment = NOW - WIDTH * COUNT - draw(st.integers(-3000, 900))
    value = float(draw(st.integers(0, 1000)))
    for increment, event in draw(
        st.lists(st.tuples(st.floats(0, 5, allow_nan=False), st.integers(0, 59)), min_size=1, max_size=120)
    ):
        moment += 15 + event * 0.013
        if event == 0:
            moment += 1000
        if event == 1:
            value = 0.0
        value += increment
        samples.append((round(moment, 3), value))
        if event == 2:
            value += 600
    return [sample for sample in samples if sample[0] <= NOW]


@hypothesis.given(good=st.lists(counter(), min_size=1, max_size=3), total=st.lists(counter(), min_size=1, max_size=3))
@hypothesis.settings(max_examples=60)
def test_sums_and_budget_equal_the_samples_one_by_one(
    good: list[list[tuple[float, float]]], total: list[list[tuple[float, float]]]
) -> None:
    server = SampleServer({"good": good, "total": total}, NOW)
    steps = read(t.cast(t.Any, server), objective(), NOW, WIDTH, COUNT)
    window = WIDTH * COUNT
    part = share(steps, NOW - window, NOW)
    by_hand = increase(good, NOW - window, NOW), increase(total, NOW - window, NOW)
    assert (part.good, part.total) == pytest.approx(by_hand, rel=1e-9, abs=1e-9)
    if by_hand[1] and by_hand[0] <= by_hand[1]:
        left = 1 - (1 - by_hand[0] / by_hand[1]) / (1 - 0.99)
        assert error_budget(t.cast(float, part.sli), 0.99)["left"] == pytest.approx(left, rel=1e-9, abs=1e-9)


def test_a_counter_that_begins_anew_keeps_what_it_had_counted() -> None:
    samples = [(NOW - 300 + 15 * place, value) for place, value in enumerate([100, 110, 120, 130, 140, 5, 10, 15, 20])]
    server = SampleServer({"good": [samples], "total": [samples]}, NOW)
    steps = read(t.cast(t.Any, server), objective(), NOW, 60, 5)
    # At the bounds it is 100, 140, 20: only its own samples show the 5 between 140 and the new start.
    assert share(steps, NOW - 300, NOW).total == pytest.approx(40 + 20)
    assert any(question.endswith("s]") for question in server.questions)


def test_a_counter_that_overtakes_what_it_was_hides_no_beginning() -> None:
    """Two of three instances are healthy; the third begins anew each minute, and fails forty times in each life."""
    end = int(NOW)
    moments = range(end - 86400 - 600, end + 1, 20)
    crashing = [(float(moment), 20.0 * (moment % 60 // 20)) for moment in moments]
    healthy = [(float(moment), 2.0 * place) for place, moment in enumerate(moments)]
    server = SampleServer({"good": [healthy], "total": [healthy, crashing]}, NOW)
    steps = read(t.cast(t.Any, server), objective(), NOW, 300, 288)
    part = share(steps, NOW - 86400, NOW)
    assert (part.good, part.total) == pytest.approx((8640, 8640 + 40 * 1440))
    assert part.coverage == 1.0
    # Neighbouring edges are one question.
    assert sum(question.startswith("total[") for question in server.questions) <= 5


def test_steps_whose_samples_are_not_read_are_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.sre.runbooks.plugins.module_utils._objectives.reading._EDGE_QUESTIONS", 1)
    monkeypatch.setattr("ansible_collections.sre.runbooks.plugins.module_utils._objectives.reading._EDGE_SPAN_S", 600)
    samples = [(NOW - 3600 + 20 * place, 10.0 * (place % 12)) for place in range(181)]
    server = SampleServer({"good": [samples], "total": [samples]}, NOW)
    covered = read(t.cast(t.Any, server), objective(), NOW, 300, 12).covered
    assert covered == [False] * 10 + [True] * 2


def test_without_its_own_samples_a_counter_that_begins_anew_counts_what_it_is() -> None:
    counters = Counters(Bounds(NOW - 120, 60, 2))
    counters.add([Series({"__name__": "r"}, [(NOW - 120, 100.0), (NOW - 60, 140.0), (NOW, 20.0)])])
    assert (counters.increases, counters.seen) == ([40.0, 20.0], [1, 1])
    (edge,) = counters.edges()
    counters.mend(edge, [(NOW - 300, 1.0)])  # samples of another time tell nothing
    assert counters.increases == [40.0, 20.0]


def test_a_gap_is_not_covered_and_its_events_count() -> None:
    samples = [(NOW - 3600 + 60 * place, 10.0 * place) for place in range(61) if not 20 < place < 40]
    server = SampleServer({"good": [samples], "total": [samples]}, NOW)
    part = share(read(t.cast(t.Any, server), objective(), NOW, 60, 60), NOW - 3600, NOW)
    assert part.total == pytest.approx(600)
    # Prometheus carries a value on for five minutes; the other fifteen are a gap.
    assert part.coverage == pytest.approx(45 / 60)


@pytest.mark.parametrize(
    ("values", "covered", "good"),
    [
        ([1.0, 2.0, 3.0, 2.0], 4, 3),
        ([1.0, math.nan, 3.0, math.inf], 2, 1),
        ([math.nan] * 4, 0, 0),
    ],
    ids=["whole", "partial", "nothing"],
)
def test_a_threshold_is_judged_where_it_has_a_value(values: list[float], covered: int, good: int) -> None:
    samples = [(NOW - 60 * (3 - place), value) for place, value in enumerate(values)]
    latency = objective(good=None, total=None, threshold="p95", operator="lte", value=2.0)
    part = share(read(t.cast(t.Any, SampleServer({"p95": [samples]})), latency, NOW, 60, 4), NOW - 240, NOW)
    assert (part.coverage, part.good, part.total) == (covered / 4, good, covered)


def test_bad_events_and_values_that_are_no_counters() -> None:
    times = [NOW - 60 * (3 - place) for place in range(4)]
    server = SampleServer(
        {"bad": [[(moment, 1.0) for moment in times]], "total": [[(moment, 10.0) for moment in times]]}
    )
    rate = objective(counter=False, good=None, bad="bad")
    part = share(read(t.cast(t.Any, server), rate, NOW, 60, 4), NOW - 240, NOW)
    assert (part.sli, part.coverage) == (0.9, 1.0)


@pytest.mark.parametrize("counts", [True, False], ids=["counters", "values"])
def test_new_instances_that_only_fail_have_no_good_series(counts: bool) -> None:
    """The good ones end where the outage begins; what burns is known all the same."""
    moments = [NOW - 3600 + 30 * place for place in range(121)]
    healthy = [(moment, 5.0 * place if counts else 1.0) for place, moment in enumerate(moments[:60])]
    failing = [(moment, 5.0 * place if counts else 1.0) for place, moment in enumerate(moments[60:])]
    totals = [healthy, failing] if counts else [healthy + failing]
    server = SampleServer({"good": [healthy], "total": totals}, NOW)
    steps = read(t.cast(t.Any, server), objective(counter=counts), NOW, 60, 60)
    rates = burn_rates(steps, 0.99, 0.9)
    assert rates[0]["short"] == pytest.approx(100) and rates[0]["firing"] is True
    bad = objective(counter=counts, good=None, bad="good")
    assert burn_rates(read(t.cast(t.Any, server), bad, NOW, 60, 60), 0.99, 0.9)[0]["short"] is None


def steps_of(bad: list[float], width: float = 60.0, covered: list[bool] | None = None) -> Steps:
    start = NOW - width * len(bad)
    return Steps(start, width, [1.0 - one for one in bad], [1.0] * len(bad), covered or [True] * len(bad))


@hypothesis.given(
    covered=st.lists(st.booleans(), min_size=1, max_size=40),
    count=st.integers(1, 40),
    least=st.floats(0.01, 1),
    width=st.sampled_from([1.0, 15.0, 300.0]),
)
def test_enough_of_the_window_is_covered_when_it_is_said_to_be(
    covered: list[bool], count: int, least: float, width: float
) -> None:
    steps = Steps(0.0, width, [0.0] * len(covered), [0.0] * len(covered), covered)

    def then(later: int) -> float:
        longer = Steps(0.0, width, [0.0], [0.0], [*covered, *[True] * later])
        end = (len(covered) + later) * width
        return share(longer, end - count * width, end).coverage

    waited = next(later for later in range(count + 1) if then(later) >= least - 1e-9)
    assert covered_in(steps, count * width, least) == waited * width


def test_slices_are_good_where_enough_of_their_events_are() -> None:
    steps = steps_of([0, 0, 0.5, 0.5, 0, 0.2, 0, 0], covered=[True] * 7 + [False])
    slices = sliced(steps, 120, 0.9, 0.99)
    assert (slices.good, slices.total, slices.covered) == ([1, 0, 1, 0], [1, 1, 1, 0], [True, True, True, False])
    quiet = Steps(NOW - 120, 60, [0, 0], [0, 0], [True, True])
    assert share(sliced(quiet, 120, 0.9, 0.99), NOW - 120, NOW) == share(quiet, NOW - 120, NOW)


@hypothesis.given(sli=st.floats(0, 1), target=st.floats(0.001, 0.99999))
def test_budget_and_burn_rate_say_the_same(sli: float, target: float) -> None:
    budget = error_budget(sli, target)
    assert budget["used"] == burn_rate(sli, target)
    assert budget["left"] + budget["used"] == pytest.approx(1)
    # What a target leaves for the bad, times what was used of it, is what was bad.
    assert budget["total"] * budget["used"] == pytest.approx(1 - sli, abs=1e-9)


def test_burn_rates_fire_only_when_both_windows_burn() -> None:
    hours72 = 72 * 60
    burning = burn_rates(steps_of([0.0] * (hours72 - 60) + [0.2] * 60), 0.99, 0.9)
    assert [rate["firing"] for rate in burning] == [True, False, False, False]
    assert burning[0]["long"] == pytest.approx(20) and burning[0]["short"] == pytest.approx(20)
    over = burn_rates(steps_of([0.0] * (hours72 - 60) + [0.2] * 55 + [0.0] * 5), 0.99, 0.9)
    assert over[0]["long"] > 14.4 and over[0]["firing"] is False
    # No data is no all-clear: only a window that is known not to burn says no.
    silent = burn_rates(steps_of([0.2] * hours72, covered=[False] * hours72), 0.99, 0.9)
    assert [(rate["long"], rate["firing"]) for rate in silent] == [(None, None)] * 4
    half = burn_rates(steps_of([0.2] * hours72, covered=[False] * (hours72 - 30) + [True] * 30), 0.99, 0.9)
    assert half[0]["long"] is None and half[0]["short"] == pytest.approx(20) and half[0]["firing"] is None


def test_slices_wider_than_a_window_burn_by_the_last_one() -> None:
    burning = burn_rates(steps_of([0.0] * 71 + [1.0], width=3600.0), 0.99, 0.9)
    assert burning[0]["short"] == pytest.approx(100) and burning[0]["firing"] is True
    over = burn_rates(steps_of([0.0] * 70 + [1.0, 0.0], width=3600.0), 0.99, 0.9)
    assert (over[1]["short"], over[1]["firing"]) == (0.0, False)


@hypothesis.given(old=st.floats(0, 0.009), new=st.floats(0, 0.5))
@hypothesis.settings(max_examples=40)
def test_the_forecast_is_when_the_rolling_budget_ends(old: float, new: float) -> None:
    """Walked on step by step: what was burnt at the beginning leaves the window, what is burnt now goes on."""
    count = 600
    bad = [old] * (count - 20) + [new] * 20
    steps = steps_of(bad)
    window = count * 60.0
    used = burn_rate(t.cast(float, share(steps, NOW - window, NOW).sli), 0.99)
    hypothesis.assume(used < 1)
    seconds = exhausted_in(steps, window, used, 0.99, 0.9)
    if new / 0.01 <= 1:
        assert seconds is None
        return
    # As if what was burnt so far had been burnt evenly.
    even = used * 0.01
    later = t.cast(float, seconds) / window
    assert even * (1 - later) + new * later == pytest.approx(0.01)


def test_a_budget_that_is_used_up_ends_now() -> None:
    steps = steps_of([0.5] * 100)
    assert exhausted_in(steps, 6000, 50.0, 0.99, 0.9) == 0.0
