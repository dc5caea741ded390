# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is recorded and left to others: whoever made it makes it again, and two of them would fight over one made by us."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.managed import entries_of, made_by_server
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.marker import NAME as MARKER
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import HELPER_LABEL
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_snapshots import POINT_LABEL

#: (group, kind) → whose they are, whatever they say.
_ALWAYS = {
    ("", "Event"): "the past",
    ("events.k8s.io", "Event"): "the past",
    ("coordination.k8s.io", "Lease"): "whoever holds it",
    ("coordination.k8s.io", "LeaseCandidate"): "whoever holds it",
    ("", "Node"): "its kubelet",
    ("storage.k8s.io", "CSINode"): "its kubelet",
    ("storage.k8s.io", "CSIStorageCapacity"): "its storage driver",
    ("storage.k8s.io", "VolumeAttachment"): "the attach/detach controller",
    ("resource.k8s.io", "ResourceSlice"): "its resource driver",
    ("certificates.k8s.io", "CertificateSigningRequest"): "whoever asks again",
    ("internal.apiserver.k8s.io", "StorageVersion"): "kube-apiserver",
    ("networking.k8s.io", "IPAddress"): "kube-apiserver",
}
_MANAGED_BY = {
    ("discovery.k8s.io", "EndpointSlice"): "endpointslice.kubernetes.io/managed-by",
    ("", "Endpoints"): "endpoints.kubernetes.io/managed-by",
    ("apiregistration.k8s.io", "APIService"): "kube-aggregator.kubernetes.io/automanaged",
}
#: Data, which comes back before its owner does, or never.
_DATA = {("", "PersistentVolumeClaim"), ("", "PersistentVolume")}
_ROOTS = ("kube-root-ca.crt", "openshift-service-ca.crt")


def is_marker(obj: t.Mapping[str, t.Any]) -> bool:
    """Whether it says which environment this is: part of the place, never of its content."""
    return obj.get("kind") == "ConfigMap" and (obj.get("metadata") or {}).get("name") == MARKER


def controller_of(obj: t.Mapping[str, t.Any]) -> str | None:
    """``ReplicaSet/web-5d``: the owner that controls it; None when nobody does."""
    for owner in (obj.get("metadata") or {}).get("ownerReferences") or []:
        if isinstance(owner, dict) and owner.get("controller"):
            return f"{owner.get('kind')}/{owner.get('name')}"
    return None


def left_to(obj: t.Mapping[str, t.Any]) -> str | None:
    """To whom a live object is left: a restore must neither bring it back, nor miss it, nor take it for a stranger.

    None for content.
    """
    key = (str(obj.get("apiVersion") or "").rpartition("/")[0], str(obj.get("kind")))
    metadata = obj.get("metadata") or {}
    if key in _ALWAYS:
        return _ALWAYS[key]
    if metadata.get("deletionTimestamp"):
        return "its deletion, which had begun"
    if key not in _DATA:
        owner = controller_of(obj)
        if owner is not None:
            return owner
    labels = metadata.get("labels") or {}
    if HELPER_LABEL in labels or (POINT_LABEL in labels and key[0] == "snapshot.storage.k8s.io"):
        return "this collection, for its recovery points"
    if key in _MANAGED_BY and labels.get(_MANAGED_BY[key]):
        return str(labels[_MANAGED_BY[key]])
    if _of_the_server(key, metadata):
        return "kube-apiserver"
    if _finished(key, obj.get("status") or {}):
        return "nobody: it has finished"
    if key in _DATA or (key == ("", "Namespace") and not _first_namespace(metadata)):
        return None
    return _bare_account(key, obj) or made_by_server(obj)


def _first_namespace(metadata: t.Mapping[str, t.Any]) -> bool:
    return metadata.get("name") in ("default", "kube-system", "kube-public", "kube-node-lease")


def _of_the_server(key: tuple[str, str], metadata: t.Mapping[str, t.Any]) -> bool:
    """What every API server makes at its start, and keeps as it should be."""
    annotations = metadata.get("annotations") or {}
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if key[0] == "rbac.authorization.k8s.io":
        bootstrap = (metadata.get("labels") or {}).get("kubernetes.io/bootstrapping") == "rbac-defaults"
        return bootstrap and annotations.get("rbac.authorization.kubernetes.io/autoupdate") == "true"
    if key[0] == "flowcontrol.apiserver.k8s.io":
        return annotations.get("apf.kubernetes.io/autoupdate-spec") == "true"
    if key == ("", "ConfigMap"):
        return name in _ROOTS or (name == "extension-apiserver-authentication" and namespace == "kube-system")
    if key == ("networking.k8s.io", "ServiceCIDR"):
        return name == "kubernetes"
    if key in (("", "Service"), ("", "Endpoints")):
        return name == "kubernetes" and namespace == "default"
    return key == ("scheduling.k8s.io", "PriorityClass") and str(name).startswith("system-")


def _finished(key: tuple[str, str], status: t.Mapping[str, t.Any]) -> bool:
    """What has run to its end would run once more."""
    if key == ("batch", "Job"):
        return any(
            condition.get("type") in ("Complete", "Failed") and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        )
    return key == ("", "Pod") and status.get("phase") in ("Succeeded", "Failed")


def _bare_account(key: tuple[str, str], obj: t.Mapping[str, t.Any]) -> str | None:
    """The service account that every namespace gets, as long as nobody gave it anything."""
    metadata = obj.get("metadata") or {}
    if key != ("", "ServiceAccount") or metadata.get("name") != "default" or entries_of(obj):
        return None
    given = any(obj.get(name) for name in ("imagePullSecrets", "secrets"))
    return None if given or metadata.get("annotations") or metadata.get("labels") else "kube-controller-manager"
