# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hour, day, ISO week, month and year that a moment lies in, on the clock on the wall of a time zone."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

#: The names of the rules with what one period of each is called, shortest first.
PERIODS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}


def time_zone(name: str) -> datetime.tzinfo:
    """The time zone of that IANA name; ``UTC`` needs no data base. Raises :class:`InvalidInput`."""
    if name.upper() == "UTC":
        return datetime.timezone.utc
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # KeyError: ZoneInfoNotFoundError
        raise InvalidInput(
            "not a time zone",
            expected="UTC, or an IANA name such as Europe/Berlin that this host knows",
            found=repr(name[:100]),
            next_command="correct it, or install tzdata on this host",
        ) from None


def period_label(rule: str, moment: datetime.datetime, zone: datetime.tzinfo) -> str:
    """Which period of ``rule`` the moment lies in; two moments lie in the same one if and only if the labels are equal.

    The hour that a clock repeats when summer time ends is two, told apart by the offset. Weeks are those of ISO 8601,
    from Monday, and belong to the year that their Thursday lies in.
    """
    try:
        local = moment.astimezone(zone)
    except OverflowError:  # the first or the last day that there is
        local = moment
    return _LABELS[rule](local)


def _week(local: datetime.datetime) -> str:
    year, week, _day = local.isocalendar()
    return f"{year:04d}-W{week:02d}"


_LABELS: dict[str, t.Callable[[datetime.datetime], str]] = {
    "hourly": lambda local: f"{local:%Y-%m-%d %H}h{local:%z}".replace("+0000", ""),
    "daily": lambda local: f"{local.year:04d}-{local.month:02d}-{local.day:02d}",
    "weekly": _week,
    "monthly": lambda local: f"{local.year:04d}-{local.month:02d}",
    "yearly": lambda local: f"{local.year:04d}",
}
