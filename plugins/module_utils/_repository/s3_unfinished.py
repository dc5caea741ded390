# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads in parts that were begun and never finished: they cost as much as objects do, and nobody sees them."""

from __future__ import annotations

import contextlib
import datetime

from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_bucket import Bucket

#: An upload of which no part has come for so many seconds is nobody's any more.
ABANDONED_S = 86400.0


def abort_abandoned(bucket: Bucket, now: datetime.datetime) -> int:
    """Abort what is below our prefix and of which a day's silence says that its writer is gone; returns how many."""
    return _abort(bucket, "", None, now - datetime.timedelta(seconds=ABANDONED_S))


def abort_unfinished(bucket: Bucket, prefix: str, keep: str | None) -> int:
    """Abort what is below ``prefix`` and not below ``keep``, where the caller knows that no other writer is at work."""
    return _abort(bucket, prefix, keep, None)


def _abort(bucket: Bucket, prefix: str, keep: str | None, silent_since: datetime.datetime | None) -> int:
    aborted = 0
    for page in list(bucket.pages("list_multipart_uploads", prefix)):
        for upload in page.get("Uploads", []):
            key, upload_id = upload["Key"], upload["UploadId"]
            if keep is not None and bucket.relative(key).startswith(keep):
                continue
            # A long one may have begun days ago.
            if silent_since and (
                upload["Initiated"] > silent_since or _last_part(bucket, key, upload_id) > silent_since
            ):
                continue
            with contextlib.suppress(ObjectMissing):  # its writer, or another one's sweep, was faster
                bucket.call("abort_multipart_upload", "delete", f"the unfinished {key}", Key=key, UploadId=upload_id)
                aborted += 1
    return aborted


def _last_part(bucket: Bucket, key: str, upload_id: str) -> datetime.datetime:
    """When the newest part came."""
    newest = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
    with bucket.explained("read", f"the unfinished {key}"):
        paginator = bucket.client.get_paginator("list_parts")
        for page in paginator.paginate(Bucket=bucket.location.bucket, Key=key, UploadId=upload_id):
            newest = max([newest, *(part["LastModified"] for part in page.get("Parts", []))])
    return newest
