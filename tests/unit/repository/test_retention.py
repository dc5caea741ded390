# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which points are kept: against a slow model, and what must hold whatever the points, the policy and the clock."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.calendar_periods import (
    PERIODS,
    period_label,
    time_zone,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention import Candidate, Plan, decide
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from tests.unit.repository import retention_model

UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)
#: With and without summer time, half hours, a zone that left out a day, one far ahead and one behind.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]
LEVELS = ["taken", "verified", "restored", "asserted", "damaged"]
#: Summer time ends and begins, years and ISO years end, Samoa skips 30 December 2011.
EDGES = [
    datetime.datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime.datetime(2026, 3, 29, 1, tzinfo=UTC),
    datetime.datetime(2026, 4, 4, 15, tzinfo=UTC),
    datetime.datetime(2027, 1, 1, tzinfo=UTC),
    datetime.datetime(2024, 12, 30, tzinfo=UTC),
    datetime.datetime(2011, 12, 30, 10, tzinfo=UTC),
    NOON,
]


def point_id(number: int) -> str:
    return f"20260101T000000Z-{number:04x}"


@st.composite
def moments(draw: t.Callable[..., t.Any]) -> datetime.datetime:
    """Close to an edge, or anywhere in the years before now; hours and minutes collide often."""
    if draw(st.booleans()):
        return draw(st.sampled_from(EDGES)) + draw(st.integers(-8, 8)) * datetime.timedelta(minutes=30)
    hours = draw(st.one_of(st.integers(0, 72), st.integers(0, 24 * 60), st.integers(0, 24 * 365 * 9)))
    return NOON - hours * HOUR - draw(st.sampled_from([0, 1, 59])) * datetime.timedelta(minutes=1)


@st.composite
def histories(draw: t.Callable[..., t.Any], most: int = 25, plain: bool = False) -> list[Candidate]:
    """Points of a component; a ``plain`` one has no pins, needs, locks, damage nor future."""
    found = []
    times = [moment for moment in draw(st.lists(moments(), max_size=most)) if not plain or moment <= NOON]
    for number, at in enumerate(times):
        found.append(
            Candidate(
                point_id(number),
                at,
                draw(st.sampled_from(LEVELS[:4] if plain else LEVELS)),
                () if plain else draw(st.sampled_from([(), (), (), ("pinned by ana because",)])),
                () if plain else tuple(draw(st.lists(st.integers(0, most).map(point_id), max_size=2, unique=True))),
                sequence=0 if plain else draw(st.integers(0, 3)),
                stored_at=None if plain else draw(st.sampled_from([None, None, NOON - HOUR, NOON + HOUR])),
                locked_until=None if plain else draw(st.sampled_from([None, None, NOON - HOUR, NOON + HOUR])),
            )
        )
    return found


def policies(most: int = 5) -> st.SearchStrategy[Policy]:
    count = st.integers(0, most)
    return st.builds(
        Policy,
        **dict.fromkeys([*PERIODS, "keep_last"], count),
        keep_within=st.sampled_from([0.0, 3600.0, 2 * 86400.0]),
        min_age=st.sampled_from([0.0, 3600.0, 86400.0]),
        keep_damaged=st.sampled_from([0.0, 86400.0, 30 * 86400.0]),
        timezone=st.sampled_from(ZONES),
    )


def kept(plan: Plan) -> set[str]:
    return {decision.point_id for decision in plan.decisions if decision.keep}


def ids(candidates: t.Iterable[Candidate]) -> set[str]:
    return {item.point_id for item in candidates}


@settings(max_examples=400)
@given(histories(), policies())
def test_it_keeps_what_the_slow_model_keeps(history: list[Candidate], policy: Policy) -> None:
    plan = decide(history, policy, NOON)
    assert kept(plan) == retention_model.kept(history, policy, NOON)
    assert [decision.point_id for decision in plan.decisions] == [
        item.point_id for item in sorted(history, key=lambda item: (item.at, item.point_id), reverse=True)
    ]
    assert all(decision.reasons for decision in plan.decisions)


@given(histories(), policies(), st.integers(-2, 2000))
def test_never_the_newest_of_any_level_nor_what_a_kept_one_needs(
    history: list[Candidate], policy: Policy, days: int
) -> None:
    now = NOON + days * DAY
    plan = decide(history, policy, now)
    remaining = kept(plan)
    present = [item for item in history if item.level != "damaged" and item.at <= now]
    for level in LEVELS[:4]:
        fitting = [item for item in present if LEVELS.index(item.level) >= LEVELS.index(level)]
        if fitting:
            assert max(fitting, key=lambda item: (item.at, item.point_id)).point_id in remaining
    for item in history:
        if item.point_id in remaining:
            assert set(item.needs) & ids(history) <= remaining
        if item.held or item.at > now + HOUR:
            assert item.point_id in remaining


@given(
    histories(),
    policies(),
    st.sampled_from([*PERIODS, "keep_last", "keep_within", "min_age", "keep_damaged"]),
    st.integers(1, 50),
)
def test_keeping_more_never_expires_more(history: list[Candidate], policy: Policy, rule: str, more: int) -> None:
    step = more if isinstance(getattr(policy, rule), int) else more * 3600.0
    larger = dataclasses.replace(policy, **{rule: getattr(policy, rule) + step})
    assert kept(decide(history, policy, NOON)) <= kept(decide(history, larger, NOON))


@given(histories(), policies())
def test_a_second_run_expires_nothing(history: list[Candidate], policy: Policy) -> None:
    remaining = kept(decide(history, policy, NOON))
    again = [item for item in history if item.point_id in remaining]
    assert kept(decide(again, policy, NOON)) == remaining


@given(histories(), policies(), st.integers(1, 100))
def test_a_clock_that_is_behind_never_expires_what_a_right_one_keeps_by_age(
    history: list[Candidate], policy: Policy, hours: int
) -> None:
    """What was younger than an age rule's bound is even younger then; nothing that shows a moment after it goes."""
    behind = NOON - hours * HOUR
    for decision in decide(history, policy, behind).expired:
        assert (NOON - decision.candidate.at).total_seconds() > policy.keep_within
        assert decision.candidate.at <= behind + datetime.timedelta(minutes=1)


@given(histories(most=20, plain=True), policies())
def test_time_alone_expires_nothing_that_the_calendar_keeps(history: list[Candidate], policy: Policy) -> None:
    """When backups stop, or the clock jumps ahead, only age rules let go."""
    policy = dataclasses.replace(policy, keep_within=0.0, min_age=0.0)
    assert kept(decide(history, policy, NOON)) == kept(decide(history, policy, NOON + 5000 * DAY))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(LEVELS[:4])), min_size=1, max_size=120),
    policies(),
    st.integers(2, 30),
)
def test_running_often_keeps_the_same_as_running_seldom(
    steps: list[tuple[int, str]], policy: Policy, seldom: int
) -> None:
    """Points come one after the other; retention runs after each, after every few, or only at the end."""
    history = []
    at = EDGES[0] - 20 * DAY
    for number, (hours, level) in enumerate(steps):
        at += hours * HOUR
        history.append(Candidate(point_id(number), at, level, sequence=number))

    def survivors(every: int) -> set[str]:
        there: list[Candidate] = []
        for number, item in enumerate(history, start=1):
            there.append(item)
            if number % every == 0 or number == len(history):
                remaining = kept(decide(there, policy, item.at))
                there = [other for other in there if other.point_id in remaining]
        return ids(there)

    assert survivors(1) == survivors(seldom) == survivors(len(history))


@given(histories(), policies(), st.randoms(use_true_random=False))
def test_the_order_in_which_points_are_listed_means_nothing(
    history: list[Candidate], policy: Policy, random: t.Any
) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)
    first, second = decide(history, policy, NOON), decide(shuffled, policy, NOON)
    assert [(item.point_id, item.reasons) for item in first.decisions] == [
        (item.point_id, item.reasons) for item in second.decisions
    ]


def test_a_point_that_is_only_taken_displaces_no_proven_one() -> None:
    taken, asserted, older = (
        Candidate(point_id(3), NOON, "taken"),
        Candidate(point_id(2), NOON - HOUR, "verified"),
        Candidate(point_id(1), NOON - 2 * HOUR, "asserted"),
    )
    plan = decide([taken, asserted, older], Policy(hourly=0, min_age=0.0), NOON)
    said = {decision.point_id: decision.reasons for decision in plan.decisions}
    assert said[taken.point_id] == ["newest"]
    assert said[asserted.point_id][:2] == ["newest verified", "daily 1 of 30 (2026-11-21)"]
    assert said[older.point_id] == ["newest asserted"]


def test_the_hour_that_a_clock_repeats_is_two() -> None:
    berlin = time_zone("Europe/Berlin")
    times = [datetime.datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1, 2)]
    assert [period_label("hourly", moment, berlin) for moment in times] == [
        "2026-10-25 02h+0200",
        "2026-10-25 02h+0100",
        "2026-10-25 03h+0100",
    ]
    assert {period_label("daily", moment, berlin) for moment in times} == {"2026-10-25"}
    # 23:30 in Berlin is already the next day there while UTC has an hour to go.
    assert period_label("daily", datetime.datetime(2026, 7, 1, 22, 30, tzinfo=UTC), berlin) == "2026-07-02"


@pytest.mark.parametrize(
    ("day", "week"),
    [("2024-12-30", "2025-W01"), ("2027-01-01", "2026-W53"), ("2026-01-01", "2026-W01"), ("2026-11-22", "2026-W47")],
)
def test_weeks_are_those_of_iso_8601(day: str, week: str) -> None:
    assert period_label("weekly", datetime.datetime.fromisoformat(f"{day}T12:00:00+00:00"), UTC) == week


def test_the_ends_of_time_are_no_error() -> None:
    first, last = datetime.datetime.min.replace(tzinfo=UTC), datetime.datetime.max.replace(tzinfo=UTC)
    history = [
        Candidate(point_id(1), first, "taken"),
        Candidate(point_id(2), last, "taken"),
        Candidate(point_id(3), last, "damaged"),
        Candidate(point_id(4), first, "damaged"),
        Candidate(point_id(5), NOON, "taken"),
    ]
    for name in ZONES:
        plan = decide(history, Policy(timezone=name, keep_damaged=100 * 365 * 86400.0), NOON)
        assert {point_id(2), point_id(3), point_id(5)} <= kept(plan)


@pytest.mark.parametrize(
    "options",
    [
        {"hourly": -1},
        {"daily": "many"},
        {"yearly": 1.5},
        {"keep_within": "a while"},
        {"min_age": -1},
        {"keep_damaged": "300y"},
        {"keep_damaged": "99999w"},
        {"timezone": "Europe/Atlantis"},
        {"timezone": "../../etc/passwd"},
        {"hourly": 0, "daily": 0, "weekly": 0, "monthly": 0, "yearly": 0},
    ],
)
def test_what_is_no_policy_is_refused(options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        Policy.from_options(options)


def test_a_policy_is_read_from_what_people_write() -> None:
    policy = Policy.from_options(
        {"daily": "7", "keep_within": "2d", "weekly": None, "timezone": "Europe/Berlin", "x": 1}
    )
    assert (policy.daily, policy.keep_within, policy.weekly, policy.timezone) == (7, 172800.0, 12, "Europe/Berlin")
    assert Policy.from_options({}) == Policy()
    assert Policy.from_options(Policy().facts()) == Policy()
