# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody meant an object to be: without what the server sets itself and will set anew.

Most of that is known from ``managedFields``. The tables below hold what those do not tell: fields that the server fills in
without putting its name to them. They only apply where nobody else has set the field.
"""

from __future__ import annotations

import copy
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.managed import Ownership

#: Where owners are noted, by name: their uids are others after a restore, and an object with an unknown owner is collected.
OWNERS = "sre.runbooks/owners"
_METADATA = (
    *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    *("selfLink", "managedFields", "ownerReferences"),
)
#: Finalizers that the control plane puts there, and takes away, by itself.
_FINALIZERS = frozenset(
    (
        "kubernetes.io/pvc-protection",
        "kubernetes.io/pv-protection",
        "kubernetes",
        "foregroundDeletion",
        "orphan",
        "service.kubernetes.io/load-balancer-cleanup",
        "batch.kubernetes.io/job-tracking",
        "customresourcecleanup.apiextensions.k8s.io",
        "external-provisioner.volume.kubernetes.io/finalizer",
        "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection",
        "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection",
    )
)
_ANNOTATIONS = frozenset(
    (
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
        "pv.kubernetes.io/bind-completed",
        "pv.kubernetes.io/bound-by-controller",
        "volume.kubernetes.io/storage-provisioner",
        "volume.beta.kubernetes.io/storage-provisioner",
        "volume.kubernetes.io/selected-node",
        "volume.kubernetes.io/storage-resizer",
        "batch.kubernetes.io/job-tracking",
        "kubernetes.io/service-account.uid",
        "endpoints.kubernetes.io/last-change-trigger-time",
        "control-plane.alpha.kubernetes.io/leader",
        "sre.runbooks/restored-from",  # ours, of a claim that came from a snapshot
    )
)
_LABELS = frozenset(
    (
        "kubernetes.io/metadata.name",
        "kubernetes.io/legacy-token-last-used",
        "service.kubernetes.io/headless",
    )
)
#: Content although a controller made it, as a StatefulSet's does claims: not everything that it set is set again.
_MADE_FOR_US = frozenset((("", "PersistentVolumeClaim"), ("", "PersistentVolume")))
_JOB_LABELS = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
_TOKEN_VOLUME = "kube-api-access-"
_TOKEN_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def desired(obj: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A new object that has what was meant and nothing else; the same for the same object however often it is asked.

    Owners are noted by name in the annotation :data:`OWNERS`.
    """
    ownership = Ownership(obj)
    kept = copy.deepcopy(dict(obj))
    if (_group(obj), str(obj.get("kind"))) not in _MADE_FOR_US:
        kept = ownership.without_server_fields(kept)
    for name in ("apiVersion", "kind"):
        kept[name] = obj.get(name)
    kept["metadata"] = _metadata(obj, kept.get("metadata") or {})
    if not ownership.meant(("status",)):
        kept.pop("status", None)  # unless it is plain data: a custom resource without a status of its own
    rule = _RULES.get((_group(obj), str(obj.get("kind"))))
    if rule is not None:
        rule(kept, obj, ownership)
    _without_null_times(kept)
    return kept


def recorded(obj: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The object as it is, for the record only: without the bookkeeping of who set what."""
    kept = dict(obj)
    kept["metadata"] = {name: value for name, value in (obj.get("metadata") or {}).items() if name != "managedFields"}
    return kept


def canonical(obj: t.Mapping[str, t.Any]) -> bytes:
    """The object in the one notation that is stored and hashed: a line of JSON with sorted keys."""
    return json.dumps(obj, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def owners_of(obj: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Its owners, as a live object or :func:`desired` tells them, without their uids."""
    metadata = obj.get("metadata") or {}
    noted = (metadata.get("annotations") or {}).get(OWNERS)
    if not metadata.get("ownerReferences") and isinstance(noted, str):
        try:
            found = json.loads(noted)
        except ValueError:
            return []
        return [owner for owner in found if isinstance(owner, dict)] if isinstance(found, list) else []
    return [
        {name: value for name, value in owner.items() if name != "uid"}
        for owner in metadata.get("ownerReferences") or []
        if isinstance(owner, dict)
    ]


def _group(obj: t.Mapping[str, t.Any]) -> str:
    version = str(obj.get("apiVersion") or "")
    return version.rpartition("/")[0]


def _metadata(obj: t.Mapping[str, t.Any], kept: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    before = obj.get("metadata") or {}
    metadata = {name: value for name, value in kept.items() if name not in _METADATA}
    for name in ("name", "namespace"):
        if before.get(name):
            metadata[name] = before[name]
    annotations = {
        name: value for name, value in (metadata.pop("annotations", None) or {}).items() if name not in _ANNOTATIONS
    }
    owners = owners_of(obj)
    if owners:
        annotations[OWNERS] = json.dumps(owners, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    labels = {name: value for name, value in (metadata.pop("labels", None) or {}).items() if name not in _LABELS}
    finalizers = [name for name in metadata.pop("finalizers", None) or [] if name not in _FINALIZERS]
    for name, content in (("annotations", annotations), ("labels", labels), ("finalizers", finalizers)):
        if content:
            metadata[name] = content
    return metadata


def _without_null_times(value: t.Any) -> None:
    """``creationTimestamp: null`` in templates is how Go writes a time that nobody set."""
    if isinstance(value, dict):
        if "creationTimestamp" in value and value["creationTimestamp"] is None:
            del value["creationTimestamp"]
        for item in value.values():
            _without_null_times(item)
    elif isinstance(value, list):
        for item in value:
            _without_null_times(item)


Rule = t.Callable[[dict[str, t.Any], t.Mapping[str, t.Any], Ownership], None]


def _unless_meant(kept: dict[str, t.Any], ownership: Ownership, *names: str) -> None:
    """Remove those fields of ``spec`` that nobody asked for."""
    spec = kept.get("spec")
    for name in names:
        if isinstance(spec, dict) and not ownership.meant(("spec", name)):
            spec.pop(name, None)


def _service(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    spec = kept.get("spec") or {}
    if spec.get("clusterIP") != "None":  # headless is meant, whoever wrote it
        _unless_meant(kept, ownership, "clusterIP", "clusterIPs")
    elif not ownership.meant(("spec", "clusterIPs")):
        spec.pop("clusterIPs", None)
    _unless_meant(kept, ownership, "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy")
    for port in spec.get("ports") or []:
        if isinstance(port, dict) and not _node_port_meant(port, ownership):
            port.pop("nodePort", None)


def _node_port_meant(port: t.Mapping[str, t.Any], ownership: Ownership) -> bool:
    keys = {"port": port.get("port"), "protocol": port.get("protocol", "TCP")}
    return ownership.meant_of_item(("spec", "ports"), keys, "nodePort")


def _claim(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    """What a claim was made from is its past, and perhaps gone; what it holds is taken with the volumes."""
    _unless_meant(kept, ownership, "volumeName")
    for name in ("dataSource", "dataSourceRef"):
        (kept.get("spec") or {}).pop(name, None)


def _volume(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    """The volume stays reserved for the claim of that name, whoever bound it: unreserved, any claim could take its data."""
    reference = (obj.get("spec") or {}).get("claimRef")
    if isinstance(reference, dict):
        kept.setdefault("spec", {})["claimRef"] = {
            name: reference[name] for name in ("apiVersion", "kind", "namespace", "name") if name in reference
        }


def _job(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    spec = kept.get("spec") or {}
    if spec.get("manualSelector"):
        return
    spec.pop("selector", None)
    template = (spec.get("template") or {}).get("metadata")
    for metadata in (template, kept["metadata"]):
        if not isinstance(metadata, dict):
            continue
        labels = {
            name: value for name, value in (metadata.pop("labels", None) or {}).items() if name not in _JOB_LABELS
        }
        if labels:
            metadata["labels"] = labels


def _secret(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    """A service account's token is valid for the account's uid only; the server writes another into the empty Secret."""
    if obj.get("type") != "kubernetes.io/service-account-token":
        return
    data = {
        name: value
        for name, value in (kept.get("data") or {}).items()
        if name not in ("token", "ca.crt", "namespace") or ownership.meant(("data", name))
    }
    kept.pop("data", None)
    if data:
        kept["data"] = data


def _service_account(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    if not ownership.meant(("secrets",)):
        kept.pop("secrets", None)


def _namespace(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    spec = kept.get("spec")
    if isinstance(spec, dict):
        finalizers = [name for name in spec.get("finalizers") or [] if name not in _FINALIZERS]
        spec.pop("finalizers", None)
        if finalizers:
            spec["finalizers"] = finalizers
        if not spec:
            del kept["spec"]


def _pod(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    _unless_meant(kept, ownership, "nodeName", "priority")
    spec = kept.get("spec") or {}
    volumes = [
        volume
        for volume in spec.get("volumes") or []
        if not str(volume.get("name", "")).startswith(_TOKEN_VOLUME) or "projected" not in volume
    ]
    spec.pop("volumes", None)
    if volumes:
        spec["volumes"] = volumes
    for group in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(group) or []:
            mounts = [
                mount
                for mount in container.get("volumeMounts") or []
                if not str(mount.get("name", "")).startswith(_TOKEN_VOLUME) or mount.get("mountPath") != _TOKEN_MOUNT
            ]
            container.pop("volumeMounts", None)
            if mounts:
                container["volumeMounts"] = mounts
    spec.pop("ephemeralContainers", None)  # somebody debugged it; an API server takes them through a subresource only


def _stateful_set(kept: dict[str, t.Any], obj: t.Mapping[str, t.Any], ownership: Ownership) -> None:
    for claim in (kept.get("spec") or {}).get("volumeClaimTemplates") or []:
        if isinstance(claim, dict):
            claim.pop("status", None)


#: (group, kind) → what ``managedFields`` do not tell about it.
_RULES: dict[tuple[str, str], Rule] = {
    ("", "Service"): _service,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "PersistentVolume"): _volume,
    ("batch", "Job"): _job,
    ("", "Secret"): _secret,
    ("", "ServiceAccount"): _service_account,
    ("", "Namespace"): _namespace,
    ("", "Pod"): _pod,
    ("apps", "StatefulSet"): _stateful_set,
}
