# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The links of a component's history: every manifest names the one before it and the hash of its bytes.

The order is that of ``sequence``, which is given under the component's lease: ids only have whole seconds and the clock of
whichever host took the point. A point that was expired stays in the history through its tombstone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing, RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.at_once import read_at_once
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import SHA256, Fields
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import (
    MANIFEST_LIMIT,
    POINT_ID,
    RecoveryPoint,
    point_prefix,
    points_prefix,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import list_proofs
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import read_tombstone, tombstone_ids

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclasses.dataclass(frozen=True)
class Link:
    """What the next point says of the one before it. ``sha256`` is that of the manifest's bytes."""

    point_id: str
    sequence: int
    sha256: str


def chain_head(repository: Repository, component: str, own: str | None = None) -> Link | None:
    """The newest link of the component's history, or None when it has none. Only exact under the component's lease.

    It costs two listings and one manifest where nothing is missing, damaged or unfinished, else all manifests.

    :arg own: the id of the point that is being taken, which is no part of the history yet.
    """
    taken = {name.rstrip("/") for name in repository.store.children(points_prefix(component))} - {own}
    ids = sorted(point_id for point_id in taken if re.fullmatch(POINT_ID, point_id))
    expired = tombstone_ids(repository.store, component)
    everything = sorted({*ids, *expired})
    if not everything:
        return None
    newest = _link(repository, component, everything[-1], expired)
    # Sequences begin at 1 and leave none out, so nothing can be above the number of all there ever were.
    if newest is not None and newest.sequence == len(everything):
        return newest
    read = read_at_once(repository.store, lambda each: _link(repository, component, each, expired), everything)
    links = [link for link in read if link is not None]
    known = [link for link in links if link.sequence]
    # What is damaged beyond recognition fills the gaps below; what is left over then must have come last.
    unknown = [link for link in links if not link.sequence]
    head = max(known, key=lambda link: link.sequence, default=None)
    highest = head.sequence if head else 0
    after = len(unknown) - (highest - len({link.sequence for link in known}))
    if after <= 0:
        return head
    return dataclasses.replace(unknown[-1], sequence=highest + after)


def _link(repository: Repository, component: str, point_id: str, expired: t.Container[str]) -> Link | None:
    """The link of that id; None for a point that never was finished, sequence 0 for one that nobody can read."""
    key = point_prefix(component, point_id) + "manifest.json"
    try:
        content = repository.store.read(key, MANIFEST_LIMIT)
    except ObjectMissing:
        return _buried(repository, component, point_id) if point_id in expired else None
    found = hashlib.sha256(content).hexdigest()
    try:
        point = RecoveryPoint.from_manifest(content, key)
        if point.point_id == point_id:
            return Link(point_id, point.sequence, found)
    except IntegrityError:
        pass
    return _remembered(repository, component, point_id) or Link(point_id, 0, found)


def _buried(repository: Repository, component: str, point_id: str) -> Link | None:
    try:
        tombstone = read_tombstone(repository, component, point_id)
    except IntegrityError as error:
        return Link(point_id, 0, hashlib.sha256(str(error).encode()).hexdigest())
    if tombstone.manifest_sha256 is None:  # it never had a manifest, so it never was in the history
        return None
    return Link(point_id, tombstone.sequence or 0, tombstone.manifest_sha256)


def _remembered(repository: Repository, component: str, point_id: str) -> Link | None:
    """What the proof that the point was taken says of its manifest as it was then."""
    for proof in list_proofs(repository.store, point_prefix(component, point_id)):
        if proof.level == "taken" and proof.outcome == "ok":
            try:
                fields = Fields(proof.details, "proof")
                return Link(point_id, fields.integer("sequence"), fields.text("manifest_sha256", SHA256))
            except (IntegrityError, RepositoryError):
                continue
    return None
