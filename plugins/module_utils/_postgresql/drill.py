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

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import load, preflight
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.assertions import parse_assertions
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.build import Builder
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
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import require_engine
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.drill import Attempt, Drill, Found
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import DrillWanted
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, select_point

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_WORKPLACE = "sre-restore-"
_FIRST_MAJOR = 10


@dataclasses.dataclass
class DrillRequest(DrillWanted):
    """What is wanted of a scratch server. The names are those of the module's options."""

    jobs: int = 4
    assertions: t.Sequence[t.Mapping[str, t.Any]] = ()
    scratch_dir: str | None = None
    bin_dir: str | None = None


class PostgresqlDrill(Drill):
    """A drill of a logical recovery point."""

    def __init__(
        self,
        request: DrillRequest,
        repository: Repository,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(request, repository, phases, progress)
        self.request = request
        self.identities = identities

    @contextlib.contextmanager
    def attempt(self, listing: PointListing) -> t.Iterator[Attempt]:
        yield _Attempt(self, require_engine(select_point(listing, self.request.recovery_point), ENGINE))


class _Attempt(Attempt):
    def __init__(self, drill: PostgresqlDrill, point: RecoveryPoint) -> None:
        super().__init__(point)
        self._drill = drill
        self._request = drill.request
        self._databases = list(recorded_databases(point))
        self._asked = parse_assertions(drill.request.assertions, self._databases)
        self._server_programs, self._tools = self._programs()

    def _programs(self) -> tuple[Tools, Tools]:
        """A server of the recorded major or newer, and tools that fit it and can read the dump."""
        recorded = int(self.point.engine_version.split(".")[0])
        written_by = dumped_by(self.point)
        # A dump by newer tools needs a server that these can load into.
        lowest = recorded if loads_into(written_by, recorded) else written_by
        server = find_server(max(lowest, _FIRST_MAJOR), self._request.bin_dir)
        return server, find_tools(max(server.version[0], written_by), self._request.bin_dir)

    def prediction(self) -> str:
        return f"would restore {self.point.point_id} into a scratch PostgreSQL {self._server_programs.version_text}"

    @contextlib.contextmanager
    def scratch(self) -> t.Iterator[dict[str, t.Any]]:
        phases, near, version = self._drill.phases, self._request.scratch_dir, self._server_programs.version_text
        with contextlib.ExitStack() as stack:
            with phases.phase("start scratch server", version=version):
                server = stack.enter_context(scratch_server(self._server_programs, near))
            self._check(server)
            self._directory = stack.enter_context(workplace(_WORKPLACE, near))
            self._builder = Builder(
                self.point,
                server.address(),
                self._tools,
                self._request.jobs,
                phases,
                self._drill.progress,
                load.REACHING_OUT,
                tablespaces=False,
            )
            yield {
                "hardware": {"disk": disk_kind(server.directory)},
                "server_version": version,
                "not_durable": sorted(NOT_DURABLE),
            }

    def _check(self, server: ScratchServer) -> None:
        """Space and extensions, before the time starts."""
        recorded, component = recorded_databases(self.point), self.point.component
        size = sum(recorded[name]["size"] for name in self._databases)
        with contextlib.closing(connect(server.address())) as session:
            preflight.check_extensions(session, recorded, component)
            preflight.check_locales(session, recorded, component)
            preflight.check_space(
                session,
                server.address(),
                size,
                self._request.scratch_dir or tempfile.gettempdir(),
                total_bytes(self.point, self._databases),
                component,
            )

    @contextlib.contextmanager
    def restored(self) -> t.Iterator[Found]:
        drill, point, builder, databases = self._drill, self.point, self._builder, self._databases
        with drill.phases.phase("read", recovery_point=point.point_id):
            began = time.monotonic()
            fetched = fetch(
                drill.repository,
                point,
                databases,
                drill.identities,
                self._directory,
                self._request.jobs,
                drill.progress,
            )
        details = {"objects": len(point.objects), "bytes": point.size, "read_by": "drill"}
        drill.prover.succeeded(point, "verified", time.monotonic() - began, details)
        with contextlib.closing(connect(builder.address)) as session:
            with drill.phases.phase("roles"):
                builder.apply_globals(session, fetched.globals_text, "missing")
                builder.create_lacking_roles(session, databases)
            # The scratch server's own empty database gives way to a recorded one of that name.
            beside = {name: name if name != session.info.dbname else f"{name}__drill" for name in databases}
            builder.build(session, fetched, beside)
        yield builder.prove(beside, self._asked)

    def told(self) -> dict[str, t.Any]:
        return {
            "server_version": self._server_programs.version_text,
            "not_durable": sorted(NOT_DURABLE),
            "left_out": self._builder.dropped,
            "refused_settings": self._builder.refused_settings,
        }
