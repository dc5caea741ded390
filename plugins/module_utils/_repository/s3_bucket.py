# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One bucket as the store uses it: a client, and whatever it raises turned into errors of ours."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_client import ServiceClock, make_client
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import explain
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import S3Location, S3Options
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import check_key, check_prefix


class Bucket:
    """The part of a bucket that lies below the location's prefix; keys are relative to it."""

    def __init__(self, location: S3Location, options: S3Options) -> None:
        self.location = location
        self.options = options
        self.clock = ServiceClock()
        self.client = make_client(location, options, self.clock)

    def key(self, key: str) -> str:
        """The key in the bucket."""
        return self.location.prefix + check_key(key)

    def call(self, operation: str, verb: str, what: str, **arguments: t.Any) -> t.Any:
        """One request; ``verb`` and ``what`` say in an error what it was for. Raises :class:`RepositoryError`."""
        with self.explained(verb, what):
            return getattr(self.client, operation)(Bucket=self.location.bucket, **arguments)

    def pages(self, operation: str, prefix: str, **arguments: t.Any) -> t.Iterator[t.Any]:
        """The pages of a listing of what begins with ``prefix``."""
        prefix = self.location.prefix + check_prefix(prefix)
        with self.explained("list", prefix or f"bucket {self.location.bucket}"):
            paginator = self.client.get_paginator(operation)
            yield from paginator.paginate(Bucket=self.location.bucket, Prefix=prefix, **arguments)

    def relative(self, key: str) -> str:
        return key[len(self.location.prefix) :]

    @contextlib.contextmanager
    def explained(self, verb: str, what: str) -> t.Iterator[None]:
        try:
            yield
        except Exception as error:
            if not _is_from_the_way(error):
                raise
            raise self.explanation(error, verb, what) from None

    def explanation(self, error: BaseException, verb: str, what: str) -> RepositoryError:
        return explain(error, verb, what, self.location, self.options, self.clock.skew_s())


def version_of(response: t.Mapping[str, t.Any]) -> str | None:
    """The version that an answer names; None in a bucket without versions."""
    version = response.get("VersionId")
    return None if version in (None, "null") else str(version)


def _is_from_the_way(error: Exception) -> bool:
    """Whether the service or the way to it failed, and not this program."""
    import botocore.exceptions
    import urllib3.exceptions

    ours = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, urllib3.exceptions.HTTPError, OSError)
    return isinstance(error, ours)
