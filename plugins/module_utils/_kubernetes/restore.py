# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component's objects made equal to a recovery point, and shown to be, field by field.

There is no place beside the live objects from which one could swap. So what would be overwritten is stored first, as a
recovery point that brings it back; everything is planned, and refused, before the first change; and whatever is done can
be done again: killed anywhere, the next run plans what is left.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import before, volumes, waiting
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.applying import Applier, Hooks
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.claim_files import ClaimFiles
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Recorded, read_content
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import discover
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.outcome import Outcome, prediction, result_of
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import (
    CHANGE,
    CONFLICT,
    CREATE,
    Change,
    Plan,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.planning import Planner
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.target import (
    RECREATE,
    Content,
    RestoreRequest,
    Target,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_planning import (
    FILLED,
    MISSING,
    NEW,
    UNSEEN,
    VolumeChange,
    VolumePlanner,
    refuse_left,
    refuse_users_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import describe_damaged
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.fallback import restore_first_good, told
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import Prover, exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._repository.at_a_glance import require_readable
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._runs.hardware import describe_hardware

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: Owners that come after what they own, and definitions that come with their instances, need a second look.
_ROUNDS = 3


class Restore:
    """One restore. :meth:`run` does it; in check mode it says exactly what it would do."""

    def __init__(
        self,
        request: RestoreRequest,
        repository: Repository,
        cluster: Cluster,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        self._request = request
        self._repository = repository
        self._cluster = cluster
        self._identities = identities
        self._phases = phases
        self._progress = progress
        self._target = Target(request, repository, cluster)
        self._claims = ClaimFiles(cluster, request.component, self._target.namespace, request.helper_image)
        self._began = time.monotonic()
        #: Points with what each attempt overwrote: one that failed half way has overwritten something, too.
        self._kept: list[str] = []
        self.warnings: list[str] = []

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Make it true; the module's result. In check mode everything is looked at and nothing written."""
        request = self._request
        listing = list_points(self._repository, request.component)
        self.warnings += describe_damaged(listing)
        if check_mode:
            return self._first_good(None)
        with exclusive(
            self._repository,
            request.component,
            request.run_id,
            request.lease_ttl,
            request.lease_wait,
            self._progress,
        ) as lease:
            # The waiting is over: what counts as time to recover begins.
            self._began = time.monotonic()
            return self._first_good(lease)

    def release(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Remove what former restores put aside in volumes. What they overwrote of objects is in recovery points, which expire."""
        request = self._request
        if not self._target.refuse_other_environment():
            # Only what is marked was ever filled by us.
            return self._released([], False)
        if check_mode:
            return self._released(self._claims.kept(), bool(self._claims.kept()))
        with exclusive(
            self._repository, request.component, request.run_id, request.lease_ttl, request.lease_wait, self._progress
        ):
            released = self._claims.release()
        return self._released(released, bool(released))

    def _released(self, claims: t.Sequence[str], changed: bool) -> dict[str, t.Any]:
        told = (
            f"released what former restores kept in {', '.join(claims)}" if claims else "nothing is kept in its claims"
        )
        return {"changed": changed, "message": told, "released": list(claims)}

    def _first_good(self, lease: Lease | None) -> dict[str, t.Any]:
        points, passed_over = self._target.points()
        kind = Prover if lease else _Silent
        prover = kind(self._repository, self._request.run_id, self.warnings)
        result, choices = restore_first_good(
            points, passed_over, lambda point: self._restore(point, lease, prover), prover, self.warnings
        )
        facts = told(choices, self._repository.store.now())
        beside = self._request.target_namespace if self._target.beside else None
        earlier = [point_id for point_id in self._kept if point_id != result["kept"]]
        parts = [
            facts["message"],
            f"in the namespace {beside}, and what is live was left alone" if beside else "",
            result.pop("told", ""),
            f"what an attempt before this one overwrote is in {', '.join(earlier)}" if earlier else "",
        ]
        facts["message"] = "; ".join(part for part in parts if part)
        return {**result, **facts}

    # -- one point ---------------------------------------------------------------------------------------------------

    def _restore(self, point: RecoveryPoint, lease: Lease | None, prover: Prover) -> dict[str, t.Any]:
        request, target = self._request, self._target
        recorded = target.require_same_scope(point)
        content = target.placed(self._read(point, recorded, prover))
        if target.namespace:
            patience = request.timeout if lease else 0.0
            waiting.await_namespace_gone(self._cluster, target.namespace, patience, self._progress, request.component)
        marked = target.refuse_other_environment()
        planner = self._planner(content)
        with self._phases.phase("compare") as step:
            plan = planner.plan()
            step.facts.update(plan.counts())
        acting = self._acting(plan)
        if not marked:
            target.refuse_unmarked(acting, plan.extras)
        target.refuse_what_cannot_be(plan)
        pruned, spared = self._pruned(plan)
        looked = self._look_at_volumes(point, recorded, lease)
        replaced = [change for change in looked if change.overwrites]
        if replaced and not marked:
            target.refuse_unmarked(acting, plan.extras, replaced)
        target.require_confirm([change for change in acting if change.action != CREATE], pruned, replaced)
        outcome = Outcome(point, plan, acting, pruned, spared, looked)
        if not acting and not pruned and not outcome.to_fill():
            return result_of(outcome, changed=False)
        overwritten = [(change.kind, change.live) for change in acting if change.live is not None]
        overwritten += [(extra.kind, extra.live) for extra in pruned]
        before.require_encryption((kind.kind for kind, _raw in overwritten), request.recipients, request.component)
        if lease is None:
            return prediction(outcome, bool(overwritten))
        refuse_users_of(self._cluster, looked)
        if overwritten:
            # Only who still has the right may say what was there before.
            target.mark(lease.epoch)
            with self._phases.phase("keep what is overwritten") as step:
                outcome.kept = before.keep_before(
                    self._repository,
                    request.component,
                    point,
                    recorded,
                    overwritten,
                    Encoding(recipients=request.recipients),
                    request.run_id,
                )
                self._kept.append(outcome.kept.point_id)
                step.facts.update(recovery_point=outcome.kept.point_id, objects=len(overwritten))
            self._phases.reached("kept")
        final = self._carry_out(outcome, content, lease)
        self._prove(outcome, final, prover)
        return result_of(outcome, changed=True)

    def _read(self, point: RecoveryPoint, recorded: Recorded, prover: Prover) -> Content:
        with self._phases.phase("read", recovery_point=point.point_id) as step:
            began = time.monotonic()
            content = read_content(self._repository, point, self._identities, self._progress)
            step.facts.update(objects=sum(map(len, content.values())), bytes=point.size)
        if recorded.is_all:
            details = {"objects": len(point.objects), "bytes": point.size, "read_by": "restore"}
            prover.succeeded(point, "verified", time.monotonic() - began, details)
        return content

    def _look_at_volumes(self, point: RecoveryPoint, recorded: Recorded, lease: Lease | None) -> list[VolumeChange]:
        """What is to be done about claims; refuses what cannot be done to those that live."""
        request, namespace = self._request, self._target.namespace
        if not namespace or all(entry["mode"] == "none" for entry in recorded.volumes):
            return []
        wanted = MISSING if request.only_missing else request.volumes
        with self._phases.phase("look at volumes") as step:
            looked = VolumePlanner(
                self._cluster,
                namespace,
                wanted,
                lease is not None or request.check_mode_pods,
                self._repository.store,
                self._identities,
                self._progress or Progress(None),
                request.helper_image,
            ).plan(point, recorded.volumes)
            step.facts.update(claims=len(looked))
            # What is gone or cut off is known before anything is touched.
            archives = {change.entry["archive"] for change in looked if change.reads_archive}
            needed = [stored for stored in point.objects if stored.name in archives]
            if needed:
                require_readable(self._repository, point, self._identities, needed)
        if wanted != MISSING:
            refuse_left(looked, request.component)
        unseen = [change.claim for change in looked if change.action == UNSEEN]
        if unseen:
            self.warnings.append(
                f"no pod has the claims {', '.join(unseen)}, and check mode makes none: their files were not compared"
            )
        return looked

    def _planner(self, content: Content) -> Planner:
        selector = self._request.scope.selector
        return Planner(
            self._cluster,
            discover(self._cluster),
            content,
            self._target.namespace,
            selector,
            self._request.jobs,
            self._progress,
        )

    def _acting(self, plan: Plan) -> list[Change]:
        if self._request.only_missing:
            return plan.of(CREATE)
        return plan.of(CREATE, CHANGE, *([CONFLICT] if self._request.conflicts == RECREATE else []))

    def _pruned(self, plan: Plan) -> tuple[list[t.Any], list[t.Any]]:
        """What is deleted, and what would be but holds data."""
        if not self._request.prune:
            return [], []
        pruned: list[t.Any] = []
        spared: list[t.Any] = []
        for extra in plan.extras:
            (spared if self._target.destroyed_with(extra.kind, extra.live) else pruned).append(extra)
        return pruned, spared

    # -- acting ------------------------------------------------------------------------------------------------------

    def _carry_out(self, outcome: Outcome, content: Content, lease: Lease) -> Plan:
        """Apply until nothing is left to do, and delete; what the cluster is then found to be."""
        request = self._request
        ours = {change.identity for change in outcome.acting}
        plan, acting = outcome.plan, outcome.acting
        hooks = self._hooks(outcome, lease)
        for terminating in plan.terminating:
            self.warnings.append(f"{terminating} is being deleted; it is waited for and made anew")
        for number in range(_ROUNDS):
            planner = self._planner(content)
            applier = Applier(
                self._cluster,
                planner,
                request.confirm == request.component,
                request.jobs,
                request.timeout,
                hooks,
                self._progress,
            )
            with self._phases.phase("apply", objects=len(acting)) as step:
                step.outcome = "changed"
                if number == 0:
                    applier.await_gone(acting)
                applier.apply(acting)
            if number == 0 and outcome.pruned:
                with self._phases.phase("delete", objects=len(outcome.pruned)) as step:
                    step.outcome = "changed"
                    applier.prune(outcome.pruned)
            with self._phases.phase("assert") as step:
                plan = self._planner(content).plan()
                step.facts.update(plan.counts())
            acting = [change for change in self._acting(plan) if change.identity in ours and change.action != CONFLICT]
            if not acting:
                break
        self._phases.reached("applied")
        return plan

    def _hooks(self, outcome: Outcome, lease: Lease) -> Hooks:
        def prepare(name: str) -> None:
            if name == "claims" and outcome.to_fill():
                new = [change.entry for change in outcome.to_fill() if change.action == NEW]
                volumes.provide_claims(self._cluster, str(self._target.namespace), outcome.point.point_id, new)
            elif name == "workloads" and outcome.filled is None and outcome.to_fill():
                with self._phases.phase("fill volumes") as step:
                    step.outcome = "changed"
                    outcome.filled = self._fill(outcome, lease)
            self._phases.reached(f"before {name}")

        def settle(name: str) -> None:
            if name == "namespaces":
                self._target.ensure_namespace()
                self._target.mark(lease.epoch)

        return Hooks(lease.check, prepare, settle)

    def _fill(self, outcome: Outcome, lease: Lease) -> list[dict[str, t.Any]]:
        replaced = {change.claim for change in outcome.to_fill() if change.action == FILLED}
        if replaced:
            self._claims.keep(replaced)
        filled = volumes.fill_volumes(
            self._cluster,
            str(self._target.namespace),
            outcome.point,
            [change.entry for change in outcome.to_fill()],
            self._repository.store,
            self._identities,
            self._progress or Progress(None),
            lease.check,
            self._request.helper_image,
            {change.claim for change in outcome.to_fill() if change.overwrites},
        )
        kept = {str(each["claim"]) for each in filled if each["kept"]}
        if kept - replaced:
            self._claims.keep(kept)
        return filled

    def _prove(self, outcome: Outcome, final: Plan, prover: Prover) -> None:
        """What was restored is what was recorded, or it is said where not.

        :raises EngineError: an object is still different.
        """
        outcome.rto_s = time.monotonic() - self._began
        outcome.final = final
        outcome.durations = self._phases.facts()
        acted = {change.identity for change in outcome.acting}
        skipped = {change.identity for change in outcome.plan.changes} - acted
        different = [change for change in final.changes if change.identity not in skipped]
        whole = not (skipped or outcome.plan.unserved or self._request.only_missing or self._target.beside)
        whole = whole and not outcome.left_volumes() and not outcome.unread()
        details = {
            "hardware": describe_hardware(),
            "durations": outcome.durations,
            "scratch": False,
            **outcome.proof(different),
        }
        if different:
            if whole:
                prover.failed(outcome.point, "asserted", outcome.rto_s, details)
            raise self._still_different(different, outcome)
        if whole:
            prover.succeeded(outcome.point, "restored", outcome.rto_s, details)
            prover.succeeded(outcome.point, "asserted", outcome.rto_s, details)

    def _still_different(self, different: t.Sequence[Change], outcome: Outcome) -> EngineError:
        named = [
            f"{change.item.label} ({', '.join(each.path for each in change.differences[:3]) or 'missing'})"
            for change in different[:5]
        ]
        kept = f"; what was live before is in {outcome.kept.point_id}" if outcome.kept else ""
        return EngineError(
            f"{len(different)} objects are not what was recorded, after everything was applied{kept}",
            self._request.component,
            expected="no field that differs",
            found="; ".join(named),
            next_command="find out who changes them (kubectl get --show-managed-fields -o yaml), then: the same command",
        )


class _Silent(Prover):
    """Proves nothing, in check mode."""

    def succeeded(self, point: RecoveryPoint, level: str, duration_s: float, details: dict[str, t.Any]) -> None:
        """Nothing is written."""

    def failed(self, point: RecoveryPoint, level: str, duration_s: float, details: dict[str, t.Any]) -> None:
        """Nothing is written."""
