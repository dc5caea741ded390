# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that plans a retention without a repository."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.filter.retention_preview import retention_preview

NOW = "2026-11-21T12:00:00Z"
POINTS: list[dict[str, t.Any]] = [
    {"point_id": "monday", "consistency_time": "2026-11-16T05:00:00Z"},
    {"point_id": "friday", "consistency_time": "2026-11-20T05:00:00Z", "level": "verified"},
    {"point_id": "saturday", "consistency_time": "2026-11-21T05:00:00Z", "size": 2048},
]
POLICY = {"hourly": 0, "daily": 1, "weekly": "1", "monthly": 0, "yearly": 0}


def test_a_policy_is_shown_by_its_effect() -> None:
    found = retention_preview(POINTS, POLICY, NOW)
    assert (found["keep"], found["expire"]) == (["saturday", "friday"], ["monday"])
    assert found["plan"][0]["reasons"] == ["newest", "daily 1 of 1 (2026-11-21)"]
    assert found["plan"][1]["reasons"] == ["newest verified", "weekly 1 of 1 (2026-W47)"]
    assert found["lines"][2].startswith("expire   monday  2026-11-16T05:00:00Z  taken")
    assert "2.0 KiB" in found["lines"][0] and found["refusal"] is None and not found["warnings"]
    assert retention_preview([], {}) == {
        "keep": [], "expire": [], "plan": [], "lines": [], "warnings": [], "refusal": None
    }  # fmt: skip


def test_pins_and_needs_count_and_pins_that_are_over_do_not() -> None:
    pins = [{"kind": "pin", "reason": "audit", "by": "ana", "expires": "2026-11-22T00:00:00Z"}]
    first = {**POINTS[0], "pins": pins}
    assert retention_preview([first, *POINTS[1:]], POLICY, NOW)["expire"] == []
    assert retention_preview([first, *POINTS[1:]], POLICY, "2026-11-23T00:00:00Z")["expire"] == ["monday"]
    needing = {**POINTS[2], "needs": ["monday"]}
    assert retention_preview([*POINTS[:2], needing], POLICY, NOW)["expire"] == []


def test_a_plan_that_would_be_refused_says_so() -> None:
    assert "old" in retention_preview(POINTS, POLICY, "2027-11-21T12:00:00Z")["refusal"]


@pytest.mark.parametrize(
    ("points", "policy", "now"),
    [
        ([{"point_id": "a"}], {}, NOW),
        ([{**POINTS[0], "level": "proven"}], {}, NOW),
        ([{**POINTS[0], "consistency_time": "yesterday"}], {}, NOW),
        ([POINTS[0], POINTS[0]], {}, NOW),
        (POINTS, {"daily": "many"}, NOW),
        (POINTS, {}, "now"),
    ],
)
def test_what_it_cannot_plan_is_refused(points: t.Any, policy: t.Any, now: str) -> None:
    with pytest.raises(AnsibleFilterError, match="retention_preview: "):
        retention_preview(points, policy, now)
