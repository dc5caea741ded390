# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the repository and the run itself say about a component's objectives. What was not observed stays None."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, newest_proof
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import (
    ARCHIVING_ENGINES,
    STATELESS_ENGINES,
    Objective,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclasses.dataclass
class PointsSeen:
    """A component's recovery points at the time of the report.

    :ivar newest: the newest undamaged point. :ivar chosen: the one that the run took or used, if it named one.
    :ivar timed: the latest proof of a restore. :ivar problem: why nothing could be read, or None.
    """

    newest: RecoveryPoint | None = None
    chosen: RecoveryPoint | None = None
    count: int = 0
    damaged: list[dict[str, str]] = dataclasses.field(default_factory=list)
    incomplete: list[str] = dataclasses.field(default_factory=list)
    timed: Proof | None = None
    size_bytes: int | None = None
    problem: str | None = None

    @property
    def shown(self) -> RecoveryPoint | None:
        """The point that the report is about."""
        return self.chosen or self.newest


def look_at_points(repository: Repository | None, component: str, engine: str, point_id: str | None) -> PointsSeen:
    """List the points of a component; a repository that can't be read becomes ``problem``, never an exception."""
    if repository is None or engine in STATELESS_ENGINES:
        return PointsSeen()
    try:
        listing = list_points(repository, component)
        seen = PointsSeen(count=len(listing.points), incomplete=list(listing.incomplete))
        seen.damaged = [{"point_id": damaged.point_id, "reason": damaged.reason} for damaged in listing.damaged]
        for point in listing.points:
            if point.level == DAMAGED:
                seen.damaged.append({"point_id": point.point_id, "reason": "its newest verification failed"})
            elif seen.newest is None:
                seen.newest = point
            if point.point_id == point_id:
                seen.chosen = point
        proofs = [proof for point in listing.points for proof in point.proofs]
        seen.timed = newest_proof(proofs, minimum="restored")
        seen.size_bytes = seen.shown.size if seen.shown else None
        return seen
    except RunbookError as error:
        return PointsSeen(problem=str(error))


def measure_rpo(
    kind: str,
    engine: str,
    target_s: float | None,
    observed_s: float | None,
    seen: PointsSeen,
    started: datetime.datetime,
    at: datetime.datetime,
) -> Objective:
    """The recovery point objective against the loss observed, or the loss that a disaster now would mean.

    For a restore the loss has to be observed by somebody (rows found missing). If nobody did, it is at most the
    point's age when the run started, since what was lost was written between the two. Of an engine that archives
    continuously only somebody who asked its archive knows; the age of a base backup says nothing.
    """
    if observed_s is not None:
        restored = kind in ("restore", "rebuild")
        basis = "what was lost against the recovery point" if restored else "what the archive did not hold yet"
        return Objective(target_s, observed_s, None, f"observed: {basis}")
    if kind in ("restore", "rebuild"):
        if seen.chosen is None:
            return Objective(target_s)
        bound = max(0.0, seen.chosen.age_s(started))
        return Objective(target_s, None, bound, "not observed; at most the age of the point when the run started")
    if engine in ARCHIVING_ENGINES:
        return Objective(target_s, basis="nobody asked how far the archive is behind; check_health does")
    if seen.newest is None:
        return Objective(target_s, basis="" if seen.problem else "there is no undamaged recovery point")
    age = max(0.0, seen.newest.age_s(at))
    return Objective(target_s, age, None, "age of the newest undamaged recovery point")


def measure_rto(
    kind: str,
    target_s: float | None,
    observed_s: float | None,
    seen: PointsSeen,
    started: datetime.datetime,
    timeline: t.Sequence[t.Mapping[str, t.Any]],
    failed: bool = False,
) -> Objective:
    """The recovery time objective against the time that a restore took, in this run or in the latest drill.

    A restore that failed took no time that means anything.
    """
    if observed_s is not None:
        return Objective(target_s, observed_s, None, "measured in this run")
    if kind in ("restore", "rebuild"):
        if failed:
            return Objective(target_s, basis="the restore failed")
        ends = [
            parse_time(entry["at"]) + datetime.timedelta(seconds=entry["duration_s"])
            for entry in timeline
            if entry["duration_s"] is not None and entry["outcome"] in ("ok", "changed")
        ]
        if not ends:
            return Objective(target_s)
        took = max(0.0, (max(ends) - started).total_seconds())
        return Objective(target_s, took, None, "from the start of the run to the component's last step")
    if seen.timed is None:
        return Objective(target_s, basis="no restore of this component was ever timed")
    try:
        noted = seen.timed.details.get("rto_measured_s")
        took = float(noted) if isinstance(noted, (int, float)) else seen.timed.duration_s
    except RunbookError as error:
        return Objective(target_s, basis=f"the proof could not be read: {error}")
    return Objective(target_s, took, None, f"restore of {format_time(seen.timed.at)[:16].replace('T', ' ')} UTC")
