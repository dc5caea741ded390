# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in a bucket: made once, refused where it could be overwritten, used by modules, its points listed."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import verify_stored
from ansible_collections.sre.runbooks.plugins.module_utils._repository import s3_requests
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    initialise_repository,
    open_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import ENVIRONMENT
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_store import S3Store
from tests.servers.module_call import call_module
from tests.servers.s3 import Gateway, bare_environment
from tests.unit.repository.taking import stored_point


@pytest.fixture(autouse=True)
def nothing_of_this_machine() -> t.Iterator[None]:
    with bare_environment():
        yield


@pytest.fixture
def url(s3_bucket: str) -> str:
    return f"s3://{s3_bucket}/prefix"


def test_a_repository_in_a_bucket(s3_gateway: Gateway, url: str) -> None:
    options = s3_gateway.options()
    assert initialise_repository(url, "testing", True, options) == (None, True)
    made, created = initialise_repository(url, "testing", False, options)
    assert made is not None and created
    again, created = initialise_repository(url + "/", "testing", False, options)
    assert again is not None and not created and again.id == made.id == open_repository(url, "testing", options).id
    with pytest.raises(Refused, match="belongs to another environment"):
        open_repository(url, "production", options)
    made.store.delete("repository.json")
    with pytest.raises(RepositoryError, match="no repository at"):
        open_repository(url, "testing", options)
    with pytest.raises(Refused, match=r"somebody deleted its repository\.json"):
        initialise_repository(url, "testing", False, options)


def test_a_store_that_overwrites_is_refused(s3_gateway: Gateway, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = s3_requests.KeyRequests._request

    def careless(self: t.Any, operation: str, **arguments: t.Any) -> t.Any:
        arguments.pop("IfNoneMatch", None)
        return original(self, operation, **arguments)

    monkeypatch.setattr(s3_requests.KeyRequests, "_request", careless)
    with pytest.raises(Refused, match="overwrites what is there"):
        initialise_repository(url, "testing", False, s3_gateway.options())


def test_modules_in_a_bucket(s3_gateway: Gateway, url: str) -> None:
    """Made, found, probed: and the secret is in no result."""
    common = {"repository": url, "environment_name": "testing", "s3": {**s3_gateway.options(), "part_size": "16M"}}
    probe = {"kind": "recovery_point", "name": "db", "component": "db", "rpo": "1h"}
    calls: list[tuple[str, dict[str, t.Any], bool]] = [
        ("repository", {}, True),
        ("repository", {}, False),
        ("repository", {}, False),
        ("repository_info", {}, False),
        ("probe", {"probes": [probe], "fail": False}, False),
    ]
    results = []
    for module, params, check in calls:
        result = call_module(module, {**common, **params}, check=check)
        assert not result.get("failed"), result
        assert common["s3"]["secret_key"] not in json.dumps(result), module
        results.append(result)
    assert [result["changed"] for result in results[:3]] == [True, True, False]
    assert results[3]["repository"]["free_bytes"] is None
    assert results[4]["verdict"] == "failed", "there is no recovery point"
    wrong = call_module("repository_info", {**common, "s3": {**common["s3"], "secret_key": "not-the-secret-of-it"}})
    assert wrong["error"]["kind"] == "not_permitted" and "not-the-secret-of-it" not in json.dumps(wrong)
    by_environment = {
        f"SRE_RUNBOOKS_S3_{name.removesuffix('_url').upper()}": common["s3"][name]
        for name in ENVIRONMENT
        if name in common["s3"]
    }
    found = call_module("repository_info", {**common, "s3": None}, environment=by_environment)
    assert found["repository"]["id"] == results[3]["repository"]["id"]


def test_points_of_a_bucket_are_listed_as_those_of_a_directory(s3_gateway: Gateway, url: str) -> None:
    """Several manifests are read at once; what is damaged or unfinished is told apart all the same."""
    made, _created = initialise_repository(url, "testing", False, s3_gateway.options())
    assert made is not None and isinstance(made.store, S3Store)
    noon = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
    taken = [stored_point(made, noon + datetime.timedelta(hours=hour), "db") for hour in range(10)]
    begin_point(made, "db", "postgresql", None)._store_document("RESTORE.md", "unfinished")
    damaged = begin_point(made, "db", "postgresql", None)
    made.store.create(f"{damaged.prefix}manifest.json", b"{}")
    listing = list_points(made, "db")
    assert [point.point_id for point in listing.points] == [point.point_id for point in reversed(taken)]
    assert [point.point_id for point in listing.damaged] == [damaged.point_id]
    assert len(listing.incomplete) == 1
    assert all(stored.version_id for point in listing.points for stored in point.objects)
    # What somebody laid on top, or hid, is not what is read.
    stored = taken[0].objects[0]
    key = made.store.location.prefix + stored.key
    s3_gateway.client().put_object(Bucket=made.store.location.bucket, Key=key, Body=b"forged")
    verify_stored(made.store, stored)
    s3_gateway.client().delete_object(Bucket=made.store.location.bucket, Key=key)
    verify_stored(made.store, stored)
    guide = made.store.read(f"{taken[0].prefix}RESTORE.md", 100_000).decode()
    assert f"aws s3 cp --recursive --only-show-errors {url}/{taken[0].prefix} ." in guide
