# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import archive_audit
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import (
    Archive,
    StoredSegment,
    audit,
    choose_timeline,
    parse_listing,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import (
    Branch,
    Segment,
    format_lsn,
    parse_history,
    parse_lsn,
    path_to,
)

SIZE = 16 << 20
SHA1 = "b26ff4dd504a4d619091268f55992c539577df08"


def stored(number: int, timeline: int = 1, **changed: object) -> StoredSegment:
    name = Segment(number, timeline).name(SIZE)
    values: dict[str, object] = {"name": name, "sha1": SHA1, "size": 999, "compressed": True, "path": name}
    return StoredSegment(**{**values, **changed})  # type: ignore[arg-type]


def archive_of(*numbers: int) -> Archive:
    return Archive([stored(number) for number in numbers])


def name(number: int, timeline: int = 1) -> str:
    return Segment(number, timeline).name(SIZE)


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_read_as_it_is_written(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**32), st.sampled_from([1 << 20, SIZE, 64 << 20, 1 << 30]))
def test_a_segments_name_is_read_as_it_is_written(timeline: int, number: int, size: int) -> None:
    segment = Segment(number % (2**64 // size), timeline)
    assert Segment.parse(segment.name(size), size) == segment


@pytest.mark.parametrize("text", ["", "0", "0/", "/1", "G/1", "0/123456789", "0/1 x"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_lsn(text)


def test_a_segment_that_cannot_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="size of segments"):
        Segment.parse("000000010000000000000100", SIZE)


@given(st.sets(st.integers(3, 40)), st.integers(3, 40))
def test_the_first_hole_is_found_whatever_is_there(present: set[int], first: int) -> None:
    found = audit(archive_of(*present), name(first), 1, SIZE)
    later = [number for number in present if number >= first]
    expected = [number for number in range(first, max(later, default=first) + 1) if number not in present]
    assert [fault.segment for fault in found.faults] == [name(number) for number in expected]
    contiguous = min(expected, default=max(later, default=first) + 1)
    assert found.contiguous_end == contiguous * SIZE
    assert [item.name for item in found.usable] == [name(number) for number in range(first, contiguous)]


def test_a_loss_at_the_very_end_is_seen_by_who_knows_of_it() -> None:
    archive = archive_of(3, 4)
    assert audit(archive, name(3), 1, SIZE).whole
    found = audit(archive, name(3), 1, SIZE, {name(6): "backup 20261121-082608F"})
    assert [(fault.kind, fault.segment) for fault in found.faults] == [("missing", name(5)), ("missing", name(6))]
    assert "20261121-082608F" in found.faults[1].detail


def test_two_files_of_one_name_are_a_fault_only_when_they_differ() -> None:
    same = Archive([stored(3), stored(4), stored(4), stored(5)])
    assert audit(same, name(3), 1, SIZE).whole
    other = Archive([stored(3), stored(4), stored(4, sha1="0" * 40), stored(5)])
    assert [fault.kind for fault in audit(other, name(3), 1, SIZE).faults] == ["duplicate"]


def test_a_segment_of_the_wrong_length_is_damaged() -> None:
    archive = Archive(
        [stored(3, compressed=False, size=SIZE), stored(4, compressed=False, size=SIZE - 1), stored(5, size=0)]
    )
    assert [fault.kind for fault in audit(archive, name(3), 1, SIZE).faults] == ["damaged", "damaged"]


def test_the_beginning_of_a_segment_does_not_count_as_one() -> None:
    archive = Archive([stored(3), stored(4, partial=True), stored(5)])
    assert [fault.kind for fault in audit(archive, name(3), 1, SIZE).faults] == ["partial"]


HISTORY = f"1\t{format_lsn(5 * SIZE + 100)}\tno recovery target specified\n"


def test_at_a_fork_the_newer_timelines_segment_is_needed() -> None:
    archive = Archive([stored(3), stored(4), stored(5), stored(6), stored(6, 2)], {2: HISTORY})
    found = audit(archive, name(3), 2, SIZE)
    assert [fault.segment for fault in found.faults] == [name(5, 2)]
    assert "of another timeline" in found.faults[0].detail
    archive.segments.append(stored(5, 2))
    found = audit(archive, name(3), 2, SIZE)
    assert found.whole
    assert [item.name for item in found.usable] == [name(3), name(4), name(5, 2), name(6, 2)]
    # The abandoned end of the first timeline can still be asked for.
    assert audit(archive, name(3), 1, SIZE).newest == name(6)


def test_a_timeline_that_began_and_archived_nothing_yet_is_no_end_of_the_log() -> None:
    found = audit(Archive([stored(3), stored(4), stored(5)], {2: HISTORY}), name(3), 2, SIZE)
    assert [fault.segment for fault in found.faults] == [name(5, 2)]


def test_the_latest_timeline_without_its_history_is_refused() -> None:
    archive = Archive([stored(3), stored(4), stored(5, 2)])
    with pytest.raises(IntegrityError, match="not its history"):
        choose_timeline(archive, "latest", 1)
    assert choose_timeline(archive, "current", 1) == 1
    assert choose_timeline(archive, 1, 1) == 1
    with pytest.raises(InvalidInput):
        choose_timeline(archive, 7, 1)
    with pytest.raises(IntegrityError, match="history of timeline 2"):
        audit(archive, name(3), 2, SIZE)


def test_a_base_behind_the_fork_does_not_lead_to_the_new_timeline() -> None:
    archive = Archive([stored(6), stored(5, 2), stored(6, 2)], {2: HISTORY})
    with pytest.raises(IntegrityError, match="does not lead"):
        audit(archive, name(6), 2, SIZE)
    with pytest.raises(IntegrityError, match="does not lead"):
        audit(archive, name(6, 3), 2, SIZE)


def test_a_history_is_read_as_the_server_writes_it() -> None:
    text = "1\t0/5000098\tno recovery target specified\n\n# comment\n2\t0/7000000\tbefore 2026-11-21 08:00:00+00\n"
    assert parse_history(text, 3) == [Branch(1, 0x5000098), Branch(2, 0x7000000)]
    assert path_to(3, {3: text})[-1] == Branch(3, None)
    assert path_to(1, {}) == [Branch(1, None)]


@pytest.mark.parametrize("text", ["x\t0/1\n", "1\n", "1\tzz\n", "2\t0/1\tr\n1\t0/2\tr\n", "3\t0/1\tr\n"])
def test_a_damaged_history_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match="damaged"):
        parse_history(text, 3)


def test_the_listing_of_pgbackrest_is_read() -> None:
    path = "0000000100000000/000000010000000000000001"
    listing = {
        ".": {"type": "path"},
        "0000000100000000": {"type": "path"},
        f"{path}-{SHA1}.zst": {"type": "file", "size": 1405089, "time": 1},
        f"{path}-{'0' * 40}": {"type": "file", "size": SIZE, "time": 1},
        "0000000100000000/000000010000000000000002.00000028.backup": {"type": "file", "size": 371},
        f"0000000100000000/000000010000000000000003.partial-{SHA1}.gz": {"type": "file", "size": 5},
        "0000000100000000/notes.txt": {"type": "file", "size": 5},
        "00000002.history": {"type": "file", "size": 42},
    }
    archive, histories = parse_listing(json.dumps(listing).encode(), "15-1")
    assert [(item.compressed, item.partial) for item in archive.segments] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert histories == [(2, "15-1/00000002.history")]
    assert archive.strangers == ["0000000100000000/notes.txt"]
    with pytest.raises(IntegrityError):
        parse_listing(b"{", "15-1")


def test_a_fault_tells_where_it_is() -> None:
    found = audit(archive_of(3, 5), name(3), 1, SIZE)
    assert found.facts()["faults"] == [
        {"kind": "missing", "segment": name(4), "detail": "it is not in the archive", "position": "0/4000000"}
    ]
    assert archive_audit.Fault("missing", name(4), "", 4 * SIZE).position == 4 * SIZE
