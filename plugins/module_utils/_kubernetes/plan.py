# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would have to change for a cluster to show a recovery point's objects, found by comparing and by asking the server.

Where an object differs the server is asked, in a dry run, what replacing it would give. So a field that the server fills
in by itself is no difference, and one that cannot be changed is known before anything is touched.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.compare import FieldDifference
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Item, Name
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind

CREATE = "create"
CHANGE = "change"
CONFLICT = "conflict"
_SHOWN_FIELDS = 20


@dataclasses.dataclass(frozen=True)
class FieldConflict:
    """A field that the server does not let be changed, or not to that. ``message``: its words."""

    path: str
    message: str

    def facts(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message}


@dataclasses.dataclass
class Change:
    """One object that is not as recorded.

    :ivar kind: as the cluster serves it. :ivar live: the live object's JSON; None where there is none.
    :ivar problem: why the server could not be asked, in words. :ivar terminating: the uid of an object of that name that
        is being deleted, and must be gone first.
    """

    item: Item
    kind: Kind
    action: str
    differences: list[FieldDifference] = dataclasses.field(default_factory=list)
    conflicts: list[FieldConflict] = dataclasses.field(default_factory=list)
    live: bytes | None = None
    problem: str | None = None
    terminating: str | None = None

    @property
    def path(self) -> str:
        """Of the object in the API."""
        return self.kind.path(self.item.name.namespace or None, self.item.name.name)

    @property
    def identity(self) -> tuple[str, str, Name]:
        """Group, kind and name: the same object in every version."""
        return self.kind.group, self.kind.kind, self.item.name

    def facts(self) -> dict[str, t.Any]:
        """For results, diffs and proofs; without secret values."""
        hidden = self.kind.kind == "Secret"
        found: dict[str, t.Any] = {"object": self.item.label, "action": self.action}
        if self.differences:
            found["fields"] = [item.facts(hidden) for item in self.differences[:_SHOWN_FIELDS]]
            found["fields_count"] = len(self.differences)
        if self.conflicts:
            found["conflicts"] = [conflict.facts() for conflict in self.conflicts[:_SHOWN_FIELDS]]
        if self.problem:
            found["problem"] = self.problem
        return found


@dataclasses.dataclass(frozen=True)
class Extra:
    """A live object of a recorded kind that the point does not have."""

    kind: Kind
    name: Name
    uid: str
    live: bytes = dataclasses.field(repr=False, default=b"")

    @property
    def label(self) -> str:
        return f"{self.kind.kind} {self.name}"


@dataclasses.dataclass
class Plan:
    """All of it. ``unserved``: recorded kinds that the cluster does not know, in words. ``terminating``: objects, in words."""

    changes: list[Change] = dataclasses.field(default_factory=list)
    same: int = 0
    extras: list[Extra] = dataclasses.field(default_factory=list)
    unserved: list[str] = dataclasses.field(default_factory=list)
    mapped: list[str] = dataclasses.field(default_factory=list)
    dropped_owners: set[str] = dataclasses.field(default_factory=set)
    pending_owners: set[str] = dataclasses.field(default_factory=set)
    terminating: list[str] = dataclasses.field(default_factory=list)

    def of(self, *actions: str) -> list[Change]:
        """The changes of these kinds."""
        return [change for change in self.changes if change.action in actions]

    @property
    def touches_live(self) -> list[Change]:
        """What would be overwritten, or replaced."""
        return self.of(CHANGE, CONFLICT)

    def counts(self) -> dict[str, int]:
        return {
            "created": len(self.of(CREATE)),
            "changed": len(self.of(CHANGE)),
            "conflicts": len(self.of(CONFLICT)),
            "unchanged": self.same,
            "extra": len(self.extras),
        }
