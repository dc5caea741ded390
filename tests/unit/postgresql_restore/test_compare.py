# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restored content against its record: every single change is a difference, and no change is none."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.compare import (
    accounting,
    compare,
    refuse_differences,
)

MEASURED: dict[str, t.Any] = {
    "tables": {
        "public.f": {"kind": "table", "rows": 1000, "hash": "12", "size": 8192},
        "public.big": {"kind": "table", "rows": 5, "hash": None, "size": 8192},
        "public.seen": {"kind": "matview", "rows": 3, "hash": None, "size": 8192},
        "public.unseen": {"kind": "matview", "rows": None, "hash": None, "size": 0, "populated": False},
    },
    "sequences": {
        "public.up": {"last_value": 10, "is_called": True, "increment": 1},
        "public.down": {"last_value": -10, "is_called": True, "increment": -3},
    },
    "large_objects": {"count": 2, "bytes": 100, "hash": "7"},
}


def changed(path: str, value: t.Any) -> list[str]:
    found = copy.deepcopy(MEASURED)
    place: t.Any = found
    *parents, last = path.split("/")
    for part in parents:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return [difference.what for difference in compare("flights", MEASURED, found)]


def test_the_same_is_the_same() -> None:
    assert compare("flights", MEASURED, copy.deepcopy(MEASURED)) == []


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("tables/public.f/rows", 999, "table public.f of flights"),
        ("tables/public.f/hash", "13", "the content of table public.f of flights"),
        ("tables/public.big/rows", 6, "table public.big of flights"),
        ("tables/public.f", None, "table public.f of flights"),
        ("tables/public.new", {"kind": "table", "rows": 0, "hash": "0"}, "table public.new of flights"),
        ("tables/public.seen", {"kind": "matview", "rows": None, "hash": None}, "table public.seen of flights"),
        ("sequences/public.up/last_value", 9, "sequence public.up of flights"),
        ("sequences/public.down/last_value", -9, "sequence public.down of flights"),
        ("sequences/public.up", None, "sequence public.up of flights"),
        ("large_objects/count", 1, "large objects of flights"),
        ("large_objects/hash", "8", "large objects of flights"),
    ],
)
def test_every_change_is_a_difference(path: str, value: t.Any, what: str) -> None:
    assert changed(path, value) == [what]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tables/public.f/size", 9),  # a reload packs tables
        ("tables/public.seen/rows", 4),  # a materialised view shows its last refresh
        ("sequences/public.up/last_value", 11),  # sequences ignore snapshots
        ("sequences/public.down/last_value", -11),
        ("large_objects/bytes", 200),  # sparse objects come back dense; the hash tells
    ],
)
def test_what_may_differ_is_no_difference(path: str, value: t.Any) -> None:
    assert changed(path, value) == []


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_counts_are_compared_exactly(recorded: int, found: int) -> None:
    def measure(rows: int) -> dict[str, t.Any]:
        tables = {"public.f": {"kind": "table", "rows": rows, "hash": None}}
        return {"tables": tables, "sequences": {}, "large_objects": {"count": 0}}

    assert (compare("flights", measure(recorded), measure(found)) == []) is (recorded == found)


def test_the_error_names_table_expected_and_found() -> None:
    found = copy.deepcopy(MEASURED)
    found["tables"]["public.f"]["rows"] = 999
    found["tables"]["public.big"]["rows"] = 4
    with pytest.raises(AssertionFailed) as caught:
        refuse_differences(compare("flights", MEASURED, found), "flights_db", "20261121T051000Z-a1b2")
    assert "public.big" in str(caught.value) and "1 more" in str(caught.value)
    assert (caught.value.expected, caught.value.found) == ("5 rows", "4 rows")


def test_accounting_counts_everything() -> None:
    assert accounting(MEASURED) == {"tables": 4, "rows": 1008, "hashed": 1, "sequences": 2, "large_objects": 2}
