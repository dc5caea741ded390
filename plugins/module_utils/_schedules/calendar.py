# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When something is due, said so that cron, systemd, Kubernetes and AWX mean the same moments."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PERIODS = ("day", "week", "month", "quarter")
_AT = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
#: The last day that every month has.
_LAST_DAY = 28


@dataclasses.dataclass(frozen=True)
class Calendar:
    """Moments: each of ``minutes`` in each of ``hours`` on the days that match all of the rest (nothing: every one).

    :ivar weekdays: 0 is Monday. :ivar day: of the month. :ivar months: 1 is January.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    weekdays: tuple[int, ...] = ()
    day: int | None = None
    months: tuple[int, ...] = ()

    def cron(self) -> str:
        """The five fields of cron. Day and weekday never come together, as cron would take either for enough."""
        weekdays = _field([(day + 1) % 7 for day in self.weekdays], 7, 0) if self.weekdays else "*"
        months = _listed(self.months) if self.months else "*"
        hours, minutes = _field(self.hours, 24, 0), _field(self.minutes, 60, 0)
        return f"{minutes} {hours} {self.day or '*'} {months} {weekdays}"

    def on_calendar(self, timezone: str) -> str:
        """The value of systemd's ``OnCalendar``."""
        weekdays = ",".join(WEEKDAYS[day][:3].title() for day in self.weekdays)
        months = ",".join(f"{month:02}" for month in self.months) or "*"
        day = f"{self.day:02}" if self.day else "*"
        hours = "*" if len(self.hours) == 24 else ",".join(f"{hour:02}" for hour in self.hours)
        minutes = ",".join(f"{minute:02}" for minute in self.minutes)
        return " ".join(part for part in (weekdays, f"*-{months}-{day}", f"{hours}:{minutes}:00", timezone) if part)

    def rrule(self, timezone: str) -> str:
        """Start and rule of iCalendar, as AWX takes them; it starts with a moment long gone that is one of them.

        AWX knows no list of months, so quarters are every third month from January.
        """
        if self.day:
            rule = f"FREQ=MONTHLY;INTERVAL={3 if self.months else 1};BYMONTHDAY={self.day}"
        elif self.weekdays:
            rule = "FREQ=WEEKLY;INTERVAL=1;BYDAY=" + ",".join(WEEKDAYS[day][:2].upper() for day in self.weekdays)
        else:
            rule = "FREQ=DAILY;INTERVAL=1"
        rule += f";BYHOUR={_listed(self.hours)};BYMINUTE={_listed(self.minutes)}"
        # 2024 began with a Monday.
        start = f"202401{self.day or 1 + (self.weekdays[0] if self.weekdays else 0):02}"
        return f"DTSTART;TZID={timezone}:{start}T{self.hours[0]:02}{self.minutes[0]:02}00 RRULE:{rule}"


def parse_calendar(every: str, at: str, weekdays: t.Sequence[str], day: int | None) -> Calendar:
    """A calendar from what a table says.

    :arg every: one of :data:`PERIODS`, or a duration of a minute to a day, which is shortened to one that divides an hour
        or a day evenly: due a little too often is no harm.
    :arg at: ``HH:MM``; of a duration of less than a day, the first moment of the day.
    :arg weekdays: for weeks. :arg day: of the month, for months and quarters.
    :raises InvalidInput: for what is none of these, or does not go together.
    """
    matched = _AT.fullmatch(at)
    if not matched:
        raise InvalidInput("not a time of day", expected="HH:MM, such as 05:10", found=repr(at))
    hour, minute = int(matched[1]), int(matched[2])
    if weekdays and every != "week":
        raise InvalidInput("only weeks have weekdays", expected="every: week", found=f"every: {every}")
    if day is not None and every not in ("month", "quarter"):
        raise InvalidInput(
            "only months and quarters have a day", expected="every: month or quarter", found=f"every: {every}"
        )
    if day is not None and not 1 <= day <= _LAST_DAY:
        raise InvalidInput("not a day of every month", expected=f"1 to {_LAST_DAY}", found=str(day))
    if every == "day":
        return Calendar((minute,), (hour,))
    if every == "week":
        return Calendar((minute,), (hour,), weekdays=_weekdays(weekdays))
    if every in ("month", "quarter"):
        return Calendar((minute,), (hour,), day=day or 1, months=(1, 4, 7, 10) if every == "quarter" else ())
    return _interval(every, hour, minute)


def _interval(every: str, hour: int, minute: int) -> Calendar:
    try:
        seconds = parse_duration(every)
    except InvalidInput:
        seconds = -1.0
    if not 60 <= seconds <= 86400:
        expected = f"{', '.join(PERIODS)}, or a duration from 1m to 1d"
        raise InvalidInput("not how often something can be due", expected=expected, found=repr(every))
    wanted = math.floor(seconds / 60)
    if wanted < 60:
        step = max(length for length in range(1, 31) if 60 % length == 0 and length <= wanted)
        return Calendar(tuple(range(minute % step, 60, step)), tuple(range(24)))
    step = max(length for length in range(1, 25) if 24 % length == 0 and length <= wanted // 60)
    return Calendar((minute,), tuple(range(hour % step, 24, step)))


def _weekdays(names: t.Sequence[str]) -> tuple[int, ...]:
    found = set()
    for name in names or [WEEKDAYS[0]]:
        matching = [day for day, known in enumerate(WEEKDAYS) if len(name) >= 3 and known.startswith(name.lower())]
        if len(matching) != 1:
            raise InvalidInput("not a weekday", expected=", ".join(WEEKDAYS), found=repr(name))
        found.add(matching[0])
    return tuple(sorted(found))


def _field(values: t.Sequence[int], size: int, start: int) -> str:
    """A field of cron: ``*`` for all values, ``a/n`` and the like only where every cron understands it."""
    values = sorted(values)
    if len(values) == size:
        return "*"
    step = values[1] - values[0] if len(values) > 1 else 0
    if step and values == list(range(start, size, step)) and size % step == 0:
        return f"*/{step}"
    return _listed(values)


def _listed(values: t.Sequence[int]) -> str:
    return ",".join(str(value) for value in values)
