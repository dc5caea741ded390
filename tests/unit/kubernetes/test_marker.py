# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment's marker: whose a namespace is, who wrote there last, and what a killed run left to do."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import LeaseLost, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import marker
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, status


class Kept:
    """An API with one ConfigMap. ``rival``: data that somebody else writes before the next write."""

    def __init__(self, **data: str) -> None:
        self.data: dict[str, str] | None = data or None
        self.version = 1
        self.rival: dict[str, str] | None = None

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.endswith("/namespaces/shop"):
            return 200, {"metadata": {"name": "shop"}}, {}
        if asked.method == "GET":
            return (200, self._document(), {}) if self.data is not None else status(404, "NotFound")
        given = json.loads(asked.body)
        if self.rival is not None:
            self.data, self.rival, self.version = {**(self.data or {}), **self.rival}, None, self.version + 1
        if asked.method == "POST" and self.data is not None:
            return status(409, "AlreadyExists")
        if asked.method == "PUT" and given["metadata"].get("resourceVersion") != str(self.version):
            return status(409, "Conflict")
        self.data, self.version = given["data"], self.version + 1
        return 200, self._document(), {}

    def _document(self) -> dict[str, t.Any]:
        return {"metadata": {"name": marker.NAME, "resourceVersion": str(self.version)}, "data": self.data}


def test_another_environment_is_refused_and_none_is_the_callers_decision() -> None:
    with fake_cluster(Kept(environment="production")) as (cluster, _fake):
        with pytest.raises(Refused, match="belongs to another environment"):
            marker.refuse_other_environment(cluster, "shop", "staging")
        assert marker.refuse_other_environment(cluster, "shop", "production")
    with fake_cluster(Kept()) as (cluster, _fake):
        assert marker.refuse_other_environment(cluster, "shop", "staging") is None
        with pytest.raises(Refused, match="no environment marker"):
            marker.refuse_unmarked(cluster, "shop", "staging", "shop_objects", ["Deployment web"])


def test_who_has_an_older_lease_is_fenced_out() -> None:
    kept = Kept(environment="local")
    with fake_cluster(kept) as (cluster, fake):
        marker.raise_fence(cluster, "shop", "db", 7)
        marker.raise_fence(cluster, "shop", "db", 7)
        marker.raise_fence(cluster, "shop", "other", 3)
        with pytest.raises(LeaseLost):
            marker.raise_fence(cluster, "shop", "db", 6)
        assert [asked.method for asked in fake.asked].count("PUT") == 2
    assert kept.data == {"environment": "local", "fence.db": "7", "fence.other": "3"}


@pytest.mark.parametrize("kept", [Kept(), Kept(environment="local")], ids=["made", "changed"])
def test_what_somebody_else_writes_meanwhile_stays(kept: Kept) -> None:
    kept.rival = {"environment": "local", "fence.db": "9"}
    with fake_cluster(kept) as (cluster, _fake):
        marker.write_note(cluster, "shop", "rollback.db", "under way")
        assert marker.read_note(cluster, "shop", "rollback.db") == "under way"
        with pytest.raises(LeaseLost):
            marker.raise_fence(cluster, "shop", "db", 8)
        marker.write_note(cluster, "shop", "rollback.db", None)
    assert kept.data == {"environment": "local", "fence.db": "9"}
