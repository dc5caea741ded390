# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time zones: those that there are, those that are nearly, and hosts that know none."""

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.zones import check_zone

KNOWN = {"Europe/Berlin", "America/New_York", "Etc/UTC"}


def test_what_there_is_passes() -> None:
    assert check_zone("Europe/Berlin", KNOWN) and check_zone("UTC", KNOWN) and check_zone("UTC", set())
    # Those of this host.
    assert check_zone("UTC")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("europe/berlin", "did you mean 'Europe/Berlin'"),
        ("America/NewYork", "with -e schedules_timezone=America/New_York"),
        ("Nowhere", "there is no timezone 'Nowhere'; expected"),
        ("Nowhere", "without -e schedules_timezone"),
        ("UTC\n", "not a timezone"),
        ("../etc/passwd", "not a timezone"),
    ],
)
def test_what_there_is_not_is_refused(name: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_zone(name, KNOWN)
    assert says in str(refused.value)


def test_a_host_without_a_database_says_that_it_has_none() -> None:
    assert not check_zone("Europe/Berln", set())
    with pytest.raises(InvalidInput):
        check_zone("a b", set())
