# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is met, missed and unknown; and that nothing but whole, fresh data is ever met."""

from __future__ import annotations

import math
import re
import typing as t

import hypothesis
import hypothesis.strategies as st
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._objectives.definition import define
from ansible_collections.sre.runbooks.plugins.module_utils._objectives.judgement import (
    Rules,
    in_percent,
    judge_all,
    sentence,
    steps_of,
    verdict,
)
from tests.unit.objectives.samples import Samples, SampleServer
from tests.unit.objectives.test_definition import RATIO, changed

NOW = 1_000_000.0
HOUR = 3600
DOCUMENT = changed(changed(RATIO, "spec.timeWindow.0.duration", "1h"), "metadata.annotations", {})
GOOD, TOTAL = 'r_total{code!~"5.{2}"}', "r_total"


def counted(good_each: float, since: float = 3 * HOUR, until: float = 0, step: float = 30) -> Samples:
    """Ten events a step, ``good_each`` of them good, from ``since`` to ``until`` seconds before now."""
    moments = [NOW - since + step * place for place in range(int((since - until) / step) + 1)]
    return {
        GOOD: [[(moment, good_each * place) for place, moment in enumerate(moments)]],
        TOTAL: [[(moment, 10.0 * place) for place, moment in enumerate(moments)]],
    }


def judged(samples: Samples, document: dict[str, t.Any] = DOCUMENT, ahead: float = 0.0) -> dict[str, t.Any]:
    server = t.cast(t.Any, SampleServer(samples, NOW, ahead))
    return judge_all(server, [define(document)], Rules())[0]


def test_met() -> None:
    result = judged(counted(10))
    assert (result["outcome"], result["sli"], result["coverage"]) == ("met", 1.0, 1.0)
    assert result["budget"] == {"total": pytest.approx(0.0005), "used": 0.0, "left": 1.0}
    assert result["trend"] == {"former_sli": 1.0, "change": 0.0}
    assert (result["hint"], result["exhausts_at"]) == (None, None)
    # Of six hours and of three days there is not enough to say anything; two hours say that the third pair is quiet.
    assert [rate["firing"] for rate in result["burn_rates"]] == [False, False, False, None]


def test_missed() -> None:
    result = judged(counted(9))
    assert result["outcome"] == "missed" and result["sli"] == pytest.approx(0.9)
    assert result["budget"]["left"] == pytest.approx(1 - 0.1 / 0.0005)
    assert result["burn_rates"][0]["long"] == pytest.approx(200) and result["burn_rates"][0]["firing"] is True
    assert result["hint"] == "ansible-playbook sre.runbooks.collect_diagnostics --limit flights_api -e alert=slo_burn"
    assert result["measured"].startswith("90.0000 % of 1200 events")
    assert result["expected"] == "at least 99.95 % of events good, over 1 h 00 m"


COVERED = "data for at least 99 % of the window"


@pytest.mark.parametrize("good_each", [9, 9.3, 9.7, 9.95])
def test_exactly_the_target_is_met(good_each: float) -> None:
    # Of some of them the sum of all steps is a little less, or more.
    result = judged(counted(good_each), changed(DOCUMENT, "spec.objectives.0.target", good_each / 10))
    assert (result["outcome"], result["budget"]["left"]) == ("met", 0.0)
    assert result["message"].startswith("0 % of the error budget left")


@pytest.mark.parametrize(
    ("samples", "message", "expected"),
    [
        ({GOOD: [], TOTAL: []}, "the series of " + GOOD + " and of r_total are absent", COVERED),
        ({**counted(10), GOOD: []}, "the series of " + GOOD + " are absent", COVERED),
        (counted(10, until=700), "stale: the newest data is", "data of the last 5 m 00 s"),
        (counted(10, since=1800), "only 50 % of the window has data", COVERED),
        (
            {
                GOOD: [[(moment, 5.0) for moment, _ in counted(0)[GOOD][0]]],
                TOTAL: [[(moment, 5.0) for moment, _ in counted(0)[TOTAL][0]]],
            },
            "nothing happened in the window",
            "at least 99.95 % of events good, over 1 h 00 m",
        ),
        (counted(20), "more good events than events", "at most as many"),
        (
            {name: [[(when, math.nan) for when, _ in one[0]]] for name, one in counted(10).items()},
            "the series of " + GOOD + " and of r_total have nothing but NaN or infinity",
            COVERED,
        ),
    ],
    ids=["absent", "good-absent", "stale", "partial", "nothing-happened", "impossible", "nan"],
)
def test_what_cannot_be_known_is_unknown(samples: Samples, message: str, expected: str) -> None:
    result = judged(samples)
    assert result["expected"] == expected
    assert (result["outcome"], result["sli"], message in result["message"]) == ("unknown", None, True), result
    assert result["budget"]["left"] is None
    # What has ended, or is absent, does not come by itself.
    assert result["hint"].startswith("in " if message.startswith("only") else "curl "), result["hint"]


def test_what_only_has_to_go_on_is_waited_for() -> None:
    hint = judged(counted(10, since=1800))["hint"]
    # The first 1800 s of the hour have nothing, of which 36 s may be missing.
    found = re.fullmatch(r"in (\d+) m (\d\d) s, when enough of the window has data: the same command", hint)
    assert found is not None, hint
    assert int(found[1]) * 60 + int(found[2]) == pytest.approx(1800 - 36, abs=60)


@hypothesis.given(missing=st.integers(0, 3600), at=st.floats(0, 1))
@hypothesis.settings(max_examples=25)
def test_partial_data_is_never_met(missing: int, at: float) -> None:
    """Wherever the hole is: met only while less than a hundredth of the window is unknown."""
    begin = NOW - HOUR + at * (HOUR - missing)
    whole = counted(10)
    holed = {
        name: [[(moment, value) for moment, value in one[0] if not begin < moment <= begin + missing]]
        for name, one in whole.items()
    }
    result = judged(holed)
    # A value is carried on for five minutes: a hole is seen from then on.
    if missing > 300 + 30 + 0.01 * HOUR:
        assert result["outcome"] == "unknown"
    if missing < 300:
        assert result["outcome"] == "met"


def test_a_coverage_that_suffices_still_says_what_is_not_known() -> None:
    document = changed(DOCUMENT, "metadata.annotations", {"sre.runbooks/minimum_coverage": 0.5})
    result = judged(counted(10, since=2700), document)
    assert (result["outcome"], result["coverage"]) == ("met", 0.75)
    assert "if all that is not known were bad, 75.0000 % would be good" in result["message"]


def test_too_few_instances_are_partial_data() -> None:
    document = changed(DOCUMENT, "metadata.annotations", {"sre.runbooks/minimum_series": 2})
    samples = counted(10)
    assert judged(samples, document)["outcome"] == "unknown"
    assert judged({**samples, TOTAL: samples[TOTAL] * 2}, document)["coverage"] == 1.0


@pytest.mark.parametrize("ahead", [120.0, -120.0])
def test_clocks_that_are_apart(ahead: float) -> None:
    result = judged(counted(10), ahead=ahead)
    assert result["outcome"] == "unknown"
    assert ("2 m 00 s ahead of ours" if ahead > 0 else "2 m 00 s behind ours") in result["message"]
    ours = "13:44:40" if ahead > 0 else "13:48:40"
    assert result["measured"] == f"1970-01-12 13:46:40 UTC there, 1970-01-12 {ours} UTC here"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["met", "met"], "met"),
        (["met", "unknown"], "unknown"),
        (["unknown", "missed", "met"], "missed"),
        ([], "unknown"),
    ],
)
def test_the_verdict_is_the_worst(outcomes: list[str], expected: str) -> None:
    results = [{"outcome": outcome, "name": "n", "message": "m", "expected": "e", "measured": "f", "hint": "h"}
               for outcome in outcomes]  # fmt: skip
    assert verdict(results) == expected
    assert ("met" in sentence(results)) == bool(outcomes)


@pytest.mark.parametrize(
    ("window", "slice_s", "expected"),
    [
        (30 * 86400, None, (300, 8640)),
        (3600, None, (1, 3600)),
        (30 * 86400, 60, (60, 43200)),
        (30 * 86400, 3600, (300, 8640)),
        (3600, 60, (1, 3600)),
        (90000, 7 * 60, (12, 7525)),
    ],
)
def test_steps_fill_windows_and_slices(window: float, slice_s: float | None, expected: tuple[int, int]) -> None:
    width, count = steps_of(window, slice_s)
    assert (width, count) == expected
    assert width * count >= window and (slice_s is None or slice_s % width == 0)


def test_a_share_that_is_not_whole_is_not_shown_as_whole() -> None:
    assert in_percent(0.999999, 0.9995) == "99.9999 %"
    assert in_percent(0.99949, 0.9995) == "99.9490 %"
    assert (in_percent(0.9999), in_percent(1.0), in_percent(0.29)) == ("99 %", "100 %", "29 %")
