# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is every segment there that a recovery needs? Asked before anything is touched, since PostgreSQL cannot tell a hole
from the end of the log: it would end recovery at the hole, early, and call that a success."""

from __future__ import annotations

import dataclasses
import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import (
    Branch,
    Segment,
    format_lsn,
    path_to,
)

# <24 hex>-<sha1 of the content><.compression>, and <timeline>.history beside the directories of segments.
_STORED = re.compile(r"([0-9A-F]{24})(\.partial)?-([0-9a-f]{40})(\.[a-z0-9]+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")


@dataclasses.dataclass(frozen=True)
class StoredSegment:
    """One file of the archive: ``sha1`` is that of the segment before compression, from its name."""

    name: str
    sha1: str
    size: int
    compressed: bool
    path: str
    partial: bool = False


@dataclasses.dataclass
class Archive:
    """What an archive holds. ``histories``: timeline → content; ``strangers``: names that no archive should hold."""

    segments: list[StoredSegment] = dataclasses.field(default_factory=list)
    histories: dict[int, str] = dataclasses.field(default_factory=dict)
    strangers: list[str] = dataclasses.field(default_factory=list)

    def timelines(self) -> list[int]:
        """Every timeline that has left a trace, lowest first."""
        return sorted({int(item.name[:8], 16) for item in self.segments} | set(self.histories))


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something wrong with one segment. ``kind``: missing, duplicate, damaged, partial."""

    kind: str
    segment: str
    detail: str
    #: Position of the first byte that cannot be had.
    position: int

    def facts(self) -> dict[str, t.Any]:
        return {
            "kind": self.kind,
            "segment": self.segment,
            "detail": self.detail,
            "position": format_lsn(self.position),
        }


@dataclasses.dataclass
class Audit:
    """What can be replayed from a segment on, along a path of timelines.

    :ivar usable: segments to replay without a fault before them, in their order.
    :ivar faults: what is wrong behind them, in order; empty when the archive is whole up to its end.
    :ivar newest: the last segment of the path that the archive holds, or is known to have held.
    """

    path: list[Branch]
    segment_size: int
    first: str
    usable: list[StoredSegment]
    faults: list[Fault]
    newest: str | None
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.faults

    @property
    def contiguous_end(self) -> int:
        """The position up to which everything is there (the first byte that is not)."""
        if not self.usable:
            return Segment.parse(self.first, self.segment_size).start(self.segment_size)
        return (Segment.parse(self.usable[-1].name, self.segment_size).number + 1) * self.segment_size

    def facts(self) -> dict[str, t.Any]:
        return {
            "timelines": [branch.timeline for branch in self.path],
            "first_segment": self.first,
            "last_usable_segment": self.usable[-1].name if self.usable else None,
            "newest_segment": self.newest,
            "segments": len(self.usable),
            "contiguous_end": format_lsn(self.contiguous_end),
            "faults": [fault.facts() for fault in self.faults[:100]],
            "faults_count": len(self.faults),
            "notes": self.notes,
        }


def parse_listing(output: bytes, archive_id: str) -> tuple[Archive, list[tuple[int, str]]]:
    """The archive in the output of ``repo-ls --recurse --output=json``, and its history files as (timeline, path).

    The histories' contents are still to be read. Raises :class:`IntegrityError` for what is no listing.
    """
    try:
        entries = json.loads(output)
        files = {path: item for path, item in entries.items() if item.get("type") == "file"}
    except (ValueError, AttributeError):
        raise IntegrityError(
            "the archive's listing cannot be read", expected="JSON", found=repr(output[:100])
        ) from None
    archive = Archive()
    histories = []
    for path in sorted(files):
        name = path.rsplit("/", 1)[-1]
        stored, history = _STORED.fullmatch(name), _HISTORY.fullmatch(name)
        if stored is not None:
            archive.segments.append(
                StoredSegment(
                    stored.group(1),
                    stored.group(3),
                    int(files[path].get("size", 0)),
                    stored.group(4) is not None,
                    f"{archive_id}/{path}",
                    stored.group(2) is not None,
                )
            )
        elif history is not None:
            histories.append((int(history.group(1), 16), f"{archive_id}/{path}"))
        elif not name.endswith(".backup") and ".partial" not in name:
            archive.strangers.append(path)
    return archive, histories


def choose_timeline(archive: Archive, wanted: str | int, base_timeline: int) -> int:
    """The timeline that ``latest``, ``current`` or a number means. Raises :class:`IntegrityError`, :class:`InvalidInput`.

    PostgreSQL finds the latest one by its history file: without the file, it would take an older one in silence.
    """
    known = archive.timelines()
    if wanted == "current":
        return base_timeline
    if wanted == "latest":
        newest = max([*known, base_timeline])
        if newest > 1 and newest not in archive.histories and newest != base_timeline:
            raise IntegrityError(
                f"the archive holds segments of timeline {newest} but not its history",
                expected=f"{newest:08X}.history in the archive",
                found="none: the server would recover along an older timeline and say nothing",
                next_command=f"bring {newest:08X}.history back (it lies in pg_wal of the server that wrote it),"
                " or name the timeline to recover along (restore_target_timeline)",
            )
        return newest
    try:
        number = int(wanted)
    except (TypeError, ValueError):
        number = 0
    if number not in known and number != base_timeline:
        raise InvalidInput(
            "there is no such timeline",
            expected="latest, current, or one of " + ", ".join(map(str, known)),
            found=str(wanted)[:100],
        )
    return number


def audit(
    archive: Archive,
    first: str,
    timeline: int,
    segment_size: int,
    known_archived: t.Mapping[str, str] | None = None,
) -> Audit:
    """Walk the segments from ``first`` (the base backup's) along the way to ``timeline`` up to the newest.

    :arg known_archived: segment → who knows that it had been archived (a later backup, the server itself): it shows a
        loss at the archive's very end, which the archive alone cannot.
    :raises IntegrityError: the base's timeline does not lead to ``timeline``, or a history is missing.
    """
    path = path_to(timeline, archive.histories)
    begin = Segment.parse(first, segment_size)
    path = _from_base(path, begin, segment_size, timeline)
    by_name: dict[str, list[StoredSegment]] = {}
    partial = set()
    for stored in archive.segments:
        if stored.partial:
            partial.add(stored.name)
        else:
            by_name.setdefault(stored.name, []).append(stored)
    known = {name: who for name, who in (known_archived or {}).items() if _on_path(name, path, segment_size)}
    end = _newest([*by_name, *known], path, segment_size)
    result = Audit(path, segment_size, first, [], [], end.name(segment_size) if end is not None else None)
    result.notes = [f"not part of an archive: {name}" for name in archive.strangers[:10]]
    last = end.number if end is not None else begin.number
    for number in range(begin.number, max(last, begin.number) + 1):
        segment = Segment(number, _timeline_at(number, path, segment_size))
        fault = _fault(segment, by_name, partial, known, segment_size)
        if fault is not None:
            result.faults.append(fault)
        elif not result.faults:
            result.usable.append(by_name[segment.name(segment_size)][0])
    return result


def _from_base(path: list[Branch], begin: Segment, segment_size: int, timeline: int) -> list[Branch]:
    """The part of the path that begins with the base's timeline."""
    for number, branch in enumerate(path):
        if branch.timeline == begin.timeline:
            if branch.switch is not None and begin.start(segment_size) > branch.switch:
                break
            return path[number:]
    raise IntegrityError(
        f"the base backup of timeline {begin.timeline} does not lead to timeline {timeline}",
        expected=f"a base on the way {' → '.join(str(branch.timeline) for branch in path)}",
        found=f"one that begins at {begin.name(segment_size)}",
        next_command="name another timeline (restore_target_timeline) or another recovery point",
    )


def _timeline_at(number: int, path: t.Sequence[Branch], segment_size: int) -> int:
    """Whose file holds a segment: where timelines meet in one, the newer one's file holds the older part too."""
    for branch in path:
        if branch.switch is None or number < branch.switch // segment_size:
            return branch.timeline
    return path[-1].timeline


def _on_path(name: str, path: t.Sequence[Branch], segment_size: int) -> bool:
    segment = Segment.parse(name, segment_size)
    return segment.timeline == _timeline_at(segment.number, path, segment_size)


def _newest(names: t.Iterable[str], path: t.Sequence[Branch], segment_size: int) -> Segment | None:
    """The last segment of the path that is known of. The path's own forks count: up to them the log did go."""
    found = [Segment.parse(name, segment_size) for name in names if _on_path(name, path, segment_size)]
    if len(path) > 1 and path[-2].switch is not None:
        # The fork lies in the first segment of the last timeline, which its server archives in any case.
        found.append(Segment(path[-2].switch // segment_size, path[-1].timeline))
    return max(found, default=None)


def _fault(
    segment: Segment,
    by_name: t.Mapping[str, t.Sequence[StoredSegment]],
    partial: t.Collection[str],
    known: t.Mapping[str, str],
    segment_size: int,
) -> Fault | None:
    name, start = segment.name(segment_size), segment.start(segment_size)
    stored = by_name.get(name, ())
    if not stored:
        if name in partial:
            return Fault("partial", name, "only the beginning of it was archived, by a server that ended", start)
        others = sorted(other for other in by_name if other[8:] == name[8:])
        detail = f"{known[name]} says that it had been archived" if name in known else "it is not in the archive"
        if others:
            detail += f" (there is {', '.join(others[:3])}, of another timeline)"
        return Fault("missing", name, detail, start)
    if len({item.sha1 for item in stored}) > 1:
        return Fault("duplicate", name, f"{len(stored)} files of different content have its name", start)
    wrong = [item for item in stored if item.size == 0 or (not item.compressed and item.size != segment_size)]
    if wrong:
        return Fault("damaged", name, f"{wrong[0].size} bytes are stored of {segment_size}", start)
    return None
