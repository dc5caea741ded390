# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill: the newest recovery point restored under another namespace's name, compared field by field, and removed."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import fields, order, volumes
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.applying import Applier, Hooks
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.compare import differences
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import (
    ENGINE,
    Item,
    Recorded,
    read_content,
    recorded,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind, discover
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import CREATE, Change, Plan
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.planning import Planner
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.rename import (
    NO_CLASS,
    harmless,
    renamed,
    why_left_out,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scratch_namespace import ScratchNamespaces
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.target import Content, rewritten
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities, open_decoded
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import require_engine
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.drill import Attempt, Drill
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import DrillWanted
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, select_point

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_SHOWN = 100


@dataclasses.dataclass
class DrillRequest(DrillWanted):
    """Durations in seconds. ``custom_resources``: dry_run or create. ``run_workloads``: False for no replicas."""

    jobs: int = 8
    timeout: float = 120.0
    custom_resources: str = "dry_run"
    run_workloads: bool = False
    helper_image: str = volumes.HELPER_IMAGE


class KubernetesDrill(Drill):
    """Drills of one component in one cluster."""

    def __init__(
        self,
        request: DrillRequest,
        repository: Repository,
        cluster: Cluster,
        identities: Identities,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(request, repository, phases, progress)
        self._request = request
        self._cluster = cluster
        self._identities = identities

    @contextlib.contextmanager
    def attempt(self, listing: PointListing) -> collections.abc.Iterator[Attempt]:
        point = select_point(listing, self._request.recovery_point)
        require_engine(point, ENGINE)
        of_point = recorded(point)
        if not of_point.namespace:
            raise InvalidInput(
                "only what is of one namespace can be drilled under another name",
                point.component,
                expected="a component of one namespace",
                found=f"scope {of_point.scope}, of the whole cluster",
                next_command="drill it in a cluster of its own: sre.runbooks.restore_components with that cluster's"
                " component_kubernetes_kubeconfig and environment_name",
            )
        yield _NamespaceAttempt(point, of_point, self._request, self, self._cluster, self._identities)


class _NamespaceAttempt(Attempt):
    def __init__(
        self,
        point: RecoveryPoint,
        of_point: Recorded,
        request: DrillRequest,
        drill: KubernetesDrill,
        cluster: Cluster,
        identities: Identities,
    ) -> None:
        super().__init__(point)
        self._recorded = of_point
        self._request = request
        self._drill = drill
        self._cluster = cluster
        self._identities = identities
        self._scratch = ScratchNamespaces(
            cluster, request.component, drill.repository.id, request.timeout, drill.progress
        )
        self._metadata = self._scratch.metadata(request.run_id)
        self._namespace = ""
        self._left_out: list[str] = []
        self._found = _Found(point)

    @property
    def _original(self) -> str:
        return str(self._recorded.namespace)

    def prediction(self) -> str:
        return f"would restore {self.point.point_id} into a namespace {self._original}-drill-… of {self._cluster.place}"

    @contextlib.contextmanager
    def scratch(self) -> collections.abc.Iterator[dict[str, t.Any]]:
        drill = self._drill
        for name in self._scratch.remove_leftovers():
            drill.warnings.append(f"the namespace {name} of a drill that was killed was removed")
        with drill.phases.phase("make a namespace"):
            self._namespace = self._scratch.create(self._original, self._metadata)
        try:
            yield {"namespace": self._namespace, "server_version": self._cluster.version().get("gitVersion", "")}
        finally:
            try:
                with drill.phases.phase("remove the namespace"):
                    self._scratch.remove(self._namespace)
            except RunbookError as error:
                drill.warnings.append(f"the namespace {self._namespace} is still there: {error}")

    @contextlib.contextmanager
    def restored(self) -> collections.abc.Iterator[_Found]:
        phases, request = self._drill.phases, self._request
        with phases.phase("read", recovery_point=self.point.point_id):
            began = time.monotonic()
            content = read_content(self._drill.repository, self.point, self._identities, self._drill.progress)
        if self._recorded.is_all:
            details = {"objects": len(self.point.objects), "bytes": self.point.size, "read_by": "drill"}
            self._drill.prover.succeeded(self.point, "verified", time.monotonic() - began, details)
        with phases.phase("rewrite"):
            content, watched = self._rewritten(content)
        with phases.phase("apply") as step:
            planner = self._planner(content)
            plan = planner.plan()
            self._refuse_unserved(plan)
            acting = [change for change in plan.changes if not change.conflicts]
            hooks = Hooks(before=self._prepare(content))
            applier = Applier(self._cluster, planner, True, request.jobs, request.timeout, hooks, self._drill.progress)
            applier.apply(acting)
            step.facts.update(objects=len(acting))
        with phases.phase("assert") as step:
            found = self._planner(content).plan()
            self._found.differing = list(found.changes)
            self._found.same = found.same
            self._try(watched)
            step.facts.update(self._found.details())
        yield self._found

    def _planner(self, content: Content) -> Planner:
        return Planner(
            self._cluster,
            discover(self._cluster),
            content,
            self._namespace,
            self._recorded.selector,
            self._request.jobs,
            self._drill.progress,
        )

    def _rewritten(self, content: Content) -> tuple[Content, Content]:
        """What is created, and what is only tried; both under the new name."""
        created: Content = {}
        tried: Content = {}
        for kind, items in content.items():
            kept = []
            for item in items.values():
                reason = why_left_out(item.document(), kind.namespaced)
                if reason is None:
                    kept.append(item)
                else:
                    self._left_out.append(f"{item.label}: {reason}")
            target = tried if order.is_custom(kind.group) and self._request.custom_resources == "dry_run" else created
            target[kind] = rewritten(kept, self._rewrite)
        return created, tried

    def _rewrite(self, document: dict[str, t.Any]) -> dict[str, t.Any]:
        fresh = harmless(renamed(document, self._original, self._namespace), self._request.run_workloads)
        if fresh["kind"] == "Namespace":
            for name in ("labels", "annotations"):
                fresh["metadata"][name] = {**(fresh["metadata"].get(name) or {}), **self._metadata[name]}
        return fresh

    def _refuse_unserved(self, plan: Plan) -> None:
        if plan.unserved:
            raise AssertionFailed(
                "the cluster does not serve everything that was recorded",
                self._request.component,
                expected="every recorded kind",
                found="; ".join(plan.unserved),
                next_command="back up the definitions as well: a component of scope cluster",
            )

    def _prepare(self, content: Content) -> t.Callable[[str], None]:
        entries: list[dict[str, t.Any]] = []
        others: list[dict[str, t.Any]] = []
        for entry in self._recorded.volumes:
            (entries if _is_provisioned(content, str(entry.get("claim"))) else others).append(entry)

        def prepare(name: str) -> None:
            if name == "claims" and entries:
                volumes.provide_claims(self._cluster, self._namespace, self.point.point_id, entries)
            elif name == "workloads":
                self._read_through(others)
                self._found.filled = volumes.fill_volumes(
                    self._cluster,
                    self._namespace,
                    self.point,
                    entries,
                    self._drill.repository.store,
                    self._identities,
                    self._drill.progress or Progress(None),
                    lambda: None,
                    self._request.helper_image,
                )

        return prepare

    def _read_through(self, entries: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        """Files of claims that get no volume: a point that is asserted has been read to its last byte."""
        names = {entry[part] for entry in entries if entry.get("mode") == "files" for part in ("archive", "listing")}
        for stored in self.point.objects:
            if stored.name in names:
                with open_decoded(self._drill.repository.store, stored, self._identities, self._drill.progress):
                    pass  # read and compared with its hash at the end

    def _try(self, content: Content) -> None:
        """Objects that somebody's controller would act on, perhaps outside: the server checks them, and keeps nothing."""
        planner = self._planner(content)
        plan = planner.plan()
        self._refuse_unserved(plan)
        for change in plan.of(CREATE):
            desired = planner.desired(change.item, change.kind)
            answer = self._cluster.apply(change.path, desired, dry_run=True)
            lost = [each for each in differences(desired, fields.desired(answer)) if not each.added]
            self._found.tried += 1
            if lost:
                self._found.differing.append(dataclasses.replace(change, differences=lost))

    def told(self) -> dict[str, t.Any]:
        return {
            "namespace": self._namespace,
            "left_out": self._left_out[:_SHOWN],
            "server_version": self._cluster.version().get("gitVersion", ""),
        }


def _is_provisioned(content: t.Mapping[Kind, t.Mapping[t.Any, Item]], claim: str) -> bool:
    """Whether a claim gets a volume in a drill."""
    for kind, items in content.items():
        if kind.kind == "PersistentVolumeClaim" and not kind.group:
            for name, item in items.items():
                if name.name == claim:
                    return bool((item.document().get("spec") or {}).get("storageClassName") != NO_CLASS)
    return False


@dataclasses.dataclass
class _Found:
    point: RecoveryPoint
    differing: list[Change] = dataclasses.field(default_factory=list)
    same: int = 0
    tried: int = 0
    filled: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)

    def details(self) -> dict[str, t.Any]:
        return {
            "compared": self.same + len(self.differing),
            "tried": self.tried,
            "fields_different": sum(max(1, len(change.differences)) for change in self.differing),
            "differences": [change.facts() for change in self.differing[:_SHOWN]],
            "volumes": self.filled,
        }

    def refuse(self) -> None:
        if not self.differing:
            return
        first = self.differing[0]
        paths = ", ".join(difference.path for difference in first.differences[:3]) or "missing"
        raise AssertionFailed(
            f"{len(self.differing)} objects of {self.point.point_id} did not come back as they were recorded",
            self.point.component,
            expected="no field that differs",
            found=f"{first.item.label}: {paths}",
            next_command="take a new one: "
            f"ansible-playbook sre.runbooks.back_up_components --limit {self.point.component} -e backup_force=true",
        )
