# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a recovery point's objects back as files, every byte proven on the way."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import re
import shutil
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Identities,
    copy_decoded,
    open_decoded,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.stored_globals import read_settings

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import (
        RecoveryPoint,
        StoredObject,
    )
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_SMALL = 64 << 20


@dataclasses.dataclass
class Fetched:
    """A point's content on this host. ``directories``: database → what ``pg_restore`` reads."""

    directories: dict[str, str]
    globals_text: str | None
    #: Database → its settings in full; the manifest's may lack values.
    settings: dict[str, list[dict[str, t.Any]]]

    def discard(self, database: str) -> None:
        """Delete the files of a database that has been loaded."""
        shutil.rmtree(self.directories[database], ignore_errors=True)


def recorded_databases(point: RecoveryPoint) -> dict[str, dict[str, t.Any]]:
    """Name → its entry in the manifest. Raises :class:`IntegrityError` when that is not what we write."""
    entries = point.content.get("databases")
    if not isinstance(entries, list):
        raise IntegrityError(f"{point.manifest_key} lists no databases", point.component)
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise IntegrityError(f"{point.manifest_key} has a database without a name", point.component)
        if not _FILE.fullmatch(str(entry.get("directory"))):
            raise IntegrityError(f"{point.manifest_key} names no directory of {entry['name']!r}", point.component)
        found[entry["name"]] = entry
    return found


def needed_objects(
    point: RecoveryPoint, databases: t.Iterable[str]
) -> tuple[dict[str, list[tuple[StoredObject, str]]], dict[str, StoredObject]]:
    """Database → objects and the names of their files; and by plain name the point's other data objects."""
    directories = {entry["directory"]: name for name, entry in recorded_databases(point).items()}
    wanted = set(databases)
    of_databases: dict[str, list[tuple[StoredObject, str]]] = {name: [] for name in wanted}
    others = {}
    for stored in point.objects:
        plain = _plain_name(stored)
        directory, slash, file = plain.partition("/")
        if not slash:
            others[plain] = stored
        elif directories.get(directory) in wanted:
            if not _FILE.fullmatch(file):
                raise IntegrityError(f"{stored.name!r} is no file of a dump", point.component)
            of_databases[directories[directory]].append((stored, file))
    for name, objects in of_databases.items():
        if not any(file == "toc.dat" for _stored, file in objects):
            raise IntegrityError(
                f"recovery point {point.point_id} has no dump of {name}", point.component, expected="its toc.dat"
            )
    return of_databases, others


def fetch(
    repository: Repository,
    point: RecoveryPoint,
    databases: t.Sequence[str],
    identities: Identities,
    directory: str,
    jobs: int,
    progress: Progress | None,
) -> Fetched:
    """Decode and prove everything that restoring ``databases`` needs; the files lie below ``directory``.

    So this is the verification, too: what comes back without an exception is what was stored.

    :raises IntegrityError, ObjectMissing: the point is damaged. :raises WrongIdentity: it cannot be decrypted.
    """
    of_databases, others = needed_objects(point, databases)
    work: list[tuple[StoredObject, str]] = []
    directories = {}
    for number, (name, objects) in enumerate(sorted(of_databases.items()), 1):
        directories[name] = os.path.join(directory, f"db-{number:04d}")
        os.mkdir(directories[name], 0o700)
        work += [(stored, os.path.join(directories[name], file)) for stored, file in objects]
    work.sort(key=lambda item: item[0].raw_length, reverse=True)
    if progress is not None:
        progress.step(f"reading {point.point_id}", sum(stored.raw_length for stored, _path in work))
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        done = [
            pool.submit(copy_decoded, repository.store, stored, identities, path, progress) for stored, path in work
        ]
        try:
            for future in done:
                future.result()
        except BaseException:
            for future in done:
                future.cancel()
            raise
    document = (point.content.get("globals") or {}).get("object")
    globals_object = next((stored for stored in others.values() if stored.name == document), None)
    return Fetched(
        directories,
        None if globals_object is None else _text(repository, globals_object, identities),
        read_settings(repository.store, point, identities),
    )


def total_bytes(point: RecoveryPoint, databases: t.Sequence[str]) -> int:
    """Bytes that the decoded objects of ``databases`` take."""
    of_databases, _others = needed_objects(point, databases)
    return sum(stored.raw_length for objects in of_databases.values() for stored, _file in objects)


def _text(repository: Repository, stored: StoredObject, identities: Identities) -> str:
    if stored.raw_length > _SMALL:
        raise IntegrityError(
            f"{stored.name} is too large", expected=f"at most {_SMALL} bytes", found=f"{stored.raw_length} bytes"
        )
    with open_decoded(repository.store, stored, identities) as decoded:
        return decoded.read().decode("utf-8")


def _plain_name(stored: StoredObject) -> str:
    """The name without what the encoding added to it."""
    name = stored.name
    for step in reversed(stored.encoding):
        suffix = {"zstd": ".zst", "age": ".age"}[step]
        if name.endswith(suffix):
            name = name[: -len(suffix)]
    return name
