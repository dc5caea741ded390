# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a component's history the one that was written? Links, numbers, times, and what the store's versions give away."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._repository.findings import (
    ALTERED,
    BACK_DATED,
    DUPLICATED,
    FORGED,
    HIDDEN,
    REMOVED,
    REORDERED,
    UNSIGNED,
    Finding,
    distinct,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.history import Entry, History
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.listing import ComponentListing

_ID_TIME = "%Y%m%dT%H%M%SZ"


def check_history(
    history: History, listing: ComponentListing, clock_bound_s: float, signatures_required: bool = False
) -> list[Finding]:
    """Everything in the history and its listing that was not written like that; empty for an honest one.

    :arg clock_bound_s: how many seconds claimed times may be away from the store's own; 0 does not compare them, for a
        repository that was copied.
    """
    return distinct(
        [
            *_unreadable(history),
            *_disowned(history),
            *_strayed(history),
            *_signatures(history, signatures_required),
            *_links(history),
            *(_times(history, clock_bound_s) if clock_bound_s else ()),
            *_versions(history, listing),
        ]
    )


def _unreadable(history: History) -> t.Iterator[Finding]:
    for point_id, reason in history.unreadable.items():
        yield Finding(ALTERED, point_id, f"{point_id} cannot be believed", "its manifest as it was written", reason)


def _disowned(history: History) -> t.Iterator[Finding]:
    for point_id, (taken, found) in history.disowned.items():
        yield Finding(
            ALTERED,
            point_id,
            f"the manifest of {point_id} is another than when it was taken",
            f"sha256 {taken}",
            f"sha256 {found}",
        )


def _strayed(history: History) -> t.Iterator[Finding]:
    there = {entry.point_id: entry.sha256 for entry in history.entries}
    for place, (content, sha256) in history.strayed.items():
        expected = f"the manifest of {place}"
        if there.get(content) == sha256:
            yield Finding(
                DUPLICATED,
                place,
                f"the manifest of {content} lies a second time in the place of {place}",
                expected,
                content,
            )
        else:
            yield Finding(REORDERED, place, f"{place} holds the manifest of another point", expected, content)


def _signatures(history: History, required: bool) -> t.Iterator[Finding]:
    for point_id, found in history.forged.items():
        yield Finding(
            FORGED, point_id, f"the signature of {point_id} is not to be believed", "that of a trusted key", found
        )
    for point_id in history.unsigned if required else ():
        yield Finding(UNSIGNED, point_id, f"{point_id} bears no signature", "one of a trusted key", "none")


def by_sequence(entries: t.Iterable[Entry]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.sequence, []).append(entry)
    return found


def _links(history: History) -> t.Iterator[Finding]:
    """Every number once, and each naming the one before it with its hash."""
    places = by_sequence(history.entries)
    blind = history.blind()
    for sequence in range(1, max(places, default=0) + 1):
        here, after = places.get(sequence, []), places.get(sequence + 1, [])
        if not here and not {entry.previous for entry in after} & blind:
            yield _gap(history, sequence, after)
        if len(here) > 1:
            named = {entry.previous_sha256 for entry in after}
            for entry in [entry for entry in here if entry.sha256 not in named] or here[1:]:
                others = ", ".join(other.point_id for other in here if other is not entry)
                yield Finding(
                    DUPLICATED,
                    entry.point_id,
                    f"{entry.point_id} claims the place {sequence}, which is that of {others}",
                    "one point in each place",
                    f"{len(here)} with sequence {sequence}",
                )
        for entry in here:
            yield from _link(entry, places.get(sequence - 1, []), blind)


def _gap(history: History, sequence: int, after: list[Entry]) -> Finding:
    named = after[0].previous if after else None
    subject = named or f"sequence-{sequence}"
    claims = next((entry for entry in history.entries if entry.point_id == named), None)
    if claims is not None:
        return Finding(
            REORDERED,
            subject,
            f"{subject} was at place {sequence} of the history",
            f"sequence {sequence}",
            f"sequence {claims.sequence}",
        )
    return Finding(
        REMOVED,
        subject,
        f"the recovery point at place {sequence} of the history is gone ({named or 'nothing names it any more'})",
        "its manifest, or the tombstone of its expiry",
        "neither",
    )


def _link(entry: Entry, before: list[Entry], blind: t.Collection[str]) -> t.Iterator[Finding]:
    if entry.sequence == 1:
        if entry.previous is not None:
            yield Finding(
                REMOVED,
                entry.previous,
                f"{entry.point_id} is the first of the history and yet names one before it",
                f"the manifest or the tombstone of {entry.previous}",
                "neither",
            )
        elif entry.previous_sha256 is not None:
            yield Finding(
                ALTERED,
                entry.point_id,
                f"{entry.point_id} is the first of the history and yet has the hash of one before it",
                "no previous_sha256",
                entry.previous_sha256,
            )
        return
    if not before:  # a gap, said as such
        return
    named = [other for other in before if other.point_id == entry.previous]
    if not named:
        if entry.previous in blind:
            return
        yield Finding(
            REORDERED,
            entry.point_id,
            f"{entry.point_id} was written after another point than the one before it",
            f"{entry.previous or 'nothing'} at place {entry.sequence - 1}",
            ", ".join(other.point_id for other in before),
        )
    elif all(other.sha256 != entry.previous_sha256 for other in named):
        other = named[0]
        what = "tombstone" if other.expired else "manifest"
        yield Finding(
            ALTERED,
            other.point_id,
            f"the {what} of {other.point_id} is another than when {entry.point_id} was written after it",
            f"sha256 {entry.previous_sha256}",
            f"sha256 {other.sha256}",
        )


def _times(history: History, bound_s: float) -> t.Iterator[Finding]:
    """What a manifest claims, against the store's clock, the point's own id, and the points before it."""
    bound = datetime.timedelta(seconds=bound_s)
    before: Entry | None = None
    for entry in history.entries:
        if entry.recorded is None:
            continue
        yield from _own_times(entry, bound)
        if before is not None and before.recorded is not None:
            if entry.recorded < before.recorded - bound:
                yield _back_dated(
                    entry, f"a time after {format_time(before.recorded)}, when {before.point_id} was written"
                )
            shown, earlier = entry.consistency_time, before.consistency_time
            if shown and earlier and shown < earlier - bound:
                yield _back_dated(
                    entry, f"a moment after {format_time(earlier)}, which {before.point_id} shows", "consistency_time"
                )
        before = entry


def _own_times(entry: Entry, bound: datetime.timedelta) -> t.Iterator[Finding]:
    recorded = t.cast(datetime.datetime, entry.recorded)
    if entry.modified is not None and abs(entry.modified - recorded) > bound:
        yield _back_dated(entry, f"{format_time(entry.modified)}, when the store received it")
    begun = _id_time(entry.point_id)
    longest = datetime.timedelta(seconds=entry.duration_s) + bound
    if begun is not None and not -bound <= recorded - begun <= longest:
        yield _back_dated(entry, f"soon after {format_time(begun)}, when its id was made")
    shown, first, last = entry.consistency_time, entry.started, entry.finished
    if shown and first and last and not (first - bound <= shown <= last + bound and last <= recorded + bound):
        yield _back_dated(
            entry,
            f"a moment between {format_time(first)} and {format_time(last)}, when it was taken",
            "consistency_time",
        )


def _id_time(point_id: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(point_id[:16], _ID_TIME).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return None


def _back_dated(entry: Entry, expected: str, name: str = "recorded") -> Finding:
    claimed = t.cast(datetime.datetime, getattr(entry, name))
    return Finding(
        BACK_DATED,
        entry.point_id,
        f"{entry.point_id} claims a time at which it was not taken",
        expected,
        f"{name} {format_time(claimed)}",
    )


def _versions(history: History, listing: ComponentListing) -> t.Iterator[Finding]:
    """What a delete marker hides, and what was written over. A finished expiry leaves markers, and so may a killed backup."""
    for point_id, point in listing.points.items():
        if point_id in history.tombstones:
            continue
        if "manifest.json" in point.hidden:
            rest = f" and {len(point.hidden) - 1} more of its objects" if len(point.hidden) > 1 else ""
            yield Finding(
                HIDDEN,
                point_id,
                f"a delete marker hides the manifest of {point_id}{rest}",
                "a manifest, or the tombstone of its expiry",
                "a delete marker without a tombstone",
            )
        elif point.modified is not None:
            for key in point.hidden:
                yield _hidden(f"points/{point_id}/{key}")
        for key in point.overwritten:
            yield _overwritten(f"points/{point_id}/{key}")
    for key in listing.hidden:
        yield _hidden(key)
    for key in listing.overwritten:
        yield _overwritten(key)


def _hidden(key: str) -> Finding:
    return Finding(HIDDEN, key, f"a delete marker hides {key}", "the object", "a delete marker")


def _overwritten(key: str) -> Finding:
    return Finding(ALTERED, key, f"{key} was written over", "one version", "several versions")
