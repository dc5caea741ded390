# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recovery_point kind: a component's newest proven recovery point against its RPO, and its last drill."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    choice,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import (
    DAMAGED,
    LEVELS,
    Proof,
    newest_proof,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    import datetime

    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing

_DRILL_LEVEL = "restored"
#: A server's clock and the store's may differ by this much.
_CLOCK_TOLERANCE_S = 30.0


class RecoveryPointCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._component: str | None = options["component"]
        self._repository: str | None = options["repository"] or session.repository
        self._environment: str | None = options["environment_name"] or session.environment_name
        self._s3 = session.s3
        if self._component is None:
            raise ValueError("a component is needed")
        if not self._repository or not self._environment:
            raise ValueError("repository and environment_name are needed, in the probe or in the module")
        self._rpo: float = options["rpo"]
        self._minimum: str = options["minimum_level"]
        self._drill_interval: float | None = options["drill_interval"]
        self.expected = f"a recovery point, at least {self._minimum}, not older than {format_duration(self._rpo)}"
        if self._drill_interval is not None:
            self.expected += f", drilled within {format_duration(self._drill_interval)}"
        self.hint = f"ansible-playbook sre.runbooks.back_up_components --limit {self._component}"

    def look(self) -> Reading:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository

        try:
            repository = open_repository(t.cast(str, self._repository), t.cast(str, self._environment), self._s3)
            listing = list_points(repository, t.cast(str, self._component))
            now = _clock.now()  # the store's own clock may only be had by writing
        except RepositoryError as error:
            return self.unasked(error)
        reading = self._judge_age(listing, now)
        if reading.outcome in ("failed", "unknown"):
            return reading
        return self._judge_drill(listing, now, reading) if self._drill_interval is not None else reading

    def _judge_age(self, listing: PointListing, now: datetime.datetime) -> Reading:
        bad = [point.point_id for point in listing.points if point.level == DAMAGED]
        bad += [point.point_id for point in listing.damaged]
        values: dict[str, t.Any] = {"rpo_s": self._rpo, "points": len(listing.points), "damaged": bad[:20]}
        newest = listing.newest(self._minimum)
        if newest is None:
            best = listing.points[0].level if listing.points else None
            measured = (
                f"{counted(len(listing.points), 'recovery point')}, the newest {best}" if best else "no recovery point"
            )
            return self.reading("failed", measured, f"no recovery point is {self._minimum}", age_s=None, **values)
        age = newest.age_s(now)
        values.update(age_s=round(age, 3), point_id=newest.point_id, level=newest.level)
        measured = f"{newest.point_id}, {newest.level}, {format_duration(age)} old"
        if age < -_CLOCK_TOLERANCE_S:
            return self.reading(
                "unknown", measured, "the recovery point lies in the future: clocks are apart", **values
            )
        if age > self._rpo:
            return self.reading("failed", measured, "the newest recovery point is older than the RPO", **values)
        if bad:
            word = f"{counted(len(bad), 'damaged recovery point')}: {', '.join(bad[:3])}"
            return self.reading("warning", measured, word, **values)
        return self.reading("ok", measured, "as expected", **values)

    def _judge_drill(self, listing: PointListing, now: datetime.datetime, reading: Reading) -> Reading:
        proofs = [proof for point in listing.points for proof in point.proofs]
        passed = newest_proof(proofs, _DRILL_LEVEL)
        failed = newest_proof(proofs, _DRILL_LEVEL, outcome="failed")
        self.hint = f"ansible-playbook sre.runbooks.drill_restores --limit {self._component}"
        age = (now - passed.at).total_seconds() if passed is not None else None
        values = {**reading.values, "drill_age_s": None if age is None else round(age, 3)}
        if age is None:
            return self.reading("failed", f"{reading.measured}, never drilled", "no restore was ever proven", **values)
        measured = f"{reading.measured}, drilled {format_duration(age)} ago"
        if failed is not None and failed.at > t.cast(Proof, passed).at:
            return self.reading("failed", measured, "the last drill failed", **values)
        if age > t.cast(float, self._drill_interval):
            return self.reading("failed", measured, "the last drill is too long ago", **values)
        return self.reading(reading.outcome, measured, reading.message, **values)


RECOVERY_POINT = Kind(
    name="recovery_point",
    options={
        "repository": Option(text),
        "environment_name": Option(text),
        "rpo": Option(parse_duration, required=True),
        "minimum_level": Option(choice(*LEVELS), default="taken"),
        "drill_interval": Option(parse_duration),
    },
    prepare=RecoveryPointCheck,
    target=lambda options: t.cast(str, options["component"]),
)
