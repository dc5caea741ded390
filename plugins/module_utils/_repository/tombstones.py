# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stays of an expired recovery point: ``components/<component>/tombstones/<point_id>.json``.

It is written before the point's first object is removed and never removed afterwards. While anything of the point is
left, the point is *expiring*: nobody restores it, and the next retention run finishes it. Afterwards it is the point's
place in the component's chain of evidence: it says what was there, so that nothing can disappear without one.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    SHA256,
    check_component,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import POINT_ID, point_prefix
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import create_signed
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclass(frozen=True)
class Tombstone:
    """Why a point is gone, when, and what it was.

    What the point's manifest would say (``sequence``, ``previous``, ``previous_sha256``, ``consistency_time``) is None
    where that could not be read, and ``manifest_sha256`` where there was none.
    """

    component: str
    point_id: str
    expired_at: datetime.datetime
    run_id: str | None
    reason: str
    #: The policy in force, as :meth:`retention.Policy.facts` gives it.
    policy: dict[str, t.Any]
    #: sha256 of the manifest's bytes.
    manifest_sha256: str | None
    sequence: int | None
    previous: str | None
    previous_sha256: str | None
    consistency_time: datetime.datetime | None
    level: str
    #: Bytes in the repository, without manifest and proofs.
    size: int
    objects_count: int

    def to_document(self) -> bytes:
        """The tombstone's bytes."""
        shown = None if self.consistency_time is None else format_time(self.consistency_time)
        return sealed_json({**vars(self), "expired_at": format_time(self.expired_at), "consistency_time": shown})

    @classmethod
    def from_document(cls, content: bytes, key: str) -> Tombstone:
        """Read and check one. Raises :class:`IntegrityError` naming ``key``, and for one that lies in another's place."""
        fields = parse_sealed(content, key)
        tombstone = cls(
            component=fields.text("component", r"[a-z0-9_-]{1,63}"),
            point_id=fields.text("point_id", POINT_ID),
            expired_at=fields.time("expired_at"),
            run_id=fields.optional_text("run_id"),
            reason=fields.text("reason"),
            policy=fields.mapping("policy"),
            manifest_sha256=fields.optional_text("manifest_sha256", SHA256),
            sequence=None if fields.data.get("sequence") is None else fields.integer("sequence"),
            previous=fields.optional_text("previous", POINT_ID),
            previous_sha256=fields.optional_text("previous_sha256", SHA256),
            consistency_time=None if fields.data.get("consistency_time") is None else fields.time("consistency_time"),
            level=fields.text("level"),
            size=fields.integer("size"),
            objects_count=fields.integer("objects_count"),
        )
        place = tombstone_key(tombstone.component, tombstone.point_id)
        if place != key:
            raise IntegrityError(f"{key} is damaged", expected="a tombstone of that place", found=f"that of {place}")
        return tombstone


def tombstones_prefix(component: str) -> str:
    return f"components/{check_component(component)}/tombstones/"


def tombstone_key(component: str, point_id: str) -> str:
    point_prefix(component, point_id)  # refuses what is no point's id
    return f"{tombstones_prefix(component)}{point_id}.json"


def write_tombstone(repository: Repository, tombstone: Tombstone) -> None:
    """Say for good that the point goes. Raises :class:`ObjectExists` when that has been said before."""
    create_signed(repository, tombstone_key(tombstone.component, tombstone.point_id), tombstone.to_document())


def read_tombstone(repository: Repository, component: str, point_id: str) -> Tombstone:
    """Raises :class:`ObjectMissing`, :class:`IntegrityError`."""
    key = tombstone_key(component, point_id)
    return Tombstone.from_document(repository.store.read(key, DOCUMENT_LIMIT), key)


def is_expired(store: Store, component: str, point_id: str) -> bool:
    """Whether that point has a tombstone, readable or not."""
    try:
        store.stat(tombstone_key(component, point_id))
    except ObjectMissing:
        return False
    return True


def tombstone_ids(store: Store, component: str) -> set[str]:
    """The ids of the points that have a tombstone, from a listing of names alone."""
    found = set()
    for name in store.children(tombstones_prefix(component)):
        match = re.fullmatch(rf"({POINT_ID})\.json", name)
        if match:
            found.add(match[1])
    return found
