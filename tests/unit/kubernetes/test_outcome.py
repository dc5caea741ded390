# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore tells of claims."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.outcome import Outcome, result_of
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import Plan
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_planning import (
    LEFT,
    NEW,
    SAME,
    VolumeChange,
)


@pytest.mark.parametrize(
    ("mode", "action", "words"),
    [
        ("snapshot", SAME, "claims data were made from it before, and keep what was written to them since"),
        ("snapshot", LEFT, "claims data keep what they hold"),
        ("files", NEW, "the content of claims data"),
        ("files", SAME, None),
    ],
)
def test_what_becomes_of_a_claim_is_told(mode: str, action: str, words: str | None) -> None:
    """A claim from a snapshot was used since, perhaps: it is not said to be as it was recorded."""
    point = t.cast(t.Any, types.SimpleNamespace(facts=dict))
    plan = Plan(same=2)
    told = result_of(
        Outcome(point, plan, [], [], [], [VolumeChange("shop", {"claim": "data", "mode": mode}, action)]), False
    )["told"]
    assert told == "all 2 objects are as recorded" + (f"; {words}" if words else "")


def test_what_holds_data_is_told_of_those_that_are_not_recorded() -> None:
    point, extra = t.cast(t.Any, types.SimpleNamespace(facts=dict)), t.cast(t.Any, types.SimpleNamespace(label="it"))
    volumes = [VolumeChange("shop", {"claim": "data", "mode": "files"}, NEW)]
    told = result_of(Outcome(point, Plan(extras=[extra]), [], [], [extra], volumes), True)["told"]
    words = "1 live objects are not in the recovery point, of which 1 hold data and are never deleted; the content of claims data"
    assert told.endswith(words)
