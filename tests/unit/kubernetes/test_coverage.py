# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is served and what of it is taken: nothing is missing in silence."""

from __future__ import annotations

import io
import time
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.coverage import (
    check_excluded,
    find_coverage,
    is_excluded,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind, discover
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.rights import grant_commands, rules
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import Scope, scope_from
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.side_stream import SideStream
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import Source
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, status

VERBS = ["create", "delete", "get", "list", "update"]
SHOP = Scope("namespace", "shop")


def resource(name: str, kind: str, scope: str = "Namespaced", verbs: t.Sequence[str] = VERBS) -> dict[str, t.Any]:
    return {"resource": name, "responseKind": {"kind": kind}, "scope": scope, "verbs": list(verbs)}


def group(name: str, **versions: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    return {
        "metadata": {"name": name},
        "versions": [
            {
                "version": version.lstrip("_"),
                "resources": found,
                "freshness": "Stale" if version[0] == "_" else "Current",
            }
            for version, found in versions.items()
        ],
    }


CORE = group("", v1=[resource("configmaps", "ConfigMap"), resource("secrets", "Secret"),
                     resource("namespaces", "Namespace", "Cluster"), resource("events", "Event"),
                     resource("bindings", "Binding", verbs=["create"])])  # fmt: skip
GROUPS = [
    group("apps", v1=[resource("deployments", "Deployment")]),
    group("events.k8s.io", v1=[resource("events", "Event")]),
    group("metrics.k8s.io", v1beta1=[resource("pods", "PodMetrics", verbs=["get", "list"])]),
    # The preferred version first; one kind only an older one has.
    group("example.com", v1=[resource("widgets", "Widget")], v1beta1=[resource("widgets", "Widget"),
                                                                        resource("gadgets", "Gadget")]),
]  # fmt: skip


def serving(groups: list[dict[str, t.Any]], **lists: Reply) -> t.Callable[[Asked], Reply]:
    """An API server whose collections are empty, but for ``lists``."""

    def answer(asked: Asked) -> Reply:
        path = asked.path.partition("?")[0]
        if path in ("/api", "/apis"):
            assert "as=APIGroupDiscoveryList" in asked.headers["Accept"]
            return 200, {"kind": "APIGroupDiscoveryList", "items": [CORE] if path == "/api" else groups}, {}
        if "selfsubjectreviews" in path:
            return 201, {"status": {"userInfo": {"username": "system:serviceaccount:ops:backup"}}}, {}
        return lists.get(path.rpartition("/")[2], (200, {"metadata": {}, "items": []}, {}))

    return answer


def test_each_kind_is_known_once_in_the_preferred_version_that_has_it() -> None:
    with fake_cluster(serving(GROUPS)) as (cluster, fake):
        found = discover(cluster)
        assert len(fake.asked) == 2
    assert [f"{kind.label} {kind.version}" for kind in found.kinds] == [
        "configmaps v1", "events v1", "namespaces v1", "secrets v1", "deployments.apps v1", "gadgets.example.com v1beta1",
        "widgets.example.com v1",
    ]  # fmt: skip
    assert {skipped.label for skipped in found.skipped} == {"bindings", "events.events.k8s.io", "pods.metrics.k8s.io"}
    assert [kind.version for kind in found.served["example.com", "Widget"]] == ["v1", "v1beta1"]


def test_a_server_that_does_not_aggregate_tells_the_same() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}, {}
        if asked.path == "/apis":
            versions = [{"version": "v1beta1"}, {"version": "v1"}]
            broken = {"name": "broken.com", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}
            listed = {"name": "example.com", "versions": versions, "preferredVersion": {"version": "v1"}}
            return 200, {"kind": "APIGroupList", "groups": [listed, broken]}, {}
        if "broken" in asked.path:
            return status(404, "NotFound", "gone")
        name = "widgets" if "example" in asked.path else "configmaps"
        listed = {"name": name, "kind": "X", "namespaced": True, "verbs": VERBS}
        return 200, {"resources": [listed, {**listed, "name": f"{name}/status"}]}, {}

    with fake_cluster(answer) as (cluster, _fake):
        found = discover(cluster)
    assert [f"{kind.label} {kind.version}" for kind in found.kinds] == ["configmaps v1", "widgets.example.com v1"]
    assert list(found.unavailable) == ["broken.com/v1"]


def test_a_scope_takes_its_kinds() -> None:
    with fake_cluster(serving(GROUPS)) as (cluster, _fake):
        inside = find_coverage(cluster, SHOP, [], 2)
        outside = find_coverage(cluster, Scope("cluster"), [], 2)
        selected = find_coverage(cluster, Scope("selection", None, "app=shop"), [], 2)
    assert "namespaces" not in {kind.label for kind in inside.kinds}
    assert {kind.label for kind in outside.kinds} == {"namespaces"}
    assert {kind.label for kind in selected.kinds} >= {"namespaces", "configmaps"}


def test_hidden_kinds_are_refused_with_what_to_grant() -> None:
    denied = status(403, "Forbidden", "backup cannot list secrets")
    with fake_cluster(serving(GROUPS, secrets=denied, deployments=denied)) as (cluster, _fake):
        with pytest.raises(Refused) as caught:
            find_coverage(cluster, SHOP, [], 2)
        found = find_coverage(cluster, SHOP, ["secrets", "*.apps"], 2)
    text = str(caught.value)
    assert "2 kinds cannot be read" in text and "system:serviceaccount:ops:backup" in text
    assert '- {apiGroups: ["apps"], resources: [deployments], verbs: [list]}' in text
    assert "--resource=secrets,deployments.apps" in text and "--serviceaccount=ops:backup" in text
    assert {skipped.label for skipped in found.skipped if skipped.excluded} == {"secrets", "deployments.apps"}


def test_groups_that_do_not_answer_are_refused_unless_they_only_measure() -> None:
    stale = [*GROUPS, group("stale.com", _v1=[])]
    with fake_cluster(serving(stale)) as (cluster, _fake):
        with pytest.raises(Refused, match=r"stale\.com/v1"):
            find_coverage(cluster, SHOP, [], 2)
        assert find_coverage(cluster, SHOP, ["*.stale.com"], 2).kinds
    with fake_cluster(serving([*GROUPS[:2], group("metrics.k8s.io", _v1beta1=[])])) as (cluster, _fake):
        assert find_coverage(cluster, SHOP, [], 2).kinds


def test_what_is_excluded_and_unknown_is_said() -> None:
    with fake_cluster(serving(GROUPS)) as (cluster, _fake):
        assert "gizmos" in find_coverage(cluster, SHOP, ["gizmos", "events"], 2).warnings[0]
    assert is_excluded("widgets.example.com", ["*.example.com"]) and not is_excluded("configmaps", ["*.example.com"])
    assert check_excluded(["events", "*.a-b.example.com"])
    for wrong in ("*", "Events", "a b", "x.*", ""):
        with pytest.raises(InvalidInput, match="not a kind"):
            check_excluded([wrong])


def test_rules_are_yaml_that_rbac_takes() -> None:
    kinds = [Kind("", "v1", "secrets", "Secret", True), Kind("apps", "v1", "deployments", "Deployment", True)]
    assert yaml.safe_load(rules(kinds, ["list", "get"])) == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "get"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "get"]},
    ]
    command = grant_commands(kinds, ["list"], None, "jo's")
    assert command.startswith("kubectl create clusterrole ") and "--user='jo'\"'\"'s'" in command


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("namespace", None, None), "the namespace that makes the component"),
        (("namespace", "shop", "a=b"), "no selector with scope namespace"),
        (("selection", "shop", None), "a selector of labels"),
        (("cluster", "shop", None), "no namespace with scope cluster"),
        (("namespace", "../etc", None), "a namespace's name"),
        (("namespace", "a" * 64, None), "a namespace's name"),
    ],
)
def test_scopes_that_are_none(given: t.Any, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected) as caught:
        scope_from(*given)
    assert "component_kubernetes_scope" in str(caught.value)


def test_scopes_that_are() -> None:
    assert scope_from("namespace", "shop", "") == SHOP and scope_from("cluster", "", " ") == Scope("cluster")
    assert scope_from("selection", None, "app=shop").words == "what carries app=shop in all namespaces"


class TestSideStream:
    def test_what_is_put_is_stored(self) -> None:
        kept = io.BytesIO()

        def ship(source: Source) -> t.Any:
            while chunk := source.read(3):
                kept.write(chunk)
            return "stored"

        with SideStream(ship) as aside:
            for number in range(50):
                aside.put(b"%d;" % number)
            assert aside.finish() == "stored"  # type: ignore[comparison-overlap]
        assert kept.getvalue() == b"".join(b"%d;" % number for number in range(50))

    def test_nothing_put_is_no_object(self) -> None:
        with SideStream(lambda _source: pytest.fail("asked for")) as aside:
            assert aside.finish() is None

    def test_a_failing_store_ends_the_other_stream_too(self) -> None:
        def ship(source: Source) -> t.Any:
            source.read(1)
            raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"), SideStream(ship) as aside:
            for _number in range(1000):
                aside.put(b"x" * 100)

    def test_an_abandoned_stream_stores_nothing(self) -> None:
        ended: list[str] = []

        def ship(source: Source) -> t.Any:
            while source.read(3):
                time.sleep(0.001)
            ended.append("whole")

        with pytest.raises(ValueError), SideStream(ship) as aside:
            aside.put(b"abc")
            raise ValueError
        assert ended == []
