# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The segments of the write-ahead log that are in the repository."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest

#: What pgBackRest calls a segment: its name, the sha1 of its content, and how it is compressed.
_SEGMENT = re.compile(r"(?:[0-9A-F]{16}/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.[a-z0-9]+)?")
_HISTORY = re.compile(r"([0-9A-F]{8})\.history")
_NAME = re.compile(r"[0-9A-F]{24}")


def archive_names(tool: Pgbackrest, archive_id: str, below: str = "", timeout: float = 120.0) -> list[str]:
    """Everything in that archive, as pgBackRest names it. ``below`` is the first 16 digits of segments, or all."""
    path = f"archive/{tool.stanza}/{archive_id}" + (f"/{below}" if below else "")
    output = tool.run(
        "repo-ls", "--recurse", "--output=json", timeout=timeout, what="listing the archived log", operand=path
    )
    try:
        listing = json.loads(output.decode() or "{}")
        return sorted(name for name, entry in listing.items() if entry.get("type") == "file")
    except (ValueError, AttributeError) as error:
        raise IntegrityError(
            "pgBackRest's answer cannot be read", tool.component, expected="its JSON", found=repr(error)[:200]
        ) from None


def archived_segments(tool: Pgbackrest, archive_id: str, below: str = "") -> list[str]:
    """Names of the whole segments, 24 hexadecimal digits each, sorted; each once."""
    found = (_SEGMENT.fullmatch(name) for name in archive_names(tool, archive_id, below))
    return sorted({match.group(1) for match in found if match})


def archived_histories(tool: Pgbackrest, archive_id: str) -> list[int]:
    """The timelines whose history is there."""
    found = (_HISTORY.fullmatch(name) for name in archive_names(tool, archive_id))
    return sorted(int(match.group(1), 16) for match in found if match)


def has_segment(tool: Pgbackrest, archive_id: str, segment: str) -> bool:
    """Whether that very segment is in the repository; reads one directory."""
    return segment in archived_segments(tool, archive_id, segment[:16])


def segments_between(first: str, last: str, segment_size: int = 16 * 1024 * 1024) -> t.Iterator[str]:
    """The names from ``first`` to ``last`` of one timeline, both included. Raises :class:`IntegrityError`."""
    if not _NAME.fullmatch(first) or not _NAME.fullmatch(last) or first[:8] != last[:8]:
        raise IntegrityError(
            "not a range of the log", expected="two segments of one timeline", found=f"{first} to {last}"
        )
    number, end = position_of(first, segment_size), position_of(last, segment_size)
    while number <= end:
        yield segment_name(int(first[:8], 16), number, segment_size)
        number += 1


def position_of(segment: str, segment_size: int = 16 * 1024 * 1024) -> int:
    """The segment's number since the beginning of the log."""
    return int(segment[8:16], 16) * (0x100000000 // segment_size) + int(segment[16:], 16)


def segment_name(timeline: int, number: int, segment_size: int = 16 * 1024 * 1024) -> str:
    """The other way round."""
    high, low = divmod(number, 0x100000000 // segment_size)
    return f"{timeline:08X}{high:08X}{low:08X}"
