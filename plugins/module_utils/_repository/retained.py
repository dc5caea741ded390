# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify all retained points of a component, reading again only what has to be.

Every object is looked at in the listing on every run: what is missing, cut off, longer or added is found at once. Bytes
are read when a point was never verified, when its proof is older than allowed, when its newest verification failed, and
when the listing shows another time or version than when it was verified.
"""

from __future__ import annotations

import datetime
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    MissingRequirement,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import WrongIdentity
from ansible_collections.sre.runbooks.plugins.module_utils._repository.anchors import (
    SETTLED,
    Known,
    contents_digest,
    settled_proofs,
    write_anchor,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.links import Link
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import point_prefix
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import load_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import (
    DAMAGED,
    level_of,
    named_proofs,
    newest_proof,
    write_proof,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import SUFFIX
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import tombstone_ids
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import Elsewhere, verify_point
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import Examination
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.history import Entry
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.listing import ListedPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: How far the clock of the host that wrote a proof may be behind that of the store.
_SKEW = datetime.timedelta(minutes=1)


@dataclass(frozen=True)
class Effort:
    """How much is read again. Times in seconds."""

    reverify_after_s: float
    force: bool = False


@dataclass
class Retained:
    """What was done with the retained points, by their ids, and what is wrong with some."""

    #: Read and whole now, or in check mode: would be read.
    read: list[str] = field(default_factory=list)
    #: Whole in the listing, and proven recently enough.
    unchanged: list[str] = field(default_factory=list)
    #: What is wrong, in words that begin with the object's name.
    damaged: dict[str, list[str]] = field(default_factory=dict)
    #: What could not be told, such as for want of the right identity.
    undecided: dict[str, str] = field(default_factory=dict)
    objects: int = 0
    bytes: int = 0
    #: The names of the proofs that were written, and of their signatures, by the points' ids.
    proofs: dict[str, list[str]] = field(default_factory=dict)
    #: Objects that are whole but were not decrypted, since no identity was given.
    not_decrypted: int = 0

    @property
    def ok(self) -> bool:
        return not self.damaged and not self.undecided

    def facts(self) -> dict[str, t.Any]:
        """What modules return."""
        return {
            "read": self.read,
            "unchanged": len(self.unchanged),
            "damaged": {point_id: failures[:50] for point_id, failures in self.damaged.items()},
            "undecided": self.undecided,
            "objects": self.objects,
            "bytes": self.bytes,
        }


def verify_retained(
    repository: Repository,
    examination: Examination,
    effort: Effort,
    identities: Identities,
    run_id: str | None,
    progress: Progress | None = None,
    check_mode: bool = False,
    elsewhere: Elsewhere | None = None,
) -> Retained:
    """Verify each point that is not expired; writes a proof for every one that was read or found damaged."""
    done = Retained()
    for entry, listed in examination.retained():
        try:
            _verify(
                repository,
                examination,
                entry,
                listed,
                effort,
                identities,
                run_id,
                progress,
                check_mode,
                done,
                elsewhere,
            )
        except (WrongIdentity, MissingRequirement) as error:  # neither says anything about the point
            done.undecided[entry.point_id] = str(error)
        except RunbookError as error:
            if not _is_expired(repository, entry, examination):
                done.damaged[entry.point_id] = [str(error)]
    return done


def _verify(
    repository: Repository,
    examination: Examination,
    entry: Entry,
    listed: ListedPoint,
    effort: Effort,
    identities: Identities,
    run_id: str | None,
    progress: Progress | None,
    check_mode: bool,
    done: Retained,
    elsewhere: Elsewhere | None,
) -> None:
    known = examination.anchors.known.get(entry.point_id)
    unchanged = known is not None and known.digest == listed.digest
    # A point's own objects never change, so another listing than the anchored one is reason enough.
    changed = known is not None and known.digest != listed.digest
    due = effort.force or changed or _is_due(repository, examination, entry, listed, effort)
    if unchanged and not due:
        done.unchanged.append(entry.point_id)
        return
    point = load_point(repository, examination.component, entry.point_id)
    failures = compare_listing(point, listed) if listed.rows else []
    if point.manifest_sha256 != entry.sha256:  # changed behind a listing that shows nothing of it
        failures.append(f"manifest.json: another one; expected: {entry.sha256}; found: {point.manifest_sha256}")
    if not failures and not due:
        done.unchanged.append(entry.point_id)
    elif not failures and check_mode:
        done.read.append(entry.point_id)
    else:
        began = time.monotonic()
        details: dict[str, t.Any] = {"failures": failures[:100], "failures_count": len(failures)}
        if not failures:
            result = verify_point(repository, point, identities, progress, elsewhere)
            failures, details = result.failures, result.details()
            done.objects += result.objects
            done.bytes += result.bytes
            done.not_decrypted += result.objects - result.decoded
        if failures and _is_expired(repository, entry, examination):
            return
        outcome = "failed" if failures else "ok"
        if not check_mode:
            took = time.monotonic() - began
            proof = write_proof(repository, point, "verified", run_id, took, details, outcome)
            signature = [f"{proof.name}{SUFFIX}"] if repository.signer else []
            done.proofs[entry.point_id] = [str(proof.name), *signature]
        if failures:
            done.damaged[entry.point_id] = failures
        else:
            done.read.append(entry.point_id)


def _is_due(
    repository: Repository,
    examination: Examination,
    entry: Entry,
    listed: ListedPoint,
    effort: Effort,
) -> bool:
    required = repository.trust is not None and repository.trust.required
    prefix = point_prefix(examination.component, entry.point_id)
    proofs = named_proofs(repository.store, prefix, listed.proofs, signed_only=required)
    newest = newest_proof(proofs, "verified")
    if newest is None or level_of(proofs) == DAMAGED:
        return True
    if (_clock.now() - newest.at).total_seconds() >= effort.reverify_after_s:
        return True
    return any(row.modified > newest.at + _SKEW for row in listed.rows.values())


def compare_listing(point: RecoveryPoint, listed: ListedPoint) -> list[str]:
    """What the listing alone shows to be wrong: objects that are missing, of another length or version, or unknown.

    What a delete marker hides, or what was written over, can still be read in the version that the manifest names; that
    it happened is a finding about the evidence.
    """
    failures = []
    kept_apart = {*listed.hidden, *listed.overwritten}
    names = {stored.key[len(point.prefix) :]: stored for stored in point.objects}
    for name, stored in names.items():
        row = listed.rows.get(name)
        if name in kept_apart:
            continue
        if row is None:
            failures.append(f"{stored.name}: missing")
        elif row.length != stored.length:
            failures.append(f"{stored.name}: its length is another; expected: {stored.length}; found: {row.length}")
    expected = {*names, "manifest.json", "manifest.json" + SUFFIX}
    failures += [f"{name}: not in the manifest" for name in listed.rows if name not in expected]
    return failures


def _is_expired(repository: Repository, entry: Entry, examination: Examination) -> bool:
    """Whether the point was expired while it was looked at."""
    return entry.point_id in tombstone_ids(repository.store, examination.component)


def anchor(repository: Repository, examination: Examination, done: Retained, run_id: str | None) -> str | None:
    """Write an anchor of what was found whole, unless the newest one says the same; returns its key."""
    now = _clock.now()
    head = examination.head
    link = None if head is None else Link(head.point_id, head.sequence, head.sha256)
    whole = {*done.read, *done.unchanged}
    known = {}
    for entry, listed in examination.retained():
        if entry.point_id in whole:
            contents = contents_digest(listed.proofs, now - SETTLED, examination.proofs.get(entry.point_id, {}))
            settled = settled_proofs(listed.proofs, now - SETTLED)
            known[entry.point_id] = Known(listed.digest, entry, *settled, contents)
    before = examination.anchors.newest
    expired, said = examination.expired(), examination.anchors
    if before is not None and (before.head, said.known, said.expired) == (link, known, expired):
        return None
    return write_anchor(repository, examination.component, before, link, known, expired, now, run_id)


def damage(component: str, done: Retained) -> IntegrityError:
    """The error that says which points are damaged and which could not be judged."""
    words = [f"{point_id}: {' | '.join(failures[:5])}" for point_id, failures in done.damaged.items()]
    words += [f"{point_id} could not be judged: {why}" for point_id, why in done.undecided.items()]
    return IntegrityError(
        _wrong(done),
        component,
        expected="every retained point as its manifest says",
        found="; ".join(words[:20]),
        next_command=_way_on(component, done),
    )


def _wrong(done: Retained) -> str:
    words = []
    if done.damaged:
        words.append(f"{counted(len(done.damaged), 'recovery point is', 'recovery points are')} damaged")
    if done.undecided:
        words.append(f"{counted(len(done.undecided), 'recovery point')} could not be judged")
    return ", ".join(words)


def _way_on(component: str, done: Retained) -> str:
    """A new backup takes the place of a damaged newest point; in the place of an older one nothing can be taken."""
    if not done.damaged:
        return (
            "give this host what reads them (repository_encryption_identity_file, component_pitr_cipher_pass_file), then: "
            f"ansible-playbook sre.runbooks.verify_backups --limit {component}"
        )
    newest = max((*done.damaged, *done.read, *done.unchanged))
    if newest in done.damaged:
        return f"ansible-playbook sre.runbooks.back_up_components --limit {component}"
    return (
        f"nothing newer is lost: {newest} is whole; bring the objects back from the store's versions or a copy, then: "
        f"ansible-playbook sre.runbooks.verify_backups --limit {component}"
    )
