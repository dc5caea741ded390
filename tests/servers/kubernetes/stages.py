# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How pods and nodes of a test cluster live: what kwok, who plays the kubelet, does with them.

A pod behaves as its label ``test.sre.runbooks/behaves`` says, else as the last part of its first container's image does
(``test/crash-loop:1``), else it becomes ready at once; a pod of a Job completes at once.
"""

from __future__ import annotations

import typing as t

#: Runs and is never ready. Runs and is ready only after START_DELAY. Ends and is restarted again and again. Waits for an
#: image that cannot be pulled. Ends in failure and stays so. Keeps running although a Job made it.
Behaviour = t.Literal["never-ready", "slow-start", "crash-loop", "image-missing", "fails", "long-job"]
BEHAVIOURS: tuple[Behaviour, ...] = t.get_args(Behaviour)
LABEL = "test.sre.runbooks/behaves"
#: An annotation of pods, as Go writes durations: ``500ms``; without it three seconds.
START_DELAY = "test.sre.runbooks/start-delay"

Document = dict[str, t.Any]
_KWOK = "kwok.x-k8s.io/v1alpha1"
_BEHAVES = f'.metadata.labels["{LABEL}"] // (.spec.containers[0].image | split("/")[-1] | split(":")[0])'


def image(behaviour: Behaviour) -> str:
    return f"test/{behaviour}:1"


def stages() -> list[Document]:
    """The documents of kwok's configuration."""
    ready = _container("ready: true", "running: {startedAt: {{ $now | Quote }}}")
    not_ready = _container("ready: false", "running: {startedAt: {{ $now | Quote }}}")
    back_off = {"type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container"}
    no_image = {"type": "Warning", "reason": "Failed", "message": "Error: ImagePullBackOff"}
    special = [behaviour for behaviour in BEHAVIOURS if behaviour != "long-job"]
    slow = {"durationMilliseconds": 3000, "durationFrom": {"expressionFrom": f'.metadata.annotations["{START_DELAY}"]'}}
    of_job = _in(".metadata.ownerReferences.[].kind", "Job")
    first, running = _in(".status.phase", "Pending"), _in(".status.phase", "Running")
    return [
        _stage("Node", "node-ready", [_in(_READY, "True", operator="NotIn")], _NODE),
        _pod("ready", [first, _in(_BEHAVES, *special, operator="NotIn")], _status("Running", "True", ready)),
        _pod("never-ready", [first, _in(_BEHAVES, "never-ready")], _status("Running", "False", not_ready)),
        _pod("slow-start", [first, _in(_BEHAVES, "slow-start")], _status("Running", "False", not_ready)),
        _pod("slow-start-ready", [running, _in(_BEHAVES, "slow-start"), _in(_READY, "True", operator="NotIn")],
             _status("Running", "True", ready), delay=slow),
        _pod("image-missing", [first, _in(_BEHAVES, "image-missing"), _in(".status.containerStatuses")],
             _status("Pending", "False", _container("ready: false", _WAITING % "ImagePullBackOff")), event=no_image),
        _pod("crash", [first, _in(_BEHAVES, "crash-loop")], _status("Running", "False", _crashed("1")), event=back_off),
        _pod("crash-again", [running, _in(_BEHAVES, "crash-loop")], _status("Running", "False", _crashed(_ONE_MORE)),
             delay={"durationMilliseconds": 1500}, event=back_off),
        _pod("fails", [first, _in(_BEHAVES, "fails")], _status("Failed", "False", _ended(1, "Error"))),
        _pod("completes", [running, of_job, _in(_BEHAVES, "long-job", operator="NotIn")],
             _status("Succeeded", "False", _ended(0, "Completed"))),
        {**_document("Stage", "pod-deleted"), "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            # kwok deletes by name. What has no grace left the server removes itself, and a pod may have the name again.
            "selector": {"matchExpressions": [
                {"key": ".metadata.deletionTimestamp", "operator": "Exists"},
                _in(".metadata.deletionGracePeriodSeconds | tostring", "0", operator="NotIn"),
            ]},
            "next": {"delete": True},
        }},
    ]  # fmt: skip


def _document(kind: str, name: str) -> Document:
    return {"apiVersion": _KWOK, "kind": kind, "metadata": {"name": name}}


def _stage(kind: str, name: str, selector: list[Document], status: str, **spec: t.Any) -> Document:
    following: Document = {"statusTemplate": status}
    if "event" in spec:
        following["event"] = spec.pop("event")
    reference = {"apiGroup": "v1", "kind": kind}
    given = {"resourceRef": reference, "selector": {"matchExpressions": selector}, "next": following}
    return {**_document("Stage", name), "spec": {**given, **spec}}


def _pod(name: str, selector: list[Document], status: str, **spec: t.Any) -> Document:
    alive = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    return _stage("Pod", f"pod-{name}", [alive, *selector], status, **spec)


def _in(key: str, *values: str, operator: str = "In") -> Document:
    """A condition: ``key`` is one of the values; without values, it is not there."""
    return (
        {"key": key, "operator": operator, "values": list(values)}
        if values
        else {"key": key, "operator": "DoesNotExist"}
    )


_READY = '.status.conditions.[] | select(.type == "Ready") | .status'
_WAITING = "waiting: {reason: %s}"
_ONE_MORE = "{{ add1 (index $root.status.containerStatuses $index).restartCount }}"


def _container(facts: str, state: str) -> str:
    return f"  restartCount: 0\n  {facts}\n  state:\n    {state}\n"


def _crashed(restarts: str) -> str:
    return (
        f"  restartCount: {restarts}\n  ready: false\n  state:\n    {_WAITING % 'CrashLoopBackOff'}\n  lastState:\n"
        "    terminated: {exitCode: 1, reason: Error, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}\n"
    )


def _ended(code: int, reason: str) -> str:
    moments = "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}"
    return _container("ready: false", f"terminated: {{exitCode: {code}, reason: {reason}, {moments}}}")


def _status(phase: str, ready: str, container: str) -> str:
    """A pod's status; ``container`` is what every container's status says beside its name."""
    reason = ", reason: ContainersNotReady" if ready == "False" else ""
    moment = "lastTransitionTime: {{ $now | Quote }}"
    return (
        "{{ $now := Now }}{{ $root := . }}\n"
        "conditions:\n"
        f"- {{type: PodReadyToStartContainers, status: 'True', {moment}}}\n"
        f"- {{type: Initialized, status: 'True', {moment}}}\n"
        f"- {{type: Ready, status: '{ready}', {moment}{reason}}}\n"
        f"- {{type: ContainersReady, status: '{ready}', {moment}{reason}}}\n"
        "containerStatuses:\n"
        "{{ range $index, $item := .spec.containers }}\n"
        "- name: {{ $item.name | Quote }}\n"
        "  image: {{ $item.image | Quote }}\n"
        f"{container}"
        "{{ end }}\n"
        "{{ with .spec.initContainers }}\n"
        "initContainerStatuses:\n"
        "{{ range . }}\n"
        "- name: {{ .name | Quote }}\n"
        "  image: {{ .image | Quote }}\n"
        "  ready: true\n"
        "  restartCount: 0\n"
        "  state:\n"
        "    terminated: {exitCode: 0, reason: Completed, finishedAt: {{ $now | Quote }}}\n"
        "{{ end }}\n"
        "{{ end }}\n"
        "hostIP: {{ NodeIPWith .spec.nodeName | Quote }}\n"
        "{{ if not .status.podIP }}\n"  # each call gives another one
        "{{ with PodIPWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace }}\n"
        "podIP: {{ . | Quote }}\n"
        "podIPs:\n"
        "- ip: {{ . | Quote }}\n"
        "{{ end }}\n"
        "{{ end }}\n"
        f"phase: {phase}\n"
        "startTime: {{ or .status.startTime $now | Quote }}\n"
    )


_NODE = """{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
{{ end }}
addresses:
- type: InternalIP
  address: {{ NodeIP | Quote }}
- type: Hostname
  address: {{ NodeName | Quote }}
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ NodePort }}
allocatable: {cpu: "32", memory: 256Gi, pods: "20000"}
capacity: {cpu: "32", memory: 256Gi, pods: "20000"}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: {{ printf "kwok-%s" Version | Quote }}
  kernelVersion: ""
  kubeProxyVersion: ""
  kubeletVersion: {{ printf "kwok-%s" Version | Quote }}
  machineID: ""
  operatingSystem: linux
  osImage: ""
  systemUUID: ""
phase: Running
"""
