# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a listing and one header show of a point, before anything is stopped for it: cut off, gone, or without its key."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import NEXT, Identities, WrongIdentity
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import (
    KeyRing,
    encrypted_objects,
    look_into,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.stored import stat_stored

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


def require_readable(
    repository: Repository,
    point: RecoveryPoint,
    identities: Identities,
    needed: t.Collection[StoredObject] | None = None,
) -> None:
    """Refuse a point that cannot be restored for all that is known without reading its data.

    :arg needed: the objects that would be read; by default all of them.
    :raises IntegrityError: one is missing or of another length, or the headers are damaged.
    :raises WrongIdentity: none of the identities opens it; says whose would.
    """
    lengths = {found.key: found.length for found in repository.store.list(point.prefix)}
    for stored in point.objects if needed is None else needed:
        if lengths.get(stored.key) != stored.length:
            _require_stored(repository, point, stored)
    if not encrypted_objects(point):
        return
    ring = KeyRing(identities)
    found = look_into(repository, point, ring)
    if found.state == "damaged":
        raise IntegrityError(
            f"recovery point {point.point_id} is damaged: {found.problems[0]}", point.component, found="damaged headers"
        )
    if found.state in ("orphaned", "untried"):
        raise wrong_identity(point, found.recipients, ring)


def wrong_identity(point: RecoveryPoint, recipients: t.Sequence[str], ring: KeyRing) -> WrongIdentity:
    """The error that says with whose key the point would open, and whose are here."""
    here = ", ".join(ring.recipients) or ("one of another kind" if ring else "none")
    return WrongIdentity(
        f"recovery point {point.point_id} does not open here",
        point.component,
        expected=f"the identity of {' or of '.join(recipients) or 'one of its recipients, which nobody noted'}",
        found=here if here in ("none", "one of another kind") else f"that of {here}",
        next_command=NEXT,
    )


def _require_stored(repository: Repository, point: RecoveryPoint, stored: StoredObject) -> None:
    """A listing shows the newest version only; the one that the manifest names may be whole behind it."""
    try:
        length = stat_stored(repository.store, stored).length
    except ObjectMissing:
        raise IntegrityError(
            f"recovery point {point.point_id} is damaged: {stored.name} is missing",
            point.component,
            expected=stored.key,
            found="nothing",
        ) from None
    if length != stored.length:
        raise IntegrityError(
            f"recovery point {point.point_id} is damaged: the length of {stored.name} is another",
            point.component,
            expected=f"{stored.length} bytes",
            found=f"{length} bytes",
        )
