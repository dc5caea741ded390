# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Create one object of a bucket, on the condition that its key is free; and know one's own when an answer was lost."""

from __future__ import annotations

import datetime
import random
import secrets
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    NotPermitted,
    ObjectExists,
    ObjectMissing,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_bucket import Bucket, version_of
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import (
    code_of,
    is_unanswered,
    status_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_upload import (
    checksum,
    checksum_of_parts,
    compare_checksum,
)

#: The metadata that says whose writing made an object.
NONCE = "sre-runbooks-nonce"
#: Leases and marks of runs are deleted when they are over: they are never locked, nor stored where that costs more.
SHORT_LIVED = "control/"
_CONFLICTS = {"ConditionalRequestConflict", "OperationAborted"}
_LONGEST_PAUSE_S = 10.0
#: Amazon's service takes a key for free when a delete marker hides what was there; others do not.
_HIDDEN_ATTEMPTS = 3


class KeyRequests:
    """See :class:`s3_upload.Requests`. ``streamed`` objects get the storage class, documents do not."""

    def __init__(self, bucket: Bucket, key: str, streamed: bool) -> None:
        self._bucket = bucket
        self._key = key
        self._whole_key = bucket.key(key)
        self._nonce = secrets.token_hex(8)
        self._headers = _headers(bucket, key, streamed)
        self._headers["Metadata"] = {NONCE: self._nonce}

    def put(self, body: bytes | bytearray) -> str | None:
        digest = checksum(body)

        def create() -> str | None:
            response = self._request("put_object", Body=body, IfNoneMatch="*", ChecksumSHA256=digest, **self._headers)
            compare_checksum(self._key, digest, response.get("ChecksumSHA256"))
            return version_of(response)

        return self._until_settled(create)

    def begin(self) -> str:
        with self._bucket.explained("write", self._key):
            response = self._request("create_multipart_upload", ChecksumAlgorithm="SHA256", **self._headers)
        return str(response["UploadId"])

    def upload_part(self, upload_id: str, number: int, body: bytearray) -> dict[str, t.Any]:
        digest = checksum(body)
        with self._bucket.explained("write", self._key):
            response = self._request(
                "upload_part", UploadId=upload_id, PartNumber=number, Body=body, ChecksumSHA256=digest
            )
        compare_checksum(f"part {number} of {self._key}", digest, response.get("ChecksumSHA256"))
        return {"PartNumber": number, "ETag": response["ETag"], "ChecksumSHA256": digest}

    def complete(self, upload_id: str, parts: list[dict[str, t.Any]]) -> str | None:
        digest = checksum_of_parts([part["ChecksumSHA256"] for part in parts])

        def create() -> str | None:
            response = self._request(
                "complete_multipart_upload", UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
            found = response.get("ChecksumSHA256")
            # Some services answer with the checksum of the whole object, which we do not have.
            compare_checksum(self._key, digest, found if found and "-" in found else None)
            return version_of(response)

        return self._until_settled(create)

    def abort(self, upload_id: str) -> None:
        with self._bucket.explained("delete", f"the unfinished {self._key}"):
            self._request("abort_multipart_upload", UploadId=upload_id)

    def _request(self, operation: str, **arguments: t.Any) -> t.Any:
        return getattr(self._bucket.client, operation)(
            Bucket=self._bucket.location.bucket, Key=self._whole_key, **arguments
        )

    def _until_settled(self, create: t.Callable[[], str | None]) -> str | None:
        """Create until it is certain whether the key was free and whose object is there now."""
        for attempt in range(1, self._bucket.options.max_attempts + 1):
            try:
                return create()
            except RunbookError:
                raise
            except Exception as error:
                failure = error
            found = self._mine_after(failure, attempt)
            if found is not None:
                return version_of(found)
            time.sleep(min(_LONGEST_PAUSE_S, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))
        raise self._bucket.explanation(failure, "write", self._key)

    def _mine_after(self, failure: Exception, attempt: int) -> t.Mapping[str, t.Any] | None:
        """What the failure comes to: our object after all, None for trying again, or the error to raise."""
        taken = status_of(failure) == 412
        conflict = code_of(failure) in _CONFLICTS
        # The upload is gone when it was completed and only the answer was lost.
        if not (taken or conflict or is_unanswered(failure) or code_of(failure) == "NoSuchUpload"):
            with self._bucket.explained("write", self._key):
                raise failure
        try:
            found = self._bucket.call("head_object", "read", self._key, Key=self._whole_key)
        except ObjectMissing:
            if taken and attempt >= _HIDDEN_ATTEMPTS:
                raise _exists(self._key, "one that a delete marker hides") from None
            if taken or conflict:  # it is free again: deleted meanwhile, or never there
                return None
            raise self._bucket.explanation(failure, "write", self._key) from None
        except NotPermitted:
            if taken:
                raise _exists(self._key) from None
            raise self._bucket.explanation(failure, "write", self._key) from None
        except RepositoryError:
            raise self._bucket.explanation(failure, "write", self._key) from None
        if found.get("Metadata", {}).get(NONCE) != self._nonce:
            raise _exists(self._key) from None
        return t.cast("t.Mapping[str, t.Any]", found)


def _headers(bucket: Bucket, key: str, streamed: bool) -> dict[str, t.Any]:
    """How the object is to be kept."""
    options = bucket.options
    headers: dict[str, t.Any] = {}
    if options.server_side_encryption != "none":
        headers["ServerSideEncryption"] = options.server_side_encryption
    if options.kms_key_id:
        headers["SSEKMSKeyId"] = options.kms_key_id
    if key.startswith(SHORT_LIVED):
        return headers
    if options.storage_class and streamed:
        headers["StorageClass"] = options.storage_class
    if options.lock_mode != "none":
        headers["ObjectLockMode"] = options.lock_mode.upper()
        headers["ObjectLockRetainUntilDate"] = _clock.now() + datetime.timedelta(seconds=options.lock_for)
    return headers


def _exists(key: str, found: str = "one of that name") -> ObjectExists:
    return ObjectExists(f"{key} is already in the repository", expected="a new object", found=found)
