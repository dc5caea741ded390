# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists: whole or not at all, of one moment, in pages whose size follows that of the objects."""

from __future__ import annotations

import json
import typing as t
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import listing
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.listing import Page, list_objects
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster, replies, status

KIND = Kind("apps", "v1", "deployments", "Deployment", True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
items = st.lists(st.dictionaries(st.text(max_size=4), json_values, max_size=3), max_size=5)


@given(items, st.booleans(), st.sampled_from([None, 1]), st.permutations(["kind", "metadata", "items"]))
def test_a_page_is_what_json_says(objects: list[t.Any], plain: bool, indent: int | None, order: list[str]) -> None:
    parts = {"kind": "List", "metadata": {"resourceVersion": "7"}, "items": objects}
    text = json.dumps({name: parts[name] for name in order}, ensure_ascii=plain, indent=indent)
    page = Page(text.encode("utf-8", "surrogatepass") if plain else text.encode("utf-8", "replace"))
    if plain:
        assert list(page) == objects and page.count == len(objects)
        assert page.metadata == {"resourceVersion": "7"}


@given(items, st.data())
def test_no_part_of_a_page_passes_for_it(objects: list[t.Any], data: st.DataObject) -> None:
    whole = json.dumps({"kind": "List", "metadata": {"resourceVersion": "7"}, "items": objects}).encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):
        list(Page(whole[:cut]))
    with pytest.raises(ValueError):
        list(Page(whole + whole))


def test_an_empty_list_may_be_null() -> None:
    assert list(Page(b'{"items": null, "metadata": {}}')) == []
    for body in (b"{}", b"[]", b'{"metadata": {}}', b'{"items": [1]}'):
        with pytest.raises(ValueError):
            list(Page(body))


class Served:
    """A collection in pages, as an API server gives it."""

    def __init__(self, names: list[str], size: int = 10) -> None:
        self.names, self.padding = names, "x" * size
        self.fail: dict[int, Reply] = {}
        self.moves = False
        self.queries: list[dict[str, str]] = []

    def __call__(self, asked: Asked) -> Reply:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(asked.path).query))
        self.queries.append(query)
        if len(self.queries) in self.fail:
            return self.fail[len(self.queries)]
        start = int(query.get("continue", 0))
        end = min(start + int(query.get("limit", len(self.names))), len(self.names))
        metadata = {"resourceVersion": f"{100 + start if self.moves else 100}"}
        if end < len(self.names):
            metadata["continue"] = str(end)
        found = [{"metadata": {"name": name}, "data": self.padding} for name in self.names[start:end]]
        return 200, {"metadata": metadata, "items": found}, {}


def names(found: list[dict[str, t.Any]]) -> list[str]:
    return [item["metadata"]["name"] for item in found]


def test_pages_make_a_whole_and_grow_to_their_limit() -> None:
    served = Served([f"n{number}" for number in range(1100)])
    with fake_cluster(served) as (cluster, fake):
        found = list_objects(cluster, KIND, "shop", "app=shop")
    assert names(found) == served.names
    assert found[0]["apiVersion"] == "apps/v1" and found[0]["kind"] == "Deployment"
    assert [query["limit"] for query in served.queries] == ["20", "500", "500", "500"]
    assert {query["labelSelector"] for query in served.queries} == {"app=shop"}
    assert fake.asked[0].path.startswith("/apis/apps/v1/namespaces/shop/deployments?")


def test_huge_objects_come_in_small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE_BYTES", 100_000)
    served = Served([f"n{number}" for number in range(60)], size=30_000)
    with fake_cluster(served) as (cluster, _fake):
        assert names(list_objects(cluster, KIND)) == served.names
    assert {query["limit"] for query in served.queries[1:]} == {"3"}


@pytest.mark.parametrize("failures", [1, 2, 3, 5])
def test_a_compacted_list_begins_anew(failures: int) -> None:
    served = Served([f"n{number}" for number in range(30)])
    # Every second page expires, until the list is asked for in one piece.
    served.fail = {2 * (number + 1): status(410, "Expired") for number in range(failures)}
    with fake_cluster(served) as (cluster, _fake):
        assert names(list_objects(cluster, KIND)) == served.names
    assert ("limit" in served.queries[-1]) == (failures < listing.RESTARTS)


def test_pages_of_different_moments_are_no_list() -> None:
    served = Served([f"n{number}" for number in range(30)])
    served.moves = True
    with fake_cluster(served) as (cluster, _fake):
        assert names(list_objects(cluster, KIND)) == served.names
    assert "limit" not in served.queries[-1] and len(served.queries) == 2 * listing.RESTARTS + 1


def test_half_a_list_fails() -> None:
    whole = json.dumps({"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "a"}}]}).encode()
    with fake_cluster(replies((200, whole[:-5], {}))) as (cluster, _fake):
        with pytest.raises(ApiFailure, match="is not whole"):
            list_objects(cluster, KIND)
