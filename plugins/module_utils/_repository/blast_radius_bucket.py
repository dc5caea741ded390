# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a bucket says of itself: versions, locks, public access, owner, lifecycle, encryption. Only ever read."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import (
    FAIL,
    PASS,
    UNKNOWN,
    Demands,
    Finding,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import code_of, status_of
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_DENIED = {"AccessDenied", "AllAccessDisabled", "Forbidden", "403"}
_MISSING = {"NoSuchKey", "NoSuchVersion", "NotFound", "404"}
_UNSUPPORTED = {"NotImplemented", "XNotImplemented", "501"}
#: No account of anybody: a server that accepts it as the owner does not compare owners.
_NOBODY = "000000000001"
_READ_CONFIGURATION = "let the identity read the bucket's configuration (docs/bucket.md), or ask its owner"


@dataclass(frozen=True)
class Answer:
    """What a request gave; without ``data`` it failed, with S3's code."""

    data: dict[str, t.Any] | None
    code: str = ""
    status: int | None = None

    @property
    def denied(self) -> bool:
        return self.data is None and (self.code in _DENIED or self.status == 403)

    @property
    def missing(self) -> bool:
        return self.data is None and self.code in _MISSING

    @property
    def unsupported(self) -> bool:
        return self.data is None and (self.code in _UNSUPPORTED or self.status == 501)


@dataclass
class Asking:
    """Requests to one bucket. A refusal is an answer; no answer is a :class:`RepositoryError`."""

    client: t.Any
    bucket: str
    _kept: dict[str, Answer] = field(default_factory=dict)

    def ask(self, request: str, **arguments: t.Any) -> Answer:
        import botocore.exceptions

        try:
            return Answer(getattr(self.client, request)(Bucket=self.bucket, **arguments))
        except botocore.exceptions.ClientError as error:
            return Answer(None, code_of(error), status_of(error))
        except botocore.exceptions.BotoCoreError as error:
            raise RepositoryError(
                f"bucket {self.bucket} does not answer",
                expected=f"an answer to {request}",
                found=type(error).__name__,
            ) from None

    def configuration(self, request: str) -> Answer:
        """A question about the bucket, asked once."""
        if request not in self._kept:
            self._kept[request] = self.ask(request)
        return self._kept[request]

    @property
    def default_lock(self) -> tuple[str, int] | None:
        """Mode and days that a new object gets by default; None without, or when that can't be read."""
        answer = self.configuration("get_object_lock_configuration")
        rule = ((answer.data or {}).get("ObjectLockConfiguration") or {}).get("Rule") or {}
        retention = rule.get("DefaultRetention") or {}
        days = retention.get("Days") or 365 * (retention.get("Years") or 0)
        return (retention["Mode"], days) if retention.get("Mode") and days else None

    @property
    def can_lock(self) -> bool:
        answer = self.configuration("get_object_lock_configuration")
        return ((answer.data or {}).get("ObjectLockConfiguration") or {}).get("ObjectLockEnabled") == "Enabled"

    def lock_of(self, key: str, version: str | None) -> str | None:
        """The mode in which an object is locked now; None for one that is not."""
        arguments = {"VersionId": version} if version else {}
        answer = self.ask("get_object_retention", Key=key, **arguments)
        if answer.data is not None:
            mode = answer.data.get("Retention", {}).get("Mode")
            return str(mode) if mode else None
        # Some servers apply the default without writing it to the object.
        return self.default_lock[0] if self.default_lock else None


def bucket_findings(asking: Asking, prefix: str, demands: Demands, lock_for: float = 0.0) -> list[Finding]:
    """The answers that need no try. ``lock_for``: seconds for which the store itself locks each object."""
    return [
        _versioning(asking),
        _suspend_versioning(asking),
        _object_lock(asking, demands, lock_for),
        _public_access(asking),
        _other_account(asking, demands),
        _lifecycle(asking, prefix),
        _encryption(asking),
        Finding(
            "bucket_configuration",
            UNKNOWN,
            "this identity can change neither policy nor lifecycle nor lock nor replication of the bucket",
            "cannot be tried without changing it",
            "aws iam simulate-principal-policy --policy-source-arn ARN --action-names s3:PutBucketPolicy"
            " s3:PutLifecycleConfiguration s3:PutBucketVersioning s3:PutBucketObjectLockConfiguration",
        ),
    ]


def _cannot_read(check: str, expected: str, answer: Answer) -> Finding:
    found = "this identity may not read it" if answer.denied else f"the server answers {answer.code}"
    return Finding(check, UNKNOWN, expected, found, _READ_CONFIGURATION)


def _versioning(asking: Asking) -> Finding:
    check, expected = "versioning", "on"
    answer = asking.configuration("get_bucket_versioning")
    if answer.data is None:
        return _cannot_read(check, expected, answer)
    status = answer.data.get("Status")
    if status == "Enabled":
        return Finding(check, PASS, expected, "on")
    found = "suspended" if status else "off"
    remedy = f"aws s3api put-bucket-versioning --bucket {asking.bucket} --versioning-configuration Status=Enabled"
    return Finding(check, FAIL, expected, found, remedy, True)


def _suspend_versioning(asking: Asking) -> Finding:
    check, expected = "suspend_versioning", "nobody can suspend it"
    if asking.can_lock:
        return Finding(check, PASS, expected, "a bucket with object lock cannot suspend versioning")
    answer = asking.configuration("get_bucket_versioning")
    if answer.data is not None and answer.data.get("Status") != "Enabled":
        return Finding(check, FAIL, expected, "there is none to suspend", "turn versioning and object lock on", True)
    remedy = "turn object lock on, which forbids it; or look whether the identity has s3:PutBucketVersioning"
    return Finding(check, UNKNOWN, expected, "cannot be tried without doing it", remedy)


def _object_lock(asking: Asking, demands: Demands, lock_for: float) -> Finding:
    days = demands.minimum_lock.total_seconds() / 86400
    check, expected = "object_lock", f"on, and each new object is locked for {days:g} days or longer"
    answer = asking.configuration("get_object_lock_configuration")
    if answer.data is None and (answer.denied or answer.unsupported):
        return _cannot_read(check, expected, answer)
    if not asking.can_lock:
        remedy = "object lock is turned on when a bucket is made: make another one (docs/bucket.md)"
        return Finding(check, FAIL, expected, "off", remedy, True)
    default = asking.default_lock
    found_s = max(default[1] * 86400.0 if default else 0.0, lock_for)
    lock_days = max(1, math.ceil(days))
    remedy = (
        f"aws s3api put-object-lock-configuration --bucket {asking.bucket} --object-lock-configuration "
        f"'ObjectLockEnabled=Enabled,Rule={{DefaultRetention={{Mode=GOVERNANCE,Days={lock_days}}}}}'"
    )
    if found_s == 0:
        return Finding(check, FAIL, expected, "on, but nothing is locked by default", remedy, True)
    mode = f"{default[0].lower()} mode" if default else "by lock_for in repository_s3"
    found = f"{mode}, {format_duration(found_s)}"
    if found_s < demands.minimum_lock.total_seconds():
        return Finding(check, FAIL, expected, found, remedy, True)
    advice = "compliance mode also stops the bucket's owner" if default and default[0] == "GOVERNANCE" else None
    return Finding(check, PASS, expected, found, advice)


def _public_access(asking: Asking) -> Finding:
    check, expected = "public_access", "all four blocks of public access on"
    remedy = (
        f"aws s3api put-public-access-block --bucket {asking.bucket} --public-access-block-configuration "
        "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
    )
    answer = asking.configuration("get_public_access_block")
    status = asking.configuration("get_bucket_policy_status")
    if status.data is not None and status.data.get("PolicyStatus", {}).get("IsPublic"):
        return Finding(check, FAIL, expected, "the bucket's policy makes it public", remedy)
    if answer.data is not None:
        blocks = answer.data.get("PublicAccessBlockConfiguration", {})
        open_ones = sorted(
            name
            for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
            if not blocks.get(name)
        )
        if open_ones:
            return Finding(check, FAIL, expected, f"off: {', '.join(open_ones)}", remedy)
        return Finding(check, PASS, expected, "all four on")
    if answer.code == "NoSuchPublicAccessBlockConfiguration":
        return Finding(check, FAIL, expected, "none is on", remedy)
    if answer.unsupported and status.data is not None:
        return Finding(check, PASS, expected, "the server has no such blocks, and the bucket's policy is not public")
    return _cannot_read(check, expected, answer)


def _other_account(asking: Asking, demands: Demands) -> Finding:
    check, expected = "other_account", "the bucket belongs to another account than what is backed up"
    account = demands.production_account
    if not account:
        return Finding(check, UNKNOWN, expected, "production's account was not said", "give production_account")
    theirs = asking.ask("head_bucket", ExpectedBucketOwner=account)
    if theirs.denied:
        plain = asking.ask("head_bucket")
        if plain.data is not None:
            return Finding(check, PASS, expected, f"it does not belong to account {account}")
        return _cannot_read(check, expected, plain)
    if theirs.data is None:
        return _cannot_read(check, expected, theirs)
    if asking.ask("head_bucket", ExpectedBucketOwner=_NOBODY).data is not None:
        return Finding(check, UNKNOWN, expected, "the server does not compare owners", "ask the bucket's owner")
    found = f"it belongs to account {account}: its administrators can destroy both"
    return Finding(check, FAIL, expected, found, "make the bucket in an account of its own (docs/bucket.md)", True)


def _lifecycle(asking: Asking, prefix: str) -> Finding:
    check, expected = "lifecycle", "no rule expires anything but control/ and abandoned uploads"
    answer = asking.configuration("get_bucket_lifecycle_configuration")
    if answer.code == "NoSuchLifecycleConfiguration":
        return Finding(check, PASS, expected, "no rules", "let abandoned uploads end after 7 days (docs/bucket.md)")
    if answer.unsupported:
        return Finding(check, PASS, expected, "the server has no such rules")
    if answer.data is None:
        return _cannot_read(check, expected, answer)
    rules = [rule for rule in answer.data.get("Rules", []) if rule.get("Status") == "Enabled"]
    harmful = [_named(rule) for rule in rules if _expires(rule) and _reaches(rule, prefix)]
    if harmful:
        remedy = "limit the rule to control/, or remove it: retention is for sre.runbooks.expire_backups"
        return Finding(check, FAIL, expected, f"expired by: {', '.join(harmful)}", remedy, True)
    aborts = any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    advice = None if aborts else "let abandoned uploads end after 7 days (docs/bucket.md)"
    return Finding(check, PASS, expected, f"{counted(len(rules), 'rule')}, none of which does", advice)


def _named(rule: t.Mapping[str, t.Any]) -> str:
    return str(rule.get("ID") or "a rule without a name")[:100]


def _expires(rule: t.Mapping[str, t.Any]) -> bool:
    expiration = rule.get("Expiration") or {}
    return "NoncurrentVersionExpiration" in rule or "Days" in expiration or "Date" in expiration


def _reaches(rule: t.Mapping[str, t.Any], prefix: str) -> bool:
    """Whether a rule applies to objects that have to stay. Ours carry no tags."""
    condition = rule.get("Filter") or {}
    both = condition.get("And") or {}
    if "Tag" in condition or both.get("Tags"):
        return False
    of_rule = str(rule.get("Prefix") or condition.get("Prefix") or both.get("Prefix") or "")
    if of_rule.startswith(f"{prefix}control/"):
        return False
    return of_rule.startswith(prefix) or prefix.startswith(of_rule)


def _encryption(asking: Asking) -> Finding:
    check, expected = "encryption", "the bucket encrypts by default"
    answer = asking.configuration("get_bucket_encryption")
    if answer.data is not None:
        rules = answer.data.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        kinds = [rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for rule in rules]
        if any(kinds):
            return Finding(check, PASS, expected, ", ".join(str(kind) for kind in kinds if kind))
    elif answer.code != "ServerSideEncryptionConfigurationNotFoundError":
        return _cannot_read(check, expected, answer)
    remedy = (
        "whatever the bucket does, age encrypts before (repository_encryption_recipients): "
        f"aws s3api put-bucket-encryption --bucket {asking.bucket} --server-side-encryption-configuration "
        '\'{"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}\''
    )
    return Finding(check, FAIL, expected, "none", remedy)
