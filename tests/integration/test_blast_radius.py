# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""repository_info's blast radius and require_immutable against buckets of every kind on a real gateway."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import Demands, find_blast_radius
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_store
from tests.servers.module_call import call_module
from tests.servers.s3 import Gateway
from tools.local_environment import LocalEnvironment

PROBES = "control/probes/"
TRIES = ("create_only", "overwrite", "shorten_retention", "delete", "bypass_governance", "delete_version")


def lint(gateway: Gateway, bucket: str, identity: str = "backup", prefix: str = "", **demands: t.Any) -> dict[str, str]:
    """Results by check; what destroys is ``fail!``."""
    url = f"s3://{bucket}/{prefix}".rstrip("/")
    radius = find_blast_radius(open_store(url, gateway.options(identity)), Demands(**demands))
    return {
        finding.check: finding.result + ("!" if finding.result == "fail" and finding.destroys else "")
        for finding in radius.findings
    }


def probes(gateway: Gateway, bucket: str) -> list[str]:
    listed = gateway.client().list_object_versions(Bucket=bucket)
    return [entry["Key"] for entry in [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]]


def test_documented_policy_protects(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket(lock_mode="governance", lock_days=7, open_to=())
    s3_gateway.set_documented_policy(bucket, "prod/")
    first_day = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d}"
    for identity in ("backup", "prover"):
        found = lint(s3_gateway, bucket, identity, "prod")
        assert found["versioning"] == found["suspend_versioning"] == found["object_lock"] == "pass", found
        refused = [check for check in TRIES if check != "overwrite"]
        assert {check: found[check] for check in refused} == dict.fromkeys(refused, "pass"), found
        # The gateway does not know s3:if-none-match; nothing is lost by it.
        assert found["overwrite"] == "fail"
        assert found["public_access"] == found["lifecycle"] == "pass"
    # The one that deletes what retention has given up is seen as such, and one that only reads cannot try.
    assert lint(s3_gateway, bucket, "retention", "prod")["delete_version"] == "fail!"
    reader = lint(s3_gateway, bucket, "reader", "prod")
    assert reader["overwrite"] == reader["delete_version"] == "pass" and reader["delete"] == "unknown"
    # One key a day; the versions above it are what the gateway could not refuse.
    days = {first_day, f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%d}"}
    assert {f"prod/{PROBES}{first_day}"} <= set(probes(s3_gateway, bucket)) <= {f"prod/{PROBES}{day}" for day in days}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            {"lock_mode": "governance", "lock_days": 7},
            {"object_lock": "pass", "bypass_governance": "fail!", "delete_version": "fail!", "delete": "fail"},
        ),
        (
            {"lock_mode": "compliance", "lock_days": 7},
            {"object_lock": "pass", "bypass_governance": "pass", "delete_version": "fail!", "delete": "fail"},
        ),
        ({"lock_mode": "governance", "lock_days": 1}, {"object_lock": "fail!", "versioning": "pass"}),
        ({}, {"object_lock": "fail!", "bypass_governance": "unknown", "shorten_retention": "unknown"}),
        ({"lock": False}, {"object_lock": "fail!", "versioning": "pass", "suspend_versioning": "unknown"}),
        (
            {"lock": False, "versioning": False},
            {"versioning": "fail!", "suspend_versioning": "fail!", "overwrite": "fail!", "delete": "fail!"},
        ),
    ],
)
def test_an_identity_that_may_do_everything(
    s3_gateway: Gateway, kind: dict[str, t.Any], expected: dict[str, str]
) -> None:
    bucket = s3_gateway.make_bucket(**kind)
    for _time in range(2):  # the second one finds what the first left, where a lock keeps it
        found = lint(s3_gateway, bucket)
        assert {check: found[check] for check in expected} == expected
    if kind.get("lock_mode") is None:
        assert probes(s3_gateway, bucket) == []


def test_looking_writes_nothing(s3_gateway: Gateway) -> None:
    bucket = s3_gateway.make_bucket(lock_mode="governance", lock_days=30)
    found = lint(s3_gateway, bucket, trying=False, minimum_lock=datetime.timedelta(days=30))
    assert found["object_lock"] == "pass" and {found[check] for check in TRIES} == {"unknown"}
    assert probes(s3_gateway, bucket) == []
    assert lint(s3_gateway, bucket, trying=False, minimum_lock=datetime.timedelta(days=31))["object_lock"] == "fail!"


def test_another_account(s3_gateway: Gateway) -> None:
    """The gateway's accounts are its users: the bucket's owner is the root user."""
    bucket = s3_gateway.make_bucket()
    assert lint(s3_gateway, bucket, trying=False)["other_account"] == "unknown"
    own = s3_gateway.root.access_key
    assert lint(s3_gateway, bucket, trying=False, production_account=own)["other_account"] == "fail!"
    assert lint(s3_gateway, bucket, trying=False, production_account="123456789012")["other_account"] == "pass"


def call(module: str, gateway: Gateway, url: str, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    own = {"repository": url, "environment_name": "local", "s3": gateway.options()}
    return call_module(module, {**own, **params}, check)


def test_modules_tell_and_refuse(s3_gateway: Gateway) -> None:
    weak = s3_gateway.make_bucket()
    url = f"s3://{weak}/prod"
    assert call("repository", s3_gateway, url)["changed"]
    refused = call("repository", s3_gateway, url, require_immutable=True)
    assert refused["failed"] and refused["error"]["kind"] == "refused", refused
    assert "object_lock: on, but nothing is locked" in refused["error"]["found"]
    assert "s3:DeleteObjectVersion" in refused["error"]["next_command"]
    checked = call("repository", s3_gateway, url, True, require_immutable=True)
    assert checked["failed"] and probes(s3_gateway, weak) == ["prod/repository.json"]

    strong = s3_gateway.make_bucket(lock_mode="governance", lock_days=7, open_to=())
    s3_gateway.set_documented_policy(strong, "prod/")
    url = f"s3://{strong}/prod"
    made = call("repository", s3_gateway, url, require_immutable=True)
    assert made["changed"] and made["blast_radius"]["immutable"] is True, made
    shorter = call("repository", s3_gateway, url, require_immutable=True, minimum_lock="30d")
    assert shorter["failed"] and "7 d 00 h" in shorter["error"]["found"]
    told = call("repository_info", s3_gateway, url, blast_radius="try")["blast_radius"]
    assert told["overall"] == "fail" and told["immutable"] is True
    assert any(line.startswith("pass    delete_version: refused") for line in told["lines"])
    checked = call("repository_info", s3_gateway, url, True, blast_radius="try")["blast_radius"]
    assert {entry["result"] for entry in checked["checks"] if entry["check"] in TRIES} == {"unknown"}


def test_playbooks_show_it(s3_gateway: Gateway, tmp_path: pathlib.Path) -> None:
    """prepare_repository prints a line per question and refuses a weak bucket; check_health keeps looking."""
    local = LocalEnvironment(tmp_path / "local", os.path.dirname(sys.executable))
    bucket = s3_gateway.make_bucket(lock_mode="governance", lock_days=7, open_to=())
    s3_gateway.set_documented_policy(bucket, "prod/")

    def play(playbook: str, *arguments: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        given = {"repository_url": f"s3://{bucket}/prod", "repository_s3": s3_gateway.options()}
        path = tmp_path / "variables.json"
        path.write_text(json.dumps({**given, "repository_require_immutable": True, **variables}), encoding="utf-8")
        return local.play(
            playbook, "-e", f"@{path}", "-e", "component_hosts=flights_db", *arguments, capture_output=True
        )

    planned = play("prepare_repository", "--check")
    assert planned.returncode == 0 and "changed=1" in planned.stdout, planned.stdout
    prepared = play("prepare_repository", repository_production_account=123456789012)
    assert prepared.returncode == 0 and "changed=1" in prepared.stdout, prepared.stdout
    for line in (
        "pass    delete_version: refused",
        "pass    object_lock: governance mode, 7 d",
        "pass    other_account",
    ):
        assert line in prepared.stdout
    assert s3_gateway.identity("backup").secret_key not in prepared.stdout
    refused = play("prepare_repository", repository_minimum_lock="30d")
    assert refused.returncode != 0 and "not immutable" in refused.stdout, refused.stdout
    play("check_health", repository_minimum_lock="30d")  # no server runs here, which it says too
    (probe,) = [
        probe
        for component in local.latest_report()["components"]
        for probe in component["probes"]
        if "cannot be destroyed" in probe["name"] and component["name"] == "flights_db"
    ]
    assert probe["outcome"] == "failed" and probe["message"].startswith("object_lock: governance mode, 7 d"), probe


def test_directory(tmp_path: pathlib.Path) -> None:
    url = f"file://{tmp_path}/repository"
    own = {"repository": url, "environment_name": "local"}
    assert call_module("repository", own)["changed"]
    told = call_module("repository_info", {**own, "blast_radius": "try", "data_paths": [str(tmp_path)]})
    found = {entry["check"]: entry["result"] for entry in told["blast_radius"]["checks"]}
    assert found == {
        "delete": "fail",
        "same_filesystem": "fail",
        "owner": "fail",
        "mode": "pass",
        "snapshots": "unknown",
    }
    assert list((tmp_path / "repository" / "control").rglob("*")) in ([], [tmp_path / "repository/control/probes"])
    refused = call_module("repository", {**own, "require_immutable": True})
    assert refused["failed"] and "a probe could be deleted" in refused["error"]["found"]
