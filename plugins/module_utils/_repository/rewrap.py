# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make every retained recovery point open with today's recipients, without rewriting its data.

A point that was encrypted for others gets new headers (:mod:`rewraps`) from an identity that opens it. Nothing is
replaced or removed, so the old key still opens the old headers: this loses nothing, and protects from nothing that the
old key's thief has.
"""

from __future__ import annotations

import concurrent.futures
import hmac
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import Identities, WrongIdentity
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_header import (
    Header,
    open_first_chunk,
    open_header,
    read_header,
    write_header,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_keys import X25519Identity, recipient_key
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import open_decoded
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import (
    FIRST_CHUNK,
    ORIGINAL,
    KeyRing,
    PointOpenings,
    encrypted_objects,
    look_into,
    read_start,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewrap_guide import rewrap_guide
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import (
    NewHeader,
    Rewrap,
    list_rewraps,
    new_rewrap_id,
    store_rewrap,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: Objects whose headers are read at the same time: it is waiting, not work.
_AT_ONCE = 8

NOTHING, REWRAP, IMPOSSIBLE = "none", "rewrap", "impossible"


@dataclass(frozen=True)
class Planned:
    """What is to be done about a point, and why."""

    openings: PointOpenings
    action: str
    reason: str

    @property
    def point(self) -> RecoveryPoint:
        return self.openings.point


def plan_rewraps(
    repository: Repository, points: t.Iterable[RecoveryPoint], recipients: t.Sequence[str], ring: KeyRing
) -> list[Planned]:
    """Look at every point, in the order given; reads headers only."""
    return [_planned(look_into(repository, point, ring), recipients, ring) for point in points]


def _planned(found: PointOpenings, recipients: t.Sequence[str], ring: KeyRing) -> Planned:
    if found.state == "plain":
        return Planned(found, NOTHING, "it is not encrypted")
    serving = found.serving(recipients, ring)
    if serving is not None:
        where = "its own headers" if serving.headers == ORIGINAL else f"rewrap {serving.headers}"
        return Planned(found, NOTHING, f"it opens with every current recipient by {where}")
    if not any(recipient in ring.recipients for recipient in found.opened_by):
        if found.problems:
            return Planned(found, IMPOSSIBLE, f"its headers are damaged: {' | '.join(found.problems[:3])}")
        said = ", ".join(found.recipients) or "recipients that nobody noted"
        return Planned(found, IMPOSSIBLE, f"no X25519 identity here opens it; it is encrypted for {said}")
    # Named in full where that is what counts: an operator compares them with the inventory.
    missing = [recipient for recipient in recipients if recipient not in found.recipients]
    what = f"for {', '.join(missing)}" if missing else "by one set of headers for every current recipient"
    return Planned(found, REWRAP, f"it is not encrypted {what}")


def check_possible(
    component: str,
    plan: t.Sequence[Planned],
    recipients: t.Sequence[str],
    ring: KeyRing,
    allow_unproven: bool,
) -> None:
    """Refuse before anything is written what would end in headers that nobody can write or that nobody has proven."""
    wanted = [planned.point.point_id for planned in plan if planned.action == REWRAP]
    if not wanted:
        return
    others = [recipient for recipient in recipients if recipient_key(recipient) is None]
    if others:
        raise Refused(
            f"{_named(wanted)} cannot be rewrapped for {others[0][:60]}",
            component,
            expected="X25519 recipients (age1…, 62 letters) only",
            found=f"{len(others)} of another kind",
            next_command=(
                "give that reader an X25519 key (age-keygen), or keep the old key until the points have expired and take "
                f"a new one: ansible-playbook sre.runbooks.back_up_components --limit {component} -e backup_force=true"
            ),
        )
    if not allow_unproven and not any(recipient in ring.recipients for recipient in recipients):
        raise Refused(
            f"nobody here could prove that {_named(wanted)} can be opened after the rewrap",
            component,
            expected="the identity of at least one current recipient",
            found=f"identities of {', '.join(ring.recipients) or 'nobody'}",
            next_command=(
                "give the new identity's file too (rewrap_identity_files); or prove it with sre.runbooks.encryption_info "
                "where that identity is, before the old one is destroyed, and: "
                f"the same command with --limit {component} -e rewrap_allow_unproven=true"
            ),
        )


def _named(point_ids: t.Sequence[str]) -> str:
    shown = ", ".join(point_ids[:3])
    return f"recovery point {shown}" if len(point_ids) == 1 else f"{len(point_ids)} recovery points ({shown}, …)"


def rewrap_point(
    repository: Repository,
    point: RecoveryPoint,
    recipients: t.Sequence[str],
    ring: KeyRing,
    depth: str,
    run_id: str | None,
    still_ours: t.Callable[[], None],
    progress: Progress | None = None,
) -> Rewrap:
    """Write new headers for all of ``recipients``, proven before they count.

    Every header and every first chunk is opened with the new headers and the identity of each recipient that is here;
    ``depth`` ``sample`` also decrypts the smallest object to its end, ``full`` all of them.

    :arg still_ours: called right before the rewrap is written; raises when it must not be.
    :raises IntegrityError: a header or payload is not what it should be; nothing was written.
    :raises WrongIdentity: an object opens with no identity here; nothing was written.
    """
    objects = encrypted_objects(point)
    fitting = [identity for identity in ring.x25519 if identity.recipient in recipients]
    if progress is not None:
        read = {"headers": 0, "sample": objects[0].raw_length}.get(depth, sum(s.raw_length for s in objects))
        progress.step(f"rewrapping {point.point_id}", sum(min(s.length, FIRST_CHUNK) for s in objects) + read)
    earlier = list_rewraps(repository.store, point.prefix).whole
    at = _clock.now()

    def renewed(stored: StoredObject) -> NewHeader:
        new = _new_header(repository, stored, earlier, recipients, ring, fitting)
        if progress is not None:
            progress.add(min(stored.length, FIRST_CHUNK))
        return new

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        headers = {new.key: new for new in pool.map(renewed, objects)}
    rewrap = Rewrap(
        prefix=point.prefix,
        rewrap_id=new_rewrap_id(at),
        at=at,
        run_id=run_id,
        recipients=list(recipients),
        proven=[identity.recipient for identity in fitting],
        depth=depth if fitting else "headers",
        headers=headers,
    )
    for stored in _to_read(objects, rewrap.depth):
        # By whatever restores, with nothing but the new keys.
        for identity in fitting:
            with open_decoded(repository.store, stored, Identities(identity.text()), progress, headers[stored.key]):
                pass
    still_ours()
    store_rewrap(repository.store, rewrap, rewrap_guide(point, rewrap))
    return rewrap


def _to_read(objects: list[StoredObject], depth: str) -> list[StoredObject]:
    return {"headers": [], "sample": objects[:1]}.get(depth, objects)


def _new_header(
    repository: Repository,
    stored: StoredObject,
    earlier: t.Sequence[Rewrap],
    recipients: t.Sequence[str],
    ring: KeyRing,
    fitting: t.Sequence[X25519Identity],
) -> NewHeader:
    """A header for ``recipients`` in place of the object's own, opened by each of them that is here."""
    try:
        own, start = read_start(repository.store, stored, FIRST_CHUNK)
        file_key = _file_key(stored, own, earlier, ring)
        open_first_chunk(file_key, start[own.length :], stored.length - own.length)
        written = write_header(file_key, recipients)
        for identity in fitting:
            opened = open_header(read_header(written), [identity])
            if opened is None or not hmac.compare_digest(opened[0], file_key):
                raise IntegrityError("its new header does not open", expected=identity.recipient, found="another key")
    except (IntegrityError, InvalidInput) as error:
        error.message = f"{stored.key}: {error.message}"
        raise
    return NewHeader(stored.key, written, own.length)


def _file_key(stored: StoredObject, own: Header, earlier: t.Sequence[Rewrap], ring: KeyRing) -> bytes:
    opened = open_header(own, ring.x25519)
    for rewrap in earlier:
        if opened is None and stored.key in rewrap.headers:
            opened = open_header(read_header(rewrap.headers[stored.key].header), ring.x25519)
    if opened is None:
        raise WrongIdentity(
            "cannot be decrypted with the identities given",
            expected="the identity of one of the recipients named in the recovery point",
            found="identities that none of them is",
        )
    return opened[0]
