# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's log as positions, segments and timelines: their notation and their arithmetic."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput

SEGMENT = re.compile(r"[0-9A-F]{24}")
_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse_lsn(text: str) -> int:
    """``16/B374D848`` as a number of bytes. Raises :class:`InvalidInput`."""
    match = _LSN.fullmatch(text.strip())
    if match is None:
        raise InvalidInput("not a position in the server's log", expected="such as 16/B374D848", found=repr(text[:100]))
    return int(match.group(1), 16) << 32 | int(match.group(2), 16)


def format_lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


@dataclasses.dataclass(frozen=True, order=True)
class Segment:
    """One file of the log: ``number`` counts from the log's very beginning, whatever the timeline."""

    number: int
    timeline: int

    @classmethod
    def parse(cls, name: str, size: int) -> Segment:
        """Read a file's name of 24 hexadecimal digits. Raises :class:`InvalidInput`.

        :arg size: bytes a segment, as the server was made with.
        """
        if not SEGMENT.fullmatch(name):
            raise InvalidInput("not the name of a segment", expected="24 hexadecimal digits", found=repr(name[:100]))
        per_id = 0x100000000 // size
        high, low = int(name[8:16], 16), int(name[16:24], 16)
        if low >= per_id:
            raise InvalidInput(
                "a segment's name does not fit the size of segments", expected=f"{size} bytes a segment", found=name
            )
        return cls(high * per_id + low, int(name[:8], 16))

    def name(self, size: int) -> str:
        high, low = divmod(self.number, 0x100000000 // size)
        return f"{self.timeline:08X}{high:08X}{low:08X}"

    def start(self, size: int) -> int:
        """The position of its first byte."""
        return self.number * size


@dataclasses.dataclass(frozen=True)
class Branch:
    """A timeline and where it ends: at ``switch`` its successor goes on. None for the last of a path."""

    timeline: int
    switch: int | None


def parse_history(content: str, timeline: int) -> list[Branch]:
    """The ancestors that a timeline's history file names, oldest first, without the timeline itself.

    :raises IntegrityError: it is not a history file, or not of that timeline.
    """
    branches: list[Branch] = []
    for line in content.splitlines():
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        fields = text.split(None, 2)
        if len(fields) < 2 or not fields[0].isdigit() or not _LSN.fullmatch(fields[1]):
            raise IntegrityError(
                f"the history of timeline {timeline} is damaged",
                expected="lines of timeline, position and reason",
                found=repr(line[:100]),
            )
        branches.append(Branch(int(fields[0]), parse_lsn(fields[1])))
    order = [branch.timeline for branch in branches] + [timeline]
    if order != sorted(set(order)):
        raise IntegrityError(
            f"the history of timeline {timeline} is damaged",
            expected="ancestors in rising order, all below it",
            found=", ".join(map(str, order)),
        )
    return branches


def path_to(timeline: int, histories: t.Mapping[int, str]) -> list[Branch]:
    """The way from the first timeline to ``timeline``, that one included.

    :arg histories: timeline → content of its history file; the first timeline of a server has none.
    :raises IntegrityError: the history is missing (beyond timeline 1) or damaged.
    """
    if timeline == 1:
        return [Branch(1, None)]
    if timeline not in histories:
        raise IntegrityError(
            f"the history of timeline {timeline} is not in the archive",
            expected=f"{timeline:08X}.history",
            found="none: where that timeline begins is unknown",
        )
    return [*parse_history(histories[timeline], timeline), Branch(timeline, None)]
