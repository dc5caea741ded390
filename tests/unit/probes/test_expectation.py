# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparison of what was found with what an inventory expects."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import (
    as_number,
    at_path,
    parse_path,
    same,
)

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (3, "3"),
        ("3", 3),
        (3.0, "3"),
        (True, "true"),
        ("t", "t"),
        (None, None),
        ([1, "a"], ["1", "a"]),
        ({"a": 1}, {"a": "1"}),
    ],
)
def test_equal(found: t.Any, expected: t.Any) -> None:
    assert same(found, expected)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (3, 4),
        (None, ""),
        ("None", None),
        (None, "None"),
        (True, 1),
        (0, False),
        ([1], [1, 2]),
        ([1], 1),
        ({"a": 1}, {"a": 1, "b": 2}),
        ("a", "A"),
    ],
)
def test_different(found: t.Any, expected: t.Any) -> None:
    assert not same(found, expected)


@given(JSON)
def test_everything_equals_itself(value: t.Any) -> None:
    assert same(value, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "inf", None, True, "", "a", [1]])
def test_what_is_no_number_is_none(value: t.Any) -> None:
    assert as_number(value) is None


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$.a.b", ["a", "b"]),
        ("a[0].b", ["a", 0, "b"]),
        ('["a b"][-1]', ["a b", -1]),
        ("$", []),
        ("a-b_c.0", ["a-b_c", "0"]),
    ],
)
def test_paths(path: str, steps: list[str | int]) -> None:
    assert parse_path(path) == steps


def test_what_is_not_there() -> None:
    document = {"a": [{"b": None}]}
    assert at_path(document, ["a", 0, "b"]) is None
    for steps in (["x"], ["a", 1], ["a", "b"], ["a", 0, "b", "c"], ["a", 0, 0]):
        with pytest.raises(LookupError):
            at_path(document, t.cast("list[str | int]", steps))
