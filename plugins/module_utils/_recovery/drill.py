# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill, whatever the engine: is one due, a restore in a scratch place, what it shows, its time against the RTO."""

from __future__ import annotations

import abc
import contextlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    ObjectMissing,
    Refused,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import describe_damaged
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import Prover, failure
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import DrillWanted
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof, newest_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


class Found(t.Protocol):
    """What a restored copy was found to hold."""

    def details(self) -> dict[str, t.Any]:
        """For the proofs and the module's result."""

    def refuse(self) -> None:
        """Raise :class:`AssertionFailed` for the first thing that does not hold."""


class Attempt(abc.ABC):
    """One point that would be restored in a scratch place.

    :ivar subject: what is restored, as a sentence begins with it: "<subject> was restored and asserted in 4 s".
    """

    def __init__(self, point: RecoveryPoint, subject: str | None = None) -> None:
        self.point = point
        self.subject = subject or f"{point.point_id} was restored"

    @abc.abstractmethod
    def prediction(self) -> str:
        """What would be done, in words."""

    def foreseen(self) -> dict[str, t.Any]:
        """What the engine adds to the result of check mode."""
        return {}

    @abc.abstractmethod
    def scratch(self) -> contextlib.AbstractContextManager[dict[str, t.Any]]:
        """A place to restore into, gone afterwards; not timed. Gives what the engine tells of where that is."""

    @abc.abstractmethod
    def restored(self) -> contextlib.AbstractContextManager[Found]:
        """Inside :meth:`scratch`: the content, restored and looked at. Entering is what is timed against the RTO."""

    @abc.abstractmethod
    def told(self) -> dict[str, t.Any]:
        """What the engine adds to the result of a drill."""

    def is_damage(self, error: RunbookError, repository: Repository) -> bool:
        """Whether the error says that the point itself is damaged, and a second look at what is stored says so too.

        A proof of it keeps restores from the point; one read that was cut short must not.
        """
        return isinstance(error, (IntegrityError, ObjectMissing)) and bool(
            verify_point(repository, self.point, Identities()).failures
        )


class Drill(abc.ABC):
    """One drill. :meth:`run` does it; in check mode it says what it would do."""

    def __init__(
        self, wanted: DrillWanted, repository: Repository, phases: Phases, progress: Progress | None = None
    ) -> None:
        self.wanted = wanted
        self.repository = repository
        self.phases = phases
        self.progress = progress
        self.warnings: list[str] = []
        self.prover = Prover(repository, wanted.run_id, self.warnings, strict=True)

    @abc.abstractmethod
    def attempt(self, listing: PointListing) -> contextlib.AbstractContextManager[Attempt]:
        """Choose, and refuse what cannot be. Changes nothing."""

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """The module's result. Never ``changed``: proofs are bookkeeping, and nothing else is left behind.

        :raises AssertionFailed: the point does not hold what it should. :raises IntegrityError: it is damaged.
        """
        listing = list_points(self.repository, self.wanted.component)
        self.warnings += describe_damaged(listing)
        recent = recent_proof(listing, self.wanted, self.repository)
        if recent is not None:
            return self._skipped(*recent)
        with self.attempt(listing) as attempt:
            if check_mode:
                return self._result(attempt, attempt.prediction(), attempt.foreseen())
            return self._drill(attempt)

    def _skipped(self, point: RecoveryPoint, proof: Proof) -> dict[str, t.Any]:
        interval = _clock.format_duration(self.wanted.drill_interval)
        reason = f"{point.point_id} was asserted at {_clock.format_time(proof.at)}, less than {interval} ago"
        return {
            "changed": False,
            "skipped_reason": reason,
            "message": reason,
            "recovery_point": point.facts(),
            "rto_measured_s": proof.duration_s,
            "rto_met": self._within(proof.duration_s),
            "hardware": proof.details.get("hardware", {}),
        }

    def _drill(self, attempt: Attempt) -> dict[str, t.Any]:
        point, prover = attempt.point, self.prover
        with attempt.scratch() as place:
            # Providing a place belongs to a rebuild; what a drill times is what a restore does.
            began = time.monotonic()
            hardware = {**describe_hardware(), **place.pop("hardware", {})}
            where = {"hardware": hardware, "scratch": True, **place}
            found: Found | None = None
            try:
                with attempt.restored() as found:
                    taken = time.monotonic() - began
                    details = {**where, "durations": self.phases.facts(), **found.details()}
                    prover.succeeded(point, "restored", taken, details)
                    found.refuse()
                    prover.succeeded(point, "asserted", taken, details)
            except Refused:
                # It says nothing against the point.
                raise
            except RunbookError as error:
                level = "verified" if attempt.is_damage(error, self.repository) else "restored"
                told = {**where, **failure(error), "error": error.facts()}
                if found is not None and isinstance(error, AssertionFailed):
                    level, told = "asserted", {**told, "durations": self.phases.facts(), **found.details()}
                prover.failed(point, level, time.monotonic() - began, told)
                raise
        measured, met = _clock.format_duration(taken), self._within(taken)
        message = f"{attempt.subject} and asserted in {measured}"
        if self.wanted.rto is not None:
            message += f", {'within' if met else 'over'} the RTO of {_clock.format_duration(self.wanted.rto)}"
        facts = {
            "rto_measured_s": round(taken, 3),
            "rto_met": met,
            "durations": self.phases.facts(),
            "hardware": hardware,
            "proof": found.details(),
        }
        return self._result(attempt, message, {**facts, **attempt.told()})

    def _within(self, taken_s: float) -> bool | None:
        return None if self.wanted.rto is None else taken_s <= self.wanted.rto

    def _result(self, attempt: Attempt, message: str, facts: dict[str, t.Any]) -> dict[str, t.Any]:
        return {
            "changed": False,
            "skipped_reason": "",
            "message": message,
            "recovery_point": attempt.point.facts(),
            **facts,
        }


def recent_proof(
    listing: PointListing, wanted: DrillWanted, repository: Repository
) -> tuple[RecoveryPoint, Proof] | None:
    """The newest success, when it is younger than the interval. A named point is only spared by its own."""
    asked = [point for point in listing.points if wanted.recovery_point in ("newest", point.point_id)]
    found = [(point, proof) for point in asked if (proof := newest_proof(point.proofs, "asserted")) is not None]
    if not found:
        return None
    newest = max(found, key=lambda pair: pair[1].at)
    # A failure since then is not to be slept over.
    failed = [newest_proof(point.proofs, "verified", "failed") for point in asked]
    if any(proof is not None and proof.at > newest[1].at for proof in failed):
        return None
    age = (repository.store.now() - newest[1].at).total_seconds()
    return newest if age < wanted.drill_interval else None
