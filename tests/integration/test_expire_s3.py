# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention in a real bucket with versions and object locks: what is locked stays, what goes leaves no version behind."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import typing as t

import botocore.exceptions
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import read_tombstone
from tests.servers.module_call import call_module
from tests.servers.s3 import Gateway, bare_environment
from tests.unit.repository.taking import stored_point

DAY = datetime.timedelta(days=1)
POLICY = {"hourly": 0, "daily": 2, "weekly": 0, "monthly": 0, "yearly": 0, "min_age": "0"}


@dataclasses.dataclass
class Site:
    """A repository in a bucket, and the modules called as the identity of retention."""

    gateway: Gateway
    bucket: str
    prefix: str
    repository: Repository

    def call(self, module: str, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        own = {"repository": f"s3://{self.bucket}/{self.prefix}", "environment_name": "local", "component": "db"}
        return call_module(module, {**own, "s3": self.gateway.options("retention"), **params}, check)

    def versions(self, point: RecoveryPoint) -> list[dict[str, t.Any]]:
        """Every version and delete marker of a point, as the bucket's owner sees them."""
        answer = self.gateway.client().list_object_versions(Bucket=self.bucket, Prefix=f"{self.prefix}/{point.prefix}")
        return [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]

    def held(self, point: RecoveryPoint) -> set[str]:
        root = self.gateway.client()
        which = [{"Key": found["Key"], "VersionId": found["VersionId"]} for found in self.versions(point)]
        found = set()
        for each in which:
            try:
                found.add(root.get_object_legal_hold(Bucket=self.bucket, **each)["LegalHold"]["Status"])
            except botocore.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "NoSuchObjectLockConfiguration"
                found.add("OFF")
        return found


@pytest.fixture
def site(s3_gateway: Gateway) -> t.Iterator[Site]:
    bucket = s3_gateway.make_bucket(open_to=("backup", "retention"))
    prefix = f"prefix-{secrets.token_hex(3)}"
    with bare_environment():
        made, _created = initialise_repository(
            f"s3://{bucket}/{prefix}", "local", check_mode=False, s3=s3_gateway.options("backup")
        )
        assert made is not None
        yield Site(s3_gateway, bucket, prefix, made)


def test_what_goes_leaves_no_version_and_what_is_locked_stays(site: Site) -> None:
    now = _clock.now() - datetime.timedelta(minutes=5)
    locked, hidden, proven, second, newest = (
        stored_point(site.repository, now - days * DAY) for days in (4, 3, 2, 1, 0)
    )
    store, until = site.repository.store, _clock.now() + DAY
    for version in list(store.versions(f"{locked.prefix}objects/")):
        store.extend_lock(version.key, version.version_id, until)
    store.delete(f"{hidden.prefix}objects/a")  # a delete marker hides what is still paid for
    write_proof(site.repository, proven, "taken", None, 1.0, {})
    (proof, *_more) = store.versions(f"{proven.prefix}proofs/")
    store.extend_lock(proof.key, proof.version_id, until)

    checked = site.call("recovery_point_expire", check=True, **POLICY)
    assert [row["action"] for row in checked["plan"]] == ["keep", "keep", "expire", "expire", "keep"], checked
    assert checked["plan"][4]["reasons"] == [f"locked until {until.strftime('%Y-%m-%dT%H:%M:%SZ')}"]
    done = site.call("recovery_point_expire", lock_horizon="10d", **POLICY)
    assert set(done["expired"]) == {hidden.point_id, proven.point_id} and done["changed"], done
    assert done["waiting_for_locks"] == [proven.point_id]
    assert site.versions(hidden) == []
    assert {found["Key"].split("/")[-2] for found in site.versions(proven)} == {"proofs", proven.point_id}
    assert read_tombstone(site.repository, "db", hidden.point_id).sequence == 2
    listing = list_points(site.repository, "db")
    assert [point.point_id for point in listing.points] == [newest.point_id, second.point_id, locked.point_id]
    assert listing.expiring == [proven.point_id] and not listing.damaged
    # What is kept is locked for the horizon, every version of it.
    assert set(done["locks_extended"]) == {newest.point_id, second.point_id, locked.point_id}
    for point in (newest, second, locked):
        for version in store.versions(point.prefix):
            lasts = store.locked_until(version.key, version.version_id)
            assert lasts is not None and lasts > _clock.now() + 9 * DAY, version
    again = site.call("recovery_point_expire", lock_horizon="10d", **POLICY)
    assert not again["changed"] and again["locks_extended"] == [], again


def test_a_hold_is_the_store_s_own(site: Site) -> None:
    now = _clock.now() - datetime.timedelta(minutes=5)
    old, *_others = [stored_point(site.repository, now - days * DAY) for days in (9, 1, 0)]
    hold = {"recovery_point": old.point_id, "kind": "hold", "reason": "case 17"}
    placed = site.call("recovery_point_pin", **hold)
    assert placed["changed"] and placed["store_holds"] == len(site.versions(old)), placed
    assert site.held(old) == {"ON"}
    assert not site.call("recovery_point_pin", **hold)["changed"]
    with pytest.raises(RepositoryError):
        site.repository.store.purge(f"{old.prefix}objects/a")
    kept = site.call("recovery_point_expire", **POLICY)
    assert not kept["changed"] and old.point_id not in kept["expired"], kept
    assert site.call("recovery_point_pin", **hold, state="absent")["changed"]
    assert site.held(old) == {"OFF"}
    gone = site.call("recovery_point_expire", **POLICY)
    assert gone["expired"] == [old.point_id], gone
    assert site.versions(old) == []
