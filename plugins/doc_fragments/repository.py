# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that say which repository is meant, and for which environment."""

from __future__ import annotations

_S3 = r"""  s3:
    description:
      - How an V(s3://) repository is reached, and how its objects are written. Without effect on V(file://).
      - What is not given is for boto3 to find, in its order (the C(AWS_*) environment variables, its configuration files,
        the role of the host).
      - Needs the Python library boto3, 1.36 or newer, on the host where the task runs.
    type: dict
    suboptions:
      endpoint_url:
        description:
          - The service, when it is not Amazon's, such as V(https://s3.example.org:9000).
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_ENDPOINT).
        type: str
      region:
        description:
          - The bucket's region.
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_REGION).
        type: str
      profile:
        description:
          - A profile of boto3's configuration files.
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_PROFILE).
        type: str
      access_key:
        description:
          - The access key's id.
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_ACCESS_KEY).
        type: str
      secret_key:
        description:
          - The access key's secret.
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_SECRET_KEY).
        type: str
      session_token:
        description:
          - The token of temporary credentials.
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_SESSION_TOKEN).
        type: str
      addressing_style:
        description:
          - Whether the bucket stands in the path or in the host name. Most services other than Amazon's want V(path).
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_ADDRESSING_STYLE).
        type: str
        choices: [auto, path, virtual]
        default: auto
      ca_bundle:
        description:
          - A file with the authorities that vouch for the service's certificate, on the host where the task runs.
          - Falls back to the environment variable E(SRE_RUNBOOKS_S3_CA_BUNDLE).
        type: path
      verify_certificates:
        description: Refuse a certificate that nobody vouches for.
        type: bool
        default: true
      storage_class:
        description:
          - The storage class of stored data, such as V(STANDARD_IA). Manifests, proofs and reports, which are small and
            often read, are not meant.
          - One from which objects have to be brought back first, such as V(GLACIER), cannot be verified or restored.
        type: str
      server_side_encryption:
        description: What the service is to encrypt with; with V(none) the bucket's own setting holds.
        type: str
        choices: [none, AES256, 'aws:kms']
        default: none
      kms_key_id:
        description: The key for V(aws:kms); without it the service's own.
        type: str
      lock_mode:
        description:
          - Lock each object when it is written, for O(s3.lock_for). Needs a bucket with object lock.
          - A default retention of the bucket does the same without trusting the one who writes, and is to be preferred.
          - Leases and marks of running runs, below C(control/), are not locked.
        type: str
        choices: [none, governance, compliance]
        default: none
      lock_for:
        description: How long objects are locked, such as V(30d).
        type: str
        default: "0"
      part_size:
        description:
          - The size of the first 1000 parts of a large object, such as V(16M); it doubles every 1000 parts. At least 5 MiB.
          - Writing needs O(s3.part_size) x (O(s3.concurrency) + streams written at once) of memory.
        type: bytes
        default: 8M
      concurrency:
        description: How many parts are sent at once.
        type: int
        default: 4
      max_attempts:
        description: How often a request is tried, with growing pauses.
        type: int
        default: 6
      connect_timeout:
        description: How long to wait for a connection.
        type: str
        default: 10s
      read_timeout:
        description: How long to wait for an answer.
        type: str
        default: 1m
"""


class ModuleDocFragment:
    DOCUMENTATION = (
        r"""
options:
  repository:
    description:
      - Where recovery points, proofs, leases and runs are kept, such as V(file:///srv/repository) or
        V(s3://bucket/production).
      - Falls back to the environment variable E(SRE_RUNBOOKS_REPOSITORY).
      - V(file://) needs a file system with hard links that only holds the repository, or a declared shared mount.
    type: str
    required: true
  environment_name:
    description:
      - The name of the environment that the inventory describes. A repository belongs to one environment; another
        name is refused.
      - Falls back to the environment variable E(SRE_RUNBOOKS_ENVIRONMENT).
    type: str
    required: true
"""
        + _S3
    )

    # For modules that may do without a repository: sre.runbooks.repository.s3.
    S3 = "options:\n" + _S3
