# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers of a component are stopped before it is restored, and are what they were afterwards.

Everything is looked up before anything is touched. Then each is told, and all are waited for together: until no pod of
a stopped one is left, until a started one is available.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import marker, stopping
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.consumer_declaration import Declared
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Conflict
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import finished, trouble_of
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import (
    READY,
    STOPPED,
    condition,
    controller_of,
    judge_workload,
    label_selector,
    path_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_ATTEMPTS = 20
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.25, 2.0
_AUTOSCALERS = (
    ("HorizontalPodAutoscaler", "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"),
    ("ScaledObject", "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects"),
)


@dataclasses.dataclass
class Consumer:
    """One that is there.

    :ivar item: as it was read last.
    :ivar outcome: stopped, started, held (another component still holds it), unchanged, or failed.
    :ivar before: what it was, a count or a word. :ivar after: what it is, or in check mode would be.
    """

    kind: str
    item: dict[str, t.Any]
    outcome: str = "unchanged"
    before: str = ""
    after: str = ""
    problem: str = ""
    changed: bool = False
    autoscalers: list[str] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.item["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.item["metadata"]["namespace"])

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    def facts(self) -> dict[str, t.Any]:
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "outcome": self.outcome,
            "before": self.before,
            "after": self.after,
            "held_for": stopping.holders(self.item),
            "autoscalers": self.autoscalers,
            "problem": self.problem or None,
        }


class Consumers:
    """Those of one component.

    :arg environment: what the marker of every namespace has to name before anything in it is stopped; None asks nothing.
    :arg timeout_s: for all of them together.
    """

    def __init__(
        self, cluster: Cluster, component: str, environment: str | None, timeout_s: float, progress: Progress
    ) -> None:
        self._cluster, self._component, self._environment = cluster, component, environment
        self._timeout_s, self._progress = timeout_s, progress
        #: In words, for the operator.
        self.warnings: list[str] = []

    def stop(self, declared: t.Sequence[Declared], check: bool) -> list[Consumer]:
        """No pod of any of them is left.

        :raises Refused: one is not there, or a namespace is another environment's; nothing was touched.
        :raises EngineError: one did not stop in time.
        """
        found, missing = self._look(declared, unmarked=False)
        if missing:
            raise Refused(
                f"there is no {missing[0]}, which is to be stopped; nothing was touched",
                self._component,
                expected="every consumer of component_consumers",
                found=", ".join(f"no {one}" for one in missing),
                next_command="correct component_consumers, or say required: false there for what may be missing",
            )
        for consumer in found:
            self._progress.step(f"stopping {consumer}")
            for kind, path in self._autoscalers(consumer):
                self._tell(stopping.stop, kind, path, check, consumer)
            self._tell(stopping.stop, consumer.kind, self._path(consumer), check, consumer)
        if not check:
            self._wait(found, self._left, "stopped", "did not stop")
        return found

    def start(self, declared: t.Sequence[Declared], check: bool) -> list[Consumer]:
        """Each is what it was before it was stopped for this component, and available, unless another holds it too.

        :raises EngineError: naming every one that did not come back; all others did.
        """
        found, missing = self._look(declared, unmarked=True)
        for consumer in found:
            self._progress.step(f"starting {consumer}")
            try:
                self._tell(stopping.start, consumer.kind, self._path(consumer), check, consumer)
                for kind, path in self._autoscalers(consumer):
                    self._tell(stopping.start, kind, path, check, consumer)
            except (ApiFailure, InvalidInput) as error:
                consumer.outcome, consumer.problem = "failed", str(error)
        if not check:
            # Those that a killed run has started as well; what was scaled to 0 for good is not waited for.
            running = [one for one in found if one.outcome in ("started", "unchanged")]
            self._wait(running, self._not_available, "available", "did not come back", found)
        if missing:
            raise EngineError(
                f"there is no {missing[0]}, which was to be started",
                self._component,
                expected="every consumer of component_consumers",
                found=", ".join(f"no {one}" for one in missing),
                next_command="correct component_consumers, or say required: false there for what may be missing",
            )
        return found

    def _look(self, declared: t.Sequence[Declared], unmarked: bool) -> tuple[list[Consumer], list[Declared]]:
        """Those that are there, each once, and those that should be. A namespace that is gone runs nothing."""
        found: dict[tuple[str, str, str], Consumer] = {}
        missing = []
        spaces = {one.namespace: self._is_there(one.namespace, unmarked) for one in declared}
        for one in declared:
            if not spaces[one.namespace]:
                continue
            if one.name is not None:
                item = self._cluster.find(path_of(one.kind, one.namespace, quoted(one.name)))
                items = [] if item is None else [item]
            else:
                items = list(
                    list_path(self._cluster, path_of(one.kind, one.namespace), {"labelSelector": one.selector})
                )
            if not items and one.required:
                missing.append(one)
            elif not items:
                self.warnings.append(f"there is no {one}")
            for item in items:
                self._refuse_controlled(one, item)
                found[one.kind, one.namespace, item["metadata"]["name"]] = Consumer(one.kind, item)
        return list(found.values()), missing

    def _is_there(self, namespace: str, unmarked: bool) -> bool:
        if self._cluster.find(f"/api/v1/namespaces/{quoted(namespace)}") is None:
            self.warnings.append(f"the namespace {namespace} is gone, and whatever consumed {self._component} in it")
            return False
        if self._environment is not None:
            mark = marker.refuse_other_environment(self._cluster, namespace, self._environment, self._component)
            if mark is None and not unmarked:
                raise Refused(
                    f"the namespace {namespace} of {self._cluster.place} does not say which environment it belongs to;"
                    " no consumer was touched",
                    self._component,
                    expected=f"the marker of environment {self._environment}",
                    found=f"no ConfigMap {marker.NAME}",
                    next_command=f"once it is sure that this cluster is meant: kubectl create configmap {marker.NAME}"
                    f" --namespace {namespace} --from-literal=environment={self._environment}",
                )
        return True

    def _refuse_controlled(self, one: Declared, item: t.Mapping[str, t.Any]) -> None:
        owner = controller_of(item)
        if owner is not None:
            raise InvalidInput(
                f"{one.kind} {one.namespace}/{item['metadata']['name']} is what its controller makes it",
                self._component,
                expected="a consumer that nothing controls",
                found=f"{owner.get('kind')} {owner.get('name')}",
                next_command=f"name the {owner.get('kind')} {owner.get('name')} in component_consumers",
            )

    def _path(self, consumer: Consumer) -> str:
        return path_of(consumer.kind, consumer.namespace, quoted(consumer.name))

    def _autoscalers(self, consumer: Consumer) -> list[tuple[str, str]]:
        """Kinds and paths of what scales it."""
        found = []
        for kind, template in _AUTOSCALERS:
            collection = template.format(quoted(consumer.namespace))
            try:
                items = list(list_path(self._cluster, collection))
            except ApiFailure as error:
                if error.status == 404:
                    continue  # a cluster without that kind
                raise
            for item in items:
                target = item["spec"].get("scaleTargetRef") or {}
                if (target.get("kind", "Deployment"), target.get("name")) == (consumer.kind, consumer.name):
                    name = item["metadata"]["name"]
                    found.append((kind, f"{collection}/{quoted(name)}"))
        return found

    def _tell(
        self,
        plan: t.Callable[[str, t.Mapping[str, t.Any], str], stopping.Change | None],
        kind: str,
        path: str,
        check: bool,
        consumer: Consumer,
    ) -> None:
        """Read, change, write only as it was read; begin again when somebody was faster."""
        ours = path == self._path(consumer)
        for attempt in range(_ATTEMPTS):
            item = consumer.item if ours and attempt == 0 else self._cluster.find(path)
            if item is None:
                raise EngineError(f"{consumer} disappeared while it was being changed", self._component)
            change = plan(kind, item, self._component)
            if change is not None and not check:
                try:
                    item = self._cluster.patch(path, change.patch)
                except Conflict:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    continue
            if ours:
                consumer.item = item
                consumer.before = change.before if change else stopping.WAYS[kind].running(item) or "stopped"
                consumer.after = change.after if change else consumer.before
            elif change is not None:
                consumer.autoscalers.append(path.rsplit("/", 2)[-2] + "/" + path.rsplit("/", 1)[-1])
            if change is not None:
                consumer.changed = True
                if ours:
                    consumer.outcome = _outcome(plan is stopping.stop, change)
            elif ours and plan is stopping.start and stopping.holders(item):
                consumer.outcome = "held"
            return

    def _wait(
        self,
        waited: t.Sequence[Consumer],
        look: t.Callable[[Consumer], str],
        aim: str,
        failed: str,
        everyone: t.Sequence[Consumer] = (),
    ) -> None:
        """Until ``look`` says nothing more of any of them. Raises EngineError for those that were not in time."""
        deadline, pause = time.monotonic() + self._timeout_s, _FIRST_LOOK_S
        waiting = {id(consumer): consumer for consumer in waited}
        while waiting:
            for key, consumer in list(waiting.items()):
                consumer.problem = look(consumer)
                if not consumer.problem:
                    del waiting[key]
            if not waiting or time.monotonic() > deadline:
                break
            first = next(iter(waiting.values()))
            what = f"waiting for {counted(len(waiting), 'consumer')} to be {aim}"
            self._progress.step(f"{what}; {first}: {first.problem}"[:200])
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK_S)
        for consumer in waiting.values():
            consumer.outcome = "failed"
        bad = [consumer for consumer in everyone or waited if consumer.problem]
        if bad:
            raise EngineError(
                f"{bad[0]} {failed}" + (f", nor did {len(bad) - 1} more" if len(bad) > 1 else ""),
                self._component,
                expected=f"each {aim} within {format_duration(self._timeout_s)}",
                found="; ".join(f"{consumer}: {consumer.problem}" for consumer in bad),
                next_command=f"kubectl describe {bad[0].kind.lower()} {bad[0].name} --namespace {bad[0].namespace}",
            )

    def _left(self, consumer: Consumer) -> str:
        """What still runs of a consumer that is told to run nothing, in words; empty for nothing."""
        item = self._cluster.find(self._path(consumer))
        if item is None:
            return ""
        consumer.item = item
        if not stopping.is_stopped(consumer.kind, item):
            return f"somebody started it again{_by_whom(item)}"
        if consumer.kind == "CronJob":
            jobs = list_path(self._cluster, path_of("Job", consumer.namespace))
            names = [job["metadata"]["name"] for job in jobs if _runs_for(job, item)]
            return f"still running: {', '.join(names[:5])}" if names else ""
        names = [pod["metadata"]["name"] for pod in self._pods(consumer) if not finished(pod)]
        return f"{len(names)} pods are not gone: {', '.join(names[:3])}" if names else ""

    def _not_available(self, consumer: Consumer) -> str:
        item = self._cluster.find(self._path(consumer))
        if item is None:
            return "it is gone"
        consumer.item = item
        found = judge_workload(consumer.kind, item)
        if found.state in (READY, STOPPED):
            return ""
        now = self._cluster.now()
        troubles = [trouble for trouble in (trouble_of(pod, now, 30) for pod in self._pods(consumer)) if trouble]
        return f"{found.measured}" + (f", {troubles[0]}" if troubles else f", {found.reason}" if found.reason else "")

    def _pods(self, consumer: Consumer) -> t.Iterator[dict[str, t.Any]]:
        if consumer.kind == "CronJob":
            return
        path = f"/api/v1/namespaces/{quoted(consumer.namespace)}/pods"
        selector = label_selector(consumer.item["spec"]["selector"])
        for pod in list_path(self._cluster, path, {"labelSelector": selector}):
            owner = controller_of(pod)
            if owner is not None and owner.get("kind") == (
                "ReplicaSet" if consumer.kind == "Deployment" else consumer.kind
            ):
                yield pod


def _outcome(stopping_it: bool, change: stopping.Change) -> str:
    if stopping_it:
        return "stopped"
    return "held" if change.after == "stopped" else "started"


def _runs_for(job: t.Mapping[str, t.Any], cron_job: t.Mapping[str, t.Any]) -> bool:
    owner = controller_of(job) or {}
    ended = any(condition(job, kind).get("status") == "True" for kind in ("Complete", "Failed"))
    return not ended and owner.get("uid") == cron_job["metadata"]["uid"]


def _by_whom(item: t.Mapping[str, t.Any]) -> str:
    """Who wrote the count last, as far as the API knows."""
    for entry in item["metadata"].get("managedFields") or []:
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if ("f:replicas" in fields or "f:suspend" in fields) and entry.get("manager") != "sre-runbooks":
            return f" ({entry.get('manager')})"
    return ""
