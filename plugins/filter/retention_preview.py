# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: retention_preview
short_description: What a retention policy would keep of a list of recovery points
version_added: 0.1.0
author:
  - The sre.runbooks authors (@sre-runbooks)
description:
  - Plans without a repository what M(sre.runbooks.recovery_point_expire) would do, to choose a policy by its effect.
  - Takes what M(sre.runbooks.recovery_point_info) returns, or points that are only thought of.
  - What only the store knows (locks, and when it got a point) is not considered.
positional: _input, policy
options:
  _input:
    description:
      - The points. Each has C(point_id) and C(consistency_time), and may have C(level) (V(taken) by default), C(size),
        C(sequence), C(needs) (ids of other points) and C(pins) (as M(sre.runbooks.recovery_point_info) returns them).
    type: list
    elements: dict
    required: true
  policy:
    description:
      - The options of M(sre.runbooks.recovery_point_expire) that make up the policy, C(hourly) to C(timezone), with its defaults.
    type: dict
    default: {}
  now:
    description: The moment for which to plan, such as V(2026-11-21T05:10:00Z); by default this one.
    type: str
seealso:
  - module: sre.runbooks.recovery_point_expire
"""

EXAMPLES = r"""
- name: Show what a smaller policy would expire
  ansible.builtin.debug:
    msg: "{{ (found.recovery_points | sre.runbooks.retention_preview({'hourly': 0, 'daily': 7})).expire }}"

- name: Choose a policy before there is any point
  ansible.builtin.debug:
    msg: "{{ (thought_of | sre.runbooks.retention_preview({'daily': 2, 'weekly': 1}, now='2026-11-21T12:00:00Z')).lines }}"
  vars:
    thought_of:
      - {point_id: monday, consistency_time: "2026-11-16T05:00:00Z"}
      - {point_id: friday, consistency_time: "2026-11-20T05:00:00Z", level: verified}
      - {point_id: saturday, consistency_time: "2026-11-21T05:00:00Z"}
"""

RETURN = r"""
_value:
  description: The plan.
  type: dict
  contains:
    keep:
      description: Ids of the points that stay, newest first.
      type: list
      elements: str
    expire:
      description: Ids of those that go, newest first.
      type: list
      elements: str
    plan:
      description: Every point with C(action) (V(keep) or V(expire)) and C(reasons), newest first.
      type: list
      elements: dict
    lines:
      description: The plan in lines for people.
      type: list
      elements: str
    warnings:
      description: What somebody should look at.
      type: list
      elements: str
    refusal:
      description: Why nothing would be expired although the plan says so, or null.
      type: str
"""

import datetime
import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, LEVELS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention import Candidate, decide
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from ansible_collections.sre.runbooks.plugins.module_utils._runs.retention_text import plan_lines


def retention_preview(
    points: t.Iterable[t.Mapping[str, t.Any]], policy: t.Mapping[str, t.Any] | None = None, now: str | None = None
) -> dict[str, t.Any]:
    """The plan for the points."""
    try:
        moment = _clock.parse_time(now) if now else _clock.now()
        candidates = [_candidate(point, moment) for point in points]
        if len({item.point_id for item in candidates}) != len(candidates):
            raise InvalidInput("a recovery point is listed twice", expected="distinct point_id", found="the same again")
        decided = decide(candidates, Policy.from_options(policy or {}), moment)
    except RunbookError as error:
        raise AnsibleFilterError(f"retention_preview: {error}") from error
    rows = [
        {
            "point_id": decision.point_id,
            "action": "keep" if decision.keep else "expire",
            "reasons": decision.reasons,
            "consistency_time": _clock.format_time(decision.candidate.at),
            "level": decision.candidate.level,
            "size": decision.candidate.size,
        }
        for decision in decided.decisions
    ]
    return {
        "keep": [row["point_id"] for row in rows if row["action"] == "keep"],
        "expire": [row["point_id"] for row in rows if row["action"] == "expire"],
        "plan": rows,
        "lines": plan_lines(rows),
        "warnings": decided.warnings,
        "refusal": decided.refusal,
    }


def _candidate(point: t.Mapping[str, t.Any], now: datetime.datetime) -> Candidate:
    level = str(point.get("level") or LEVELS[0])
    if not point.get("point_id") or not point.get("consistency_time") or level not in (*LEVELS, DAMAGED):
        raise InvalidInput(
            "not a recovery point",
            expected=f"point_id, consistency_time, and a level of {', '.join(LEVELS)} or {DAMAGED}",
            found=str(dict(point))[:200],
        )
    return Candidate(
        point_id=str(point["point_id"]),
        at=_clock.parse_time(str(point["consistency_time"])),
        level=level,
        held=tuple(_words(pin) for pin in point.get("pins") or () if _active(pin, now)),
        needs=tuple(map(str, point.get("needs") or ())),
        size=int(point.get("size") or 0),
        sequence=int(point.get("sequence") or 0),
    )


def _active(pin: t.Mapping[str, t.Any], now: datetime.datetime) -> bool:
    return not pin.get("expires") or _clock.parse_time(str(pin["expires"])) > now


def _words(pin: t.Mapping[str, t.Any]) -> str:
    what = "legal hold" if pin.get("kind") == "hold" else "pinned"
    until = f" until {pin['expires']}" if pin.get("expires") else ""
    return f"{what}{until} by {pin.get('by') or 'somebody'} because {pin.get('reason') or 'of nothing said'}"


class FilterModule:
    """The filter P(sre.runbooks.retention_preview#filter)."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"retention_preview": retention_preview}
