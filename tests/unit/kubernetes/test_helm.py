# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helm's releases as its objects hold them, and objects that only look like one."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import helm
from tests.servers.kubernetes.releases import SECRET_VALUE, release_object


def test_what_is_told_of_a_release() -> None:
    for kind in ("Secret", "ConfigMap"):
        found = helm.release_of(release_object("web", 3, kind=kind))
        assert found is not None
        assert found.facts() == {
            "namespace": "shop",
            "name": "web",
            "revision": 3,
            "status": "deployed",
            "chart": "web-chart",
            "chart_version": "1.2.3",
            "app_version": "2026.11",
            "problem": None,
        }


def test_the_newest_revision_of_each_is_listed_and_no_value() -> None:
    releases = helm.Releases()
    for obj in (
        release_object("web", 9, "superseded"),
        release_object("web", 10),
        release_object("web", 2, "superseded"),
        release_object("api", 1, "failed"),
        {"kind": "Secret", "type": "Opaque", "metadata": {"name": "other", "labels": {"owner": "helm"}}},
        {"kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"release": "1"}},
    ):
        releases.note(obj)
    listed = releases.facts()
    assert [(release["name"], release["revision"], release["status"]) for release in listed] == [
        ("api", 1, "failed"),
        ("web", 10, "deployed"),
    ]
    assert SECRET_VALUE not in json.dumps(listed)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"release": "%%"},
        {"release": base64.b64encode(b"no base64 %").decode()},
        {"release": base64.b64encode(base64.b64encode(gzip.compress(b"[]"))).decode()},
        {"release": base64.b64encode(base64.b64encode(gzip.compress(b"{}"))).decode()},
        {"release": base64.b64encode(base64.b64encode(gzip.compress(b"{}")[:-4])).decode()},
        {"release": 5},
    ],
)
def test_one_that_cannot_be_decoded_is_listed_as_that(data: dict[str, t.Any]) -> None:
    found = helm.release_of({**release_object("web", 3), "data": data})
    assert found is not None and found.problem is not None
    assert (found.name, found.revision, found.status) == ("web", 3, "deployed")


def test_it_does_not_unpack_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm, "_LIMIT", 1 << 20)
    bomb = base64.b64encode(base64.b64encode(gzip.compress(b" " * (1 << 24)))).decode()
    found = helm.release_of({**release_object("web", 3), "data": {"release": bomb}})
    assert found is not None and found.problem is not None


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_whatever_passes_by_does_no_harm(data: t.Any) -> None:
    obj = {"kind": "Secret", "type": "helm.sh/release.v1", "metadata": {"name": "x"}, "data": data}
    releases = helm.Releases()
    releases.note(obj)
    assert len(releases.facts()) == 1
