# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The s3 kind: a bucket that answers this identity, its versions, locks and unfinished uploads, and the service's clock."""

from __future__ import annotations

import datetime
import shlex
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import NotPermitted, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    boolean,
    choice,
    mapping,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_bucket import Bucket

_NO_LOCK = "ObjectLockConfigurationNotFoundError"
#: The stricter one also does for the other.
_MODES = {"governance": ("governance", "compliance"), "compliance": ("compliance",)}


class S3Check(BlockingCheck):
    libraries = ("boto3", "botocore.config")

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import (
            S3Options,
            parse_location,
        )

        super().__init__(session)
        self._options = options
        url = options["url"] or session.repository
        if not url:
            raise ValueError("url is needed, in the probe, or a repository in the module")
        self._location = parse_location(url)
        if options["minimum_lock"] is not None and options["lock_mode"] is None:
            raise ValueError("minimum_lock needs a lock_mode")
        timeout = options["timeout"]
        # The engine tries again where the probe says so.
        limits = {"max_attempts": 1, "connect_timeout": timeout, "read_timeout": timeout}
        given = options["s3"] if options["s3"] is not None else session.s3
        self._s3 = S3Options.from_params({**(given or {}), **limits})
        self.expected = self._in_words()
        self.hint = self._aws(f"list-objects-v2 --max-items 1 --prefix={shlex.quote(self._location.prefix)}")

    def look(self) -> Reading:
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_bucket import Bucket

        bucket = Bucket(self._location, self._s3)
        try:
            return self._ask(bucket)
        finally:
            bucket.client.close()

    def _ask(self, bucket: Bucket) -> Reading:
        started = time.perf_counter()
        try:
            what = f"bucket {self._location.bucket}"
            bucket.call("list_objects_v2", "list", what, Prefix=self._location.prefix, MaxKeys=1)
        except RepositoryError as error:
            finding = Finding("failed", "bucket", f"{error.message} ({error.found})", error.next_command)
            reading = self.reading("failed", "no listing", f"{error.message} ({error.found})")
            return with_hints(reading, [finding], self._options["hint"])
        latency = time.perf_counter() - started
        measured = [f"answers in {latency:.3f} s"]
        values: dict[str, t.Any] = {"latency_s": round(latency, 6)}
        findings = [*self._clock(bucket, values)]
        for asked, look in (
            (self._options["versioning"], self._versioning),
            (self._options["lock_mode"], self._lock),
            (self._options["unfinished_after"], self._unfinished),
        ):
            if asked in (None, False):
                continue
            try:
                findings += look(bucket, measured, values)
            except NotPermitted as error:
                findings.append(
                    Finding("unknown", "right to look", f"{error.message} ({error.found})", error.next_command)
                )
            except RepositoryError as error:
                findings.append(Finding("failed", "bucket", f"{error.message} ({error.found})", error.next_command))
        reading = sum_up(self, ", ".join(measured), findings, **values)
        return with_hints(reading, findings, self._options["hint"])

    def _clock(self, bucket: Bucket, values: dict[str, t.Any]) -> t.Iterator[Finding]:
        skew = bucket.clock.skew_s()
        if skew is None:
            return
        values["clock_ahead_s"] = round(skew, 3)
        if abs(skew) > self._options["clock_limit"]:
            side = "ahead of" if skew > 0 else "behind"
            words = f"this host's is {format_duration(abs(skew))} {side} the service's"
            yield Finding("warning", "clock", words, "chronyc tracking || timedatectl")

    def _versioning(self, bucket: Bucket, measured: list[str], values: dict[str, t.Any]) -> t.Iterator[Finding]:
        answer = bucket.call("get_bucket_versioning", "read", "the bucket's versioning")
        found = str(answer.get("Status") or "off").lower()
        values["versioning"] = found
        measured.append(f"versions {found}")
        if found != "enabled":
            yield Finding("failed", "versioning", f"it is {found}", self._aws("get-bucket-versioning"))

    def _lock(self, bucket: Bucket, measured: list[str], values: dict[str, t.Any]) -> t.Iterator[Finding]:
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import code_of

        hint = self._aws("get-object-lock-configuration")
        with bucket.explained("read", "the bucket's object lock"):
            try:
                answer = bucket.client.get_object_lock_configuration(Bucket=self._location.bucket)
            except Exception as error:
                if code_of(error) != _NO_LOCK:
                    raise
                answer = {}
        configuration = answer.get("ObjectLockConfiguration", {})
        rule = configuration.get("Rule", {}).get("DefaultRetention", {})
        mode = str(rule.get("Mode") or "").lower()
        days = int(rule.get("Days") or 0) + 365 * int(rule.get("Years") or 0)
        enabled = configuration.get("ObjectLockEnabled") == "Enabled"
        values.update(lock=enabled, lock_mode=mode or None, lock_days=days)
        measured.append(f"lock {mode} for {counted(days, 'day')}" if mode else f"lock {'on' if enabled else 'off'}")
        if not enabled:
            yield Finding("failed", "object lock", "it is off", hint)
        elif mode not in _MODES[self._options["lock_mode"]]:
            yield Finding("failed", "object lock", f"new objects are locked in {mode or 'no'} mode", hint)
        elif days * 86400 < (self._options["minimum_lock"] or 0):
            yield Finding("failed", "object lock", f"new objects are locked for {counted(days, 'day')} only", hint)

    def _unfinished(self, bucket: Bucket, measured: list[str], values: dict[str, t.Any]) -> t.Iterator[Finding]:
        now = bucket.clock.now() or datetime.datetime.now(datetime.timezone.utc)
        since = now - datetime.timedelta(seconds=self._options["unfinished_after"])
        begun = [
            upload["Initiated"]
            for page in bucket.pages("list_multipart_uploads", "")
            for upload in page.get("Uploads", [])
        ]
        old = [moment for moment in begun if moment <= since]
        values.update(unfinished=len(begun), unfinished_old=len(old))
        measured.append(counted(len(begun), "unfinished upload"))
        if old:
            age = format_duration((now - min(old)).total_seconds())
            words = f"{counted(len(old), 'upload')} never finished, the oldest begun {age} ago"
            yield Finding("warning", "uploads", words, self._aws("list-multipart-uploads"))

    def _aws(self, words: str) -> str:
        verb, _, rest = words.partition(" ")
        options = [f"--profile={shlex.quote(self._s3.profile)}"] if self._s3.profile else []
        options += [f"--endpoint-url={shlex.quote(self._s3.endpoint_url)}"] if self._s3.endpoint_url else []
        line = " ".join(["aws", *options, "s3api", verb, f"--bucket={self._location.bucket}"])
        return f"{line} {rest}".strip()

    def _in_words(self) -> str:
        options = self._options
        parts = ["a bucket that can be listed"]
        if options["versioning"]:
            parts.append("versions")
        if options["lock_mode"]:
            shortest = options["minimum_lock"]
            span = "" if shortest is None else f" of at least {format_duration(shortest)}"
            parts.append(f"a lock in {options['lock_mode']} mode{span}")
        if options["unfinished_after"] is not None:
            parts.append(f"no upload unfinished for {format_duration(options['unfinished_after'])}")
        return ", ".join(parts)


S3 = Kind(
    name="s3",
    options={
        "url": Option(text),
        "s3": Option(mapping, secret=True),
        "versioning": Option(boolean, default=False),
        "lock_mode": Option(choice("governance", "compliance")),
        "minimum_lock": Option(parse_duration),
        "unfinished_after": Option(parse_duration),
        "clock_limit": Option(parse_duration, default=60.0),
    },
    prepare=S3Check,
    target=lambda options: t.cast(str, options["url"] or "the repository"),
)
