# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an ``s3://`` repository is reached and how its objects are written: the option ``s3`` of the modules, checked."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, fields

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._nearest import meant
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import check_key

MIB = 1 << 20
#: S3's own limits on a part, in bytes.
SMALLEST_PART, LARGEST_PART = 5 * MIB, 5 << 30
#: S3's limit on a key is 1024 bytes, and a key of ours may have 900.
_LONGEST_PREFIX = 120
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SECRETS = ("access_key", "secret_key", "session_token")
_CHOICES = {
    "addressing_style": ("auto", "path", "virtual"),
    "server_side_encryption": ("none", "AES256", "aws:kms"),
    "lock_mode": ("none", "governance", "compliance"),
}


@dataclass(frozen=True)
class S3Location:
    """``s3://bucket/prefix``; the prefix is empty or ends in ``/``."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


@dataclass(frozen=True)
class S3Options:
    """Sizes in bytes, times in seconds. Empty means: as boto3 finds it (its files, its environment, its defaults)."""

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    addressing_style: str = "auto"
    ca_bundle: str | None = None
    verify_certificates: bool = True
    storage_class: str | None = None
    server_side_encryption: str = "none"
    kms_key_id: str | None = None
    lock_mode: str = "none"
    lock_for: float = 0.0
    part_size: int = 8 * MIB
    concurrency: int = 4
    max_attempts: int = 6
    connect_timeout: float = 10.0
    read_timeout: float = 60.0

    def __repr__(self) -> str:
        return f"S3Options(endpoint_url={self.endpoint_url!r}, region={self.region!r})"

    @classmethod
    def from_params(cls, params: t.Mapping[str, t.Any] | None) -> S3Options:
        """Check a module's option ``s3``; what is absent or empty keeps its default. Raises :class:`InvalidInput`."""
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in (params or {}).items() if value not in (None, "")}
        unknown = sorted(set(given) - known)
        if unknown:
            raise InvalidInput(
                f"s3 has an unknown option{meant(unknown[0], known)}",
                expected=", ".join(sorted(known)),
                found=unknown[0],
            )
        for name in ("lock_for", "connect_timeout", "read_timeout"):
            if name in given:
                given[name] = parse_duration(given[name])
        options = cls(**given)
        options._check()
        return options

    @classmethod
    def from_environment(cls) -> S3Options:
        """For callers that have no option ``s3``: what the modules fall back to."""
        return cls.from_params({name: os.environ.get(variable) for name, variable in ENVIRONMENT.items()})

    def redacted(self, text: str) -> str:
        """The text without any of the credentials."""
        for name in _SECRETS:
            secret = getattr(self, name)
            if secret:
                text = text.replace(secret, "********")
        return text

    def _check(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise _wrong(f"s3.{name}", " or ".join(choices), getattr(self, name))
        if bool(self.access_key) != bool(self.secret_key):
            given, missing = ("access_key", "secret_key") if self.access_key else ("secret_key", "access_key")
            raise _wrong("s3", "access_key and secret_key together, or neither", f"{given} without {missing}")
        if self.endpoint_url and not re.match(r"https?://[^/]+", self.endpoint_url):
            raise _wrong("s3.endpoint_url", "such as https://s3.example.org:9000", self.endpoint_url)
        if not SMALLEST_PART <= self.part_size <= LARGEST_PART:
            raise _wrong("s3.part_size", "from 5 MiB to 5 GiB", f"{self.part_size} bytes")
        for name, highest in (("concurrency", 64), ("max_attempts", 100)):
            if not 1 <= getattr(self, name) <= highest:
                raise _wrong(f"s3.{name}", f"from 1 to {highest}", str(getattr(self, name)))
        for name in ("connect_timeout", "read_timeout"):
            if getattr(self, name) <= 0:
                raise _wrong(f"s3.{name}", "more than 0 s", f"{getattr(self, name):g} s")
        if (self.lock_mode != "none") != (self.lock_for > 0):
            found = f"lock_mode {self.lock_mode}, lock_for {self.lock_for:g} s"
            raise _wrong("s3", "lock_mode and lock_for together, or neither", found)
        if self.kms_key_id and self.server_side_encryption != "aws:kms":
            raise _wrong("s3.kms_key_id", "server_side_encryption aws:kms beside it", self.server_side_encryption)


#: What an option falls back to. Credentials fall back to boto3's own chain, with its AWS_* variables.
ENVIRONMENT: dict[str, str] = {
    "endpoint_url": "SRE_RUNBOOKS_S3_ENDPOINT",
    "region": "SRE_RUNBOOKS_S3_REGION",
    "profile": "SRE_RUNBOOKS_S3_PROFILE",
    "access_key": "SRE_RUNBOOKS_S3_ACCESS_KEY",
    "secret_key": "SRE_RUNBOOKS_S3_SECRET_KEY",
    "session_token": "SRE_RUNBOOKS_S3_SESSION_TOKEN",
    "addressing_style": "SRE_RUNBOOKS_S3_ADDRESSING_STYLE",
    "ca_bundle": "SRE_RUNBOOKS_S3_CA_BUNDLE",
}


def parse_location(url: str) -> S3Location:
    """Read ``s3://bucket`` or ``s3://bucket/prefix``. Raises :class:`InvalidInput`."""
    bucket, _slash, rest = url[len("s3://") :].partition("/") if url.startswith("s3://") else ("", "", "")
    prefix = rest.rstrip("/")
    try:
        if not _BUCKET.fullmatch(bucket) or ".." in bucket or len(prefix) > _LONGEST_PREFIX:
            raise InvalidInput("not a bucket")
        if prefix:
            check_key(prefix)
    except InvalidInput:
        raise InvalidInput(
            "not a repository's URL",
            expected=f"s3://bucket/prefix, the prefix of A-Z a-z 0-9 . _ - / and at most {_LONGEST_PREFIX} characters",
            found=repr(url[:300]),
        ) from None
    return S3Location(bucket, prefix + "/" if prefix else "")


def _wrong(what: str, expected: str, found: str) -> InvalidInput:
    return InvalidInput(f"{what} is not usable", expected=expected, found=found)
