# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a bucket with object lock, and thereby with versions; prints {"changed": true} when there was none."""

from __future__ import annotations

import argparse
import json
import pathlib
import typing as t

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def make_bucket(client: t.Any, bucket: str) -> bool:
    """Whether it was made; one that is there is left as it is."""
    try:
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
        return False
    return True


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a bucket with versions and object lock.")
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--secret-key-file", required=True, type=pathlib.Path)
    parser.add_argument("--bucket", required=True)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region,
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key_file.read_text(encoding="utf-8").strip(),
        config=Config(s3={"addressing_style": "path"}),
    )
    made = make_bucket(client, options.bucket)
    client.put_bucket_versioning(Bucket=options.bucket, VersioningConfiguration={"Status": "Enabled"})
    print(json.dumps({"changed": made}))


if __name__ == "__main__":
    main()
