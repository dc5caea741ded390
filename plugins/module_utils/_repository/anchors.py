# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Anchors: ``components/<component>/evidence/<time>-<4 hex>.json`` says how far the history reached at that time.

A chain alone does not show that its end was cut off. An anchor names the head as it was, is never changed, names the
anchor before it, and is signed where the prover has a key. The bulk lies beside it in ``<time>-<4 hex>-state.json``,
whose hash the anchor has: what each point looked like when it was last found whole, so that nothing unchanged is opened
again, and which proofs it had, so that none disappears.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.chain import by_sequence
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    SHA256,
    Fields,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import (
    ALTERED,
    BACK_DATED,
    FORGED,
    REMOVED,
    REORDERED,
    UNSIGNED,
    Finding,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.history import Entry, History
from ansible_collections.sre.runbooks.plugins.module_utils._repository.links import Link
from ansible_collections.sre.runbooks.plugins.module_utils._repository.listing import ComponentListing, component_prefix
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import MANIFEST_LIMIT, POINT_ID
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import (
    SUFFIX,
    ForgedSignature,
    Unsigned,
    create_signed,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"evidence/(\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{4})\.json")
#: A proof is stored a moment after the time in its name; younger ones are not counted yet.
SETTLED = datetime.timedelta(minutes=10)


@dataclass(frozen=True)
class Known:
    """What a point was when it was last found whole: its listing, its place in the history, its proofs."""

    digest: str
    entry: Entry
    #: How many proofs and signatures of proofs had settled, and the sha256 of their names.
    proofs_count: int
    proofs_sha256: str
    #: The sha256 of what was in those proofs; empty where that was not noted. A seal alone can be made anew.
    contents_sha256: str = ""

    def to_dict(self) -> dict[str, t.Any]:
        return {**vars(self), "entry": self.entry.to_dict()}


@dataclass(frozen=True)
class Anchor:
    """One anchor. ``head`` is None for a component without a history."""

    name: str
    at: datetime.datetime
    run_id: str | None
    head: Link | None
    proofs_until: datetime.datetime
    state_sha256: str
    previous: str | None
    previous_sha256: str | None
    #: The sha256 of its own bytes; not in it.
    sha256: str

    @property
    def key(self) -> str:
        """Below the component's prefix."""
        return f"evidence/{self.name}.json"


@dataclass
class Anchors:
    """All anchors of a component, oldest first, what is wrong with them, and the newest one's state."""

    anchors: list[Anchor] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: What the newest one's state says of the points that were retained then, by their ids.
    known: dict[str, Known] = field(default_factory=dict)
    #: And of those that were expired: the digest of the tombstone's listing, and its entry.
    expired: dict[str, tuple[str, Entry]] = field(default_factory=dict)
    #: The names of those that were left out, being old.
    unread: set[str] = field(default_factory=set)

    @property
    def newest(self) -> Anchor | None:
        return self.anchors[-1] if self.anchors else None


def read_anchors(
    repository: Repository, component: str, names: t.Iterable[str], newest_only: int | None = None
) -> Anchors:
    """The anchors among ``names``, which are keys below the component's prefix.

    :arg newest_only: how many are read, from the newest. The head that an anchor names stands for all that was before it.
    """
    matches = [match for match in map(_NAME.fullmatch, sorted(names)) if match]
    read = matches if newest_only is None else matches[-newest_only:]
    found = Anchors(unread={match[1] for match in matches[: len(matches) - len(read)]})
    for match in read:
        try:
            found.anchors.append(_read_anchor(repository, component, match[1]))
        except ObjectMissing:
            continue
        except ForgedSignature as error:
            detail = "the signature of an anchor is not to be believed"
            found.findings.append(Finding(FORGED, match[0], detail, "that of a trusted key", str(error.found)))
        except Unsigned:
            found.findings.append(
                Finding(UNSIGNED, match[0], "an anchor bears no signature", "a trusted key's", "none")
            )
        except (RunbookError, ValueError) as error:
            found.findings.append(Finding(ALTERED, match[0], "an anchor cannot be believed", "as written", str(error)))
    if found.newest is not None:
        try:
            found.known, found.expired = _read_state(repository, component, found.newest)
        except RunbookError as error:
            key = _state_key(found.newest.name)
            found.findings.append(
                Finding(ALTERED, key, "an anchor's state cannot be believed", "as written", str(error))
            )
    return found


def write_anchor(
    repository: Repository,
    component: str,
    before: Anchor | None,
    head: Link | None,
    known: t.Mapping[str, Known],
    expired: t.Mapping[str, tuple[str, Entry]],
    at: datetime.datetime,
    run_id: str | None,
) -> str:
    """Say for good that the history was found whole up to ``head``; returns the anchor's key."""
    name = f"{at.strftime(_TIME)}-{secrets.token_hex(2)}"
    prefix = component_prefix(component)
    place = {"component": component, "repository_id": repository.id, "name": name}
    state = sealed_json(
        {
            **place,
            "points": {point_id: point.to_dict() for point_id, point in known.items()},
            "expired": {
                point_id: {"digest": digest, "entry": entry.to_dict()} for point_id, (digest, entry) in expired.items()
            },
        }
    )
    repository.store.create(prefix + _state_key(name), state)
    document = {
        **place,
        "at": format_time(at),
        "run_id": run_id,
        "head": None if head is None else vars(head),
        "points": len(known),
        "proofs_until": format_time(at - SETTLED),
        "state_sha256": hashlib.sha256(state).hexdigest(),
        "previous": before.name if before else None,
        "previous_sha256": before.sha256 if before else None,
    }
    key = f"{prefix}evidence/{name}.json"
    create_signed(repository, key, sealed_json(document))
    return key


def check_anchors(
    anchors: Anchors, history: History, listing: ComponentListing, proofs: t.Mapping[str, t.Mapping[str, str]]
) -> t.Iterator[Finding]:
    """What the history was when it was anchored and is no more, and what is wrong with the anchors themselves.

    :arg proofs: the sha256 of each proof that can be believed, by the points' ids and its name.
    """
    yield from anchors.findings
    blamed = {finding.subject for finding in anchors.findings}
    by_name = {anchor.name: anchor for anchor in anchors.anchors}
    for anchor in anchors.anchors:
        if anchor.head is not None:
            source = f"the anchor of {format_time(anchor.at)}"
            yield from check_head(history, anchor.head, source)
        if anchor.previous is None or anchor.previous in anchors.unread:
            continue
        if f"evidence/{anchor.previous}.json" in blamed:
            continue
        previous = by_name.get(anchor.previous)
        if previous is None or previous.sha256 != anchor.previous_sha256:
            yield Finding(
                REMOVED if previous is None else ALTERED,
                f"evidence/{anchor.previous}.json",
                f"the anchor {anchor.previous} is not what it was when {anchor.name} was written after it",
                f"sha256 {anchor.previous_sha256}",
                f"sha256 {previous.sha256}" if previous else "nothing",
            )
    if anchors.newest is not None:
        yield from _proofs(anchors, anchors.newest, history, listing, proofs)


def check_head(history: History, head: Link, source: str) -> t.Iterator[Finding]:
    """Whether the history still holds ``head``, which ``source`` remembers."""
    if head.point_id in history.blind():
        return
    here = by_sequence(history.entries).get(head.sequence, [])
    if any(entry.sha256 == head.sha256 for entry in here):
        return
    expected = f"{head.point_id} at place {head.sequence} with sha256 {head.sha256}, as {source} says"
    same = next((entry for entry in history.entries if entry.point_id == head.point_id), None)
    if same is None:
        detail = f"the recovery point {head.point_id} is gone from the history"
        yield Finding(REMOVED, head.point_id, detail, expected, "neither a manifest nor a tombstone")
    elif same.sequence == head.sequence:
        detail = f"the manifest of {head.point_id} is another than when it was anchored"
        yield Finding(ALTERED, head.point_id, detail, expected, f"sha256 {same.sha256}")
    else:
        detail = f"{head.point_id} is at another place than when it was anchored"
        yield Finding(REORDERED, head.point_id, detail, expected, f"place {same.sequence}")


def settled_proofs(names: t.Iterable[str], until: datetime.datetime) -> tuple[int, str]:
    """How many proofs, and signatures of proofs, are at least that old, and the hash of their names."""
    limit = until.strftime(_TIME)
    settled = [name for name in names if proof_time(name) <= limit]
    return len(settled), names_digest(settled)


def names_digest(names: t.Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def proof_time(name: str) -> str:
    """The time in a proof's name, which sorts as text; empty where there is none."""
    match = re.search(r"\d{8}T\d{6}\.\d{6}Z", name)
    return match[0] if match else ""


def contents_digest(names: t.Iterable[str], until: datetime.datetime, digests: t.Mapping[str, str]) -> str:
    """The hash of what is in the proofs that are at least that old; empty unless every one of them was read."""
    limit = until.strftime(_TIME)
    settled = sorted(name for name in names if proof_time(name) <= limit and not name.endswith(SUFFIX))
    if not all(name in digests for name in settled):
        return ""
    return names_digest(f"{name} {digests[name]}" for name in settled)


def _proofs(
    anchors: Anchors,
    newest: Anchor,
    history: History,
    listing: ComponentListing,
    proofs: t.Mapping[str, t.Mapping[str, str]],
) -> t.Iterator[Finding]:
    for point_id, known in anchors.known.items():
        point = listing.points.get(point_id)
        if point is None or point.modified is None or point_id in history.tombstones:
            continue
        count, digest = settled_proofs(point.proofs, newest.proofs_until)
        if digest != known.proofs_sha256:
            kind = REMOVED if count < known.proofs_count else BACK_DATED if count > known.proofs_count else ALTERED
            yield Finding(
                kind,
                f"points/{point_id}/proofs",
                f"the proofs of {point_id} are not those that were anchored",
                f"{known.proofs_count} proofs and signatures up to {format_time(newest.proofs_until)}",
                f"{count}" if kind != ALTERED else "as many, under other names",
            )
            continue
        contents = contents_digest(point.proofs, newest.proofs_until, proofs.get(point_id, {}))
        if known.contents_sha256 and contents and contents != known.contents_sha256:
            yield Finding(
                ALTERED,
                f"points/{point_id}/proofs",
                f"a proof of {point_id} says something else than when it was anchored",
                f"sha256 {known.contents_sha256} of all up to {format_time(newest.proofs_until)}",
                f"sha256 {contents}",
            )


def _state_key(name: str) -> str:
    return f"evidence/{name}-state.json"


def _read_anchor(repository: Repository, component: str, name: str) -> Anchor:
    key = f"{component_prefix(component)}evidence/{name}.json"
    content = repository.store.read(key, DOCUMENT_LIMIT)
    if repository.trust is not None:
        repository.trust.check(repository.store, key, content)
    fields = _own(repository, component, name, content, key)
    head = fields.data.get("head")
    link = None
    if head is not None:
        said = Fields(fields.mapping("head"), key)
        link = Link(said.text("point_id", POINT_ID), said.integer("sequence"), said.text("sha256", SHA256))
    return Anchor(
        name=name,
        at=fields.time("at"),
        run_id=fields.optional_text("run_id"),
        head=link,
        proofs_until=fields.time("proofs_until"),
        state_sha256=fields.text("state_sha256", SHA256),
        previous=fields.optional_text("previous"),
        previous_sha256=fields.optional_text("previous_sha256", SHA256),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _own(repository: Repository, component: str, name: str, content: bytes, key: str) -> Fields:
    fields = parse_sealed(content, key)
    expected = (component, repository.id, name)
    found = tuple(fields.text(item) for item in ("component", "repository_id", "name"))
    if found != expected:
        raise IntegrityError(f"{key} is of another place", expected=" ".join(expected), found=" ".join(found))
    return fields


def _read_state(
    repository: Repository, component: str, anchor: Anchor
) -> tuple[dict[str, Known], dict[str, tuple[str, Entry]]]:
    key = component_prefix(component) + _state_key(anchor.name)
    content = repository.store.read(key, MANIFEST_LIMIT)
    found = hashlib.sha256(content).hexdigest()
    if found != anchor.state_sha256:
        raise IntegrityError(f"{key} is damaged", expected=f"sha256 {anchor.state_sha256}", found=found)
    known, expired = {}, {}
    state = _own(repository, component, anchor.name, content, key)
    for point_id, data in state.mapping("expired").items():
        fields = Fields(data if isinstance(data, dict) else {}, key)
        expired[point_id] = (fields.text("digest", SHA256), Entry.from_dict(fields.mapping("entry")))
    for point_id, data in state.mapping("points").items():
        fields = Fields(data if isinstance(data, dict) else {}, key)
        known[point_id] = Known(
            fields.text("digest", SHA256),
            Entry.from_dict(fields.mapping("entry")),
            fields.integer("proofs_count"),
            fields.text("proofs_sha256", SHA256),
            fields.optional_text("contents_sha256", SHA256) or "",
        )
    return known, expired
