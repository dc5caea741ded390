# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the cluster deletes together with an object: claims that it owns, or that their StatefulSet does."""

from __future__ import annotations

import json
import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import rollback
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.claim_owners import owners_of_claims
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.restore import Restore
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import Scope
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.target import RestoreRequest, Target
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, status

STATEFUL = Kind("apps", "v1", "statefulsets", "StatefulSet", True)
CLAIM = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True)
CUSTOM = Kind("acme.example.com", "v1", "databases", "Database", True)


def item(uid: str, *owners: str, **more: t.Any) -> dict[str, t.Any]:
    references = [{"uid": owner} for owner in owners]
    return {"metadata": {"name": uid, "namespace": "shop", "uid": uid, "ownerReferences": references}, **more}


def answer(asked: Asked) -> Reply:
    if "persistentvolumeclaims" in asked.path:
        items = [item("claim-1", "set-1"), item("claim-2"), item("claim-3", "database-2")]
    else:
        items = [item("set-1", "database-1"), item("set-2", "database-3")]
    return 200, {"items": items, "metadata": {}}, {}


@pytest.mark.parametrize("namespace", ["shop", None])
def test_those_that_claims_go_with(namespace: str | None) -> None:
    with fake_cluster(answer) as (cluster, fake):
        assert owners_of_claims(cluster, namespace) == {"set-1", "database-1", "database-2"}
        assert all(("/namespaces/shop/" in asked.path) == bool(namespace) for asked in fake.asked)


def test_what_takes_claims_along_is_neither_pruned_nor_made_anew() -> None:
    policy = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}, "volumeClaimTemplates": [{}]}
    live = [
        (STATEFUL, item("set-1"), False),
        (STATEFUL, item("set-2"), True),
        (STATEFUL, item("new", kind="StatefulSet", spec=policy), False),
        (STATEFUL, item("none", kind="StatefulSet", spec={**policy, "persistentVolumeClaimRetentionPolicy": {}}), True),
        (CUSTOM, item("database-1"), False),
        (CUSTOM, item("database-3"), True),
        (CLAIM, item("claim-2"), False),
    ]
    request = RestoreRequest(component="shop", scope=Scope("namespace", "shop"), conflicts="recreate", prune=True)
    with fake_cluster(answer) as (cluster, _fake):
        target = Target(request, t.cast(t.Any, None), cluster)
        restore: t.Any = Restore.__new__(Restore)
        restore._request, restore._target = request, target
        extras = [types.SimpleNamespace(kind=kind, live=json.dumps(found).encode()) for kind, found, _free in live]
        pruned, spared = restore._pruned(types.SimpleNamespace(extras=extras))
        assert pruned == [extra for extra, (_kind, _found, free) in zip(extras, live, strict=True) if free]
        assert spared == [extra for extra in extras if extra not in pruned]
        for kind, found, free in live:
            change = types.SimpleNamespace(
                kind=kind, live=json.dumps(found).encode(), conflicts=["x"], item=types.SimpleNamespace(label="it")
            )
            change.conflicts = [types.SimpleNamespace(path="spec", message="immutable")]
            plan = t.cast(t.Any, types.SimpleNamespace(unserved=[], touches_live=[change]))
            if free:
                target.refuse_what_cannot_be(plan)
                continue
            with pytest.raises(Refused) as raised:
                target.refuse_what_cannot_be(plan)
            assert "would destroy" in str(raised.value.next_command)


POLICY = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}, "volumeClaimTemplates": [{}]}


@pytest.mark.parametrize(
    ("uid", "spec", "forbidden", "deleted"),
    [("set-2", {}, False, True), ("set-1", {}, False, False), ("new", POLICY, False, False), ("set-2", {}, True, True)],
)
def test_undoing_a_rollback_deletes_no_claims(
    monkeypatch: pytest.MonkeyPatch, uid: str, spec: dict[str, t.Any], forbidden: bool, deleted: bool
) -> None:
    """What it had made anew may have taken over claims that were there before."""
    live = item(uid, kind="StatefulSet", spec=spec)
    live["metadata"]["managedFields"] = [{"manager": "sre-runbooks"}]

    def reply(asked: Asked) -> Reply:
        if asked.path.endswith("/statefulsets/db"):
            return 200, live, {}
        return status(403, "Forbidden") if forbidden else answer(asked)

    gone: list[str] = []
    monkeypatch.setattr(rollback.waiting, "delete_and_wait", lambda _cluster, path, *_rest: gone.append(path))
    served = types.SimpleNamespace(served={("apps", "StatefulSet"): [STATEFUL]})
    monkeypatch.setattr(rollback, "discover", lambda _cluster: served)
    with fake_cluster(reply) as (cluster, _fake):
        undoing: t.Any = rollback.Rollback.__new__(rollback.Rollback)
        undoing._cluster, undoing._namespace, undoing.warnings = cluster, "shop", []
        undoing._request, undoing._progress = types.SimpleNamespace(timeout=1.0), None
        undoing._delete("StatefulSet", "db")
    assert bool(gone) == deleted and bool(undoing.warnings) != deleted
