# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A live object made what was recorded, with what the server has set and nothing that others have added."""

from __future__ import annotations

import copy
import typing as t

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.overlay import overlay

LIVE = {
    "metadata": {"name": "web", "uid": "u-1", "labels": {"app": "web", "added": "x"}},
    "spec": {
        "replicas": 5,
        "clusterIP": "10.0.0.7",
        "containers": [
            {"name": "sidecar", "image": "side:1"},
            {"name": "web", "image": "web:2", "terminationMessagePath": "/dev/termination-log"},
        ],
    },
}
#: What of it somebody meant.
CONTENT = {
    "metadata": {"name": "web", "labels": {"app": "web", "added": "x"}},
    "spec": {
        "replicas": 5,
        "containers": [{"name": "sidecar", "image": "side:1"}, {"name": "web", "image": "web:2"}],
    },
}
DESIRED = {
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"replicas": 3, "containers": [{"name": "web", "image": "web:1"}]},
}


def test_what_others_added_goes_and_what_the_server_set_stays() -> None:
    before = copy.deepcopy(LIVE)
    made = overlay(DESIRED, CONTENT, LIVE)
    assert made["metadata"] == {"name": "web", "uid": "u-1", "labels": {"app": "web"}}
    assert made["spec"] == {
        "replicas": 3,
        "clusterIP": "10.0.0.7",
        "containers": [{"name": "web", "image": "web:1", "terminationMessagePath": "/dev/termination-log"}],
    }
    assert before == LIVE


def test_values_that_are_the_server_s_stay_in_lists_without_names() -> None:
    """Finalizers, of which the control plane has some."""
    made = overlay({"finalizers": ["b"]}, {"finalizers": ["a"]}, {"finalizers": ["a", "kubernetes"]})
    assert made == {"finalizers": ["b", "kubernetes"]}


def test_a_field_of_another_kind_is_replaced_whole() -> None:
    assert overlay({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}) == {"a": {"b": 1}}
    assert overlay({"a": None, "c": 1}, {"a": 2}, {"a": 2}) == {"c": 1}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), plain, max_size=3))
def test_what_is_as_desired_is_left_as_it_is(content: dict[str, t.Any]) -> None:
    live = {**content, "server": "x"}
    assert overlay(content, content, live) == live
