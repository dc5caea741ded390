# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an API server says of a namespace: pods, workloads, events, rollouts, the network, nodes, volumes, certificates.

Secrets are never asked for. Of a pod's environment only the names are kept: what is set there is often a secret.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.kubernetes_logs import logs, previous_logs
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.kubernetes_objects import (
    age,
    described,
    images_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import restarts_of, trouble_of
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import (
    PROGRESSING,
    READY,
    STOPPED,
    WORKLOADS,
    condition,
    controller_of,
    judge_workload,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import ApiSession, named
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

Object = dict[str, t.Any]

_GRACE_S = 60.0
_MANY_RESTARTS = 5
_REVISION = "deployment.kubernetes.io/revision"
_CAUSE = "kubernetes.io/change-cause"
_METRICS = "/apis/metrics.k8s.io/v1beta1"
_REASONS_SHOWN = 5


class Scope:
    """The part of a cluster that is looked at.

    :arg options: how it is reached, as :class:`ApiSession` takes it, with ``namespace`` (None: every one) and ``selector``.
    :arg since_s: how far back events and rollouts are new.
    """

    def __init__(self, options: t.Mapping[str, t.Any], since_s: float) -> None:
        self.session = ApiSession(options)
        self.namespace: str | None = options.get("namespace") or None
        self.selector: str | None = options.get("selector") or None
        self.since_s = since_s

    def close(self) -> None:
        """End its connections."""
        self.session.close()

    def objects(self, group: str, resource: str, selected: bool = True) -> list[Object]:
        """The objects of the scope: ``group`` such as ``/api/v1``."""
        middle = f"/namespaces/{self.namespace}" if self.namespace else ""
        return self.session.list(f"{group}{middle}/{resource}", self.selector if selected else None)

    def now(self) -> datetime.datetime:
        """The API server's clock."""
        return self.session.cluster.now()

    def collectors(self) -> list[Collector]:
        """What can be asked of it."""
        known: list[tuple[str, str, t.Callable[[Desk], None]]] = [
            ("pods", "pods, restarts, and why they do not run", self._pods),
            ("workloads", "workloads and what they have reached", self._workloads),
            ("events", "events, the newest last", self._events),
            ("rollouts", "revisions of workloads and when they were rolled out", self._rollouts),
            ("usage", "CPU and memory of containers and nodes", self._usage),
            ("network", "services, endpoints, ingresses", self._network),
            ("nodes", "nodes and their conditions", self._nodes),
            ("volumes", "claims and volumes", self._volumes),
            ("certificates", "certificates that cert-manager keeps", self._certificates),
            ("logs", "the ends of containers' logs", lambda desk: logs(desk, self)),
            ("previous_logs", "the ends of the logs of containers that ended", lambda desk: previous_logs(desk, self)),
        ]
        return [Collector(f"kubernetes_{name}", title, collect) for name, title, collect in known]

    def _pods(self, desk: Desk) -> None:
        pods = self.objects("/api/v1", "pods")
        now = self.now()
        rows = []
        reasons: dict[str, list[str]] = {}
        for pod in pods:
            trouble = trouble_of(pod, now, _GRACE_S)
            restarts = restarts_of(pod)
            status = pod.get("status") or {}
            why = str(trouble or "") or "; ".join(f"{one.container}: {one.why}" for one in restarts[:3])
            count = sum(one.count for one in restarts)
            rows.append(
                (
                    named(pod),
                    status.get("phase"),
                    count,
                    age(pod, now),
                    pod["spec"].get("nodeName"),
                    images_of(pod),
                    why,
                )
            )
            if trouble is not None:
                reasons.setdefault(trouble.reason, []).append(named(pod))
            elif count >= _MANY_RESTARTS:
                desk.finding("warning", f"pod {named(pod)} was restarted {count} times: {why}")
        desk.table("pods", ("pod", "phase", "restarts", "age", "node", "images", "why"), rows)
        desk.document("described", [described(pod) for pod in pods])
        for reason, names in sorted(reasons.items(), key=lambda entry: -len(entry[1])):
            more = f" and {len(names) - _REASONS_SHOWN} more" if len(names) > _REASONS_SHOWN else ""
            severity = "warning" if reason == "Evicted" else "failure"
            desk.finding(
                severity, f"{counted(len(names), 'pod')} in {reason}: {', '.join(sorted(names)[:_REASONS_SHOWN])}{more}"
            )

    def _workloads(self, desk: Desk) -> None:
        rows = []
        now = self.now()
        for kind, (group, resource) in WORKLOADS.items():
            try:
                found = self.objects(group, resource)
            except RunbookError as error:
                desk.problem(f"{resource}: {error}")
                continue
            for item in found:
                if kind == "ReplicaSet" and controller_of(item) is not None:
                    continue  # its Deployment's matter, and a rollout's
                judged = judge_workload(kind, item)
                rows.append((f"{kind} {named(item)}", judged.state, judged.measured, age(item, now), judged.reason))
                if judged.state not in (READY, STOPPED):
                    severity = "note" if judged.state == PROGRESSING else "failure"
                    desk.finding(
                        severity, f"{kind} {named(item)} is {judged.state}: {judged.measured}; {judged.reason}"
                    )
        desk.table("workloads", ("workload", "state", "measured", "age", "why"), rows)
        try:
            scalers = self.objects("/apis/autoscaling/v2", "horizontalpodautoscalers")
        except RunbookError as error:
            desk.problem(f"autoscalers: {error}")
            return
        scaled: list[tuple[t.Any, ...]] = []
        for item in scalers:
            spec, status = item["spec"], item.get("status") or {}
            now_at, most = status.get("currentReplicas"), spec.get("maxReplicas")
            why = condition(item, "ScalingActive").get("message")
            scaled.append((named(item), spec.get("minReplicas"), most, now_at, status.get("desiredReplicas"), why))
            if now_at is not None and now_at == most:
                desk.finding("warning", f"autoscaler {named(item)} is at its maximum of {most}")
        desk.table("autoscalers", ("autoscaler", "minimum", "maximum", "now", "wanted", "why"), scaled)

    def _events(self, desk: Desk) -> None:
        events = sorted(self.objects("/api/v1", "events", selected=False), key=_last_seen)
        now = self.now()
        counts: dict[str, int] = {}
        rows = []
        for event in events:
            thing = event.get("involvedObject") or {}
            count = event.get("count") or (event.get("series") or {}).get("count") or 1
            what = f"{thing.get('kind')} {thing.get('namespace', '')}/{thing.get('name')}"
            rows.append((_last_seen(event), event.get("type"), count, event.get("reason"), what, event.get("message")))
            if event.get("type") == "Warning" and _is_new(_last_seen(event), now, self.since_s):
                reason = str(event.get("reason"))
                counts[reason] = counts.get(reason, 0) + int(count)
        headings = ("last seen", "type", "times", "reason", "object", "message")
        # A table keeps its beginning, and the newest matter most.
        desk.table("events_newest_first", headings, rows[::-1])
        for reason, times in sorted(counts.items(), key=lambda entry: -entry[1])[:_REASONS_SHOWN]:
            desk.finding("note", f"{counted(times, 'warning')} {reason} among the cluster's events")

    def _rollouts(self, desk: Desk) -> None:
        now = self.now()
        rows = []
        for kind, (group, resource), revision_of in (
            ("ReplicaSet", ("/apis/apps/v1", "replicasets"), _revision_of_set),
            ("ControllerRevision", ("/apis/apps/v1", "controllerrevisions"), _revision_of_copy),
        ):
            for item in self.objects(group, resource):
                owner = controller_of(item)
                if owner is None:
                    continue
                place = item["metadata"].get("namespace", "")
                revision, images, replicas = revision_of(item)
                made = str(item["metadata"].get("creationTimestamp") or "")
                cause = (item["metadata"].get("annotations") or {}).get(_CAUSE)
                what = f"{owner['kind']} {place}/{owner['name']}"
                rows.append((made, what, kind, revision, replicas, images, cause))
                if revision and int(revision) > 1 and _is_new(made, now, self.since_s):
                    desk.finding("note", f"{what} got revision {revision} at {made}: {images}")
        rows.sort(reverse=True)
        headings = ("made", "workload", "kept as", "revision", "replicas", "images", "cause")
        desk.table("rollouts_newest_first", headings, rows)

    def _usage(self, desk: Desk) -> None:
        limits = {}
        for pod in self.objects("/api/v1", "pods"):
            for container in pod["spec"]["containers"]:
                limits[named(pod), container["name"]] = (container.get("resources") or {}).get("limits") or {}
        rows = []
        for item in self.objects(_METRICS, "pods"):
            for container in item.get("containers") or []:
                usage = container.get("usage") or {}
                limit = limits.get((named(item), container["name"]), {})
                rows.append(
                    (
                        named(item),
                        container["name"],
                        usage.get("cpu"),
                        limit.get("cpu"),
                        usage.get("memory"),
                        limit.get("memory"),
                    )
                )
        desk.table("containers", ("pod", "container", "cpu", "cpu limit", "memory", "memory limit"), rows)
        nodes = self.session.list(f"{_METRICS}/nodes")
        shown = [(item["metadata"]["name"], item["usage"].get("cpu"), item["usage"].get("memory")) for item in nodes]
        desk.table("nodes", ("node", "cpu", "memory"), shown)

    def _network(self, desk: Desk) -> None:
        ready: dict[str, int] = {}
        waiting: dict[str, int] = {}
        for item in self.objects("/apis/discovery.k8s.io/v1", "endpointslices", selected=False):
            service = (item["metadata"].get("labels") or {}).get("kubernetes.io/service-name")
            key = f"{item['metadata'].get('namespace')}/{service}"
            for endpoint in item.get("endpoints") or []:
                serves = (endpoint.get("conditions") or {}).get("ready") is not False
                place = ready if serves else waiting
                place[key] = place.get(key, 0) + 1
        rows: list[tuple[t.Any, ...]] = []
        for item in self.objects("/api/v1", "services"):
            spec, name = item["spec"], named(item)
            ports = ", ".join(f"{port.get('port')}→{port.get('targetPort')}" for port in spec.get("ports") or [])
            rows.append(
                (name, spec.get("type"), spec.get("clusterIP"), ports, ready.get(name, 0), waiting.get(name, 0))
            )
            if spec.get("selector") and not ready.get(name):
                desk.finding("failure", f"service {name} has no ready endpoint")
        desk.table("services", ("service", "type", "address", "ports", "ready", "not ready"), rows)
        routes = []
        for item in self.objects("/apis/networking.k8s.io/v1", "ingresses"):
            for rule in item["spec"].get("rules") or []:
                for path in (rule.get("http") or {}).get("paths") or []:
                    service = (path.get("backend") or {}).get("service") or {}
                    where = f"{service.get('name')}:{(service.get('port') or {}).get('number') or (service.get('port') or {}).get('name')}"
                    routes.append((named(item), rule.get("host"), path.get("path"), where))
        desk.table("ingresses", ("ingress", "host", "path", "backend"), routes)

    def _nodes(self, desk: Desk) -> None:
        rows = []
        now = self.now()
        for item in self.session.list("/api/v1/nodes"):
            name = item["metadata"]["name"]
            found = (item.get("status") or {}).get("conditions") or []
            bad = [one for one in found if (one.get("status") == "True") != (one.get("type") == "Ready")]
            why = "; ".join(f"{one.get('type')} {one.get('status')}: {one.get('message')}" for one in bad)
            info = (item.get("status") or {}).get("nodeInfo") or {}
            room = (item.get("status") or {}).get("allocatable") or {}
            closed = "closed to new pods" if item["spec"].get("unschedulable") else ""
            rows.append(
                (name, age(item, now), info.get("kubeletVersion"), room.get("cpu"), room.get("memory"), closed, why)
            )
            if bad:
                desk.finding("failure", f"node {name}: {why}")
        desk.table("nodes", ("node", "age", "version", "cpu", "memory", "remarks", "why"), rows)

    def _volumes(self, desk: Desk) -> None:
        rows = []
        for item in self.objects("/api/v1", "persistentvolumeclaims"):
            status, spec = item.get("status") or {}, item["spec"]
            phase = status.get("phase")
            size = (status.get("capacity") or {}).get("storage")
            rows.append((named(item), phase, size, spec.get("storageClassName"), spec.get("volumeName")))
            if phase != "Bound":
                desk.finding("failure" if phase == "Lost" else "warning", f"claim {named(item)} is {phase}")
        desk.table("claims", ("claim", "phase", "size", "class", "volume"), rows)

    def _certificates(self, desk: Desk) -> None:
        try:
            found = self.objects("/apis/cert-manager.io/v1", "certificates")
        except ApiFailure as error:
            if error.status != 404:
                raise
            desk.text(
                "certificates.txt", "this cluster has no cert-manager; its probes look at certificates themselves\n"
            )
            return
        now = self.now()
        rows = []
        for item in found:
            status, ready = item.get("status") or {}, condition(item, "Ready")
            end = status.get("notAfter")
            secret = item["spec"].get("secretName")
            rows.append(
                (named(item), end, status.get("renewalTime"), secret, ready.get("status"), ready.get("message"))
            )
            if ready.get("status") != "True":
                desk.finding("failure", f"certificate {named(item)} is not ready: {ready.get('message')}")
            elif end and (parse_time(end) - now).total_seconds() < 7 * 86400:
                desk.finding("warning", f"certificate {named(item)} ends at {end}")
        desk.table("certificates", ("certificate", "ends", "renewed", "kept in", "ready", "why"), rows)


def _revision_of_set(item: Object) -> tuple[str, str, t.Any]:
    revision = (item["metadata"].get("annotations") or {}).get(_REVISION, "")
    return revision, images_of(item["spec"].get("template") or {}), item["spec"].get("replicas")


def _revision_of_copy(item: Object) -> tuple[str, str, t.Any]:
    template = ((item.get("data") or {}).get("spec") or {}).get("template") or {}
    return str(item.get("revision", "")), images_of(template), ""


def _last_seen(event: Object) -> str:
    series = event.get("series") or {}
    found = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(found or event["metadata"].get("creationTimestamp") or "")


def _is_new(moment: str, now: datetime.datetime, since_s: float) -> bool:
    return bool(moment) and (now - parse_time(moment)).total_seconds() <= since_s
