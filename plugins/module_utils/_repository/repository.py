# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open or initialise the repository behind a URL, and make sure that it is the one that is meant."""

from __future__ import annotations

import contextlib
import os
import typing as t
import urllib.parse
import uuid
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    InvalidInput,
    NotPermitted,
    ObjectExists,
    ObjectMissing,
    Refused,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    check_environment,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import Signer, Trust

_IDENTITY = "repository.json"


@dataclass(frozen=True)
class Repository:
    """An opened repository: its store, its identity, and the environment it belongs to."""

    store: Store
    id: str
    environment: str
    #: Signs what is written through this handle, and says whose signatures are believed; see ``signatures.py``.
    signer: Signer | None = None
    trust: Trust | None = None

    @property
    def url(self) -> str:
        return self.store.url


def open_store(url: str, s3: t.Mapping[str, t.Any] | None = None) -> Store:
    """The store behind a URL; nothing is read or written yet.

    :arg s3: a module's option ``s3``; None takes what the environment says.
    :raises InvalidInput: not a URL of a repository, or an option that cannot be.
    :raises MissingRequirement: s3:// without boto3.
    """
    scheme, separator, rest = url.partition("://")
    if scheme == "s3" and separator:
        # Only now: most repositories and every other part of the collection do without boto3.
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import S3Options
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_store import S3Store

        return S3Store(url, S3Options.from_environment() if s3 is None else S3Options.from_params(s3))
    host, slash, path = rest.partition("/")
    if scheme != "file" or not separator or host not in ("", "localhost") or not slash or not path.strip("/"):
        raise InvalidInput(
            "not a repository's URL", expected="file:///an/absolute/path or s3://bucket/prefix", found=repr(url)
        )
    return FileStore("/" + urllib.parse.unquote(path))


def open_repository(url: str, environment: str, s3: t.Mapping[str, t.Any] | None = None) -> Repository:
    """The repository at ``url``; refused when it is not initialised or belongs to another environment."""
    return _open(open_store(url, s3), environment)


def require_presence(repository: Repository) -> None:
    """Raise :class:`RepositoryError` when the repository itself is not to be read now: then nothing in it can be judged."""
    try:
        repository.store.read(_IDENTITY, DOCUMENT_LIMIT)
    except ObjectMissing:
        raise RepositoryError(
            f"{repository.url} is away",
            expected=f"repository {repository.id}",
            found=f"no {_IDENTITY}",
            next_command=f"see what became of {repository.url} (a mount, a network), then: the same command",
        ) from None


def initialise_repository(
    url: str, environment: str, check_mode: bool, s3: t.Mapping[str, t.Any] | None = None
) -> tuple[Repository | None, bool]:
    """Make sure that there is a repository for ``environment``; returns it and whether it was (would be) created.

    In check mode nothing is written, and a repository that would be created is None.
    """
    store = open_store(url, s3)
    check_environment(environment)
    try:
        return _open(store, environment), False
    except _NotInitialised:
        _refuse_foreign_content(store)
    if check_mode:
        if isinstance(store, FileStore):
            _refuse_unwritable(store.path)
        return None, True
    if isinstance(store, FileStore):
        store.make_root()
    document = {
        "id": str(uuid.uuid4()),
        "environment": environment,
        "created": _clock.format_time(_clock.now()),
    }
    try:
        store.create(_IDENTITY, sealed_json(document))
    except ObjectExists:  # somebody else was a moment faster
        return _open(store, environment), False
    _refuse_unconditional(store)
    return _open(store, environment), True


def shared_file_systems(store: Store, paths: t.Iterable[str]) -> list[str]:
    """Those of ``paths`` that lie on the repository's own file system, and so would be lost together with it."""
    if not isinstance(store, FileStore):
        return []
    device = os.stat(_nearest(store.path)).st_dev
    return [path for path in paths if os.stat(_nearest(path)).st_dev == device]


class _NotInitialised(RepositoryError):
    """There is no repository yet."""


def _open(store: Store, environment: str) -> Repository:
    check_environment(environment)
    try:
        content = store.read(_IDENTITY, DOCUMENT_LIMIT)
    except ObjectMissing:
        raise _NotInitialised(
            f"no repository at {store.url}",
            expected=_IDENTITY,
            found="no such directory" if _is_absent(store) else "an uninitialised place",
            next_command="correct repository_url in the inventory, or make it a repository: "
            "ansible-playbook sre.runbooks.prepare_repository",
        ) from None
    fields = parse_sealed(content, f"{store.url}/{_IDENTITY}")
    repository = Repository(store, fields.text("id", r"[0-9a-f-]{36}"), fields.text("environment"))
    if repository.environment != environment:
        raise Refused(
            f"{store.url} belongs to another environment",
            expected=f"environment {environment}",
            found=f"environment {repository.environment} (repository {repository.id})",
            next_command="correct repository_url or environment_name in the inventory",
        )
    return repository


def _is_absent(store: Store) -> bool:
    return isinstance(store, FileStore) and not os.path.isdir(store.path)


def _refuse_foreign_content(store: Store) -> None:
    """A repository is only made out of nothing: anything there is somebody's, or a repository without its identity."""
    if isinstance(store, FileStore) and os.path.lexists(store.path) and not os.path.isdir(store.path):
        raise Refused(f"{store.path} is not a directory", expected="a directory, or nothing", found="a file")
    names = [] if _is_absent(store) else list(store.children(""))
    if names and _IDENTITY not in names:  # else somebody else has just initialised it
        raise Refused(
            f"{store.url} is not empty and holds no {_IDENTITY}",
            expected="an empty or missing place, or a repository",
            found=", ".join(names[:5]),
            next_command="choose another place; if this was a repository, bring its repository.json back",
        )
    with contextlib.suppress(NotPermitted):
        _refuse_hidden(store)


def _refuse_hidden(store: Store) -> None:
    """In a bucket with versions a deleted repository is still there: a new identity would bury it."""
    for version in store.versions(_IDENTITY):
        if version.key == _IDENTITY and version.deleted:
            raise Refused(
                f"{store.url} was a repository, and somebody deleted its {_IDENTITY}",
                expected="a place that never was a repository, or one whose identity is to be seen",
                found=f"a delete marker of {_clock.format_time(version.modified)} (version {version.version_id})",
                next_command="find out who did that; remove the delete markers to have the repository back",
            )


def _refuse_unconditional(store: Store) -> None:
    """Everything rests on this promise, leases too; a store that only looks like S3 may not keep it."""
    try:
        store.create(_IDENTITY, store.read(_IDENTITY, DOCUMENT_LIMIT))
    except ObjectExists:
        return
    raise Refused(
        f"{store.url} cannot hold a repository: its store overwrites what is there",
        expected="a store that refuses a second creation (If-None-Match: *)",
        found="it accepted one",
        next_command="use a service with conditional writes, such as Amazon S3, or a file:// repository",
    )


def _refuse_unwritable(path: str) -> None:
    place = _nearest(path)
    if not os.access(place, os.W_OK | os.X_OK):
        raise RepositoryError(
            f"{path} cannot be created",
            expected=f"{place} writable for uid {os.geteuid()}",
            found="no permission, or a file system that is mounted read-only",
            next_command=f"ls -ld {place}; findmnt -T {place}",
        )


def _nearest(path: str) -> str:
    """The path itself, or the nearest directory above it that exists."""
    path = os.path.abspath(path)
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return path
