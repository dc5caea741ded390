# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documented bucket policy against a real gateway: each identity does its work, and a thief destroys nothing."""

from __future__ import annotations

import collections.abc
import functools
import hashlib
import json
import pathlib
import re
import typing as t

import pytest
from botocore.exceptions import ClientError

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server
from tests.servers.s3 import Gateway

NAME = "flights_db"
PREFIX = "backups/prod"


class Site:
    """A component whose repository lies in a bucket with the documented policy; its modules called as an identity."""

    def __init__(self, server: Server, gateway: Gateway, scratch: pathlib.Path) -> None:
        self.server = server
        self.gateway = gateway
        self.scratch = scratch
        self.bucket = gateway.make_bucket(lock_mode="governance", lock_days=7, open_to=())
        gateway.set_documented_policy(self.bucket, f"{PREFIX}/")
        self.url = f"s3://{self.bucket}/{PREFIX}"
        self.root = gateway.client()

    def call(self, module: str, identity: str, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        own = {"repository": self.url, "environment_name": "local", "s3": self.gateway.options(identity)}
        return call_module(module, {**own, **params}, check)

    def back_up(self) -> dict[str, t.Any]:
        return self.call("postgresql_backup", "backup", component=NAME, force=True, **self.server.params())

    def drill(self) -> dict[str, t.Any]:
        params = {"scratch_dir": str(self.scratch), "bin_dir": self.server.bin_dir, "drill_interval": "0"}
        return self.call("postgresql_drill", "prover", component=NAME, **params)

    def verify(self) -> dict[str, t.Any]:
        return self.call("recovery_point_verify", "prover", component=NAME, force=True)

    def points(self) -> list[dict[str, t.Any]]:
        found = self.call("recovery_point_info", "reader", component=NAME)
        assert "error" not in found, found
        return t.cast("list[dict[str, t.Any]]", found["recovery_points"])

    def versions(self, prefix: str = f"{PREFIX}/") -> dict[tuple[str, str], str]:
        """The sha256 of every version below the prefix, as the bucket's owner reads it."""
        pages = self.root.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix=prefix)
        found = {}
        for entry in [entry for page in pages for entry in page.get("Versions", [])]:
            which = {"Key": entry["Key"], "VersionId": entry["VersionId"]}
            content = self.root.get_object(Bucket=self.bucket, **which)["Body"].read()
            found[(entry["Key"], entry["VersionId"])] = hashlib.sha256(content).hexdigest()
        return found


@pytest.fixture(scope="module")
def site(postgresql_system: Server, s3_gateway: Gateway) -> collections.abc.Iterator[Site]:
    scratch = pathlib.Path(place.make_directory(None, "srt-"))
    scratch.chmod(0o755)
    found = Site(postgresql_system, s3_gateway, scratch)
    try:
        postgresql_system.execute("CREATE DATABASE flights")
        postgresql_system.execute("CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i", "flights")
        made = found.call("repository", "backup", require_immutable=True)
        assert made["changed"] and made["blast_radius"]["immutable"], made
        yield found
    finally:
        postgresql_system.execute("DROP DATABASE IF EXISTS flights WITH (FORCE)")
        postgresql_system.execute("DROP SCHEMA IF EXISTS sre_runbooks CASCADE")
        scratch.rmdir()


def refusal(attack: collections.abc.Callable[..., t.Any], **arguments: t.Any) -> str:
    """The code with which S3 refused; empty when it did not."""
    try:
        attack(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def one_of_each_kind(versions: collections.abc.Iterable[tuple[str, str]], point: str) -> list[tuple[str, str]]:
    """Everything of one point, and of everything else one of each kind."""
    kinds = {}
    for key, version in versions:
        kind = key if key.startswith(point) else re.sub(r"\d{3,}[0-9A-Za-z.]*(-[0-9a-f]{4,8})?", "#", key)
        kinds[kind] = (key, version)
    return list(kinds.values())


def test_each_identity_does_its_work_and_no_other(site: Site) -> None:
    taken = site.back_up()
    assert taken.get("changed"), taken
    (point,) = [point for point in site.points() if point["point_id"] == taken["recovery_point"]["point_id"]]
    assert point["level"] == "taken"
    verified = site.verify()
    assert verified["recovery_point"]["level"] == "verified" and not verified["failures"], verified
    drilled = site.drill()
    assert "error" not in drilled and site.points()[0]["level"] == "asserted", drilled
    # The backup identity proves nothing, the reader writes nothing, and both are told who may.
    forged = site.call("recovery_point_verify", "backup", component=NAME, force=True)
    assert forged["failed"] and forged["error"]["kind"] == "not_permitted", forged
    refused = site.call("postgresql_backup", "reader", component=NAME, force=True, **site.server.params())
    assert refused["failed"] and refused["error"]["kind"] == "not_permitted", refused
    assert len(site.points()) == 1
    pinned = site.call("recovery_point_pin", "retention", component=NAME, reason="audit")
    assert pinned["changed"], pinned
    forged = site.call("recovery_point_pin", "backup", component=NAME, reason="mine", recovery_point="newest")
    assert forged.get("failed") or not forged["changed"], forged
    expired = site.call("recovery_point_expire", "retention", component=NAME)
    assert not expired.get("failed") and not expired["changed"], expired
    assert len(site.points()) == 1


def test_a_backup_passes_by_what_it_may_not_sweep(site: Site) -> None:
    """What a killed backup left stays for the retention identity and does not stop the next one."""
    left = f"{PREFIX}/components/{NAME}/points/20200101T000000Z-abcd/objects/db-0001/toc.dat.zst"
    site.gateway.client("backup").put_object(Bucket=site.bucket, Key=left, Body=b"left", IfNoneMatch="*")
    taken = site.back_up()
    assert taken.get("changed"), taken
    assert [key for key, _version in site.versions(left)] == [left]


def test_a_thief_of_the_backup_identity_destroys_nothing(site: Site) -> None:
    """Everything that it can try: each is refused, or leaves the earlier version where it was, and is found."""
    assert site.back_up().get("changed")
    newest = site.points()[0]["point_id"]
    thief = site.gateway.client("backup")
    before = site.versions()
    place_of_point = f"{PREFIX}/components/{NAME}/points/{newest}/"
    for key, version in one_of_each_kind(before, place_of_point):
        at = {"Bucket": site.bucket, "Key": key}
        ours = {**at, "VersionId": version}
        soon = {"Mode": "GOVERNANCE", "RetainUntilDate": "2030-01-01T00:00:00Z"}
        assert refusal(thief.delete_object, **ours) == "AccessDenied"
        assert refusal(thief.delete_object, **ours, BypassGovernanceRetention=True) == "AccessDenied"
        assert refusal(thief.put_object_retention, **ours, Retention=soon) == "AccessDenied"
        bypassing = {"Retention": soon, "BypassGovernanceRetention": True}
        assert refusal(thief.put_object_retention, **ours, **bypassing) == "AccessDenied"
        if "/control/leases/" not in key and "/control/runs/" not in key:
            assert refusal(thief.delete_object, **at) == "AccessDenied"
        listed = {"Objects": [{"Key": key, "VersionId": version}]}
        deleted = thief.delete_objects(Bucket=site.bucket, Delete=listed)
        assert deleted.get("Errors") and not deleted.get("Deleted")
        if not key.endswith("/repository.json"):
            # Only AWS knows the condition that would refuse this.
            refusal(thief.put_object, **at, Body=b"ransom")
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{site.bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    bucket = {"Bucket": site.bucket}
    assert refusal(thief.put_bucket_versioning, **bucket, VersioningConfiguration={"Status": "Suspended"})
    assert refusal(thief.put_object_lock_configuration, **bucket, ObjectLockConfiguration={}) == "AccessDenied"
    assert refusal(thief.put_bucket_policy, **bucket, Policy=policy) == "AccessDenied"
    assert refusal(thief.delete_bucket_policy, **bucket) == "AccessDenied"
    assert refusal(thief.delete_bucket, **bucket)
    expiring = {"Rules": [{"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]}
    assert refusal(thief.put_bucket_lifecycle_configuration, **bucket, LifecycleConfiguration=expiring)

    after = site.versions()
    assert {version: after.get(version) for version in before} == before, "a version was lost or changed"
    # What was laid over the newest point is seen, whatever the policy could not refuse.
    overwritten = {key for key, _version in set(after) - set(before)}
    assert any(key.endswith("/manifest.json") for key in overwritten)
    listed = site.call("recovery_point_info", "reader", component=NAME)
    assert newest in {entry["point_id"] for entry in listed["damaged"]}, listed
    verify = functools.partial(site.call, "recovery_point_verify", "prover", component=NAME, recovery_point=newest)
    examined = verify(force=True)
    assert examined["failed"] and examined["error"]["kind"] == "integrity", examined
    # The bucket's owner takes away what was laid over it, and all of it is back.
    for key, version in set(after) - set(before):
        site.root.delete_object(Bucket=site.bucket, Key=key, VersionId=version, BypassGovernanceRetention=True)
    examined = verify(force=True)
    assert not examined.get("failed") and examined["failures_count"] == 0 and examined["objects"] > 3, examined


def test_an_identity_laid_over_the_repositorys_own_is_noticed(site: Site) -> None:
    key = f"{PREFIX}/repository.json"
    laid = site.gateway.client("backup").put_object(Bucket=site.bucket, Key=key, Body=b"{}")["VersionId"]
    try:
        refused = site.call("recovery_point_info", "reader", component=NAME)
        assert refused["failed"] and "repository.json" in refused["msg"], refused
    finally:
        site.root.delete_object(Bucket=site.bucket, Key=key, VersionId=laid, BypassGovernanceRetention=True)
    assert "recovery_points" in site.call("recovery_point_info", "reader", component=NAME)


def test_others_may_not_even_look(site: Site) -> None:
    stranger = site.gateway.client("attacker")
    assert refusal(stranger.list_objects_v2, Bucket=site.bucket) == "AccessDenied"
    assert refusal(stranger.get_object, Bucket=site.bucket, Key=f"{PREFIX}/repository.json") == "AccessDenied"
    assert refusal(stranger.put_object, Bucket=site.bucket, Key=f"{PREFIX}/runs/x", Body=b"") == "AccessDenied"
