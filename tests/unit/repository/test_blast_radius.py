# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lint makes of the answers of a bucket such as AWS gives them, where the gateway of the tests gives none."""

from __future__ import annotations

import pathlib
import types
import typing as t

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import (
    BlastRadius,
    Demands,
    Finding,
    find_blast_radius,
    refuse_destroyable,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius_bucket import (
    Asking,
    bucket_findings,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius_s3 import s3_findings
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import S3Location, S3Options

LOCKED = {
    "ObjectLockConfiguration": {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}},
    }
}
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
GOOD: dict[str, t.Any] = {
    "get_bucket_versioning": {"Status": "Enabled"},
    "get_object_lock_configuration": LOCKED,
    "get_public_access_block": {"PublicAccessBlockConfiguration": dict.fromkeys(BLOCKS, True)},
    "get_bucket_policy_status": {"PolicyStatus": {"IsPublic": False}},
    "get_bucket_lifecycle_configuration": {"Rules": []},
    "get_bucket_encryption": {
        "ServerSideEncryptionConfiguration": {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        }
    },
    "head_bucket": {},
}


class Bucket:
    """A client whose answers are given; a text is the code of a refusal. It refuses every other account as the owner."""

    def __init__(self, owner: str | None, answers: dict[str, t.Any]) -> None:
        self.owner = owner
        self.answers = answers

    def __getattr__(self, request: str) -> t.Any:
        def answer(**arguments: t.Any) -> t.Any:
            found = self.answers[request]
            asked = arguments.get("ExpectedBucketOwner")
            if asked and self.owner and asked != self.owner:
                found = "AccessDenied"
            if isinstance(found, str):
                raise ClientError({"Error": {"Code": found}}, request)
            if isinstance(found, Exception):
                raise found
            return found

        return answer


def judge(
    prefix: str = "prod/", account: str | None = None, owner: str | None = "1", **answers: t.Any
) -> dict[str, str]:
    asking = Asking(Bucket(owner, {**GOOD, **answers}), "bucket")
    found = bucket_findings(asking, prefix, Demands(production_account=account))
    return {
        finding.check: finding.result + ("!" if finding.result == "fail" and finding.destroys else "")
        for finding in found
    }


def test_a_good_bucket() -> None:
    found = judge(account="2")
    assert found.pop("bucket_configuration") == "unknown"
    assert set(found.values()) == {"pass"}, found


def test_nothing_may_be_read() -> None:
    denied = dict.fromkeys(GOOD, "AccessDenied")
    assert set(judge(account="2", **denied).values()) == {"unknown"}


def test_no_answer_at_all() -> None:
    with pytest.raises(RepositoryError, match="does not answer"):
        judge(get_bucket_versioning=ReadTimeoutError(endpoint_url="https://s3.example.org"))


@pytest.mark.parametrize(
    ("status", "result"), [({"Status": "Suspended"}, "fail!"), ({}, "fail!"), ("AccessDenied", "unknown")]
)
def test_versioning(status: t.Any, result: str) -> None:
    found = judge(get_bucket_versioning=status, get_object_lock_configuration="ObjectLockConfigurationNotFoundError")
    assert found["versioning"] == result and found["object_lock"] == "fail!"
    assert found["suspend_versioning"] == ("fail!" if result == "fail!" else "unknown")


@pytest.mark.parametrize("open_one", BLOCKS)
def test_public_access(open_one: str) -> None:
    blocks = {**dict.fromkeys(BLOCKS, True), open_one: False}
    assert judge(get_public_access_block={"PublicAccessBlockConfiguration": blocks})["public_access"] == "fail"
    assert judge(get_public_access_block="NoSuchPublicAccessBlockConfiguration")["public_access"] == "fail"
    assert judge(get_bucket_policy_status={"PolicyStatus": {"IsPublic": True}})["public_access"] == "fail"


def test_whose_bucket() -> None:
    assert judge(account="1")["other_account"] == "fail!"
    assert judge(account="1", owner=None)["other_account"] == "unknown"  # a server that does not compare
    assert judge()["other_account"] == "unknown"


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        ({"Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}, "fail!"),
        ({"Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, "fail!"),
        ({"Prefix": "pro", "Expiration": {"Date": "2026-01-01"}}, "fail!"),
        ({"Filter": {"Prefix": "prod/components/"}, "Expiration": {"Days": 30}}, "fail!"),
        ({"Filter": {"And": {"Prefix": "prod/", "ObjectSizeGreaterThan": 1}}, "Expiration": {"Days": 30}}, "fail!"),
        ({"Filter": {"Prefix": "prod/control/"}, "Expiration": {"Days": 30}}, "pass"),
        ({"Filter": {"Prefix": "staging/"}, "Expiration": {"Days": 30}}, "pass"),
        ({"Filter": {"Tag": {"Key": "a", "Value": "b"}}, "Expiration": {"Days": 30}}, "pass"),
        ({"Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}, "pass"),
        ({"Filter": {"Prefix": ""}, "Expiration": {"ExpiredObjectDeleteMarker": True}}, "pass"),
        ({"Filter": {"Prefix": ""}, "Transitions": [{"Days": 30, "StorageClass": "GLACIER_IR"}]}, "pass"),
    ],
)
def test_lifecycle(rule: dict[str, t.Any], result: str) -> None:
    def rules(status: str) -> dict[str, t.Any]:
        return {"get_bucket_lifecycle_configuration": {"Rules": [{"ID": "x", "Status": status, **rule}]}}

    assert judge(**rules("Enabled"))["lifecycle"] == result
    assert judge(**rules("Disabled"))["lifecycle"] == "pass"
    assert judge(get_bucket_lifecycle_configuration="NoSuchLifecycleConfiguration")["lifecycle"] == "pass"


def test_encryption() -> None:
    none = "ServerSideEncryptionConfigurationNotFoundError"
    assert judge(get_bucket_encryption=none)["encryption"] == "fail"
    assert judge(get_bucket_encryption="NotImplemented")["encryption"] == "unknown"


class Ignorant:
    """A store on a server that does not know If-None-Match, and otherwise refuses everything."""

    location = S3Location("bucket", "prod/")

    class Content:
        def read(self, _limit: int) -> bytes:
            return b"probe"

    def __init__(self) -> None:
        refused = ("put_object", "delete_object", "put_object_retention", "get_object_retention")
        answers = {**GOOD, **dict.fromkeys(refused, "AccessDenied"), "get_object": {"Body": self.Content()}}
        self.client = Bucket(None, {**answers, "list_object_versions": {"Versions": []}})
        self.bucket = types.SimpleNamespace(options=S3Options())

    def create(self, key: str, _data: bytes) -> str:
        assert key.startswith("control/probes/")
        return "v1"


def test_a_server_that_lets_both_writers_win() -> None:
    found = {finding.check: finding for finding in s3_findings(t.cast("t.Any", Ignorant()), Demands())}
    assert found["create_only"].result == "fail" and found["create_only"].destroys
    assert {found[check].result for check in ("overwrite", "delete", "delete_version")} == {"pass"}


def test_what_is_refused() -> None:
    """Only what destroys; the message says all of it and what to do."""
    ok, hides = Finding("a", "pass", "x", "x"), Finding("b", "fail", "x", "y", "z")
    radius = BlastRadius((ok, hides))
    refuse_destroyable("s3://b", radius)
    assert radius.overall == "fail" and radius.facts()["immutable"] is True
    assert BlastRadius((ok, Finding("c", "unknown", "x", "y"))).overall == "unknown"
    worst = BlastRadius((ok, hides, Finding("d", "fail", "no", "yes", "mend it", True)))
    with pytest.raises(Refused, match=r"d: no.*d: yes.*mend it"):
        refuse_destroyable("s3://b", worst)
    assert worst.facts()["lines"][-1] == "fail    d: yes; expected: no; remedy: mend it"


def test_directory(tmp_path: pathlib.Path) -> None:
    store = FileStore(str(tmp_path / "repository"))
    store.make_root()
    (tmp_path / "repository").chmod(0o777)
    found = {finding.check: finding for finding in find_blast_radius(store, Demands()).findings}
    assert found["mode"].destroys and found["delete"].destroys
    assert found["owner"].result == found["same_filesystem"].result == "unknown"
    (tmp_path / "repository").chmod(0o755)
    looked = {finding.check: finding for finding in find_blast_radius(store, Demands(trying=False)).findings}
    assert looked["mode"].result == "fail" and not looked["mode"].destroys and looked["delete"].result == "unknown"
    assert not [path for path in (tmp_path / "repository").rglob("*") if path.is_file()]
