# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open or initialise the repository behind a URL, and make sure that it is the one that is meant."""

from __future__ import annotations

import os
import typing as t
import urllib.parse
import uuid
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    InvalidInput,
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


def open_store(url: str) -> FileStore:
    """The store behind a URL; nothing is read or written yet. Raises :class:`InvalidInput`."""
    scheme, separator, rest = url.partition("://")
    if scheme == "s3" and separator:
        raise InvalidInput(
            f"{url}: s3:// repositories come with a later release",
            expected="file:///an/absolute/path",
            found="s3://",
            next_command="give a file:// repository, on a shared mount where several hosts must see it",
        )
    host, slash, path = rest.partition("/")
    if scheme != "file" or not separator or host not in ("", "localhost") or not slash or not path.strip("/"):
        raise InvalidInput("not a repository's URL", expected="file:///an/absolute/path", found=repr(url))
    return FileStore("/" + urllib.parse.unquote(path))


def open_repository(url: str, environment: str) -> Repository:
    """The repository at ``url``; refused when it is not initialised or belongs to another environment."""
    return _open(open_store(url), environment)


def initialise_repository(url: str, environment: str, check_mode: bool) -> tuple[Repository | None, bool]:
    """Make sure that there is a repository for ``environment``; returns it and whether it was (would be) created.

    In check mode nothing is written, and a repository that would be created is None.
    """
    store = open_store(url)
    check_environment(environment)
    try:
        return _open(store, environment), False
    except _NotInitialised:
        _refuse_foreign_content(store)
    if check_mode:
        _refuse_unwritable(store.path)
        return None, True
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
    return _open(store, environment), True


def shared_file_systems(store: Store, paths: t.Iterable[str]) -> list[str]:
    """Those of ``paths`` that lie on the repository's own file system, and so would be lost together with it."""
    if not isinstance(store, FileStore):
        return []
    device = os.stat(_nearest(store.path)).st_dev
    return [path for path in paths if os.stat(_nearest(path)).st_dev == device]


class _NotInitialised(RepositoryError):
    """There is no repository yet."""


def _open(store: FileStore, environment: str) -> Repository:
    check_environment(environment)
    try:
        content = store.read(_IDENTITY, DOCUMENT_LIMIT)
    except ObjectMissing:
        raise _NotInitialised(
            f"no repository at {store.url}",
            expected=_IDENTITY,
            found="an uninitialised place" if os.path.isdir(store.path) else "no such directory",
            next_command=f"ansible -m sre.runbooks.repository -a 'repository={store.url} environment_name={environment}' localhost",
        ) from None
    fields = parse_sealed(content, f"{store.url}/{_IDENTITY}")
    repository = Repository(store, fields.text("id", r"[0-9a-f-]{36}"), fields.text("environment"))
    if repository.environment != environment:
        raise Refused(
            f"{store.url} belongs to another environment",
            expected=f"environment {environment}",
            found=f"environment {repository.environment} (repository {repository.id})",
            next_command="correct repository or environment_name in the inventory",
        )
    return repository


def _refuse_foreign_content(store: FileStore) -> None:
    """A repository is only made out of nothing: anything there is somebody's, or a repository without its identity."""
    if os.path.lexists(store.path) and not os.path.isdir(store.path):
        raise Refused(f"{store.path} is not a directory", expected="a directory, or nothing", found="a file")
    names = list(store.children("")) if os.path.isdir(store.path) else []
    if names and _IDENTITY not in names:  # else somebody else has just initialised it
        raise Refused(
            f"{store.url} is not empty and holds no {_IDENTITY}",
            expected="an empty or missing directory, or a repository",
            found=", ".join(names[:5]),
            next_command="choose another place; if this was a repository, bring its repository.json back",
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
