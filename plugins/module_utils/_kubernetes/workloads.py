# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a workload is, judged from its object alone: what its controller says it has reached, and why it has not."""

from __future__ import annotations

import dataclasses
import typing as t

Object = t.Mapping[str, t.Any]

#: Plural names in the API, by kind, with the group and version that serve them.
WORKLOADS: dict[str, tuple[str, str]] = {
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "DaemonSet": ("/apis/apps/v1", "daemonsets"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "Job": ("/apis/batch/v1", "jobs"),
    "CronJob": ("/apis/batch/v1", "cronjobs"),
}

READY = "ready"
#: On its way, and serving meanwhile.
PROGRESSING = "progressing"
#: Not serving as it should, perhaps on its way.
UNAVAILABLE = "unavailable"
#: Its controller has given up or cannot go on.
STUCK = "stuck"
#: Nothing is wanted of it.
STOPPED = "stopped"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """:ivar measured: in words, such as "2 of 3 available". :ivar reason: why it is not ready."""

    state: str
    measured: str
    reason: str = ""


def path_of(kind: str, namespace: str | None, name: str | None = None) -> str:
    """Where the API has objects of that kind; of every namespace without one."""
    group, resource = WORKLOADS[kind]
    middle = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{middle}/{resource}" + (f"/{name}" if name else "")


def controller_of(item: Object) -> Object | None:
    """The owner that controls an object, if any."""
    owners = item["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def condition(item: Object, kind: str) -> Object:
    """One condition of an object's status; empty when there is none of that type."""
    found = (item.get("status") or {}).get("conditions") or []
    return next((entry for entry in found if entry.get("type") == kind), {})


def label_selector(selector: t.Mapping[str, t.Any]) -> str:
    """A selector of an object as a query has it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for entry in selector.get("matchExpressions") or []:
        key, operator = entry["key"], entry["operator"]
        values = ",".join(entry.get("values") or [])
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[operator]
        )
    return ",".join(parts)


def judge_workload(kind: str, item: Object) -> Judgement:
    """How it is by what its controller has seen. An object that its controller has not seen yet is progressing."""
    if (item["metadata"].get("deletionTimestamp")) is not None:
        return Judgement(UNAVAILABLE, "being deleted", f"it is being deleted{_finalizers(item)}")
    return _JUDGES[kind](item)


def _finalizers(item: Object) -> str:
    names = item["metadata"].get("finalizers") or []
    return f" and waits for {', '.join(names)}" if names else ""


def _unseen(item: Object) -> bool:
    seen = (item.get("status") or {}).get("observedGeneration", 0)
    return bool(seen < item["metadata"].get("generation", 0))


def _judge_deployment(item: Object) -> Judgement:
    spec, status = item["spec"], item.get("status") or {}
    wanted = spec.get("replicas", 1)
    available, updated = status.get("availableReplicas", 0), status.get("updatedReplicas", 0)
    measured = f"{available} of {wanted} available"
    if _unseen(item):
        return Judgement(PROGRESSING, measured, "its controller has not seen the newest change yet")
    for kind, reason in (("Progressing", "ProgressDeadlineExceeded"), ("ReplicaFailure", None)):
        found = condition(item, kind)
        bad = found.get("status") == ("False" if reason else "True")
        if bad and (reason is None or found.get("reason") == reason):
            return Judgement(STUCK, measured, _words(found))
    if wanted == 0 and not status.get("replicas"):
        return Judgement(STOPPED, measured, "it is scaled to 0")
    if updated >= wanted and available >= wanted and status.get("replicas", 0) <= updated:
        return Judgement(READY, measured)
    old = max(0, status.get("replicas", 0) - updated)
    rest = f"{updated} of {wanted} updated, {old} old ones left" if old or updated < wanted else "not all are available"
    if spec.get("paused") and updated < wanted:
        rest = f"its rollout is paused: {rest}"
    serving = condition(item, "Available").get("status") == "True"
    return Judgement(PROGRESSING if serving else UNAVAILABLE, measured, rest)


def _judge_stateful_set(item: Object) -> Judgement:
    spec, status = item["spec"], item.get("status") or {}
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    available = status.get("availableReplicas", ready)
    measured = f"{available} of {wanted} available"
    if _unseen(item):
        return Judgement(PROGRESSING, measured, "its controller has not seen the newest change yet")
    if wanted == 0 and not status.get("replicas"):
        return Judgement(STOPPED, measured, "it is scaled to 0")
    if available < wanted:
        return Judgement(UNAVAILABLE, measured, f"{ready} of {wanted} ready")
    if status.get("replicas", 0) > wanted:
        return Judgement(PROGRESSING, measured, f"{status['replicas'] - wanted} too many are not gone yet")
    strategy = spec.get("updateStrategy") or {}
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    to_update = max(0, wanted - partition)
    if status.get("updateRevision") != status.get("currentRevision") and status.get("updatedReplicas", 0) < to_update:
        how = "somebody has to delete the old pods (OnDelete)" if strategy.get("type") == "OnDelete" else "rolling out"
        return Judgement(PROGRESSING, measured, f"{status.get('updatedReplicas', 0)} of {to_update} updated, {how}")
    return Judgement(READY, measured)


def _judge_daemon_set(item: Object) -> Judgement:
    spec, status = item["spec"], item.get("status") or {}
    wanted, available = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
    measured = f"{available} of {wanted} nodes available"
    if _unseen(item):
        return Judgement(PROGRESSING, measured, "its controller has not seen the newest change yet")
    if available < wanted:
        return Judgement(UNAVAILABLE, measured, f"{status.get('numberReady', 0)} of {wanted} ready")
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
    updated = status.get("updatedNumberScheduled", 0)
    if updated < wanted and not on_delete:
        return Judgement(PROGRESSING, measured, f"{updated} of {wanted} updated")
    if wanted == 0:
        return Judgement(STOPPED, measured, "no node is meant to run it")
    return Judgement(READY, measured)


def _judge_replica_set(item: Object) -> Judgement:
    status = item.get("status") or {}
    wanted, available = item["spec"].get("replicas", 1), status.get("availableReplicas", 0)
    measured = f"{available} of {wanted} available"
    if _unseen(item):
        return Judgement(PROGRESSING, measured, "its controller has not seen the newest change yet")
    failure = condition(item, "ReplicaFailure")
    if failure.get("status") == "True":
        return Judgement(STUCK, measured, _words(failure))
    if wanted == 0 and not status.get("replicas"):
        return Judgement(STOPPED, measured, "it is scaled to 0")
    if available < wanted:
        return Judgement(UNAVAILABLE, measured, f"{status.get('readyReplicas', 0)} of {wanted} ready")
    return Judgement(READY, measured)


def _judge_job(item: Object) -> Judgement:
    status = item.get("status") or {}
    succeeded, active = status.get("succeeded", 0), status.get("active", 0)
    measured = f"{succeeded} succeeded, {active} active, {status.get('failed', 0)} failed"
    failed = condition(item, "Failed")
    if failed.get("status") == "True":
        return Judgement(STUCK, measured, _words(failed))
    if condition(item, "Complete").get("status") == "True":
        return Judgement(READY, measured)
    if condition(item, "Suspended").get("status") == "True" or item["spec"].get("suspend"):
        return Judgement(STOPPED, measured, "it is suspended")
    return Judgement(PROGRESSING, measured, "it is running" if active else "no pod of it runs yet")


def _judge_cron_job(item: Object) -> Judgement:
    status = item.get("status") or {}
    active = len(status.get("active") or [])
    measured = f"{active} active, last scheduled {status.get('lastScheduleTime') or 'never'}"
    if item["spec"].get("suspend"):
        return Judgement(STOPPED, measured, "it is suspended")
    return Judgement(READY, measured)


def _words(found: Object) -> str:
    reason, message = str(found.get("reason") or ""), str(found.get("message") or "")
    return f"{reason}: {message}"[:400] if message else reason or "its controller does not say why"


_JUDGES: dict[str, t.Callable[[Object], Judgement]] = {
    "Deployment": _judge_deployment,
    "StatefulSet": _judge_stateful_set,
    "DaemonSet": _judge_daemon_set,
    "ReplicaSet": _judge_replica_set,
    "Job": _judge_job,
    "CronJob": _judge_cron_job,
}
