# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When which backup is due."""

from __future__ import annotations

import datetime

import hypothesis
import pytest
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.schedule import TYPES, Schedule, due

NOW = datetime.datetime(2026, 11, 21, 5, 0, tzinfo=datetime.timezone.utc)
HOUR = 3600.0
WEEKLY = Schedule(full_s=7 * 24 * HOUR, differential_s=24 * HOUR, incremental_s=6 * HOUR, interval_s=HOUR)


def ago(**ages_h: float) -> list[tuple[str, datetime.datetime]]:
    return [(kind, NOW - datetime.timedelta(hours=hours)) for kind, hours in ages_h.items()]


@pytest.mark.parametrize(
    ("history", "wanted", "force", "kind"),
    [
        ([], "auto", False, "full"),
        (ago(incr=1), "auto", False, "full"),
        (ago(full=1), "auto", False, None),
        (ago(full=1), "auto", True, "incremental"),
        (ago(full=1), "full", True, "full"),
        (ago(full=1), "full", False, None),
        (ago(full=5.5), "auto", False, "incremental"),
        (ago(full=23.5), "auto", False, "differential"),
        (ago(full=30, diff=1), "auto", False, None),
        (ago(full=30, incr=1), "auto", False, "differential"),
        (ago(full=7 * 24 - 0.5, diff=1, incr=0.5), "auto", False, "full"),
        (ago(full=7 * 24 - 0.5, diff=1, incr=0.5), "incremental", False, None),
        ([], "incremental", False, "full"),
    ],
)
def test_the_largest_that_is_due(
    history: list[tuple[str, datetime.datetime]], wanted: str, force: bool, kind: str | None
) -> None:
    found = due(history, WEEKLY, NOW, wanted, force)
    assert (found[0] if found else None) == kind


durations = st.floats(1, 1e7)


@hypothesis.given(durations, durations, durations, durations)
def test_what_was_just_taken_is_not_due_again(
    full: float, differential: float, incremental: float, every: float
) -> None:
    schedule = Schedule(full, differential, incremental, every)
    history: list[tuple[str, datetime.datetime]] = []
    for _ in range(3):
        found = due(history, schedule, NOW)
        if found is None:
            break
        history.append((TYPES[found[0]], NOW))
    assert due(history, schedule, NOW) is None


@hypothesis.given(st.floats(0, 400), st.floats(0.1, 3))
def test_no_run_lets_a_limit_pass(age_h: float, every_h: float) -> None:
    """If nothing is due now, nothing will have been too old by the next run."""
    schedule = Schedule(WEEKLY.full_s, WEEKLY.differential_s, WEEKLY.incremental_s, every_h * HOUR)
    if due(ago(full=age_h), schedule, NOW) is None:
        assert age_h + every_h <= 6 or every_h > 3
