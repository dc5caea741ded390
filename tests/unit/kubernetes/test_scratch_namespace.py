# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which namespaces of drills are removed: of this component and repository, and of drills that have certainly ended."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scratch_namespace import LABEL, ScratchNamespaces
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, status

HOUR = datetime.timedelta(hours=1)


def holder(alive: bool = True, host: str = "") -> dict[str, t.Any]:
    found = describe_holder("a-run")
    if not alive:
        found = {**found, "pid": 4_000_000}
    return {**found, "boot_id": host} if host else found


CASES: dict[str, tuple[dict[str, t.Any], str, float, bool]] = {
    "one that runs": (holder(), "repository", -7, False),
    "one whose process is gone": (holder(alive=False), "repository", 5, True),
    "one of another repository": (holder(alive=False), "another", 5, False),
    "one that ran elsewhere, lately": (holder(host="elsewhere"), "repository", 5, False),
    "one that ran elsewhere, long ago": (holder(host="elsewhere"), "repository", -1, True),
    "somebody else's": ({}, "repository", -1, False),
}


@pytest.mark.parametrize("gone", [False, True], ids=["by us", "by somebody who was faster"])
@pytest.mark.parametrize(("who", "repository", "hours", "removed"), CASES.values(), ids=list(CASES))
def test_what_is_removed(who: dict[str, t.Any], repository: str, hours: float, removed: bool, gone: bool) -> None:
    annotations = {
        "sre.runbooks/drill-until": _clock.format_time(_clock.now() + hours * HOUR),
        "sre.runbooks/drill-repository": repository,
    }
    if who:
        annotations["sre.runbooks/drill-holder"] = json.dumps(who)
    item = {"metadata": {"name": "shop-drill-1", "uid": "u-1", "annotations": annotations}}
    there = [item]

    def answer(asked: Asked) -> Reply:
        if "labelSelector" in asked.path:
            assert f"{LABEL.replace('/', '%2F')}%3Dshop" in asked.path
            return 200, {"items": list(there)}, {}
        if asked.method == "DELETE":
            assert json.loads(asked.body)["preconditions"] == {"uid": "u-1"}
            there.clear()
            return status(404, "NotFound") if gone else (200, item, {})
        return (200, item, {}) if there else status(404, "NotFound")

    with fake_cluster(answer) as (cluster, _fake):
        found = ScratchNamespaces(cluster, "shop", "repository", 5.0).remove_leftovers()
    assert (found, there) == (["shop-drill-1"] if removed else [], [] if removed else [item])
