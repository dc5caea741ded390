# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with a component's evidence, in words."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

REMOVED = "removed"
REORDERED = "reordered"
BACK_DATED = "back-dated"
ALTERED = "altered"
HIDDEN = "hidden"
DUPLICATED = "duplicated"
FORGED = "forged signature"
UNSIGNED = "unsigned"
KINDS = (REMOVED, REORDERED, BACK_DATED, ALTERED, HIDDEN, DUPLICATED, FORGED, UNSIGNED)

_NEXT = {
    REMOVED: "keep the repository as it is for the inquiry, and bring the point back from the store's versions or a copy",
    REORDERED: "keep the repository as it is for the inquiry, and restore only points that verify and were anchored before",
    BACK_DATED: "compare the clocks of the hosts and the store; if they agree, find out who wrote the point",
    ALTERED: "keep the repository as it is for the inquiry, and bring the object back from the store's versions or a copy",
    HIDDEN: "find out who deleted it, then remove the delete marker: aws s3api delete-object with the marker's version id",
    DUPLICATED: "find out which of them the next point names; keep the other one for the inquiry",
    FORGED: "do not restore it; find out who could write there, and rotate that identity's credential",
    UNSIGNED: "find out who wrote it without the key; restore points that are signed",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written. ``subject`` is a point's id, or the key of another object."""

    kind: str
    subject: str
    detail: str
    expected: str
    found: str

    @property
    def id(self) -> str:
        """By which an operator accepts a finding after it was looked into."""
        return f"{self.kind} {self.subject}"

    @property
    def next_command(self) -> str:
        return _NEXT[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}; expected: {self.expected}; found: {self.found}; next: {self.next_command}"

    def facts(self) -> dict[str, t.Any]:
        return {"id": self.id, **vars(self), "next_command": self.next_command}


def distinct(findings: t.Iterable[Finding]) -> list[Finding]:
    """Each finding once, by its id; the first way of saying it stays."""
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.id, finding)
    return list(first.values())
