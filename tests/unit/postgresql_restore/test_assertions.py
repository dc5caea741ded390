# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading assertions and judging their answers, without a server."""

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.assertions import (
    Answer,
    SqlAssertion,
    parse_assertions,
    refuse_failures,
    same_answer,
)

COUNT = {"name": "all flights", "database": "flights", "query": "SELECT count(*) FROM flights", "expected": "336776"}


def test_the_only_database_is_the_default() -> None:
    given = {**COUNT, "database": None, "expected": 336776}
    assert parse_assertions([given], ["flights"]) == [SqlAssertion(**COUNT)]


@pytest.mark.parametrize("missing", ["name", "query", "expected"])
def test_incomplete_assertions_are_refused(missing: str) -> None:
    with pytest.raises(InvalidInput, match="assertion 1 is incomplete"):
        parse_assertions([{**COUNT, missing: None}], ["flights"])


def test_a_database_must_be_named_when_there_are_several() -> None:
    with pytest.raises(InvalidInput):
        parse_assertions([{**COUNT, "database": None}], ["flights", "orders"])


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("336776", "336776", True),
        (" 336776\n", "336776", True),
        ("336776", "336775", False),
        ("true", "t", True),
        ("no", "f", True),
        ("true", "f", False),
        ("", "", True),
        ("0", "", False),
        ("true", "true", True),
    ],
)
def test_answers_are_compared_as_text(expected: str, found: str, same: bool) -> None:
    assert same_answer(expected, found) is same


def test_a_failure_names_the_assertion_and_counts_the_rest() -> None:
    assertion = SqlAssertion(**COUNT)
    answers = [Answer(assertion, "ok", "336776", 0.1), *[Answer(assertion, "failed", "12", 0.1)] * 2]
    with pytest.raises(AssertionFailed) as caught:
        refuse_failures(answers, "flights_db", "20261121T051000Z-a1b2")
    assert "all flights" in str(caught.value) and "1 more" in str(caught.value)
    assert (caught.value.expected, caught.value.found) == ("336776", "12")
    refuse_failures(answers[:1], "flights_db", "x")
