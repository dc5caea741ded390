# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times and durations in one notation: UTC ISO 8601 with microseconds, and ``90``, ``15m``, ``1h30m``, ``2d``."""

from __future__ import annotations

import datetime
import re

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhms])")


def now() -> datetime.datetime:
    """This host's clock, aware, in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


def format_time(moment: datetime.datetime) -> str:
    """``2026-11-21T05:10:00.000000Z``: sorts as text."""
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str, name: str = "") -> datetime.datetime:
    """Read an ISO 8601 time; without an offset it is taken as UTC. Raises :class:`InvalidInput`.

    :arg name: what an operator wrote it as, for the error.
    """
    try:
        # Python 3.9 knows neither the final Z nor fractions of other than 3 or 6 digits.
        value = datetime.datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text.strip()))
    except ValueError:
        raise InvalidInput(
            f"{name} is not a time" if name else "not a time",
            expected="ISO 8601 such as 2026-11-21T05:10:00Z",
            found=repr(text),
        ) from None
    return value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)


def parse_duration(text: object) -> float:
    """Seconds in ``90``, ``"90"``, ``"15m"``, ``"1h30m"``, ``"2d"`` or ``"1w"``. Raises :class:`InvalidInput`."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        seconds = float(text)
    else:
        compact = str(text).strip().lower()
        if re.fullmatch(r"\d+(\.\d+)?", compact):
            seconds = float(compact)
        elif re.fullmatch(rf"(?:{_DURATION.pattern}\s*)+", compact):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(compact))
        else:
            seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidInput("not a duration", expected="seconds, or such as 15m, 1h30m, 2d", found=repr(text))
    return seconds


def format_duration(seconds: float) -> str:
    """For people: ``0.4 s``, ``12 s``, ``3 m 05 s``, ``2 h 10 m``, ``3 d 04 h``."""
    sign = "-" if seconds < 0 else ""
    seconds = abs(seconds)
    if seconds < 10:
        return f"{sign}{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{sign}{whole} s"
    if whole < 3600:
        return f"{sign}{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{sign}{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{sign}{whole // 86400} d {whole % 86400 // 3600:02d} h"
