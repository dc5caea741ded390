# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where pgBackRest keeps a component's backups and log: beside our own objects, one directory a generation.

A generation is one passphrase: pgBackRest cannot change it, so a new one begins a new directory with a full backup, and
the old directory stays while recovery points need it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    InvalidInput,
    MissingRequirement,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

GENERATION = re.compile(r"\d{4}")
FIRST_GENERATION = "0001"


@dataclasses.dataclass(frozen=True)
class Place:
    """One generation's directory.

    :ivar options: pgBackRest's ``repo1-*`` options without secrets. :ivar secrets: those with.
    :ivar directory: the path on this host; None for an object store.
    """

    component: str
    generation: str
    url: str
    options: dict[str, str]
    secrets: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    directory: str | None = None

    def prepare(self, user: str | None) -> None:
        """Make the component's directory on this host, owned by the server's account; nothing for an object store."""
        if self.directory is None:
            return
        parent = os.path.dirname(self.directory)
        try:
            os.makedirs(os.path.dirname(parent), 0o755, exist_ok=True)
            if not os.path.isdir(parent):
                os.mkdir(parent, 0o750)
                give(parent, user)
        except OSError as error:
            raise RepositoryError(
                f"{parent} cannot be made",
                self.component,
                expected="a repository that this account may write to",
                found=str(error.strerror),
                next_command=f"ls -ld {os.path.dirname(os.path.dirname(parent))}",
            ) from None


def prefix_of(component: str, generation: str = "") -> str:
    """The key prefix of a component's generations, or of one of them; ends in ``/``."""
    return f"pgbackrest/{check_component(component)}/" + (f"{generation}/" if generation else "")


def generations(repository: Repository, component: str) -> list[str]:
    """The generations that hold anything, oldest first."""
    names = (name.rstrip("/") for name in repository.store.children(prefix_of(component)))
    return sorted(name for name in names if GENERATION.fullmatch(name))


def next_generation(known: t.Sequence[str]) -> str:
    """``0001`` first, then one more than the last."""
    return f"{int(known[-1]) + 1:04d}" if known else FIRST_GENERATION


def place_of(url: str, component: str, generation: str, s3: t.Mapping[str, t.Any] | None = None) -> Place:
    """The place of a generation below the repository at ``url``.

    :arg s3: the module option ``s3``: endpoint, region, keys and certificates, see the documentation's fragment.
    :raises InvalidInput: a URL or an option that pgBackRest cannot use.
    """
    if not GENERATION.fullmatch(generation):
        raise InvalidInput("not a generation", component, expected="such as 0001", found=repr(generation[:20]))
    relative = prefix_of(component, generation).rstrip("/")
    scheme, _separator, rest = url.partition("://")
    if scheme == "file":
        directory = os.path.join("/" + urllib.parse.unquote(rest.partition("/")[2]), relative)
        directory = os.path.normpath(directory)
        return Place(
            component,
            generation,
            f"file://{directory}",
            {"repo1-type": "posix", "repo1-path": directory},
            {},
            directory,
        )
    if scheme != "s3":
        raise InvalidInput(
            "not a repository's URL",
            component,
            expected="file:///an/absolute/path or s3://bucket/prefix",
            found=repr(url),
        )
    bucket, _slash, prefix = rest.partition("/")
    path = "/".join(part for part in (prefix.strip("/"), relative) if part)
    given = s3 or {}
    options = {"repo1-type": "s3", "repo1-path": f"/{path}", "repo1-s3-bucket": bucket, **_s3_options(component, given)}
    return Place(component, generation, f"s3://{bucket}/{path}", options, _s3_secrets(given))


def _s3_options(component: str, s3: t.Mapping[str, t.Any]) -> dict[str, str]:
    region = s3.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    endpoint = s3.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    parts = urllib.parse.urlsplit(endpoint or f"https://s3.{region}.amazonaws.com")
    if parts.scheme != "https" or not parts.hostname:
        raise InvalidInput(
            "pgBackRest speaks to S3 through TLS only",
            component,
            expected="an endpoint_url that begins with https://",
            found=repr(endpoint),
            next_command="give the gateway a certificate, and its authority as ca_bundle in repository_s3 in the inventory",
        )
    style = s3.get("addressing_style") or "auto"
    if style == "auto":
        # What boto3 does: virtual hosts only where they certainly exist.
        style = "virtual" if endpoint is None else "path"
    options = {
        "repo1-s3-endpoint": parts.hostname,
        "repo1-s3-region": str(region),
        "repo1-s3-uri-style": "path" if style == "path" else "host",
        "repo1-storage-port": str(parts.port or 443),
        "repo1-s3-key-type": "shared" if _credentials(s3) else "auto",
    }
    if s3.get("verify_certificates") is False:
        options["repo1-storage-verify-tls"] = "n"
    authority = s3.get("ca_bundle") or os.environ.get("AWS_CA_BUNDLE")
    if authority:
        options["repo1-storage-ca-file"] = str(authority)
    if s3.get("kms_key_id"):
        options["repo1-s3-kms-key-id"] = str(s3["kms_key_id"])
    return options


def _s3_secrets(s3: t.Mapping[str, t.Any]) -> dict[str, str]:
    found = _credentials(s3)
    if found is None:
        return {}
    names = ("repo1-s3-key", "repo1-s3-key-secret", "repo1-s3-token")
    return {name: value for name, value in zip(names, found) if value}


def _credentials(s3: t.Mapping[str, t.Any]) -> tuple[str, str, str | None] | None:
    """Key, secret and token: given, of the environment or of the profile; None leaves it to the machine's own role."""
    if s3.get("access_key") and s3.get("secret_key"):
        return str(s3["access_key"]), str(s3["secret_key"]), s3.get("session_token")
    if s3.get("profile"):
        return _profile(str(s3["profile"]))
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return (key, secret, os.environ.get("AWS_SESSION_TOKEN")) if key and secret else None


def _profile(name: str) -> tuple[str, str, str | None] | None:
    try:
        import boto3
    except ImportError as error:
        raise MissingRequirement(
            "the Python library boto3 cannot be imported",
            expected="boto3 for the module's Python, to read the profile",
            found=str(error),
            next_command="ansible-playbook sre.runbooks.prepare_hosts",
        ) from None
    found = boto3.Session(profile_name=name).get_credentials()
    if found is None:
        return None
    frozen = found.get_frozen_credentials()
    return frozen.access_key, frozen.secret_key, frozen.token
