# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Examine a component's evidence: list, read what is not known to be unchanged, and say what is wrong."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.anchors import (
    Anchors,
    check_anchors,
    check_head,
    read_anchors,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.chain import check_history
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import (
    Finding,
    distinct,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.history import (
    Entry,
    History,
    read_history,
    tombstone_digest,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.links import Link
from ansible_collections.sre.runbooks.plugins.module_utils._repository.listing import (
    ComponentListing,
    ListedPoint,
    component_prefix,
    list_component,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import POINT_ID
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proof_check import read_proofs
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: How many anchors are read where what did not change is taken for granted.
_RECENT_ANCHORS = 10
_HEAD = re.compile(rf"(\d{{1,12}}):({POINT_ID}):([0-9a-f]{{64}})")


@dataclass(frozen=True)
class Question:
    """What is asked of the evidence."""

    #: How many seconds claimed times may be away from the store's own; 0 does not compare them.
    clock_bound_s: float = 900.0
    #: A head that somebody kept elsewhere.
    expected_head: Link | None = None
    #: Ids of findings that were looked into and must not fail anything any more.
    accepted: t.Collection[str] = ()
    #: Whether a manifest whose listing did not change since the newest anchor is opened again all the same.
    everything: bool = True


@dataclass
class Examination:
    """What was found. ``findings`` are those that nobody has accepted."""

    component: str
    listing: ComponentListing
    history: History
    anchors: Anchors
    findings: list[Finding] = field(default_factory=list)
    accepted: list[Finding] = field(default_factory=list)
    #: The sha256 of each proof that can be believed, by the points' ids and its name.
    proofs: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def head(self) -> Entry | None:
        return max(self.history.entries, key=lambda entry: entry.sequence, default=None)

    def retained(self) -> list[tuple[Entry, ListedPoint]]:
        """The points that are not expired, oldest first."""
        return [(e, self.listing.points[e.point_id]) for e in self.history.entries if not e.expired]

    def expired(self) -> dict[str, tuple[str, Entry]]:
        """The expired points, with the digest of what the listing shows of their tombstones."""
        return {
            entry.point_id: (tombstone_digest(self.listing, entry.point_id), entry)
            for entry in self.history.entries
            if entry.expired
        }

    def facts(self) -> dict[str, t.Any]:
        """What modules return."""
        head = self.head
        return {
            "head": head_text(head) if head else None,
            "history": {
                "points": len(self.retained()),
                "expired": sum(entry.expired for entry in self.history.entries) + len(self.history.lost),
                "unsigned": sum(entry.signed_by == "" for entry in self.history.entries) + len(self.history.unsigned),
                "anchors": len(self.anchors.anchors) + len(self.anchors.unread),
            },
            "intact": not self.findings,
            "findings": [finding.facts() for finding in self.findings[:200]],
            "findings_count": len(self.findings),
            "accepted": [finding.facts() for finding in self.accepted[:200]],
        }


def examine(repository: Repository, component: str, question: Question) -> Examination:
    """Examine the component's evidence. Nothing is written, and no data is read.

    What is wrong is looked at a second time before it is said: a backup or an expiry may have been at work.
    """
    found = _examine(repository, component, question)
    if found.findings:
        first = {finding.id for finding in found.findings}
        found = _examine(repository, component, question)
        found.findings = [finding for finding in found.findings if finding.id in first]
    return found


def not_intact(found: Examination) -> IntegrityError:
    """The error that says what is wrong with the history."""
    first = found.findings[0]
    return IntegrityError(
        f"the history of its recovery points is not the one that was written: {counted(len(found.findings), 'finding')}",
        found.component,
        expected=first.expected,
        found=" | ".join(f"{finding.kind}: {finding.detail} ({finding.found})" for finding in found.findings[:10]),
        next_command=first.next_command,
    )


def head_text(head: Entry | Link) -> str:
    """The head as an auditor keeps it: ``<sequence>:<point id>:<sha256 of its manifest>``."""
    return f"{head.sequence}:{head.point_id}:{head.sha256}"


def parse_head(text: str) -> Link:
    """What :func:`head_text` made. Raises :class:`InvalidInput`."""
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            "not the head of a history",
            expected="<sequence>:<point id>:<sha256>, as sre.runbooks.evidence_info returned it",
            found=repr(text[:120]),
        )
    return Link(match[2], int(match[1]), match[3])


def _examine(repository: Repository, component: str, question: Question) -> Examination:
    prefix = component_prefix(component)
    names = [f"evidence/{name}" for name in repository.store.children(f"{prefix}evidence/")]
    anchors = read_anchors(repository, component, names, None if question.everything else _RECENT_ANCHORS)
    known = {} if question.everything else anchors.known
    listing = list_component(repository.store, component, {each: point.digest for each, point in known.items()})
    history = read_history(
        repository,
        listing,
        component,
        {each: (point.digest, point.entry) for each, point in known.items()},
        {} if question.everything else anchors.expired,
    )
    proofs = read_proofs(repository, component, history, listing)
    required = repository.trust is not None and repository.trust.required
    findings = [
        *check_history(history, listing, question.clock_bound_s, required),
        *check_anchors(anchors, history, listing, proofs.digests),
        *proofs.findings,
    ]
    if question.expected_head is not None:
        findings += check_head(history, question.expected_head, "the head that was kept elsewhere")
    findings = distinct(findings)
    return Examination(
        component,
        listing,
        history,
        anchors,
        [finding for finding in findings if finding.id not in question.accepted],
        [finding for finding in findings if finding.id in question.accepted],
        proofs.digests,
    )
