# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the identities at hand open which recovery point: asked of headers, long before anybody has to restore.

age does not say for whom a header is; only an identity can tell that it fits. So what a manifest or a rewrap says about
its recipients is believed for those whose identity is not here, and tried for the others.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    MissingRequirement,
    ObjectMissing,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import (
    Identities,
    WrongIdentity,
    decrypt,
    identity_text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_header import (
    CHUNK_LENGTH,
    HEADER_LIMIT,
    NONCE_LENGTH,
    Header,
    HeaderCutOff,
    open_header,
    read_header,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_keys import identities_in
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import read_chunks
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import NewHeader, list_rewraps
from ansible_collections.sre.runbooks.plugins.module_utils._repository.stored import open_stored

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

#: What opened a header when it was an identity of a kind that has no recipient to name (ssh, a plugin's).
OTHER_KIND = "an identity of another kind"
#: The objects' own headers, as opposed to a rewrap's.
ORIGINAL = "original"
_USUAL_HEADER = 4096
#: Bytes behind a header that hold the first chunk.
FIRST_CHUNK = NONCE_LENGTH + CHUNK_LENGTH


class KeyRing:
    """The identities at hand.

    :ivar needs_payload: whether there are identities that only age itself can try, and not on a header alone: those of
        another kind, and all of them where the library is missing.
    :raises WrongIdentity: a file cannot be read. :raises InvalidInput: an identity is damaged.
    """

    def __init__(self, identities: Identities) -> None:
        self.identities = identities
        text = identity_text(identities)
        try:
            self.x25519, self.needs_payload = identities_in(text)
        except MissingRequirement:
            self.x25519, self.needs_payload = [], True

    def __bool__(self) -> bool:
        return bool(self.x25519) or self.needs_payload

    @property
    def recipients(self) -> list[str]:
        """The recipients whose identity is here, as far as they can be named."""
        return [identity.recipient for identity in self.x25519]

    def openers(self, header: Header, start: bytes) -> list[str]:
        """For which of :attr:`recipients` the header is.

        :arg start: the header's bytes and those of the first chunk behind it.
        :raises IntegrityError: it fits and was changed.
        """
        found = [identity.recipient for identity in self.x25519 if open_header(header, [identity]) is not None]
        return found or [OTHER_KIND] * (self.needs_payload and self._opens_by_program(start))

    def _opens_by_program(self, start: bytes) -> bool:
        """age itself tries; that the payload then ends too early is no news."""
        try:
            for _chunk in decrypt(iter([start]), self.identities):
                return True
        except WrongIdentity:
            return False
        except IntegrityError as error:
            if error.found is not None and "header" in error.found:
                raise
        return True


def unreadable_here(recipients: t.Sequence[str], identities: Identities) -> str | None:
    """Why nobody here could open what is encrypted for ``recipients``, in a sentence; None when somebody can.

    None too where that cannot be told: without identities, with ones of another kind, or without the library. It may be
    wanted: an offline key is only brought out to restore.
    """
    if not recipients or not identities:
        return None
    try:
        ring = KeyRing(identities)
    except InvalidInput as error:
        return str(error)
    if ring.needs_payload or set(recipients) & set(ring.recipients):
        return None
    return (
        f"what is backed up opens with no identity here; expected: that of one of {', '.join(recipients)}; "
        f"found: those of {', '.join(ring.recipients) or 'nobody'}; next: make sure that somebody keeps one of the former"
    )


def read_start(store: Store, stored: StoredObject, payload: int = 0) -> tuple[Header, bytes]:
    """The age header of an object, and its bytes with up to ``payload`` bytes of what follows, in one ranged read.

    :raises IntegrityError: there is no such header. :raises ObjectMissing: there is no such object.
    """
    wanted = _USUAL_HEADER + payload
    while True:
        with open_stored(store, stored, length=wanted) as source:
            start = b"".join(read_chunks(source))
        whole = wanted >= HEADER_LIMIT + payload
        try:
            header = read_header(start)
        except HeaderCutOff:
            if whole or len(start) < wanted:
                raise
        else:
            if whole or len(start) < wanted or len(start) >= header.length + payload:
                return header, start[: header.length + payload]
        wanted = HEADER_LIMIT + payload


def encrypted_objects(point: RecoveryPoint) -> list[StoredObject]:
    """Those that are age files, the smallest first."""
    found = [stored for stored in point.objects if stored.encoding[-1:] == ["age"]]
    return sorted(found, key=lambda stored: (stored.length, stored.name))


@dataclass(frozen=True)
class Opening:
    """One set of headers of a point: its objects' own, or a rewrap's.

    :ivar recipients: for whom it is said to be. :ivar opened_by: recipients whose identity, here, opened all of it.
    """

    headers: str
    recipients: list[str]
    opened_by: list[str]

    def serves(self, recipients: t.Iterable[str], ring: KeyRing) -> bool:
        """Whether all of ``recipients`` can read with it; for those whose identity is here that was tried."""
        said = {spelt(recipient) for recipient in self.recipients}
        return all(
            spelt(recipient) in said and (recipient not in ring.recipients or recipient in self.opened_by)
            for recipient in recipients
        )


@dataclass
class PointOpenings:
    """Every set of headers of a point, with what is wrong in words, and how many objects were looked at."""

    point: RecoveryPoint
    encrypted: int
    tried: bool
    openings: list[Opening] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def opened_by(self) -> list[str]:
        return sorted({recipient for opening in self.openings for recipient in opening.opened_by})

    @property
    def recipients(self) -> list[str]:
        """Everybody for whom any of its headers is said to be."""
        return sorted({recipient for opening in self.openings for recipient in opening.recipients})

    @property
    def state(self) -> str:
        """``plain``, ``opens``, ``damaged``, ``orphaned``; ``untried`` where no identity is here."""
        if not self.encrypted:
            return "plain"
        if self.opened_by:
            return "opens"
        if self.problems:
            return "damaged"
        return "orphaned" if self.tried else "untried"

    def serving(self, recipients: t.Sequence[str], ring: KeyRing) -> Opening | None:
        """The first set of headers with which all of ``recipients`` can read."""
        return next((opening for opening in self.openings if opening.serves(recipients, ring)), None)

    def facts(self) -> dict[str, t.Any]:
        return {
            "point_id": self.point.point_id,
            "consistency_time": format_time(self.point.consistency_time),
            "state": self.state,
            "recipients": self.recipients,
            "opened_by": self.opened_by,
            "headers": [dict(vars(opening)) for opening in self.openings],
            "problems": self.problems,
        }


def look_into(repository: Repository, point: RecoveryPoint, ring: KeyRing, every_object: bool = False) -> PointOpenings:
    """Try the identities on the point's headers: those of its smallest object, or of every one. Reads, and no more."""
    objects = encrypted_objects(point)
    chosen = objects if every_object else objects[:1]
    result = PointOpenings(point, len(objects), bool(ring))
    if not objects:
        return result
    own = _try(result, ring, [(repository.store, stored, None) for stored in chosen])
    result.openings.append(Opening(ORIGINAL, _recorded(point), own))
    try:
        rewraps = list_rewraps(repository.store, point.prefix)
    except RepositoryError as error:
        result.problems.append(str(error))
        return result
    for rewrap in rewraps.whole:
        if all(stored.key in rewrap.headers for stored in objects):
            opened = _try(result, ring, [(repository.store, s, rewrap.headers[s.key]) for s in chosen])
            result.openings.append(Opening(rewrap.rewrap_id, rewrap.recipients, opened))
    result.problems += [f"rewrap {rewrap_id}: {reason}" for rewrap_id, reason in rewraps.damaged]
    return result


def _try(
    result: PointOpenings, ring: KeyRing, headers: t.Iterable[tuple[Store, StoredObject, NewHeader | None]]
) -> list[str]:
    """Who opens all of the headers."""
    opened: set[str] | None = None
    for store, stored, new in headers:
        try:
            if new is None:
                header, start = read_start(store, stored, FIRST_CHUNK if ring.needs_payload else 0)
            else:
                header, start = read_header(new.header), new.header
                if ring.needs_payload:
                    own, behind = read_start(store, stored, FIRST_CHUNK)
                    start += behind[own.length :]
            found = set(ring.openers(header, start))
        except (IntegrityError, ObjectMissing) as error:
            result.problems.append(f"{stored.name}: {_brief(error)}")
            return []
        opened = found if opened is None else opened & found
    return sorted(opened or ())


def _brief(error: RunbookError) -> str:
    return f"{error.message}; expected: {error.expected}; found: {error.found}" if error.expected else error.message


def _recorded(point: RecoveryPoint) -> list[str]:
    recipients = point.encryption.get("recipients")
    return [text for text in recipients if isinstance(text, str)] if isinstance(recipients, list) else []


def spelt(recipient: str) -> str:
    """A recipient without the comment that an ssh key may carry."""
    return " ".join(recipient.split()[:2])
