# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backend's state made equal to a recovery point: compared, the live one kept, pushed, pulled again."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, Refused, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery import choose, fallback
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component, list_for
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import Prover, exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import RestoreWanted
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, remove_incomplete
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import Workdir
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import (
    State,
    change,
    empty_state,
    with_serial,
)
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.stored import (
    ENGINE,
    read_state,
    recorded,
    require_encryption,
    store_state,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: How many names a message tells.
_SHOWN = 5


@dataclasses.dataclass
class TerraformRequest(RestoreWanted):
    """What is wanted of a state. The names are those of the module's options."""

    before: datetime.datetime | None = None
    recipients: t.Sequence[str] = ()


class TerraformRestore:
    """One restore. :meth:`run` does it; in check mode it says what it would do."""

    def __init__(
        self,
        request: TerraformRequest,
        repository: Repository,
        workdir: Workdir,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        self._request = request
        self._component = request.component
        self._repository = repository
        self._workdir = workdir
        self._identities = identities
        self._phases = phases
        self._progress = progress
        self._began = time.monotonic()
        self.warnings: list[str] = []
        self._prover = Prover(repository, request.run_id, self.warnings)

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Make it true; the module's result. In check mode everything is looked at and nothing written."""
        live = self._workdir.pull()
        points, passed_over = self._points()
        self.warnings += [f"recovery point {choice.point_id}: {choice.reason}" for choice in passed_over]
        if self._done(points[0], live):
            return self._unchanged(points[0], live, passed_over)
        self._permit(points[0], live)
        if check_mode:
            return self._prediction(points, live, passed_over)
        request = self._request
        with exclusive(
            self._repository,
            self._component,
            request.run_id,
            request.lease_ttl,
            request.lease_wait,
            self._progress,
        ) as lease:
            # What others did while we waited counts.
            live = self._workdir.pull()
            points, passed_over = self._points()
            if self._done(points[0], live):
                return self._unchanged(points[0], live, passed_over)
            result, choices = fallback.restore_first_good(
                points, passed_over, lambda point: self._restore(point, live, lease), self._prover, self.warnings
            )
            return {**result, **fallback.told(choices, self._repository.store.now()), "changed": True}

    def _points(self) -> tuple[list[RecoveryPoint], list[choose.Choice]]:
        request = self._request
        listing = list_for(self._repository, self._component, request.recovery_point)
        points, passed_over = choose.candidates(
            listing, request.recovery_point, request.before, request.fallback_points
        )
        return [choose.require_engine(point, ENGINE) for point in points], passed_over

    def _done(self, point: RecoveryPoint, live: State | None) -> bool:
        if live is None:
            return False
        held = recorded(point)
        # A lineage tells two states apart that hold different things; these manage the same.
        return live.content == held["content"] or (self._request.only_missing and not live.empty)

    def _permit(self, point: RecoveryPoint, live: State | None) -> None:
        """Refuse what would be lost without somebody's word, and a state that is of something else."""
        request, held = self._request, recorded(point)
        if live is None or live.empty:
            return
        require_encryption(request.recipients, self._component)
        command = (
            f"ansible-playbook sre.runbooks.restore_components --limit {self._component}"
            f" -e restore_confirm={self._component}"
        )
        if request.confirm != self._component:
            raise Refused(
                f"a live state would be replaced ({counted(len(live.instances), 'instance')}, serial {live.serial});"
                " nothing was touched",
                self._component,
                expected=f"confirm: {self._component}",
                found=f"confirm: {request.confirm}" if request.confirm else "no confirm",
                next_command=command,
            )
        if request.force:
            return
        if live.lineage != held["lineage"]:
            raise Refused(
                f"the live state is of another lineage than recovery point {point.point_id}: it is that of something"
                " else, or was made anew; nothing was touched",
                self._component,
                expected=f"lineage {held['lineage']}",
                found=f"lineage {live.lineage}, serial {live.serial}{self._losses(point, live)}",
                next_command="see that component_terraform_dir and component_terraform_workspace are right; to replace it"
                f" all the same: {command} -e restore_force=true",
            )
        if live.serial > held["serial"]:
            raise Refused(
                f"the live state is newer than recovery point {point.point_id}, which does not know what was made since;"
                " nothing was touched",
                self._component,
                expected=f"at most serial {held['serial']}",
                found=f"serial {live.serial}{self._losses(point, live)}",
                next_command=f"to go back all the same: {command} -e restore_force=true",
            )

    def _losses(self, point: RecoveryPoint, live: State) -> str:
        """What the live state would forget, in words for a refusal; empty where nobody can know."""
        with contextlib.suppress(RunbookError):
            lost = change(live, read_state(self._repository.store, point, self._identities)).forgotten
            if lost:
                more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
                return f"; it would forget {', '.join(lost[:_SHOWN])}{more}"
        return ""

    def _restore(self, point: RecoveryPoint, live: State | None, lease: Lease) -> dict[str, t.Any]:
        self._permit(point, live)
        with self._phases.phase("read", recovery_point=point.point_id):
            began = time.monotonic()
            wanted = read_state(self._repository.store, point, self._identities)
        details = {"objects": len(point.objects), "bytes": point.size, "read_by": "restore"}
        self._prover.succeeded(point, "verified", time.monotonic() - began, details)
        changed = change(live, wanted)
        kept = self._keep(live) if live is not None and not live.empty else None
        lease.check()
        with self._phases.phase("push") as step:
            step.outcome = "changed"
            step.facts.update(serial=self._push(wanted, live))
        with self._phases.phase("assert"):
            found = self._compare(point, wanted, live, self._workdir.pull(), kept)
        rto = time.monotonic() - self._began
        where = {"hardware": describe_hardware(), "durations": self._phases.facts(), "scratch": False}
        self._prover.succeeded(point, "restored", rto, where)
        proof = {"lineage": found.lineage, "serial": found.serial, "content": found.content}
        self._prover.succeeded(point, "asserted", rto, {**where, **proof})
        return {
            "recovery_point": point.facts(),
            "state": found.facts(),
            "change": changed.facts(),
            "kept": kept,
            "proof": proof,
            "durations": self._phases.facts(),
            "rto_measured_s": round(rto, 3),
        }

    def _push(self, wanted: State, live: State | None) -> int:
        """Push; the serial that was pushed."""
        if live is None:
            # Programs give the first state of a backend a lineage of its own, whatever is pushed. Over an empty one they
            # take the lineage of what is pushed, and refuse it where somebody has applied in between.
            self._workdir.push(empty_state(wanted.lineage, wanted.terraform_version))
        foreign = live is not None and not live.empty and live.lineage != wanted.lineage
        # Above what is live, so that the program itself refuses when somebody has applied since we looked.
        serial = wanted.serial if live is None or foreign else max(wanted.serial, live.serial + 1)
        self._workdir.push(with_serial(wanted, serial), force=foreign)
        return serial

    def _keep(self, live: State) -> str:
        """The live state as a recovery point of its own name; its id."""
        component = before_component(self._component)
        with self._phases.phase("keep the live state", serial=live.serial) as step:
            remove_incomplete(self._repository, component)
            writer = begin_point(self._repository, component, ENGINE, self._request.run_id)
            encoding = Encoding(recipients=self._request.recipients)
            point = store_state(live, self._workdir, writer, encoding, _clock.now())
            step.facts.update(recovery_point=point.point_id)
        return point.point_id

    def _compare(
        self, point: RecoveryPoint, wanted: State, live: State | None, found: State | None, kept: str | None
    ) -> State:
        """What was pulled again, which is what was pushed; or a failed proof and :class:`AssertionFailed`."""
        if found is not None and found.content == wanted.content:
            if found.lineage == wanted.lineage:
                return found
            if live is None:
                self.warnings.append(
                    f"the backend, which was empty, keeps the state under a lineage of its own ({found.lineage} in place of"
                    f" {wanted.lineage}); older recovery points will only be restored with restore_force=true"
                )
                return found
        different = change(found, wanted)
        names = [*different.brought_back, *different.altered, *different.forgotten]
        shown = f": {', '.join(names[:_SHOWN])}" if names else ""
        error = AssertionFailed(
            f"the state that was pulled again is not that of recovery point {point.point_id}",
            self._component,
            expected=f"lineage {wanted.lineage} with {counted(len(wanted.instances), 'instance')}",
            found=f"lineage {found.lineage} with {counted(len(names), 'difference')}{shown}" if found else "no state",
            next_command="look at the backend; what was live before is kept as recovery point "
            + (kept or "of nothing, as there was no state"),
        )
        self._prover.failed(point, "asserted", 0.0, {**different.facts(), "error": error.facts()})
        raise error

    # -- results -----------------------------------------------------------------------------------------------------

    def _unchanged(
        self, point: RecoveryPoint, live: State | None, passed_over: t.Sequence[choose.Choice]
    ) -> dict[str, t.Any]:
        held = recorded(point)
        shown = live is not None and live.content == held["content"]
        under = f", under lineage {live.lineage}" if live is not None and live.lineage != held["lineage"] else ""
        return {
            **fallback.told(passed_over, self._repository.store.now()),
            "changed": False,
            "recovery_point": point.facts() if shown else None,
            "state": live.facts() if live else None,
            "change": change(live, live).facts() if live else None,
            "kept": None,
            "message": f"the state is that of {point.point_id}{under}"
            if shown
            else "there is a state already; only what is missing is restored",
        }

    def _prediction(
        self, points: t.Sequence[RecoveryPoint], live: State | None, passed_over: t.Sequence[choose.Choice]
    ) -> dict[str, t.Any]:
        def foresee(point: RecoveryPoint) -> dict[str, t.Any]:
            self._permit(point, live)
            wanted = read_state(self._repository.store, point, self._identities)
            return {"recovery_point": point.facts(), "change": change(live, wanted).facts()}

        result, choices = fallback.restore_first_good(points, passed_over, foresee, None, self.warnings)
        told = fallback.told(choices, self._repository.store.now())
        return {**result, **told, "changed": True, "state": live.facts() if live else None, "kept": None}
