# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill: the newest recovery point restored into a scratch server, proven, timed against the RTO, and removed."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import load, preflight
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.assertions import SqlAssertion, parse_assertions
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.build import Builder, Phases, Proven
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.fetch import (
    fetch,
    recorded_databases,
    total_bytes,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.restore_target import (
    ENGINE,
    dumped_by,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.scratch import (
    NOT_DURABLE,
    ScratchServer,
    disk_kind,
    scratch_server,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import (
    Tools,
    find_server,
    find_tools,
    loads_into,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    PointListing,
    list_points,
    select_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof, newest_proof, write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_WORKPLACE = "sre-restore-"
_FIRST_MAJOR = 10


@dataclasses.dataclass
class DrillRequest:
    """What is wanted; durations in seconds. The names are those of the module's options."""

    component: str
    recovery_point: str = "newest"
    drill_interval: float = 0.0
    rto: float | None = None
    jobs: int = 4
    assertions: t.Sequence[t.Mapping[str, t.Any]] = ()
    scratch_dir: str | None = None
    bin_dir: str | None = None
    run_id: str | None = None


class Drill:
    """One drill. :meth:`run` does it; in check mode it says what it would do."""

    def __init__(
        self,
        request: DrillRequest,
        repository: Repository,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        self._request = request
        self._repository = repository
        self._identities = identities
        self._phases = phases
        self._progress = progress
        self.warnings: list[str] = []

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """The module's result. Never ``changed``: proofs are bookkeeping, and nothing else is left behind.

        :raises AssertionFailed: the point does not hold what it should. :raises IntegrityError: it is damaged.
        """
        listing = list_points(self._repository, self._request.component)
        self.warnings += [f"recovery point {item.point_id} is damaged: {item.reason}" for item in listing.damaged]
        point = select_point(listing, self._request.recovery_point)
        recent = self._recent_proof(listing, point)
        if recent is not None:
            return self._skipped(*recent)
        if point.engine != ENGINE:
            raise InvalidInput(
                f"recovery point {point.point_id} is of another engine", point.component, ENGINE, point.engine
            )
        server, tools = self._programs(point)
        if check_mode:
            return {
                "changed": False,
                "skipped_reason": "",
                "recovery_point": point.facts(),
                "message": f"would restore {point.point_id} into a scratch PostgreSQL {server.version_text}",
            }
        return self._drill(point, server, tools)

    def _recent_proof(self, listing: PointListing, point: RecoveryPoint) -> tuple[RecoveryPoint, Proof] | None:
        """The newest success, when it is younger than the interval. A named point is only spared by its own."""
        asked = listing.points if self._request.recovery_point == "newest" else [point]
        found = [(other, proof) for other in asked if (proof := newest_proof(other.proofs, "asserted")) is not None]
        if not found:
            return None
        newest = max(found, key=lambda pair: pair[1].at)
        # A failure since then is not to be slept over.
        failed = [newest_proof(other.proofs, "verified", "failed") for other in asked]
        if any(proof is not None and proof.at > newest[1].at for proof in failed):
            return None
        age = (self._repository.store.now() - newest[1].at).total_seconds()
        return newest if age < self._request.drill_interval else None

    def _skipped(self, point: RecoveryPoint, proof: Proof) -> dict[str, t.Any]:
        reason = (
            f"{point.point_id} was asserted at {_clock.format_time(proof.at)}, less than"
            f" {_clock.format_duration(self._request.drill_interval)} ago"
        )
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

    def _programs(self, point: RecoveryPoint) -> tuple[Tools, Tools]:
        """A server of the recorded major or newer, and tools that fit it and can read the dump."""
        recorded = int(point.engine_version.split(".")[0])
        written_by = dumped_by(point)
        # A dump by newer tools needs a server that these can load into.
        lowest = recorded if loads_into(written_by, recorded) else written_by
        server = find_server(max(lowest, _FIRST_MAJOR), self._request.bin_dir)
        return server, find_tools(max(server.version[0], written_by), self._request.bin_dir)

    def _drill(self, point: RecoveryPoint, programs: Tools, tools: Tools) -> dict[str, t.Any]:
        databases = list(recorded_databases(point))
        asked = parse_assertions(self._request.assertions, databases)
        with contextlib.ExitStack() as stack:
            with self._phases.phase("start scratch server", version=programs.version_text):
                server = stack.enter_context(scratch_server(programs, self._request.scratch_dir))
            self._check(server, point, databases)
            directory = stack.enter_context(workplace(_WORKPLACE, self._request.scratch_dir))
            # Providing a server belongs to a rebuild; what a drill times is what a restore does.
            began = time.monotonic()
            builder = Builder(
                point,
                server.address(),
                tools,
                self._request.jobs,
                self._phases,
                self._progress,
                load.REACHING_OUT,
                tablespaces=False,
            )
            where = self._where(server)
            try:
                proven = self._restore(builder, databases, directory, asked)
            except (IntegrityError, ObjectMissing) as damage:
                self._prove(
                    point, "verified", began, {"failures": [str(damage)], "failures_count": 1, **where}, "failed"
                )
                raise
            except RunbookError as error:
                self._prove(point, "restored", began, {"error": error.facts(), **where}, "failed")
                raise
            taken = time.monotonic() - began
            where = {**where, "durations": self._phases.facts()}
            self._prove(point, "restored", began, where)
            try:
                proven.refuse(point.component, point.point_id)
            except AssertionFailed:
                self._prove(point, "asserted", began, {**where, **proven.details()}, "failed")
                raise
            self._prove(point, "asserted", began, {**where, **proven.details()})
        return self._result(point, proven, taken, where, builder)

    def _check(self, server: ScratchServer, point: RecoveryPoint, databases: list[str]) -> None:
        """Space and extensions, before the time starts."""
        recorded = recorded_databases(point)
        size = sum(recorded[name]["size"] for name in databases)
        with contextlib.closing(connect(server.address())) as session:
            preflight.check_extensions(session, recorded, point.component)
            preflight.check_locales(session, recorded, point.component)
            preflight.check_space(
                session,
                server.address(),
                size,
                self._request.scratch_dir or tempfile.gettempdir(),
                total_bytes(point, databases),
                point.component,
            )

    def _restore(
        self, builder: Builder, databases: list[str], directory: str, asked: t.Sequence[SqlAssertion]
    ) -> Proven:
        point = builder.point
        with self._phases.phase("read", recovery_point=point.point_id):
            began = time.monotonic()
            fetched = fetch(
                self._repository, point, databases, self._identities, directory, self._request.jobs, self._progress
            )
        details = {"objects": len(point.objects), "bytes": point.size, "read_by": "drill"}
        self._prove(point, "verified", began, details)
        with contextlib.closing(connect(builder.address)) as session:
            with self._phases.phase("roles"):
                builder.apply_globals(session, fetched.globals_text, "missing")
                builder.create_lacking_roles(session, databases)
            # The scratch server's own empty database gives way to a recorded one of that name.
            beside = {name: name if name != session.info.dbname else f"{name}__drill" for name in databases}
            builder.build(session, fetched, beside)
        return builder.prove(beside, asked)

    def _where(self, server: ScratchServer) -> dict[str, t.Any]:
        """On what it was measured, since a time means nothing without it."""
        hardware = {**describe_hardware(), "disk": disk_kind(server.directory)}
        version = server.tools.version_text
        return {"hardware": hardware, "scratch": True, "server_version": version, "not_durable": sorted(NOT_DURABLE)}

    def _prove(
        self, point: RecoveryPoint, level: str, began: float, details: dict[str, t.Any], outcome: str = "ok"
    ) -> None:
        try:
            duration = time.monotonic() - began
            write_proof(self._repository, point, level, self._request.run_id, duration, details, outcome)
        except (RepositoryError, OSError) as error:
            if outcome == "ok":
                raise
            self.warnings.append(f"the proof {level} could not be written: {error}")

    def _result(
        self, point: RecoveryPoint, proven: Proven, taken: float, where: dict[str, t.Any], builder: Builder
    ) -> dict[str, t.Any]:
        rto = self._request.rto
        met = None if rto is None else taken <= rto
        measured = _clock.format_duration(taken)
        message = f"{point.point_id} was restored and asserted in {measured}"
        if rto is not None:
            message += f", {'within' if met else 'over'} the RTO of {_clock.format_duration(rto)}"
        return {
            "changed": False,
            "skipped_reason": "",
            "message": message,
            "recovery_point": point.facts(),
            "rto_measured_s": round(taken, 3),
            "rto_met": met,
            "durations": self._phases.facts(),
            "hardware": where["hardware"],
            "server_version": where["server_version"],
            "not_durable": where["not_durable"],
            "proof": proven.details(),
            "left_out": builder.dropped,
            "refused_settings": builder.refused_settings,
        }
