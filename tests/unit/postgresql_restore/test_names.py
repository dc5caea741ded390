# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of databases that stand beside a live one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import names

POINT = "20261121T051000Z-a1b2"
# What PostgreSQL takes as a name: up to 63 bytes, no NUL.
NAMES = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=63).filter(
    lambda name: len(name.encode()) <= 63
)


def test_short_names_stay_readable() -> None:
    assert names.restoring_name("flights") == "flights__restoring"
    assert names.before_name("flights", POINT) == f"flights__before_{POINT}"
    assert names.before_name("flights", POINT, {f"flights__before_{POINT}"}) == f"flights__before_{POINT}_2"


@given(NAMES)
def test_every_name_fits_and_is_known_again(name: str) -> None:
    for beside in (names.restoring_name(name), names.before_name(name, POINT)):
        assert 0 < len(beside.encode()) <= names.IDENTIFIER_BYTES
        assert names.stands_beside(beside)
        assert beside != name


@given(NAMES, NAMES)
def test_two_databases_never_share_a_name(one: str, other: str) -> None:
    if one != other:
        assert names.restoring_name(one) != names.restoring_name(other)
        assert names.before_name(one, POINT) != names.before_name(other, POINT)


@given(NAMES, st.integers(1, 5))
def test_taken_names_are_passed_over(name: str, count: int) -> None:
    taken: set[str] = set()
    for _ in range(count):
        fresh = names.before_name(name, POINT, taken)
        assert fresh not in taken and len(fresh.encode()) <= names.IDENTIFIER_BYTES
        taken.add(fresh)
