# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chosen objects made as a recovery point has them, and the workloads that read them started anew, or all as it was.

What is under way is noted beside the environment's marker, so that a killed run is finished, or undone, by the next.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import secrets
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import (
    before,
    dependents,
    marker,
    waiting,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.applying import HOLDS_DATA, Applier, Hooks
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.claim_owners import takes_claims_along
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Item, read_content, recorded
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import discover
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import CHANGE, CREATE, Change, Plan
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.planning import Planner
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.target import Content
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    list_points,
    load_point,
    select_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclasses.dataclass
class RollbackRequest:
    """What is wanted; durations in seconds. ``objects``: kind and name of each."""

    component: str
    namespace: str
    objects: t.Sequence[tuple[str, str]]
    recovery_point: str = "newest"
    before: datetime.datetime | None = None
    confirm: str | None = None
    timeout: float = 300.0
    jobs: int = 4
    recipients: t.Sequence[str] = ()
    run_id: str | None = None
    lease_ttl: float = 120.0
    lease_wait: float = 0.0


@dataclasses.dataclass
class _Note:
    """What is under way. ``kept``: the point with what was there; None when nothing was. ``created``: kind, name."""

    point_id: str
    reason: str
    kept: str | None
    created: list[list[str]]
    undo: str | None = None

    def text(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str | None) -> _Note | None:
        try:
            return cls(**json.loads(text)) if text else None
        except (ValueError, TypeError):
            return None


def parse_objects(given: t.Sequence[str]) -> list[tuple[str, str]]:
    """``ConfigMap/settings`` and the like. Raises :class:`InvalidInput`."""
    found = []
    for text in given:
        kind, slash, name = text.strip().partition("/")
        if not (slash and kind.isalnum() and name and "/" not in name):
            raise InvalidInput(
                "not an object", expected="a kind and a name, such as ConfigMap/settings", found=text[:200]
            )
        found.append((kind, name))
    if not found:
        raise InvalidInput("no object to roll back", expected="objects, such as ConfigMap/settings", found="none")
    return found


class Rollback:
    """One rollback. :meth:`run` does it; in check mode it says what it would do."""

    def __init__(
        self,
        request: RollbackRequest,
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
        self._component = request.component
        self._namespace = request.namespace
        self.warnings: list[str] = []

    def run(self, check_mode: bool = False) -> dict[str, t.Any]:
        """Make it true; the module's result.

        :raises EngineError: the workloads did not become available; everything is as it was before.
        """
        request = self._request
        found = marker.refuse_other_environment(
            self._cluster, self._namespace, self._repository.environment, self._component
        )
        if found is None:
            marker.refuse_unmarked(
                self._cluster, self._namespace, self._repository.environment, self._component, ["its objects"]
            )
        if check_mode:
            return self._roll_back(None)
        with exclusive(
            self._repository, self._component, request.run_id, request.lease_ttl, request.lease_wait, self._progress
        ) as lease:
            marker.raise_fence(self._cluster, self._namespace, self._component, lease.epoch)
            return self._roll_back(lease)

    def _roll_back(self, lease: Lease | None) -> dict[str, t.Any]:
        note = _Note.read(marker.read_note(self._cluster, self._namespace, self._note_name))
        if note is not None and note.undo is not None and lease is not None:
            raise self._undone(self._undo(note, lease), note, note.undo)
        point = self._point(note)
        content = self._chosen(point)
        plan = self._planner(content).plan()
        self._refuse_conflicts(plan)
        acting = plan.of(CREATE, CHANGE)
        touched = {(change.kind.kind, change.item.name.name) for change in acting}
        if note is not None:
            touched.update(self._request.objects)
        workloads = dependents.readers(self._cluster, self._namespace, touched) if touched else []
        followed = sorted({*workloads, *_workloads_of(acting if note is None else self._items(content))})
        if not acting and note is None:
            return self._result(point, acting, [], False, None)
        if any(change.action == CHANGE for change in acting):
            self._require_confirm(acting)
        kinds = [change.kind.kind for change in acting if change.live is not None]
        before.require_encryption(kinds, self._request.recipients, self._component)
        if lease is None:
            return self._result(point, acting, followed, True, None)
        if note is None:
            note = self._begin(point, acting)
        self._phases.reached("noted")
        with self._phases.phase("apply", objects=len(acting)) as step:
            step.outcome = "changed"
            self._apply(content, acting, lease)
        self._restart(workloads, note.reason)
        failed = self._follow(followed, lease)
        if failed is not None:
            note.undo = failed
            marker.write_note(self._cluster, self._namespace, self._note_name, note.text())
            raise self._undone(self._undo(note, lease), note, failed)
        marker.write_note(self._cluster, self._namespace, self._note_name, None)
        return self._result(point, acting, followed, True, note)

    # -- choosing ----------------------------------------------------------------------------------------------------

    @property
    def _note_name(self) -> str:
        return f"rollback.{self._component}"

    def _point(self, note: _Note | None) -> RecoveryPoint:
        request = self._request
        if note is not None:
            self.warnings.append(f"an interrupted rollback to {note.point_id} is finished first")
            return load_point(self._repository, self._component, note.point_id)
        return select_point(list_points(self._repository, self._component), request.recovery_point, request.before)

    def _chosen(self, point: RecoveryPoint, component: str | None = None) -> Content:
        """The objects that were named, as the point has them."""
        of_point = recorded(point)
        wanted = {kind for kind, _name in self._request.objects}
        content: Content = {}
        with self._phases.phase("read", recovery_point=point.point_id):
            read = read_content(
                self._repository, point, self._identities, self._progress, lambda kind: kind.kind in wanted
            )
        missing = set(self._request.objects)
        for kind, items in read.items():
            for name, item in items.items():
                if (kind.kind, name.name) in self._request.objects and name.namespace == self._namespace:
                    content.setdefault(kind, {})[name] = item
                    missing.discard((kind.kind, name.name))
        if missing and component is None:
            raise InvalidInput(
                f"recovery point {point.point_id} does not have everything that was named",
                self._component,
                expected=", ".join(f"{kind}/{name}" for kind, name in sorted(missing)),
                found=f"none of that name in namespace {self._namespace} among {of_point.count} objects",
                next_command="name another point with roll_back_recovery_point, or other objects with roll_back_objects",
            )
        return content

    def _items(self, content: Content) -> list[Item]:
        return [item for items in content.values() for item in items.values()]

    def _refuse_conflicts(self, plan: Plan) -> None:
        for change in plan.changes:
            if change.conflicts:
                conflict = change.conflicts[0]
                raise Refused(
                    f"{change.item.label} cannot be changed; nothing was touched",
                    self._component,
                    expected="a field that the server lets be changed",
                    found=f"{conflict.path}: {conflict.message}",
                    next_command=f"kubectl delete {change.kind.label} {change.item.name.name}"
                    f" --namespace {self._namespace}; then: the same command",
                )

    def _require_confirm(self, acting: t.Sequence[Change]) -> None:
        if self._request.confirm == self._component:
            return
        raise Refused(
            f"{counted(len(acting), 'live object')} would be changed, and the workloads that read them restarted",
            self._component,
            expected=f"roll_back_confirm={self._component}",
            found=self._request.confirm or "nothing",
            next_command=f"the same command with --limit {self._component} -e roll_back_confirm={self._component}",
        )

    # -- acting ------------------------------------------------------------------------------------------------------

    def _planner(self, content: Content) -> Planner:
        # Nothing but the named objects is anybody's business here, so every one is looked up by its name.
        return Planner(
            self._cluster,
            discover(self._cluster),
            content,
            self._namespace,
            _NOTHING,
            self._request.jobs,
            self._progress,
        )

    def _begin(self, point: RecoveryPoint, acting: t.Sequence[Change]) -> _Note:
        overwritten = [(change.kind, change.live) for change in acting if change.live is not None]
        kept = None
        if overwritten:
            with self._phases.phase("keep what is overwritten", objects=len(overwritten)):
                kept = before.keep_before(
                    self._repository,
                    self._component,
                    point,
                    recorded(point),
                    overwritten,
                    Encoding(recipients=self._request.recipients),
                    self._request.run_id,
                ).point_id
        created = [[change.kind.kind, change.item.name.name] for change in acting if change.action == CREATE]
        note = _Note(point.point_id, f"{point.point_id}-{secrets.token_hex(4)}", kept, created)
        marker.write_note(self._cluster, self._namespace, self._note_name, note.text())
        return note

    def _apply(self, content: Content, acting: t.Sequence[Change], lease: Lease) -> None:
        Applier(
            self._cluster,
            self._planner(content),
            True,
            self._request.jobs,
            self._request.timeout,
            Hooks(lease.check),
            self._progress,
        ).apply(acting)

    def _restart(self, workloads: t.Sequence[dependents.Workload], reason: str) -> None:
        with self._phases.phase("restart", workloads=[workload.label for workload in workloads]) as step:
            step.outcome = "changed"
            for workload in workloads:
                dependents.restart(self._cluster, self._namespace, workload, reason)
                self._phases.reached("restarted")

    def _follow(self, workloads: t.Sequence[dependents.Workload], lease: Lease) -> str | None:
        """Why the workloads do not become available; None when they do."""
        with self._phases.phase("follow", workloads=len(workloads)) as step:
            failed = dependents.follow(
                self._cluster, self._namespace, workloads, self._request.timeout, self._progress, lease.check
            )
            if failed:
                step.outcome = "failed"
        told = [f"{workload.label}: {found.measured}, {found.reason}" for workload, found in sorted(failed.items())]
        return "; ".join(told) or None

    def _undo(self, note: _Note, lease: Lease) -> str | None:
        """Everything as it was before; why workloads are not available even then."""
        content: Content = {}
        if note.kept is not None:
            name = before_component(self._component)
            content = self._chosen(load_point(self._repository, name, note.kept), name)
        with self._phases.phase("undo") as step:
            step.outcome = "changed"
            self._apply(content, self._planner(content).plan().of(CREATE, CHANGE), lease)
            for kind, name in note.created:
                self._delete(kind, name)
        workloads = dependents.readers(self._cluster, self._namespace, set(self._request.objects))
        self._restart(workloads, f"undo-{note.reason}")
        failed = self._follow(sorted({*workloads, *_workloads_of(self._items(content))}), lease)
        marker.write_note(self._cluster, self._namespace, self._note_name, None)
        return failed

    def _delete(self, kind_name: str, name: str) -> None:
        """An object that was not there before the rollback."""
        for (group, kind), versions in discover(self._cluster).served.items():
            if kind == kind_name and versions[0].namespaced and (group, kind) not in HOLDS_DATA:
                path = versions[0].path(self._namespace, name)
                found = self._cluster.find(path)
                managers = (found or {}).get("metadata", {}).get("managedFields") or []
                if found is not None and any(entry.get("manager") == "sre-runbooks" for entry in managers):
                    uid = found["metadata"]["uid"]
                    if takes_claims_along(self._cluster, self._namespace, found):
                        self.warnings.append(
                            f"{kind_name} {name}, which was not there before, stays: its claims would be deleted with it"
                        )
                        continue
                    waiting.delete_and_wait(self._cluster, path, uid, self._request.timeout, self._progress)

    def _undone(self, still: str | None, note: _Note, reason: str) -> EngineError:
        after = f"and its workloads are not available even so: {still}" if still else "and its workloads are available"
        return EngineError(
            f"the configuration of {note.point_id} was rolled out and undone; it is as it was before, {after}",
            self._component,
            expected=f"workloads that become available within {self._request.timeout:g} s",
            found=reason,
            next_command="look at the pods' logs and events, then name another recovery point with"
            " roll_back_recovery_point",
        )

    # -- results -----------------------------------------------------------------------------------------------------

    def _result(
        self,
        point: RecoveryPoint,
        acting: t.Sequence[Change],
        workloads: t.Sequence[dependents.Workload],
        changed: bool,
        note: _Note | None,
    ) -> dict[str, t.Any]:
        labels = [workload.label for workload in workloads]
        names = ", ".join(f"{kind}/{name}" for kind, name in self._request.objects)
        message = (
            f"{names}: as in {point.point_id}; rolled out: {', '.join(labels) or 'nothing reads them'}"
            if changed
            else f"{names}: as in {point.point_id} already; an older version: roll_back_recovery_point or roll_back_before"
        )
        return {
            "changed": changed,
            "message": message,
            "recovery_point": point.facts(),
            "changes": [change.facts() for change in acting],
            "deleted": [],
            "workloads": labels,
            "kept": note.kept if note else None,
            "durations": self._phases.facts(),
        }


#: A selector that no object has.
_NOTHING = "sre.runbooks/none=none"


def _workloads_of(changes: t.Iterable[Change | Item]) -> list[dependents.Workload]:
    """Those among the objects themselves: their pods are replaced by changing them."""
    items = [change.item if isinstance(change, Change) else change for change in changes]
    return [
        dependents.Workload(item.kind.kind, item.name.name)
        for item in items
        if item.kind.kind in dependents.ROLLED_OUT and item.kind.group == "apps"
    ]
