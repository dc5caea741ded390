# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evidence in a bucket with versions, on a real gateway: nothing hides behind a delete marker or a later version."""

from __future__ import annotations

import io
import os
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from tests.servers.module_call import call_module
from tests.servers.s3 import Gateway


class Site:
    """A repository in a bucket, and somebody who may do everything in it."""

    def __init__(self, gateway: Gateway, bucket: str) -> None:
        self.gateway = gateway
        self.bucket = bucket
        self.url = f"s3://{bucket}/backups"
        made, _created = initialise_repository(self.url, "local", False, gateway.options())
        assert made is not None
        self.repository: Repository = made
        self.root = gateway.client()

    def call(self, module: str, **options: t.Any) -> dict[str, t.Any]:
        own = {"repository": self.url, "environment_name": "local", "s3": self.gateway.options()}
        return call_module(module, {**own, "component": "flights_db", **options})

    def take(self) -> RecoveryPoint:
        writer = begin_point(self.repository, "flights_db", "postgresql", None)
        name = "db-0001/1.dat.zst"
        source = io.BytesIO(os.urandom(5000))
        writer.add(store_stream(self.repository.store, writer.object_key(name), name, source, Encoding()))
        return writer.commit(engine_version="15", consistency_time=_clock.now(), content={}, restore_guide="None.")

    def hide(self, key: str) -> None:
        self.root.delete_object(Bucket=self.bucket, Key=f"backups/{key}")

    def overwrite(self, key: str, content: bytes) -> None:
        self.root.put_object(Bucket=self.bucket, Key=f"backups/{key}", Body=content)


@pytest.fixture
def site(s3_gateway: Gateway, s3_bucket: str) -> Site:
    return Site(s3_gateway, s3_bucket)


def test_what_is_hidden_or_written_over_in_a_bucket_is_named(site: Site) -> None:
    points = [site.take() for _ in range(5)]
    first = site.call("evidence")
    assert first.get("intact") and len(first["read"]) == 5, first
    again = site.call("evidence")
    assert again["intact"] and again["unchanged"] == 5 and again["bytes"] == 0
    site.hide(points[1].manifest_key)
    site.hide(points[2].objects[0].key)
    manifest = site.repository.store.read(points[3].manifest_key, 10**6)
    site.overwrite(points[3].manifest_key, manifest.replace(b'"15"', b'"16"'))
    site.overwrite(points[4].objects[0].key, b"x" * points[4].objects[0].length)
    for module, options in (("evidence_info", {}), ("evidence", {})):
        found = site.call(module, **options)
        kinds = {finding["subject"]: finding["kind"] for finding in found["findings"]}
        assert kinds[points[1].point_id] == "hidden"
        assert kinds[f"points/{points[2].point_id}/objects/db-0001/1.dat.zst"] == "hidden"
        assert kinds[f"points/{points[3].point_id}/manifest.json"] == "altered"
        assert kinds[f"points/{points[4].point_id}/objects/db-0001/1.dat.zst"] == "altered"
        assert "removed" not in [finding["kind"] for finding in found["findings"]]
    # What the manifest lists is read in the version that it names, so the data itself is whole.
    assert found["failed"] and set(found["damaged"]) <= {points[3].point_id}
