# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill: a random moment of the archived log brought to life in a scratch directory, proven, timed, and removed."""

from __future__ import annotations

import dataclasses
import datetime
import os
import random
import tempfile
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import sibling
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import (
    Access,
    Archives,
    Bringing,
    Reached,
    refuse_failures,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Base, Plan, bases_for, plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.recovery import BrokenLog
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.build import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import server_user
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.scratch import NOT_DURABLE, disk_kind
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof, newest_proof, write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_WORKPLACE = "sre-pitr-drill-"


@dataclasses.dataclass
class PitrDrillRequest:
    """What is wanted; durations in seconds. The names are those of the module's options.

    :ivar target: None for a random moment. :ivar seed: what makes it random; it is told, so that it can be repeated.
    """

    component: str
    seed: int
    target: Target | None = None
    recovery_point: str = "newest"
    drill_interval: float = 0.0
    rto: float | None = None
    jobs: int = 2
    timeout: float = 86400.0
    assertions: t.Sequence[t.Mapping[str, t.Any]] = ()
    settings: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    role: str = "postgres"
    login_db: str = "postgres"
    scratch_dir: str | None = None
    bin_dir: str | None = None
    run_id: str | None = None


class PitrDrill:
    """One drill. :meth:`run` does it; in check mode it says what it would do."""

    def __init__(
        self,
        request: PitrDrillRequest,
        repository: Repository,
        access: Access,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        self._request = request
        self._repository = repository
        self._access = access
        self._phases = phases
        self._progress = progress
        self._window: dict[str, t.Any] | None = None
        self.warnings: list[str] = []

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """The module's result. Never ``changed``: proofs are bookkeeping, and nothing else is left behind.

        :raises AssertionFailed: the moment was not reached, or an assertion does not hold.
        :raises IntegrityError: backup or log are damaged.
        """
        request = self._request
        listing = list_points(self._repository, request.component)
        self.warnings += [f"recovery point {item.point_id} is damaged: {item.reason}" for item in listing.damaged]
        recent = self._recent_proof(listing)
        if recent is not None:
            return self._skipped(*recent)
        with Archives(self._access, listing, request.bin_dir, server_user()) as archives:
            with self._phases.phase("audit the log") as step:
                made = self._plan(listing, archives)
                step.facts.update(made.facts())
            sibling.require_space(made, request.scratch_dir or tempfile.gettempdir())
            if check_mode:
                message = f"would restore {made.target.words()} from {made.base.point.point_id} in a scratch directory"
                facts = {"changed": False, "skipped_reason": "", "message": message, "plan": made.facts()}
                return {
                    **facts,
                    "recovery_point": made.base.point.facts(),
                    "seed": request.seed,
                    "window": self._window,
                }
            return self._drill(made, archives)

    def _recent_proof(self, listing: PointListing) -> tuple[RecoveryPoint, Proof] | None:
        """The newest success, when it is younger than the interval and nothing failed since."""
        asked = [item for item in listing.points if self._request.recovery_point in ("newest", item.point_id)]
        found = [(item, proof) for item in asked if (proof := newest_proof(item.proofs, "asserted")) is not None]
        if not found:
            return None
        newest = max(found, key=lambda pair: pair[1].at)
        failed = [newest_proof(item.proofs, "verified", "failed") for item in asked]
        if any(proof is not None and proof.at > newest[1].at for proof in failed):
            return None
        age = (self._repository.store.now() - newest[1].at).total_seconds()
        return newest if age < self._request.drill_interval else None

    def _skipped(self, point: RecoveryPoint, proof: Proof) -> dict[str, t.Any]:
        interval = _clock.format_duration(self._request.drill_interval)
        reason = f"{point.point_id} was asserted at {_clock.format_time(proof.at)}, less than {interval} ago"
        rto = proof.duration_s
        return {
            "changed": False,
            "skipped_reason": reason,
            "message": reason,
            "recovery_point": point.facts(),
            "rto_measured_s": rto,
            "rto_met": None if self._request.rto is None else rto <= self._request.rto,
            "hardware": proof.details.get("hardware", {}),
        }

    def _plan(self, listing: PointListing, archives: Archives) -> Plan:
        selector = self._request.recovery_point
        if self._request.target is not None:
            bases, passed_over = bases_for(listing, self._request.target, selector)
            return plan(bases, self._request.target, archives, passed_over)
        bases, passed_over = bases_for(listing, Target("newest"), selector)
        # The whole log has to be whole for a drill, wherever its random moment lies.
        whole = plan(bases, Target("newest"), archives, passed_over)
        last = archives.last_transaction(whole.base, whole.audit)
        target = self._random_target(bases, None if last is None else last.time)
        if target.kind != "time":
            return whole
        fitting, passed_over = bases_for(listing, target, selector)
        return plan(fitting, target, archives, passed_over)

    def _random_target(self, bases: t.Sequence[Base], last: datetime.datetime | None) -> Target:
        """A moment between the last but one base's end and the last transaction; the newest where there is no room."""
        # pgBackRest counts in whole seconds.
        earliest = bases[min(1, len(bases) - 1)].point.consistency_time + datetime.timedelta(seconds=1)
        if last is None or last <= earliest:
            return Target("newest")
        room = (last - earliest).total_seconds()
        moment = earliest + datetime.timedelta(seconds=random.Random(self._request.seed).uniform(0, room))
        self._window = {"from": _clock.format_time(earliest), "to": _clock.format_time(last)}
        # Strictly before the last transaction, since recovery to a time ends at the first one after it.
        return Target("time", _clock.format_time(min(moment, last - datetime.timedelta(microseconds=1))))

    def _drill(self, made: Plan, archives: Archives) -> dict[str, t.Any]:
        request, point, user = self._request, made.base.point, server_user()
        with workplace.workplace(_WORKPLACE, request.scratch_dir, user) as directory:
            bringing = Bringing(
                archives,
                self._phases,
                self._progress,
                user,
                request.role,
                request.login_db,
                request.jobs,
                request.timeout,
                request.assertions,
                settings={**NOT_DURABLE, **request.settings},
                near=request.scratch_dir,
            )
            where = {"hardware": {**describe_hardware(), "disk": disk_kind(directory)}, "scratch": True}
            where.update(seed=request.seed, window=self._window, not_durable=sorted(NOT_DURABLE))
            began = time.monotonic()
            reached: Reached | None = None
            try:
                with bringing.reached(
                    made, os.path.join(directory, "data"), os.path.join(directory, "tablespaces")
                ) as reached:
                    taken = time.monotonic() - began
                    details = {**where, "durations": self._phases.facts(), **reached.details()}
                    self._prove(point, "restored", taken, details)
                    refuse_failures(reached, made)
                    self._prove(point, "asserted", taken, details)
            except AssertionFailed as error:
                self._prove(
                    point,
                    "asserted" if reached else "restored",
                    time.monotonic() - began,
                    _failed(where, error),
                    "failed",
                )
                raise
            except IntegrityError as error:
                level = "restored" if isinstance(error, BrokenLog) else "verified"
                self._prove(point, level, time.monotonic() - began, _failed(where, error), "failed")
                raise
            except RunbookError as error:
                self._prove(point, "restored", time.monotonic() - began, _failed(where, error), "failed")
                raise
        return self._result(made, reached, taken, where)

    def _prove(
        self, point: RecoveryPoint, level: str, duration: float, details: dict[str, t.Any], outcome: str = "ok"
    ) -> None:
        try:
            write_proof(self._repository, point, level, self._request.run_id, duration, details, outcome)
        except (RepositoryError, OSError) as error:
            if outcome == "ok":
                raise
            self.warnings.append(f"the proof {level} could not be written: {error}")

    def _result(self, made: Plan, reached: Reached, taken: float, where: dict[str, t.Any]) -> dict[str, t.Any]:
        rto = self._request.rto
        met = None if rto is None else taken <= rto
        message = f"{made.target.words()} was restored from {made.base.point.point_id} and asserted in {_clock.format_duration(taken)}"
        if rto is not None:
            message += f", {'within' if met else 'over'} the RTO of {_clock.format_duration(rto)}"
        return {
            "changed": False,
            "skipped_reason": "",
            "message": message,
            "recovery_point": made.base.point.facts(),
            "target": made.target.facts(),
            "seed": self._request.seed,
            "window": self._window,
            "plan": made.facts(),
            "proof": reached.details(),
            "rto_measured_s": round(taken, 3),
            "rto_met": met,
            "durations": self._phases.facts(),
            "hardware": where["hardware"],
            "server_version": made.base.point.engine_version,
            "not_durable": where["not_durable"],
        }


def _failed(where: t.Mapping[str, t.Any], error: RunbookError) -> dict[str, t.Any]:
    return {**where, "error": error.facts(), "failures": [str(error)], "failures_count": 1}
