# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All points of a component through one rotation of keys: planned, done point by point, and told."""

from __future__ import annotations

import typing as t
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import WrongIdentity
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_keys import x25519
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import KeyRing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewrap import (
    IMPOSSIBLE,
    REWRAP,
    Planned,
    check_possible,
    plan_rewraps,
    rewrap_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import Rewrap

#: Makes the record of a point's step; what it gives has ``outcome`` and ``facts``.
Record = t.Callable[[Planned], AbstractContextManager[t.Any]]


@dataclass
class Rotation:
    """What is to be true of a component's points, what is to be done about each, and what has been.

    :ivar depth: see :func:`rewrap_point`. :ivar replaced: under which name restores of the component keep what they
        replaced, which must open as long; None where they keep nothing. :ivar unreadable: ids of points whose manifest is damaged; not looked at.
    """

    repository: Repository
    component: str
    recipients: list[str]
    ring: KeyRing
    depth: str
    allow_unproven: bool
    replaced: str | None = None
    plan: list[Planned] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    _written: dict[str, Rewrap] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)

    def look(self) -> None:
        """Plan, and refuse what cannot or must not be done before anything is.

        Raises :class:`InvalidInput`, :class:`Refused`, :class:`MissingRequirement`, and what reading the repository raises.
        """
        if not self.recipients:
            raise InvalidInput(
                "nobody to encrypt for",
                self.component,
                expected="encryption_recipients",
                found="none",
                next_command="name the current recipients (repository_encryption_recipients) in the inventory",
            )
        x25519()  # looking works without the library, rewrapping does not
        listings = [list_points(self.repository, name) for name in (self.component, self.replaced) if name]
        points = [point for listing in listings for point in listing.points]
        self.plan = plan_rewraps(self.repository, points, self.recipients, self.ring)
        self.unreadable = [damaged.point_id for listing in listings for damaged in listing.damaged]
        check_possible(self.component, self.plan, self.recipients, self.ring, self.allow_unproven)

    @property
    def wanted(self) -> list[Planned]:
        """The points that need new headers."""
        return [planned for planned in self.plan if planned.action == REWRAP]

    def act(self, still_ours: t.Callable[[], None], record: Record, run_id: str | None, progress: Progress) -> None:
        """Rewrap point after point; one that is damaged does not keep the others from it."""
        for planned in self.wanted:
            point = planned.point
            try:
                with record(planned) as step:
                    rewrap = rewrap_point(
                        self.repository, point, self.recipients, self.ring, self.depth, run_id, still_ours, progress
                    )
                    step.outcome = "changed"
                    step.facts.update(rewrap.facts())
            except (IntegrityError, ObjectMissing, WrongIdentity) as error:
                self._failed[point.point_id] = f"{error.message} (found: {error.found})"
            else:
                self._written[point.point_id] = rewrap

    @property
    def impossible(self) -> list[str]:
        """Ids of the points that do not open with the current recipients, and will not."""
        planned = [planned.point.point_id for planned in self.plan if planned.action == IMPOSSIBLE]
        return planned + list(self._failed)

    def facts(self, check_mode: bool) -> dict[str, t.Any]:
        """The module's results, ``changed`` and ``diff`` included."""
        done = len(self.wanted) - len(self._failed)
        return {
            "changed": bool(done),
            "recovery_points": [self._point(planned) for planned in self.plan],
            "rewrapped": done,
            "impossible": self.impossible,
            "unproven": [recipient for recipient in self.recipients if recipient not in self.ring.recipients],
            "detail": self._detail(done, check_mode),
            "diff": {
                "before": {planned.point.point_id: planned.reason for planned in self.wanted},
                "after": {planned.point.point_id: self._after(planned) for planned in self.wanted},
            },
        }

    def error(self) -> RunbookError | None:
        """What is left that does not open with the current recipients."""
        left = [point for point in map(self._point, self.plan) if point["action"] == IMPOSSIBLE]
        if not left:
            return None
        words = " | ".join(f"{point['point_id']}: {point['reason']}" for point in left[:5])
        return WrongIdentity(
            f"{len(left)} of {counted(len(self.plan), 'recovery point')} do not open with the current recipients",
            self.component,
            expected="an identity here that opens each of them",
            found=words[:2000],
            next_command=(
                "give the file of the key that they are encrypted for too (rewrap_identity_files), and keep that key "
                "until they have expired"
            ),
        )

    def _detail(self, done: int, check_mode: bool) -> str:
        total, left = len(self.plan), len(self.impossible)
        told = []
        if done:
            told.append(f"{done} of {total} recovery points {'need' if check_mode else 'got'} new headers")
        if left:
            told.append(f"{left} of {total} do not open with the current recipients")
        if told or not total:
            return "; ".join(told) or "there is no recovery point"
        every = "the only recovery point opens" if total == 1 else f"all {total} recovery points open"
        return f"{every} with the current recipients"

    def _point(self, planned: Planned) -> dict[str, t.Any]:
        point_id = planned.point.point_id
        rewrap = self._written.get(point_id)
        failed = self._failed.get(point_id)
        return {
            "point_id": point_id,
            "action": IMPOSSIBLE if failed else planned.action,
            "reason": failed or planned.reason,
            "rewrap_id": rewrap.rewrap_id if rewrap else None,
            "proven": rewrap.proven if rewrap else [],
        }

    def _after(self, planned: Planned) -> str:
        failed = self._failed.get(planned.point.point_id)
        return f"unchanged: {failed}" if failed else f"it opens with {', '.join(self.recipients)}"
