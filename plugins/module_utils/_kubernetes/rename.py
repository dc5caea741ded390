# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects of one namespace rewritten so that they stand in another one, refer to themselves there, and reach nobody else.

For drills: what is live must not notice. What is changed beyond names is in the docstrings of the functions, and every
change is a pure function of the object, so that the rewritten form is what the restored one is compared with.
"""

from __future__ import annotations

import copy
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import fields, order

Object = dict[str, t.Any]

#: No controller serves these names, so that nothing acts on what names them.
NO_CLASS = "sre-runbooks-drill"
NO_HOST = "drill.invalid"
#: No node has this label.
NO_NODE = {"sre-runbooks/drill": "never"}
#: Kinds below whose pod template sits ``spec.template``.
_TEMPLATED = ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet")
_SERVICE_FIELDS = (
    "allocateLoadBalancerNodePorts",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
)
_INGRESS_CLASS = "kubernetes.io/ingress.class"
#: Annotations by which controllers act outside of the cluster: records in DNS, certificates that are ordered.
_ACTED_ON = (
    "external-dns.alpha.kubernetes.io/",
    "external-dns.kubernetes.io/",
    "cert-manager.io/",
    "acme.cert-manager.io/",
    "kubernetes.io/tls-acme",
)


def why_left_out(item: t.Mapping[str, t.Any], namespaced: bool) -> str | None:
    """Why an object has no place in a drill; None for one that has."""
    kind = item["kind"]
    if not namespaced and kind != "Namespace":
        return "it belongs to the whole cluster, which a drill shares with what is live"
    if kind == "Pod" and _touches_node(item.get("spec") or {}):
        return "its pod uses the node's own files or network"
    return None


def renamed(item: t.Mapping[str, t.Any], old: str, new: str) -> Object:
    """A copy of ``item`` that lives in ``new`` and refers to ``new`` wherever it referred to ``old``.

    Rewritten are fields named ``namespace`` and lists named ``namespaces``, wherever they are; names of services such as
    ``db.<old>.svc`` in any text; and users such as ``system:serviceaccount:<old>:<name>``. The values of Secrets are
    left alone, because they are encoded.
    """
    fresh = t.cast(Object, _Rename(old, new).value(copy.deepcopy(dict(item))))
    if fresh["kind"] == "Namespace":
        fresh["metadata"]["name"] = new
        labels = fresh["metadata"].get("labels") or {}
        if "kubernetes.io/metadata.name" in labels:
            labels["kubernetes.io/metadata.name"] = new
    else:
        fresh["metadata"]["namespace"] = new
    return fresh


class _Rename:
    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new
        name = re.escape(old)
        self._service = re.compile(rf"(?<=[a-z0-9])\.{name}\.svc(?![a-z0-9-])")
        self._account = re.compile(rf"\bsystem:(serviceaccounts?):{name}(?![a-z0-9-])")

    def value(self, value: t.Any, key: str = "") -> t.Any:
        if isinstance(value, dict):
            return {name: self.value(below, name) for name, below in value.items()}
        if isinstance(value, list):
            named = key == "namespaces"
            return [self._new if named and item == self._old else self.value(item) for item in value]
        if isinstance(value, str):
            if key == "namespace" and value == self._old:
                return self._new
            text = self._service.sub(f".{self._new}.svc", value)
            return self._account.sub(rf"system:\1:{self._new}", text)
        return value


def harmless(item: t.Mapping[str, t.Any], keep_replicas: bool = False) -> Object:
    """A copy of ``item`` that takes nothing from, and does nothing to, what is live.

    - Services get no port of a node, no address outside and no load balancer.
    - Ingresses name a class and hosts that nobody serves.
    - Nothing asks for records in DNS, nor for certificates.
    - Claims are not bound to a recorded volume, nor to one that lies ready: new ones are provisioned, or none.
    - CronJobs and Jobs are suspended.
    - Workloads whose pods use the node's files or network run nowhere; with ``keep_replicas`` false, none runs: what
      they are told by Secrets, or by names such as ``db.<old>``, is not rewritten and may lead to what is live.
    - Finalizers and owners are left out: what they name is not in the drill, and would keep it from being removed.
    """
    fresh = copy.deepcopy(dict(item))
    metadata = fresh["metadata"]
    metadata.pop("finalizers", None)
    (metadata.get("annotations") or {}).pop(fields.OWNERS, None)
    _without_calls(metadata)
    change = _HARMLESS.get(fresh["kind"]) if not order.is_custom(_group(fresh)) else None
    spec = fresh.get("spec")
    if change is not None and isinstance(spec, dict):
        change(fresh, spec)
    if isinstance(spec, dict) and fresh["kind"] in _TEMPLATED:
        template = spec.get("template") or {}
        _without_calls(template.get("metadata") or {})
        pod = template.get("spec") or {}
        if not keep_replicas or _touches_node(pod):
            _run_nowhere(fresh["kind"], spec, pod)
    elif isinstance(spec, dict) and fresh["kind"] == "Pod" and not keep_replicas:
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **NO_NODE}
    return fresh


def _without_calls(metadata: Object) -> None:
    annotations = metadata.get("annotations") or {}
    for name in [name for name in annotations if name.startswith(_ACTED_ON)]:
        del annotations[name]


def _group(item: t.Mapping[str, t.Any]) -> str:
    group, slash, _version = str(item["apiVersion"]).partition("/")
    return group if slash else ""


def _touches_node(pod: t.Mapping[str, t.Any]) -> bool:
    if pod.get("hostNetwork") or pod.get("hostPID") or pod.get("hostIPC"):
        return True
    containers = [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]
    ports = any(port.get("hostPort") for container in containers for port in container.get("ports") or [])
    return ports or any("hostPath" in volume for volume in pod.get("volumes") or [])


def _run_nowhere(kind: str, spec: Object, pod: Object) -> None:
    if kind == "DaemonSet":
        pod["nodeSelector"] = {**(pod.get("nodeSelector") or {}), **NO_NODE}
    elif kind != "Job":  # suspended already
        spec["replicas"] = 0


def _service(item: Object, spec: Object) -> None:
    if spec.get("type") in ("LoadBalancer", "NodePort"):
        spec["type"] = "ClusterIP"
        # Session affinity and the like stay; these only make sense outside.
    for name in _SERVICE_FIELDS:
        spec.pop(name, None)
    for port in spec.get("ports") or []:
        port.pop("nodePort", None)
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)


def _ingress(item: Object, spec: Object) -> None:
    spec["ingressClassName"] = NO_CLASS
    (item["metadata"].get("annotations") or {}).pop(_INGRESS_CLASS, None)
    for rule in spec.get("rules") or []:
        if rule.get("host"):
            rule["host"] = _no_host(rule["host"])
    for entry in spec.get("tls") or []:
        if entry.get("hosts"):
            entry["hosts"] = [_no_host(host) for host in entry["hosts"]]


def _no_host(host: str) -> str:
    # A name has at most 253 characters; its beginning tells which it was.
    return f"{host[: 252 - len(NO_HOST)].rstrip('.-')}.{NO_HOST}"


def _claim(item: Object, spec: Object) -> None:
    spec.pop("volumeName", None)
    if not spec.get("storageClassName") or spec.get("selector"):
        spec["storageClassName"] = NO_CLASS
        spec.pop("selector", None)


def _stateful_set(item: Object, spec: Object) -> None:
    for template in spec.get("volumeClaimTemplates") or []:
        if isinstance(template.get("spec"), dict):
            _claim(template, template["spec"])


def _suspend(item: Object, spec: Object) -> None:
    spec["suspend"] = True


def _pod(item: Object, spec: Object) -> None:
    spec.pop("nodeName", None)


_HARMLESS: dict[str, t.Callable[[Object, Object], None]] = {
    "CronJob": _suspend,
    "Ingress": _ingress,
    "Job": _suspend,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "Service": _service,
    "StatefulSet": _stateful_set,
}
