# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A generation opened for reading, on any host: to list, verify, restore or expire. The server is not needed for it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import socket
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest, PgbackrestError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import (
    configuration_text,
    stanza_of,
    temporary_configuration,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import StanzaInfo, read_info
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import Place, place_of
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import reachable

#: The code of an error that another passphrase would not have had.
WRONG_PASSPHRASE = 95
#: Seconds for one exchange while looking: an unreachable store is to be named, not waited for.
LOOKING = {"io-timeout": "5"}
_LOOKING_TIMEOUT_S = 45.0
_CONNECTING_S = 10.0


def owner_of(place: Place) -> str | None:
    """The account to act as: when we are root, that of a repository in a directory; else None (ourselves)."""
    if os.geteuid() != 0 or place.directory is None:
        return None
    directory = place.directory
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return pwd.getpwuid(os.stat(directory).st_uid).pw_name


@contextlib.contextmanager
def opened(
    url: str,
    component: str,
    generation: str,
    passphrases: t.Sequence[str | None],
    s3: t.Mapping[str, t.Any] | None = None,
    user: str | None = None,
    extra: t.Mapping[str, str] | None = None,
) -> t.Iterator[tuple[Pgbackrest, StanzaInfo]]:
    """A generation and what is in it, with the first of ``passphrases`` that opens it; the configuration is temporary.

    :arg user: the account to run as; by default the repository's own.
    :raises PgbackrestError: none of them opens it (``code`` 95), or it cannot be reached.
    """
    place = place_of(url, component, generation, s3)
    user = user or owner_of(place)
    passphrase, info = find_passphrase(place, passphrases, user)
    text = configuration_text(place, None, passphrase, extra)
    with temporary_configuration(text, user) as path:
        yield Pgbackrest(path, stanza_of(component), component, user), info


def find_passphrase(
    place: Place, passphrases: t.Sequence[str | None], user: str | None = None
) -> tuple[str | None, StanzaInfo]:
    """The first passphrase that opens the place, and what it holds; see :func:`opened`."""
    refuse_closed(place, user)
    refuse_unreachable(place)
    refusal: PgbackrestError | None = None
    for passphrase in dict.fromkeys(passphrases):
        with temporary_configuration(configuration_text(place, None, passphrase, LOOKING), user) as path:
            tool = Pgbackrest(path, stanza_of(place.component), place.component, user)
            try:
                return passphrase, read_info(tool, _LOOKING_TIMEOUT_S)
            except PgbackrestError as error:
                if error.code != WRONG_PASSPHRASE:
                    raise
                refusal = error
    raise refusal or InvalidInput(
        "no passphrase was asked with", place.component, expected="at least one, or none at all"
    )


def refuse_closed(place: Place, user: str | None) -> None:
    """Raise :class:`RepositoryError` when the server's account cannot get to a repository in a directory."""
    if place.directory is None or user is None:
        return
    directory = place.directory
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    if not reachable(directory, user):
        above = [directory, *(str(parent) for parent in pathlib.PurePath(directory).parents)]
        closed = next(passed for passed in reversed(above) if not reachable(passed, user))
        # Who made the repository's own directory, such as root, can go on using it when it is the server's account's.
        root = os.path.dirname(os.path.dirname(os.path.dirname(place.directory)))
        remedy = f"chown {user} {root}" if closed == root else f"give the repository a place that {user} reaches"
        raise RepositoryError(
            f"{place.directory} cannot be reached by {user}, as whom the server archives",
            place.component,
            expected=f"every directory above it open to {user}",
            found=f"{closed}, which is closed to others",
            next_command=f"{remedy} (mode 0700 will do); who may pass which: namei -l {directory}",
        )


def refuse_unreachable(place: Place) -> None:
    """Raise :class:`RepositoryError` when nothing answers at an S3 endpoint: pgBackRest would try for a long time."""
    host, port = place.options.get("repo1-s3-endpoint"), int(place.options.get("repo1-storage-port", "443"))
    if host is None:
        return
    if place.options.get("repo1-s3-uri-style") == "host":
        host = f"{place.options['repo1-s3-bucket']}.{host}"
    try:
        socket.create_connection((host, port), timeout=_CONNECTING_S).close()
    except OSError as error:
        raise RepositoryError(
            f"nothing answers at {host}:{port}",
            place.component,
            expected="the S3 endpoint, reached from the server's host",
            found=str(error.strerror or error),
            next_command="check host and port of the endpoint, the network and the firewall",
        ) from None
