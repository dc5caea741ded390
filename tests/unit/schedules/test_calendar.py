# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table, four clocks: cron, systemd and iCalendar mean the same moments."""

from __future__ import annotations

import datetime
import pathlib
import shutil
import subprocess
import typing as t
import zoneinfo

import hypothesis
import hypothesis.strategies as st
import pytest
import yaml
from dateutil.rrule import rrulestr

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.calendar import (
    PERIODS,
    WEEKDAYS,
    Calendar,
    parse_calendar,
)

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: From a moment in a leap year's February over the end of a quarter.
START = datetime.datetime(2028, 2, 27, 23, 58)
DAYS = 40

TABLE: list[tuple[dict[str, t.Any], str, str]] = [
    ({"every": "day", "at": "05:10"}, "10 5 * * *", "*-*-* 05:10:00 UTC"),
    ({"every": "week", "on": ["mon", "Fri"], "at": "7:00"}, "0 7 * * 1,5", "Mon,Fri *-*-* 07:00:00 UTC"),
    ({"every": "week", "on": ["sunday"]}, "0 0 * * 0", "Sun *-*-* 00:00:00 UTC"),
    ({"every": "week"}, "0 0 * * 1", "Mon *-*-* 00:00:00 UTC"),
    ({"every": "month", "day": 15}, "0 0 15 * *", "*-*-15 00:00:00 UTC"),
    ({"every": "quarter", "at": "07:30"}, "30 7 1 1,4,7,10 *", "*-01,04,07,10-01 07:30:00 UTC"),
    ({"every": "10m"}, "*/10 * * * *", "*-*-* *:00,10,20,30,40,50:00 UTC"),
    ({"every": "15m", "at": "00:05"}, "5,20,35,50 * * * *", "*-*-* *:05,20,35,50:00 UTC"),
    ({"every": "450s"}, "*/6 * * * *", "*-*-* *:00,06,12,18,24,30,36,42,48,54:00 UTC"),
    ({"every": "6h", "at": "01:30"}, "30 1,7,13,19 * * *", "*-*-* 01,07,13,19:30:00 UTC"),
    ({"every": "1m"}, "* * * * *", ""),
    ({"every": "1h", "at": "00:40"}, "40 * * * *", "*-*-* *:40:00 UTC"),
    ({"every": "1d", "at": "22:00"}, "0 22 * * *", "*-*-* 22:00:00 UTC"),
    ({"every": "7h"}, "0 */6 * * *", "*-*-* 00,06,12,18:00:00 UTC"),
]


def calendar(every: str, at: str = "00:00", on: t.Sequence[str] = (), day: int | None = None) -> Calendar:
    return parse_calendar(every, at, on, day)


def field(text: str, low: int, high: int) -> set[int]:
    """What a field of cron means, by crontab(5)."""
    found = set()
    for part in text.split(","):
        area, _, step = part.partition("/")
        first, last = (low, high) if area == "*" else (int(area), int(area))
        found |= set(range(first, last + 1, int(step or 1)))
    assert found and min(found) >= low and max(found) <= high
    return found


def cron_moments(line: str) -> list[datetime.datetime]:
    minutes, hours, days, months, weekdays = line.split()
    assert days == "*" or weekdays == "*", "cron would take either of them"
    fields = (
        field(minutes, 0, 59),
        field(hours, 0, 23),
        field(days, 1, 31),
        field(months, 1, 12),
        field(weekdays, 0, 6),
    )
    in_minutes, in_hours, in_days, in_months, in_weekdays = fields
    end = START + datetime.timedelta(days=DAYS)
    found = []
    for passed in range(DAYS + 1):
        day = START.date() + datetime.timedelta(days=passed)
        if day.day in in_days and day.month in in_months and (day.weekday() + 1) % 7 in in_weekdays:
            times = [datetime.time(hour, minute) for hour in sorted(in_hours) for minute in sorted(in_minutes)]
            found += [datetime.datetime.combine(day, time) for time in times]
    return [moment for moment in found if START <= moment < end]


def rrule_moments(text: str) -> list[datetime.datetime]:
    start, rule = text.split(" ")
    assert start.startswith("DTSTART;TZID=UTC:") and rule.startswith("RRULE:")
    # AWX refuses lists of months and of days of the month, and rules without an interval.
    assert "BYMONTH=" not in rule and "INTERVAL=" in rule
    found = rrulestr(f"DTSTART:{start.partition(':')[2]}\n{rule}").between(
        START - datetime.timedelta(seconds=1), START + datetime.timedelta(days=DAYS, seconds=-1)
    )
    first = datetime.datetime.strptime(start.partition(":")[2], "%Y%m%dT%H%M%S")
    assert rrulestr(f"DTSTART:{start.partition(':')[2]}\n{rule}")[0] == first
    return found


@pytest.mark.parametrize(("given", "cron", "timer"), TABLE, ids=[cron for _, cron, _ in TABLE])
def test_what_is_written(given: dict[str, t.Any], cron: str, timer: str) -> None:
    found = calendar(**given)
    assert found.cron() == cron
    assert not timer or found.on_calendar("UTC") == timer


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    every = draw(st.sampled_from(["day", "week", "month", "quarter", "duration"]))
    at = f"{draw(st.integers(0, 23))}:{draw(st.integers(0, 59)):02}"
    if every == "duration":
        return calendar(f"{draw(st.integers(60, 86400))}s", at)
    on = draw(st.lists(st.sampled_from(WEEKDAYS), max_size=4)) if every == "week" else []
    day = draw(st.none() | st.integers(1, 28)) if every in ("month", "quarter") else None
    return calendar(every, at, on, day)


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(calendars())
def test_cron_and_icalendar_mean_the_same(found: Calendar) -> None:
    assert cron_moments(found.cron()) == rrule_moments(found.rrule("UTC"))


@hypothesis.given(st.integers(60, 86400))
def test_an_interval_is_never_longer_than_asked_for(seconds: int) -> None:
    found = calendar(f"{seconds}s")
    moments = sorted(60 * hour + minute for hour in found.hours for minute in found.minutes)
    gaps = [later - earlier for earlier, later in zip(moments, [*moments[1:], moments[0] + 1440], strict=True)]
    assert len(set(gaps)) == 1 and gaps[0] * 60 <= seconds


@pytest.mark.parametrize("given", [given for given, _, _ in TABLE], ids=[cron for _, cron, _ in TABLE])
def test_systemd_means_the_same(given: dict[str, t.Any]) -> None:
    program = shutil.which("systemd-analyze")
    found = calendar(**given)
    text = found.on_calendar("UTC")
    if program is None:  # the grammar is compared above; this asks the real reader where there is one
        assert text.endswith(" UTC")
        return
    done = subprocess.run(
        [program, "calendar", "--iterations=5", f"--base-time={START:%Y-%m-%d %H:%M:%S} UTC", text],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    lines = [line for line in done.stdout.splitlines() if "Next elapse" in line or "Iter." in line]
    moments = [datetime.datetime.strptime(line.split(": ")[1][4:23], "%Y-%m-%d %H:%M:%S") for line in lines]
    expected = [moment for moment in cron_moments(found.cron()) if moment > START][:5]
    assert moments[: len(expected)] == expected


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo"])
def test_no_change_of_clocks_meets_the_default_table(zone: str) -> None:
    """Each of its times of day is there once on every day, so there is nothing that schedulers could take differently."""
    clock = zoneinfo.ZoneInfo(zone)
    tables = yaml.safe_load((ROOT / "roles/schedules/vars/main.yml").read_text(encoding="utf-8"))
    table = tables["__schedules_always"] + tables["__schedules_with_objectives"]
    times = sorted({datetime.time.fromisoformat(row["at"]) for row in table if row["every"] in PERIODS})
    assert len(times) > 3
    changes = 0
    for passed in range(2 * 365):
        day = START.date() + datetime.timedelta(days=passed)
        hours = [datetime.datetime.combine(day, datetime.time(hour, 30), clock) for hour in range(24)]
        changes += any(moment.utcoffset() != moment.replace(fold=1).utcoffset() for moment in hours)
        for time in times:
            moment = datetime.datetime.combine(day, time, clock)
            assert moment.utcoffset() == moment.replace(fold=1).utcoffset(), moment
    assert changes >= 4


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"every": ""}, "not how often"),
        ({"every": "30s"}, "not how often"),
        ({"every": "2d"}, "not how often"),
        ({"every": "year"}, "not how often"),
        ({"every": "day", "at": "24:00"}, "not a time of day"),
        ({"every": "day", "on": ["monday"]}, "only weeks have weekdays"),
        ({"every": "week", "on": ["t"]}, "not a weekday"),
        ({"every": "week", "on": ["tu ", "x"]}, "not a weekday"),
        ({"every": "month", "day": 29}, "not a day of every month"),
        ({"every": "week", "day": 1}, "only months and quarters"),
    ],
)
def test_what_is_none_is_refused(given: dict[str, t.Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        calendar(**given)
