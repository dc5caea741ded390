# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server brought back to a moment: in a copy beside the live data, proven there, and only then put in their place.

Nothing live is touched before the copy has been proven; killed at any moment, the next run finishes or begins anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import sibling
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import (
    Access,
    Archives,
    Bringing,
    Reached,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.foresight import foresee
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.live import Live
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Base, Plan, bases_for, plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.recovery import BrokenLog, TooEarly
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import marker
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import (
    Choice,
    describe_choices,
    describe_damaged,
)
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import Prover, exclusive, failure
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import RestoreWanted
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


_NEWEST = Target("newest")


@dataclasses.dataclass
class PitrRequest(RestoreWanted):
    """What is wanted of a moment; durations in seconds. The names are those of the module's options."""

    target: Target = _NEWEST
    data_dir: str | None = None
    assertions: t.Sequence[t.Mapping[str, t.Any]] = ()
    start_command: t.Sequence[str] = ()
    stop_command: t.Sequence[str] = ()
    settings: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    jobs: int = 2
    timeout: float = 86400.0
    server_timeout: float = 300.0
    verify_archiving: bool = True
    archive_timeout: float = 60.0
    release_after: float | None = None
    bin_dir: str | None = None

    @property
    def key(self) -> dict[str, t.Any]:
        """What makes a second request the same as the first."""
        return {**self.target.facts(), "recovery_point": self.recovery_point}


class PitrRestore:
    """One restore. :meth:`run` does it, in check mode it says what it would do; :meth:`release` drops what was kept."""

    def __init__(
        self,
        request: PitrRequest,
        repository: Repository,
        access: Access,
        address: PostgresqlAddress,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        self._request = request
        self._repository = repository
        self._access = access
        self._address = address
        self._phases = phases
        self._progress = progress
        self._component = request.component
        self._began = time.monotonic()
        self.warnings: list[str] = []
        self._prover = Prover(repository, request.run_id, self.warnings)

    # -- what the module calls ---------------------------------------------------------------------------------------

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Make it true; the module's result. In check mode everything is looked at and nothing written."""
        request = self._request
        listing, bases, passed_over = self._choose()
        live = self._live(bases)
        done = self._done(live)
        if not done:
            live.require_confirm()
        with contextlib.ExitStack() as stack:
            if check_mode:
                archives = stack.enter_context(self._archives(listing, live))
                if done:
                    return self._prediction(live, None)

                def planned(rest: t.Sequence[Base], choices: t.Sequence[Choice]) -> Plan:
                    return self._plan(rest, archives, choices, live)

                return self._prediction(live, *foresee(bases, passed_over, archives, planned, request.fallback_points))
            lease = stack.enter_context(self._exclusive())
            # What was chosen before may have expired while we waited.
            listing, bases, passed_over = self._choose()
            live = self._live(bases)
            archives = stack.enter_context(self._archives(listing, live))
            # What another run did while we waited, or left half done, counts.
            finished = live.directories.finish_interrupted()
            if finished:
                self.warnings.append("a restore that had been interrupted while it swapped was finished")
            done = self._done(live)
            if done:
                started = live.ensure_started(self._request.server_timeout)
                result, changed = self._unchanged(live), finished or started
                changed = self._verify_archiving(live, archives, bases[0]) or changed
            else:
                result, changed = self._restore_first_good(live, bases, archives, passed_over, lease), True
            expired = live.directories.expired(request.release_after, _clock.now())
            live.directories.release(expired)
            released = [_kept_facts(item) for item in expired]
            kept = [_kept_facts(item) for item in live.directories.kept()]
            return {**result, "changed": changed or bool(released), "released": released, "kept": kept}

    def release(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Delete the data directories that former restores kept, and only those."""
        live = Live(self._request, self._repository, self._address, None, self._phases.reached)
        kept = live.directories.kept()
        if kept and not check_mode:
            with self._exclusive():
                live.directories.release(kept)
        message = (
            f"{counted(len(kept), 'kept data directory', 'kept data directories')} released"
            if kept
            else "nothing is kept"
        )
        return {"changed": bool(kept), "released": [_kept_facts(item) for item in kept], "kept": [], "message": message}

    # -- deciding ----------------------------------------------------------------------------------------------------

    def _choose(self) -> tuple[PointListing, list[Base], list[Choice]]:
        listing = list_points(self._repository, self._component)
        self.warnings += [text for text in describe_damaged(listing) if text not in self.warnings]
        bases, passed_over = bases_for(listing, self._request.target, self._request.recovery_point)
        return listing, bases, passed_over

    def _live(self, bases: t.Sequence[Base]) -> Live:
        live = Live(self._request, self._repository, self._address, bases[0], self._phases.reached)
        live.require()
        return live

    def _archives(self, listing: PointListing, live: Live) -> Archives:
        data = live.data if live.holds == "data" else None
        return Archives(self._access, listing, self._request.bin_dir, live.user, data)

    def _done(self, live: Live) -> bool:
        """Whether the data directory is what this very request made of it, or all that it asks for is there."""
        if self._request.force:
            return False
        record = live.directories.restored()
        if record is not None and record.get("request") == self._request.key:
            return True
        return self._request.only_missing and live.serves_content()

    def _plan(self, bases: t.Sequence[Base], archives: Archives, passed_over: t.Sequence[Choice], live: Live) -> Plan:
        with self._phases.phase("audit the log") as step:
            made = plan(bases, self._request.target, archives, passed_over)
            step.facts.update(made.facts())
        sibling.refuse_tablespaces(made)
        live.require_programs(archives.bin_dir(made.base))
        if live.directories.prepared() is None:
            sibling.require_space(made, os.path.dirname(live.data))
        return made

    def _prediction(self, live: Live, made: Plan | None, unknown: str = "") -> dict[str, t.Any]:
        interrupted = bool(live.directories.state().get("swap"))
        kept = [_kept_facts(item) for item in live.directories.kept()]
        expired = live.directories.expired(self._request.release_after, _clock.now())
        facts = {"released": [_kept_facts(item) for item in expired], "kept": kept}
        if made is None:
            changed = interrupted or bool(expired) or not live.running()
            return {**self._unchanged(live), **facts, "changed": changed}
        message = (
            f"would restore {made.target.words()} from {made.base.point.point_id} and {counted(len(made.audit.usable), 'segment')}"
            f" beside {live.data}" + (", and swap" if live.holds == "data" else "") + unknown
        )
        return {"changed": True, "message": message, "plan": made.facts(), **self._point(made), **facts}

    # -- acting ------------------------------------------------------------------------------------------------------

    def _exclusive(self) -> contextlib.AbstractContextManager[Lease]:
        request = self._request
        return exclusive(
            self._repository,
            self._component,
            request.run_id,
            request.lease_ttl,
            request.lease_wait,
            self._progress,
        )

    def _restore_first_good(
        self, live: Live, bases: list[Base], archives: Archives, passed_over: list[Choice], lease: Lease
    ) -> dict[str, t.Any]:
        """From the newest base; when it turns out to be damaged, or does not lead to the target, from the next older."""
        choices, tries = list(passed_over), 0
        while True:
            made = self._plan(bases, archives, choices, live)
            point = made.base.point
            try:
                result = self._restore(live, made, archives, lease)
            except (IntegrityError, AssertionFailed) as error:
                outcome = "damaged" if isinstance(error, IntegrityError) else "failed"
                choices.append(Choice(point.point_id, point.consistency_time, outcome, error.message))
                bases = bases[bases.index(made.base) + 1 :]
                tries += 1
                # A target that was passed by, or an assertion, may be right from an older base; a broken log never is.
                if not bases or tries > self._request.fallback_points or not self._worth_another(made, error):
                    raise
                self.warnings.append(f"recovery point {point.point_id} was passed over: {error}")
            else:
                choices.append(Choice(point.point_id, point.consistency_time, "chosen"))
                now = _clock.now()
                return {**result, "choices": [choice.facts(now) for choice in choices]}

    def _worth_another(self, made: Plan, error: RunbookError) -> bool:
        if isinstance(error, BrokenLog):
            return False
        return isinstance(error, (IntegrityError, TooEarly)) or made.target.kind in ("xid", "name")

    def _restore(self, live: Live, made: Plan, archives: Archives, lease: Lease) -> dict[str, t.Any]:
        prepared = live.directories.prepared()
        if prepared is None or prepared.get("request") != self._request.key or self._request.force:
            prepared = self._prepare(live, made, archives, lease)
        lease.check()
        with self._phases.phase("swap") as step:
            step.outcome = "changed"
            kept = live.take_place(prepared, lease, self._request.server_timeout)
        rto = time.monotonic() - self._began
        self._write_proofs(made.base.point, prepared, rto)
        self._verify_archiving(live, archives, made.base)
        moment = prepared["proof"]["reached"]["last_commit"]
        return {
            "message": f"{made.target.words()} was restored from {made.base.point.point_id};"
            f" its last transaction ended at {moment or 'an unknown time'}; timeline {prepared['timeline']}"
            + (f"; the former data are kept in {kept}" if kept else ""),
            **self._point(made),
            "plan": made.facts(),
            "proof": prepared["proof"],
            "timeline": prepared["timeline"],
            "rpo_measured_s": prepared["rpo_measured_s"],
            "rto_measured_s": round(rto, 3),
            "durations": self._phases.facts(),
            "kept_as": kept,
            "archived": live.archived,
        }

    def _prepare(self, live: Live, made: Plan, archives: Archives, lease: Lease) -> dict[str, t.Any]:
        """The copy at the target, proven, on its new timeline, stopped; and that written down."""
        live.directories.write(prepared=None)
        bringing = Bringing(
            archives,
            self._phases,
            self._progress,
            live.user,
            self._address.user,
            self._address.database,
            self._request.jobs,
            self._request.timeout,
            self._request.assertions,
            archive_mode="on",
            settings=self._request.settings,
            near=os.path.dirname(live.data),
            check=_seldom(lease.check),
        )
        point = made.base.point
        try:
            with bringing.reached(made, live.directories.copy) as reached:
                reached.refuse()
                self._phases.reached("proven")
                live.require_way(live.directories.copy)
                with self._phases.phase("promote"):
                    timeline = reached.recovery.promote()
                    self._stamp(reached, bringing.maintenance(reached.server), lease)
                    reached.server.stop(self._request.server_timeout)
        except BrokenLog:
            raise
        except IntegrityError as error:
            self._prover.failed(point, "verified", 0.0, failure(error))
            raise
        live.keep_configuration()
        record = {
            "request": self._request.key,
            "target": made.target.words(),
            "point_id": point.point_id,
            "label": made.base.label,
            "timeline": timeline,
            "restored_at": _clock.format_time(_clock.now()),
            "run_id": self._request.run_id,
            "proof": reached.details(),
            "rpo_measured_s": live.rpo_measured_s(made, reached.heartbeat),
            "archived": False,
        }
        live.directories.write(prepared={**record, "directory": live.copy_identity()})
        self._phases.reached("prepared")
        return record

    def _stamp(self, reached: Reached, database: str, lease: Lease) -> None:
        """The copy says which environment it belongs to from now on, and that no older lease may act on it."""
        with contextlib.closing(connect(reached.server.address(), database)) as session:
            marker.ensure_tables(session)
            marker.stamp(session, self._repository.environment)
            marker.raise_fence(session, self._component, lease.epoch)

    def _verify_archiving(self, live: Live, archives: Archives, base: Base) -> bool:
        """The new timeline reaches the repository, shown once by a forced switch of the segment."""
        record = live.directories.restored()
        if record is None or record.get("archived") or not self._request.verify_archiving:
            return False
        with self._phases.phase("archive the new timeline") as step:
            step.facts.update(
                live.verify_archiving(archives.tool(base.generation), base, self._request.archive_timeout)
            )
        live.directories.write(restored={**record, "archived": True})
        return True

    # -- telling -----------------------------------------------------------------------------------------------------

    def _point(self, made: Plan) -> dict[str, t.Any]:
        now = _clock.now()
        sentences = describe_choices([item for item in made.choices if item.outcome != "chosen"], now)
        return {
            "recovery_point": made.base.point.facts(),
            "choices": [choice.facts(now) for choice in made.choices],
            "passed_over": sentences,
        }

    def _unchanged(self, live: Live) -> dict[str, t.Any]:
        record = live.directories.restored()
        if record is None or record.get("request") != self._request.key:
            return {
                "message": f"a server with content runs over {live.data}; nothing is missing",
                "recovery_point": None,
            }
        return {
            "message": f"{live.data} was restored to {record['target']} at {record['restored_at']} already"
            " (with -e restore_force=true, force: true of the module, it is restored again)",
            "recovery_point": None,
            "proof": record["proof"],
            "timeline": record["timeline"],
            "rpo_measured_s": record["rpo_measured_s"],
        }

    def _write_proofs(self, point: RecoveryPoint, record: t.Mapping[str, t.Any], duration: float) -> None:
        details = {"hardware": describe_hardware(), "durations": self._phases.facts(), "scratch": False}
        details.update(target=record["request"], reached=record["proof"])
        self._prover.succeeded(point, "restored", duration, details)
        self._prover.succeeded(point, "asserted", duration, details)


def _seldom(check: t.Callable[[], None], every_s: float = 5.0) -> t.Callable[[], None]:
    """``check``, which asks the repository, at most that often."""
    last = time.monotonic()

    def now_and_then() -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            check()
            last = time.monotonic()

    return now_and_then


def _kept_facts(item: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {name: item[name] for name in ("path", "since", "replaced_by")}
