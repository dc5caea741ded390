# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the matter with a pod, judged from its object alone: why it is pending, and how often it was restarted."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import condition
from ansible_collections.sre.runbooks.plugins.module_utils._words import shortened

Object = t.Mapping[str, t.Any]

#: What a container waits for when nothing is wrong with it.
_STARTING = frozenset({"ContainerCreating", "PodInitializing", ""})
_LONGEST_MESSAGE = 300


@dataclasses.dataclass(frozen=True)
class Trouble:
    """:ivar reason: as Kubernetes names it, such as "ImagePullBackOff". :ivar message: its own words, cut."""

    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.message else self.reason


@dataclasses.dataclass(frozen=True)
class Restarts:
    """Of one container. The API keeps the sum, and the time of the last end alone.

    :ivar count: since the pod was made.
    :ivar last_end: when it ended last; None when the API no longer knows.
    :ivar why: such as "OOMKilled (exit code 137)".
    """

    container: str
    count: int
    last_end: datetime.datetime | None
    why: str


def container_statuses(pod: Object) -> list[dict[str, t.Any]]:
    """What the pod says of each container that it has or had, those that prepare it first."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def finished(pod: Object) -> bool:
    """Whether no container of it will run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def trouble_of(pod: Object, now: datetime.datetime, grace_s: float) -> Trouble | None:
    """Why a pod does not do its work, or None.

    :arg grace_s: how long a pod may take to be scheduled, to start, to become ready or to go, in seconds. What Kubernetes
        itself calls a failure (an image that cannot be pulled, a container that crashes) gets no such time.
    """
    status = pod.get("status") or {}
    deletion = pod["metadata"].get("deletionTimestamp")
    if deletion is not None:
        # The moment by which it should have gone.
        late = (now - parse_time(deletion)).total_seconds()
        return Trouble("Terminating", _stays(pod, late)) if late > grace_s else None
    if status.get("phase") == "Failed":
        return Trouble(str(status.get("reason") or "Failed"), _cut(status.get("message")))
    if status.get("phase") == "Succeeded":
        return None
    if status.get("phase") == "Unknown":
        return Trouble("Unknown", _cut(status.get("message")) or "its node does not answer")
    bad = _container_trouble(status)
    if bad is not None:
        return bad
    made = pod["metadata"].get("creationTimestamp")
    # What was ready once and is not any more has this time as well, from the moment of the change.
    ready = condition(pod, "Ready")
    since = ready.get("lastTransitionTime") or made
    if ready.get("status") == "True" or since is None or (now - parse_time(since)).total_seconds() <= grace_s:
        return None
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "True" and not pod["spec"].get("nodeName"):
        return Trouble(str(scheduled.get("reason") or "NotScheduled"), _cut(scheduled.get("message")))
    if status.get("phase") == "Pending":
        return Trouble("Pending", _waiting(status) or "its containers do not start")
    if not ready:
        return None
    return Trouble("NotReady", _cut(ready.get("message")) or "a container is not ready")


def restarts_of(pod: Object) -> list[Restarts]:
    """Of every container that was restarted, most often first."""
    status = pod.get("status") or {}
    found = []
    for entry in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if entry.get("restartCount", 0) > 0:
            state = entry.get("state") or {}
            ended = (entry.get("lastState") or {}).get("terminated") or state.get("terminated") or {}
            at = ended.get("finishedAt")
            found.append(Restarts(entry["name"], entry["restartCount"], parse_time(at) if at else None, _ending(ended)))
    return sorted(found, key=lambda entry: -entry.count)


def _container_trouble(status: Object) -> Trouble | None:
    for entry in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (entry.get("state") or {}).get("waiting")
        if waiting is None or str(waiting.get("reason") or "") in _STARTING:
            continue
        message = _cut(waiting.get("message"))
        ended = (entry.get("lastState") or {}).get("terminated")
        if ended:
            message = f"{message}, last ended with {_ending(ended)}" if message else f"last ended with {_ending(ended)}"
        return Trouble(str(waiting["reason"]), f"container {entry['name']}: {message}".rstrip(": "))
    return None


def _ending(ended: Object) -> str:
    if not ended:
        return "no recorded end"
    code = f"exit code {ended['exitCode']}" if "exitCode" in ended else ""
    reason = str(ended.get("reason") or "")
    return f"{reason} ({code})" if reason and code else reason or code or "no recorded end"


def _waiting(status: Object) -> str:
    found = []
    for entry in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        reason = ((entry.get("state") or {}).get("waiting") or {}).get("reason")
        if reason:
            found.append(f"{entry['name']} is at {reason}")
    return ", ".join(found)


def _stays(pod: Object, late_s: float) -> str:
    names = pod["metadata"].get("finalizers") or []
    why = f"waits for {', '.join(names)}" if names else "its node does not confirm the end"
    return f"should have gone {late_s:.0f} s ago; {why}"


def _cut(message: t.Any) -> str:
    line = " ".join(str(message or "").split())
    return shortened(line, _LONGEST_MESSAGE)
