# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component's whole history as the repository tells it: each manifest and each tombstone, whatever is wrong with them."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.at_once import read_at_once
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import DOCUMENT_LIMIT, SHA256, Fields
from ansible_collections.sre.runbooks.plugins.module_utils._repository.listing import (
    ComponentListing,
    ListedPoint,
    rows_digest,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import (
    MANIFEST_LIMIT,
    RecoveryPoint,
    point_prefix,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import read_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import (
    SUFFIX,
    ForgedSignature,
    Unsigned,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import Tombstone, tombstone_key

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_TIMES = ("started", "consistency_time", "finished", "recorded", "modified")


@dataclass(frozen=True)
class Entry:
    """One place in the history. ``sha256`` is that of the manifest's bytes; an expired point has no times of its own."""

    point_id: str
    sequence: int
    sha256: str
    previous: str | None
    previous_sha256: str | None
    expired: bool = False
    started: datetime.datetime | None = None
    consistency_time: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    recorded: datetime.datetime | None = None
    #: When the manifest came to be, by the store's clock.
    modified: datetime.datetime | None = None
    duration_s: float = 0.0
    #: The name of the key that signed it, empty for none; None where nobody looked.
    signed_by: str | None = None

    def to_dict(self) -> dict[str, t.Any]:
        moments = {name: getattr(self, name) for name in _TIMES}
        return {**vars(self), **{name: format_time(at) if at else None for name, at in moments.items()}}

    @classmethod
    def from_dict(cls, data: t.Mapping[str, t.Any]) -> Entry:
        """What :meth:`to_dict` made. Raises :class:`IntegrityError` for anything else."""
        try:
            fields = dict(data)
            fields.update({name: parse_time(fields[name]) if fields[name] else None for name in _TIMES})
            return cls(**fields)
        except (TypeError, KeyError, AttributeError, RunbookError):
            raise IntegrityError("not an entry of a history", found=str(data)[:200]) from None


@dataclass
class History:
    """All that could be read, and in words what could not."""

    component: str
    entries: list[Entry] = field(default_factory=list)
    #: Manifests and tombstones that cannot be believed, by the point's id, with the reason.
    unreadable: dict[str, str] = field(default_factory=dict)
    #: Places that hold the manifest of another point: its id, and the sha256 of what lies there.
    strayed: dict[str, tuple[str, str]] = field(default_factory=dict)
    #: Expired points whose place in the history is not known, since their manifest was damaged.
    lost: set[str] = field(default_factory=set)
    #: Points whose manifest a delete marker hides.
    hidden: set[str] = field(default_factory=set)
    #: Points that have a tombstone, with the hash of the manifest that it names where it knows the place of that.
    tombstones: dict[str, str | None] = field(default_factory=dict)
    #: Points whose manifest is another than when they were taken: what it was then, and what it is.
    disowned: dict[str, tuple[str, str]] = field(default_factory=dict)
    forged: dict[str, str] = field(default_factory=dict)
    unsigned: list[str] = field(default_factory=list)

    def blind(self) -> set[str]:
        """Points whose place cannot be seen, which is said of each: nothing else is to be said of their places."""
        return {*self.unreadable, *self.strayed, *self.lost, *self.hidden}


def read_history(
    repository: Repository,
    listing: ComponentListing,
    component: str,
    known: t.Mapping[str, tuple[str, Entry]] | None = None,
    expired: t.Mapping[str, tuple[str, Entry]] | None = None,
) -> History:
    """Read every manifest and tombstone that the listing shows.

    :arg known: by the point's id, the digest of its listing when its manifest was last read, and the entry then found.
        A manifest is not opened again while the digest is the same.
    :arg expired: the same of tombstones.
    """
    history = History(component)
    changed: list[str] = []
    for key in listing.others:
        if key.startswith("tombstones/") and key.endswith(".json"):
            point_id = key[len("tombstones/") : -len(".json")]
            before = (expired or {}).get(point_id)
            digest = tombstone_digest(listing, point_id)
            if before is not None and before[0] == digest and _is_trusted(repository, before[1]):
                history.tombstones[point_id] = before[1].sha256
                history.entries.append(before[1])
            else:
                changed.append(point_id)
    read_at_once(repository.store, lambda point_id: _read_tombstone(repository, history, point_id), changed)
    unknown: list[ListedPoint] = []
    for point_id, point in listing.points.items():
        before = (known or {}).get(point_id)
        if "manifest.json" in point.hidden and point_id not in history.tombstones:
            history.hidden.add(point_id)
        if point.modified is None:
            continue
        if before is not None and before[0] == point.digest and _is_trusted(repository, before[1]):
            if point_id not in history.tombstones:
                history.entries.append(before[1])
            continue
        unknown.append(point)
    read_at_once(repository.store, lambda point: _read_manifest(repository, history, point), unknown)
    history.entries.sort(key=lambda entry: (entry.sequence, entry.point_id))
    return history


def tombstone_digest(listing: ComponentListing, point_id: str) -> str:
    """The sha256 of what the listing shows of a tombstone and its signature."""
    key = f"tombstones/{point_id}.json"
    rows = {name: listing.others.get(name) for name in (key, key + SUFFIX)}
    return rows_digest({name: row for name, row in rows.items() if row is not None})


def _is_trusted(repository: Repository, entry: Entry) -> bool:
    """Whether what was found out about its signature still answers what is asked today."""
    trust = repository.trust
    if trust is None:
        return True
    return entry.signed_by in {key.name for key in trust.keys} or (entry.signed_by == "" and not trust.required)


def _read_manifest(repository: Repository, history: History, point: ListedPoint) -> None:
    component, point_id = history.component, point.point_id
    key = point_prefix(component, point_id) + "manifest.json"
    try:
        content = repository.store.read(key, MANIFEST_LIMIT)
    except ObjectMissing:  # expired since it was listed
        return
    except IntegrityError as error:
        history.unreadable[point_id] = str(error)
        return
    digest = hashlib.sha256(content).hexdigest()
    signed_by = _signature(repository, history, point_id, key, content)
    try:
        found = RecoveryPoint.from_manifest(content, key)
    except IntegrityError as error:
        history.unreadable[point_id] = str(error)
        return
    if (found.repository_id, found.environment, found.component) != (repository.id, repository.environment, component):
        history.unreadable[point_id] = (
            f"the manifest of {found.component} in {found.environment} (repository {found.repository_id}) lies in its place"
        )
        return
    if found.point_id != point_id:
        history.strayed[point_id] = (found.point_id, digest)
        return
    if point_id in history.tombstones:
        if history.tombstones[point_id] not in (None, digest):
            history.unreadable[point_id] = "its manifest is not the one that its tombstone names"
        return
    taken = _when_taken(repository, component, point)
    if taken is not None and taken != digest:
        history.disowned[point_id] = (taken, digest)
    history.entries.append(
        Entry(
            point_id=point_id,
            sequence=found.sequence,
            sha256=digest,
            previous=found.previous,
            previous_sha256=found.previous_sha256,
            started=found.started,
            consistency_time=found.consistency_time,
            finished=found.finished,
            recorded=found.recorded,
            modified=point.modified,
            duration_s=found.duration_s,
            signed_by=signed_by,
        )
    )


def _when_taken(repository: Repository, component: str, point: ListedPoint) -> str | None:
    """The hash of the manifest that the point's first proof names."""
    for name in point.proofs:
        if name.startswith("taken-") and not name.endswith(SUFFIX):
            with contextlib.suppress(RunbookError, ValueError):
                proof = read_proof(repository.store, f"{point_prefix(component, point.point_id)}proofs/{name}")
                return Fields(proof["details"], name).text("manifest_sha256", SHA256)
    return None


def _read_tombstone(repository: Repository, history: History, point_id: str) -> None:
    try:
        key = tombstone_key(history.component, point_id)
        content = repository.store.read(key, DOCUMENT_LIMIT)
        signed_by = _signature(repository, history, point_id, key, content)
        tombstone = Tombstone.from_document(content, key)
    except (RunbookError, ValueError) as error:
        history.unreadable[point_id] = f"its tombstone: {error}"
        return
    history.tombstones[point_id] = tombstone.manifest_sha256 if tombstone.sequence else None
    if tombstone.manifest_sha256 is None:  # never finished, so never in the history
        return
    if tombstone.sequence is None:
        history.lost.add(point_id)
        return
    history.entries.append(
        Entry(
            point_id=point_id,
            sequence=tombstone.sequence,
            sha256=tombstone.manifest_sha256,
            previous=tombstone.previous,
            previous_sha256=tombstone.previous_sha256,
            expired=True,
            signed_by=signed_by,
        )
    )


def _signature(repository: Repository, history: History, point_id: str, key: str, content: bytes) -> str | None:
    if repository.trust is None:
        return None
    try:
        return repository.trust.check(repository.store, key, content) or ""
    except Unsigned:
        history.unsigned.append(point_id)
    except ForgedSignature as error:
        history.forged[point_id] = str(error.found)
    return None
