# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in a bucket: ``s3://bucket/prefix``.

An object is created on the condition that its key is free (``If-None-Match: *``), also at the end of an upload in parts,
so that no reader sees a part and one of two writers wins. Each writing carries a nonce: when an answer is lost and the
next attempt meets an object, the nonce tells whether that is ours.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import functools
import secrets
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    NotPermitted,
    ObjectMissing,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_bucket import Bucket, version_of
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import status_of
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import S3Options, parse_location
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_reading import ResumingReader
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_requests import KeyRequests
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_unfinished import (
    abort_abandoned,
    abort_unfinished,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_upload import Budget, UploadWriter
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import (
    ObjectStat,
    ObjectVersion,
    check_key,
)

#: The server that lists among the common prefixes those below which there are only delete markers.
_LISTS_THE_DELETED = "VERSITYGW"


class S3Store:
    """The store at ``s3://bucket/prefix``. See :class:`store.Store` for what the methods promise.

    Nothing is asked of the service before the first call. Safe to use from several threads.
    """

    parallel_reads = 8

    def __init__(self, url: str, options: S3Options | None = None) -> None:
        self.bucket = Bucket(parse_location(url), S3Options() if options is None else options)
        self.client = self.bucket.client
        self.location = self.bucket.location
        self.url = self.location.url
        options = self.bucket.options
        self._budget = Budget(options.part_size * options.concurrency)
        self._executor = concurrent.futures.ThreadPoolExecutor(options.concurrency, "s3-upload")
        self._swept = False

    @functools.cached_property
    def features(self) -> frozenset[str]:
        found = set()
        with contextlib.suppress(NotPermitted):
            answer = self.bucket.call("get_bucket_versioning", "look at", self._what)
            if answer.get("Status") == "Enabled":
                found.add("versions")
        if self._has_lock():
            found.add("locks")
        return frozenset(found)

    def _has_lock(self) -> bool:
        with self.bucket.explained("look at", self._what):
            try:
                answer = self.client.get_object_lock_configuration(Bucket=self.location.bucket)
            except Exception as error:
                if status_of(error) in (400, 403, 404, 405, 501):  # none, or not for us to see, or no such thing there
                    return False
                raise
        return bool(answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    @property
    def _what(self) -> str:
        return f"bucket {self.location.bucket}"

    # Reading

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        with self.open(key, version=version) as source:
            content = source.read(limit + 1)
        if len(content) > limit:
            raise IntegrityError(f"{key} is damaged", expected=f"at most {limit} bytes", found="more")
        return content

    def open(self, key: str, offset: int = 0, length: int | None = None, version: str | None = None) -> t.BinaryIO:
        get = functools.partial(
            self.client.get_object,
            Bucket=self.location.bucket,
            Key=self.bucket.key(key),
            **_version(version),
        )
        reader = ResumingReader(
            key,
            get,
            lambda error: self._reading_error(error, key, version),
            self.bucket.options.max_attempts,
            offset,
            length,
        )
        return t.cast(t.BinaryIO, reader)

    def stat(self, key: str, version: str | None = None) -> ObjectStat:
        found = self._head(key, version)
        return ObjectStat(key, int(found["ContentLength"]), found["LastModified"])

    def _head(self, key: str, version: str | None) -> t.Any:
        try:
            return self.client.head_object(Bucket=self.location.bucket, Key=self.bucket.key(key), **_version(version))
        except Exception as error:
            raise self._reading_error(error, key, version) from None

    def _reading_error(self, error: BaseException, key: str, version: str | None) -> Exception:
        # A version that is none, is that of a delete marker, or is asked for where there are no versions.
        if version is not None and status_of(error) in (400, 404, 405, 501):
            return ObjectMissing(
                f"version {version} of {key} is not in the repository",
                expected=f"a version of an object in {self.url}",
                found=f"HTTP {status_of(error)}",
            )
        with self.bucket.explained("read", key):
            raise error

    def list(self, prefix: str) -> t.Iterator[ObjectStat]:
        for page in self.bucket.pages("list_objects_v2", prefix):
            for found in page.get("Contents", []):
                key = self.bucket.relative(found["Key"])
                if _is_key(key):
                    yield ObjectStat(key, int(found["Size"]), found["LastModified"])

    def children(self, prefix: str) -> t.Iterator[str]:
        for page in self.bucket.pages("list_objects_v2", prefix, Delimiter="/"):
            names = [found["Prefix"] for found in page.get("CommonPrefixes", [])]
            if page["ResponseMetadata"]["HTTPHeaders"].get("server") == _LISTS_THE_DELETED:
                names = [name for name in names if self._holds_object(name)]
            names += [found["Key"] for found in page.get("Contents", []) if _is_key(found["Key"])]
            for name in sorted(self.bucket.relative(name)[len(prefix) :] for name in names):
                if _is_key(name.rstrip("/")):
                    yield name

    def _holds_object(self, prefix: str) -> bool:
        return next(self.list(self.bucket.relative(prefix)), None) is not None

    def versions(self, prefix: str) -> t.Iterator[ObjectVersion]:
        last: ObjectVersion | None = None
        for page in self.bucket.pages("list_object_versions", prefix):
            found = [self._version(entry, False) for entry in page.get("Versions", [])]
            found += [self._version(entry, True) for entry in page.get("DeleteMarkers", [])]
            found.sort(key=lambda version: version.modified, reverse=True)
            found.sort(key=lambda version: (version.key, not version.latest))
            for version in found:
                if (
                    _is_key(version.key) and version != last
                ):  # some services begin a page with the last of the page before
                    yield version
                last = version

    def _version(self, entry: t.Mapping[str, t.Any], deleted: bool) -> ObjectVersion:
        key = self.bucket.relative(entry["Key"])
        length = 0 if deleted else int(entry["Size"])
        return ObjectVersion(key, version_of(entry), length, entry["LastModified"], bool(entry["IsLatest"]), deleted)

    # Writing

    def create(self, key: str, data: bytes) -> str | None:
        return KeyRequests(self.bucket, key, streamed=False).put(data)

    @contextlib.contextmanager
    def writer(self, key: str) -> t.Iterator[UploadWriter]:
        requests = _SweepingRequests(self, key)
        writer = UploadWriter(key, requests, self._executor, self._budget, self.bucket.options.part_size)
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.abandon()
            raise

    def sweep(self) -> int:
        """Abort uploads that nobody goes on with; returns how many. Runs by itself before a first upload in parts."""
        self._swept = True
        return abort_abandoned(self.bucket, self.now())

    def forget_unfinished(self, prefix: str, keep: str | None = None) -> int:
        return abort_unfinished(self.bucket, prefix, keep)

    def delete(self, key: str) -> None:
        self.bucket.call("delete_object", "delete", key, Key=self.bucket.key(key))

    def purge(self, key: str) -> None:
        # The oldest first and the markers last: what is hidden stays hidden, what is seen stays the same, until all is gone.
        versions = [version for version in self.versions(check_key(key)) if version.key == key]
        versions.reverse()
        versions.sort(key=lambda version: version.deleted)
        for version in versions:
            try:
                self.bucket.call(
                    "delete_object", "delete", key, Key=self.bucket.key(key), VersionId=version.version_id or "null"
                )
            except NotPermitted as error:
                raise self._kept(error, version) from None

    def _kept(self, error: NotPermitted, version: ObjectVersion) -> RepositoryError:
        """The same refusal with the lock that is its reason, where that is to be seen."""
        until = None
        with contextlib.suppress(RepositoryError):
            until = self.locked_until(version.key, version.version_id)
        if until is None or until <= self.now():
            return error
        return RepositoryError(
            f"{version.key} is locked",
            expected="an object whose time is over",
            found=f"{error.found}; version {version.version_id} is locked until {_clock.format_time(until)}",
            next_command="wait until then; every run of sre.runbooks.expire_backups tries again",
        )

    # Locks

    def locked_until(self, key: str, version: str | None) -> datetime.datetime | None:
        retention = self._retention(key, version)
        until = retention.get("RetainUntilDate")
        return until if isinstance(until, datetime.datetime) else None

    def extend_lock(self, key: str, version: str | None, until: datetime.datetime) -> None:
        retention = self._retention(key, version)
        current = retention.get("RetainUntilDate")
        if current is not None and current >= until:
            return
        configured = self.bucket.options.lock_mode
        mode = retention.get("Mode") or (configured.upper() if configured != "none" else "GOVERNANCE")
        self.bucket.call(
            "put_object_retention",
            "lock",
            key,
            Key=self.bucket.key(key),
            Retention={"Mode": mode, "RetainUntilDate": until},
            **_version(version),
        )

    def _retention(self, key: str, version: str | None) -> t.Mapping[str, t.Any]:
        with self.bucket.explained("lock", key):
            try:
                answer = self.client.get_object_retention(
                    Bucket=self.location.bucket, Key=self.bucket.key(key), **_version(version)
                )
            except Exception as error:
                if not _says_no_lock(error):
                    raise
                return {}
        return t.cast("t.Mapping[str, t.Any]", answer.get("Retention", {}))

    def set_hold(self, key: str, version: str | None, on: bool) -> None:
        self.bucket.call(
            "put_object_legal_hold",
            "lock",
            key,
            Key=self.bucket.key(key),
            LegalHold={"Status": "ON" if on else "OFF"},
            **_version(version),
        )

    # Measuring

    def now(self) -> datetime.datetime:
        found = self.bucket.clock.now()
        if found is None:
            # Any answer has a Date, a refusal too.
            try:
                self.bucket.call("head_bucket", "look at", self._what)
            except RepositoryError:
                found = self.bucket.clock.now()
                if found is None:
                    raise
            found = self.bucket.clock.now()
        return _clock.now() if found is None else found

    def check_writable(self) -> None:
        # An upload in parts that is begun and given up: it needs the right to write and leaves nothing, not even a version.
        requests = KeyRequests(self.bucket, f"control/write-test-{secrets.token_hex(8)}", streamed=False)
        upload_id = requests.begin()
        with contextlib.suppress(RepositoryError):
            requests.abort(upload_id)

    def free_bytes(self) -> int | None:
        return None


class _SweepingRequests(KeyRequests):
    """A stream's requests; the store's first upload in parts sweeps what earlier ones left."""

    def __init__(self, store: S3Store, key: str) -> None:
        super().__init__(store.bucket, key, streamed=True)
        self._store = store

    def begin(self) -> str:
        if not self._store._swept:
            with contextlib.suppress(RepositoryError):  # the bucket's own rule may be all that is allowed to
                self._store.sweep()
        return super().begin()


def _version(version: str | None) -> dict[str, str]:
    return {} if version is None else {"VersionId": version}


def _is_key(key: str) -> bool:
    """Not the empty object that some programs put where they want to see a directory, and not hidden."""
    return bool(key) and not key.endswith("/") and not key.startswith(".")


def _says_no_lock(error: Exception) -> bool:
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code in ("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest")
