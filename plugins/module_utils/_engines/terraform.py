# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Terraform state as an engine: pulled through its own backend, and stored encrypted."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import Program, Workdir
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import State
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.stored import (
    ENGINE,
    recorded,
    require_encryption,
    store_state,
)


@dataclasses.dataclass(frozen=True)
class TerraformPlan:
    """The live state as it was when somebody looked."""

    state: State
    program: Program

    @property
    def size(self) -> int:
        return len(self.state.text)

    def lacking_in(self, point: RecoveryPoint) -> str | None:
        held = recorded(point)
        if held["lineage"] != self.state.lineage:
            return f"is of another lineage ({held['lineage']})"
        if held["content"] != self.state.content:
            return f"holds serial {held['serial']}, and the state has come to {self.state.serial}"
        return None

    def warnings(self) -> list[str]:
        return []

    def facts(self) -> dict[str, t.Any]:
        facts = {name: value for name, value in self.state.facts().items() if name != "content"}
        return {**facts, "size": self.size, "program": self.program.name, "tool_version": self.program.version}


class TerraformEngine:
    """The state of one working directory and workspace."""

    name = ENGINE

    def __init__(self, workdir: Workdir, component: str, recipients: t.Sequence[str]) -> None:
        require_encryption(recipients, component)
        self._workdir = workdir
        self._component = component

    def plan(self) -> TerraformPlan:
        """Pull the state; refuse where there is none."""
        return TerraformPlan(self._pull(), self._workdir.program)

    def _pull(self) -> State:
        state = self._workdir.pull()
        if state is None:
            raise Refused(
                "there is no state to back up",
                self._component,
                expected=f"a state in the backend of {self._workdir.directory}",
                found="none",
                next_command="correct component_terraform_dir or component_terraform_workspace, or apply the configuration",
            )
        return state

    def take(
        self,
        plan: TerraformPlan,
        writer: PointWriter,
        encoding: Encoding,
        progress: Progress,
        recorder: Recorder,
        check: t.Callable[[], None],
    ) -> RecoveryPoint:
        """Pull again, as somebody may have applied since the plan, and store that."""
        progress.step(f"storing the state of {self._component}", plan.size)
        moment = _clock.now()
        state = self._pull()
        check()
        with recorder.step("store the state") as step:
            point = store_state(state, self._workdir, writer, encoding, moment)
            step.facts.update(lineage=state.lineage, serial=state.serial, instances=len(state.instances))
        return point

    def problems(self, point: RecoveryPoint) -> list[str]:
        return []
