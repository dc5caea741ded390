# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill: the state pushed into an empty backend of a scratch directory, pulled again, compared, removed."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import require_engine
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.drill import Attempt, Drill, Found
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import DrillWanted
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, select_point
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import Program, Workdir
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import State, change
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.stored import ENGINE, read_state

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: Makes the scratch directory's workspace another than any that the environment may have chosen.
_WORKSPACE = "default"
_WORKPLACE = "sre-terraform-"


class TerraformDrill(Drill):
    """A drill with the program that is given."""

    def __init__(
        self,
        wanted: DrillWanted,
        repository: Repository,
        program: Program,
        scratch_dir: str | None,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(wanted, repository, phases, progress)
        self.program = program
        self.scratch_dir = scratch_dir
        self.identities = identities

    @contextlib.contextmanager
    def attempt(self, listing: PointListing) -> t.Iterator[Attempt]:
        yield _Attempt(self, require_engine(select_point(listing, self.wanted.recovery_point), ENGINE))


@dataclasses.dataclass(frozen=True)
class _Pulled:
    """What came out of the scratch backend."""

    point: RecoveryPoint
    wanted: State
    found: State | None

    def details(self) -> dict[str, t.Any]:
        return {"state": self.wanted.facts(), "differences": change(self.found, self.wanted).facts()}

    def refuse(self) -> None:
        if self.found is None or (self.found.lineage, self.found.content) != (self.wanted.lineage, self.wanted.content):
            raise AssertionFailed(
                f"the program makes another state of recovery point {self.point.point_id}",
                self.point.component,
                expected=f"lineage {self.wanted.lineage} and the same content",
                found="another content" if self.found else "no state",
                next_command="drill with the program's version that wrote it (component_terraform_program)",
            )


class _Attempt(Attempt):
    def __init__(self, drill: TerraformDrill, point: RecoveryPoint) -> None:
        super().__init__(point)
        self._drill = drill

    def prediction(self) -> str:
        program = self._drill.program
        return f"would push {self.point.point_id} into an empty scratch directory with {program.name} {program.version}"

    @contextlib.contextmanager
    def scratch(self) -> t.Iterator[dict[str, t.Any]]:
        with workplace(_WORKPLACE, self._drill.scratch_dir) as self._directory:
            yield {"program": self._drill.program.name, "program_version": self._drill.program.version}

    @contextlib.contextmanager
    def restored(self) -> t.Iterator[Found]:
        drill, point = self._drill, self.point
        with drill.phases.phase("read", recovery_point=point.point_id):
            began = time.monotonic()
            wanted = read_state(drill.repository.store, point, drill.identities)
        details = {"objects": len(point.objects), "bytes": point.size, "read_by": "drill"}
        drill.prover.succeeded(point, "verified", time.monotonic() - began, details)
        workdir = Workdir(drill.program, self._directory, point.component, _WORKSPACE)
        with drill.phases.phase("push", serial=wanted.serial):
            workdir.push(wanted.text)
        with drill.phases.phase("assert"):
            found = workdir.pull()
        yield _Pulled(point, wanted, found)

    def told(self) -> dict[str, t.Any]:
        return {"program": self._drill.program.name, "tool_version": self._drill.program.version}
