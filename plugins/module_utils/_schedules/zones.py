# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a time zone is one: a scheduler starts nothing in a zone that it does not know."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import nearest

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")


def check_zone(name: str, known: t.Collection[str] | None = None) -> bool:
    """Whether anybody could look the zone up; False where this host has no database of time zones.

    :arg known: the zones that there are; None for those of this host.
    :raises InvalidInput: for what is no name, and for a zone that is not there, with the nearest.
    """
    if known is None:
        from zoneinfo import available_timezones

        known = available_timezones()
    if not _NAME.fullmatch(name):
        raise _refusal("not a timezone", name, "")
    # Python and every scheduler know it without a database.
    if name == "UTC" or name in known:
        return True
    if not known:
        return False
    near = nearest(name, known, likeness=0.6) or ""
    raise _refusal(f"there is no timezone {name!r}{f', did you mean {near!r}?' if near else ''}", name, near)


def _refusal(message: str, name: str, near: str) -> InvalidInput:
    correct = "correct schedules_timezone, then: the same command"
    return InvalidInput(
        message,
        expected="schedules_timezone by its name in the database of time zones, such as Europe/Berlin",
        found=repr(name),
        next_command=f"{correct} with -e schedules_timezone={near}"
        if near
        else f"{correct} without -e schedules_timezone",
    )
