# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component's databases made equal to a recovery point: beside the live ones, proven, then swapped in.

Nothing live is touched before its replacement has been proven; a failure or a kill at any moment leaves the live
databases as they were, and the next run finishes or begins anew.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import (
    left_behind,
    marker,
    names,
    restored,
    swap,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.assertions import SqlAssertion, parse_assertions
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.build import Builder, Proven
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    PostgresqlAddress,
    connect,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.fetch import (
    Fetched,
    fetch,
    needed_objects,
    recorded_databases,
    total_bytes,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.restore_target import (
    RestoreRequest,
    RestoreTarget,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery import fallback
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import Choice
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import Prover, exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._repository.at_a_glance import require_readable
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

    Session = psycopg.Connection[tuple[t.Any, ...]]

_WORKPLACE = "sre-restore-"


class Restore:
    """One restore. :meth:`run` does it, :meth:`predict` says what it would do, :meth:`release` drops what was kept."""

    def __init__(
        self,
        request: RestoreRequest,
        repository: Repository,
        address: PostgresqlAddress,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        self._request = request
        self._target = RestoreTarget(request, repository, address)
        self._repository = repository
        self._address = address
        self._identities = identities
        self._phases = phases
        self._progress = progress
        self._component = request.component
        self._began = time.monotonic()
        self.warnings: list[str] = []
        self._prover = Prover(repository, request.run_id, self.warnings)

    # -- what the module calls ---------------------------------------------------------------------------------------

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Make it true; returns the module's result. In check mode everything is looked at and nothing written."""
        with contextlib.closing(connect(self._address)) as session:
            empty = self._target.require(session)
            points, passed_over = self._target.points()
            self.warnings += [f"recovery point {choice.point_id}: {choice.reason}" for choice in passed_over]
            targets = self._target.targets(points[0])
            interrupted = restored.interrupted(session, self._component)
            expired = self._target.expired(session)
            done = self._done(session, points[0], targets)
            if done and not interrupted and not expired:
                return self._unchanged(session, points[0], passed_over, targets)
            if not done:
                self._target.require_confirm(session, targets)
            if check_mode:
                if not done:
                    points, passed_over = self._readable(points, passed_over)
                    targets = self._target.targets(points[0])
                    self._target.preflight(session, points[0], targets, empty)
                return self._prediction(session, points[0], passed_over, {} if done else targets, expired)
            with self._exclusive(session) as lease:
                # What others did while we waited for the lease counts: a restore, a newer point, one that expired.
                points, passed_over = self._target.points()
                targets = self._target.targets(points[0])
                done = self._done(session, points[0], targets)
                if not done:
                    self._target.require_confirm(session, targets)
                if done:
                    result = self._unchanged(session, points[0], passed_over, targets)
                else:
                    result = self._restore_first_good(session, lease, points, passed_over, empty)
                released = self._drop(session, self._target.expired(session))
                kept = [item.facts() for item in restored.kept_databases(session, self._component)]
                changed = not done or bool(released) or interrupted
                return {**result, "changed": changed, "released": released, "kept": kept}

    def _readable(
        self, points: t.Sequence[RecoveryPoint], passed_over: t.Sequence[Choice]
    ) -> tuple[list[RecoveryPoint], list[Choice]]:
        """Without the points before the first one that seems whole and opens: consumers are stopped for a reason only.

        Raises the last point's own error when none is.
        """
        choices = list(passed_over)
        for number, point in enumerate(points):
            of_databases, others = needed_objects(point, list(self._target.targets(point)))
            needed = [*others.values(), *(stored for objects in of_databases.values() for stored, _file in objects)]
            try:
                require_readable(self._repository, point, self._identities, needed)
            except IntegrityError as error:
                choices.append(Choice(point.point_id, point.consistency_time, "damaged", error.message))
                self.warnings.append(f"recovery point {point.point_id} would be passed over: {error}")
                if number == len(points) - 1:
                    raise fallback.last_resort(error, self._component) from None
            else:
                return list(points[number:]), choices
        raise AssertionError("there is always at least one point")

    def _done(self, session: Session, point: RecoveryPoint, targets: t.Mapping[str, str]) -> bool:
        if self._request.force:
            return False
        return self._target.shows(session, point, targets) or self._target.runs(session, targets)

    def release(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Drop what former restores kept, and only that."""
        with contextlib.closing(connect(self._address)) as session:
            self._target.require(session)
            kept = restored.kept_databases(session, self._component)
            if kept and not check_mode:
                with self._exclusive(session):
                    self._drop(session, kept)
            released = [item.facts() for item in kept]
            message = f"{counted(len(kept), 'kept database')} released" if kept else "nothing is kept"
            return {"changed": bool(kept), "released": released, "kept": [], "databases": [], "message": message}

    # -- acting ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _exclusive(self, session: Session) -> t.Iterator[Lease]:
        """Nobody else operates on the component: by the repository's lease, and by a lock in the server itself."""
        request = self._request
        with exclusive(
            self._repository,
            self._component,
            request.run_id,
            request.lease_ttl,
            request.lease_wait,
            self._progress,
        ) as lease:
            marker.hold_advisory_lock(session, self._component)
            for name in swap.mend_interrupted_swap(session, self._component):
                self.warnings.append(
                    f"database {name} refused connections since an interrupted swap; it takes them again"
                )
            # The waiting is over: what counts as time to recover begins.
            yield lease

    def _restore_first_good(
        self,
        session: Session,
        lease: Lease,
        points: t.Sequence[RecoveryPoint],
        passed_over: t.Sequence[Choice],
        empty: bool,
    ) -> dict[str, t.Any]:
        result, choices = fallback.restore_first_good(
            points,
            passed_over,
            lambda point: self._restore(session, lease, point, empty),
            self._prover,
            self.warnings,
        )
        return {**result, **self._choices(choices)}

    def _restore(self, session: Session, lease: Lease, point: RecoveryPoint, empty: bool) -> dict[str, t.Any]:
        request = self._request
        targets = self._target.targets(point)
        asked = parse_assertions(request.assertions, list(targets))
        beside = {name: names.restoring_name(target) for name, target in targets.items()}
        with self._phases.phase("check", recovery_point=point.point_id):
            differences, unchecked = self._target.preflight(session, point, targets, empty)
        marker.ensure_tables(session)
        if empty:
            marker.stamp(session, self._repository.environment)
        builder = Builder(
            point,
            self._address,
            self._target.tools(session, point),
            request.jobs,
            self._phases,
            self._progress,
            () if request.subscriptions else ("SUBSCRIPTION",),
            request.tablespaces == "recorded",
        )
        self._phases.reached("prepared")
        swap.drop_leftovers(session, self._possible_leftovers(beside), self._component)
        try:
            with workplace(_WORKPLACE, request.scratch_dir) as directory:
                fetched = self._fetch(point, targets, directory)
                lease.check()
                with self._phases.phase("roles") as step:
                    applied = builder.apply_globals(session, fetched.globals_text, self._globals_mode(empty))
                    step.facts.update(created=applied.created, altered=applied.altered)
                builder.build(session, fetched, beside)
            proven = self._proven(builder, beside, asked)
            behind = left_behind.find(session, self._address, self._target.live(session, targets))
            lease.check()
            with self._phases.phase("swap") as step:
                step.outcome = "changed"
                swapped = swap.swap(
                    session,
                    [swap.Replacement(target, beside[name]) for name, target in targets.items()],
                    self._component,
                    point.point_id,
                    lease.epoch,
                    request.run_id,
                    self._phases.reached,
                )
        except BaseException:
            with contextlib.suppress(RunbookError, *_database_errors()):
                swap.drop_leftovers(session, list(beside.values()), self._component)
            raise
        rto = time.monotonic() - self._began
        self._write_proofs(point, targets, proven, rto)
        before = {item.target: item for item in swapped}
        return {
            "databases": [
                {
                    "database": name,
                    "restored_as": target,
                    "kept_as": before[target].before,
                    "sessions_ended": before[target].sessions,
                    "left_out": builder.dropped[name],
                    "refused_settings": builder.refused_settings[name],
                    **proven.accounting[name],
                }
                for name, target in targets.items()
            ],
            "recovery_point": point.facts(),
            "durations": self._phases.facts(),
            "rto_measured_s": round(rto, 3),
            "proof": proven.details(),
            "created_roles": applied.created,
            "altered_roles": applied.altered,
            "left_behind": behind,
            "differences": differences,
            "unchecked": unchecked,
        }

    def _fetch(self, point: RecoveryPoint, targets: t.Mapping[str, str], directory: str) -> Fetched:
        with self._phases.phase("read", recovery_point=point.point_id) as step:
            began = time.monotonic()
            fetched = fetch(
                self._repository, point, list(targets), self._identities, directory, self._request.jobs, self._progress
            )
            step.facts.update(bytes=total_bytes(point, list(targets)))
        if len(targets) == len(recorded_databases(point)):
            details = {"objects": len(point.objects), "bytes": point.size, "read_by": "restore"}
            self._prover.succeeded(point, "verified", time.monotonic() - began, details)
        return fetched

    def _proven(self, builder: Builder, beside: t.Mapping[str, str], asked: t.Sequence[SqlAssertion]) -> Proven:
        proven = builder.prove(beside, asked)
        try:
            proven.refuse()
        except AssertionFailed:
            self._prover.failed(builder.point, "asserted", 0.0, proven.details())
            raise
        return proven

    def _globals_mode(self, empty: bool) -> str:
        """Roles that exist are only altered on a server that was empty: elsewhere they may be somebody else's."""
        mode = self._request.restore_globals
        if mode == "all" and not empty:
            return "missing"
        return "missing" if mode == "never" and self._request.create_roles else mode

    def _possible_leftovers(self, beside: t.Mapping[str, str]) -> list[str]:
        listing = list_points(self._repository, self._component)
        recorded = {name for point in listing.points for name in recorded_databases(point)}
        return sorted({*beside.values(), *(names.restoring_name(name) for name in recorded)})

    def _write_proofs(
        self, point: RecoveryPoint, targets: t.Mapping[str, str], proven: Proven, duration: float
    ) -> None:
        """Only a restore of everything proves the point."""
        if len(targets) < len(recorded_databases(point)):
            return
        where = {"hardware": describe_hardware(), "durations": self._phases.facts(), "scratch": False}
        self._prover.succeeded(point, "restored", duration, where)
        self._prover.succeeded(point, "asserted", duration, {**where, **proven.details()})

    def _drop(self, session: Session, kept: t.Sequence[restored.Kept]) -> list[dict[str, t.Any]]:
        for item in kept:
            self._phases.reached("release")
            restored.release(session, item, self._component)
        return [item.facts() for item in kept]

    # -- results -----------------------------------------------------------------------------------------------------

    def _choices(self, choices: t.Sequence[Choice]) -> dict[str, t.Any]:
        return fallback.told(choices, self._repository.store.now())

    def _unchanged(
        self,
        session: Session,
        point: RecoveryPoint,
        passed_over: t.Sequence[Choice],
        targets: t.Mapping[str, str],
    ) -> dict[str, t.Any]:
        shown = self._target.shows(session, point, targets)
        if not shown:
            self._target.require_assertions(targets)
        names_text = ", ".join(targets.values())
        return {
            "changed": False,
            "databases": [],
            "recovery_point": point.facts() if shown else None,
            "kept": [item.facts() for item in restored.kept_databases(session, self._component)],
            "released": [],
            **self._choices(passed_over),
            "message": f"{names_text}: restored from {point.point_id} before, and left as it is now;"
            " with -e restore_force=true (force: true of the module) it is restored again"
            if shown
            else f"{names_text} run already and satisfy the component's assertions; only what is missing is restored",
        }

    def _prediction(
        self,
        session: Session,
        point: RecoveryPoint,
        passed_over: t.Sequence[Choice],
        targets: t.Mapping[str, str],
        expired: t.Sequence[restored.Kept],
    ) -> dict[str, t.Any]:
        live = set(self._target.live(session, targets))
        taken = {item.before_name for item in restored.kept_databases(session, self._component)}
        chosen = Choice(point.point_id, point.consistency_time, "chosen")
        return {
            "changed": True,
            "databases": [
                {
                    "database": name,
                    "restored_as": target,
                    "kept_as": names.before_name(target, point.point_id, taken) if target in live else None,
                }
                for name, target in targets.items()
            ],
            "recovery_point": point.facts(),
            "kept": [item.facts() for item in restored.kept_databases(session, self._component)],
            "released": [item.facts() for item in expired],
            **self._choices([*passed_over, chosen]),
        }


def _database_errors() -> tuple[type[BaseException], ...]:
    import psycopg

    return (psycopg.Error,)
