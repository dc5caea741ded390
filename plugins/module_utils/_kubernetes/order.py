# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order kinds of objects are brought back: what others need first, what could reject or run others last.

Within one class nothing depends on anything, so its objects are applied side by side.
"""

from __future__ import annotations

#: Group → kinds of it, one class a line; the classes in their order. The core group is the empty string.
_CLASSES: tuple[tuple[str, dict[str, tuple[str, ...]]], ...] = (
    ("definitions", {"apiextensions.k8s.io": ("CustomResourceDefinition",)}),
    ("namespaces", {"": ("Namespace",)}),
    (
        "classes",
        {
            "scheduling.k8s.io": ("PriorityClass",),
            "node.k8s.io": ("RuntimeClass",),
            "storage.k8s.io": ("StorageClass", "CSIDriver", "VolumeAttributesClass"),
            "snapshot.storage.k8s.io": ("VolumeSnapshotClass",),
            "networking.k8s.io": ("IngressClass",),
            "gateway.networking.k8s.io": ("GatewayClass",),
            "flowcontrol.apiserver.k8s.io": ("FlowSchema", "PriorityLevelConfiguration"),
        },
    ),
    ("identities", {"": ("ServiceAccount",)}),
    ("roles", {"rbac.authorization.k8s.io": ("ClusterRole", "Role")}),
    ("role bindings", {"rbac.authorization.k8s.io": ("ClusterRoleBinding", "RoleBinding")}),
    # Before the pods that they give their defaults to; quotas come after what they count.
    ("limits", {"": ("LimitRange",)}),
    ("volumes", {"": ("PersistentVolume",)}),
    ("claims", {"": ("PersistentVolumeClaim",)}),
    ("configuration", {"": ("ConfigMap", "Secret")}),
    (
        "services",
        {
            "": ("Endpoints", "Service"),
            "discovery.k8s.io": ("EndpointSlice",),
            "networking.k8s.io": ("Ingress", "IPAddress", "NetworkPolicy", "ServiceCIDR"),
        },
    ),
    # An operator that starts before its objects are there may clean up what they stand for.
    ("custom resources", {}),
    ("disruption budgets", {"policy": ("PodDisruptionBudget",)}),
    (
        "workloads",
        {
            "": ("Pod", "PodTemplate", "ReplicationController"),
            "apps": ("ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"),
            "batch": ("CronJob", "Job"),
        },
    ),
    ("scaling", {"autoscaling": ("HorizontalPodAutoscaler",)}),
    # A namespace may hold more than its quota allows, when that was lowered afterwards.
    ("quotas", {"": ("ResourceQuota",)}),
    # What these call may be among the workloads, and would reject everything until it runs.
    ("aggregated APIs", {"apiregistration.k8s.io": ("APIService",)}),
    (
        "admission",
        {
            "admissionregistration.k8s.io": (
                "MutatingAdmissionPolicy",
                "MutatingAdmissionPolicyBinding",
                "MutatingWebhookConfiguration",
                "ValidatingAdmissionPolicy",
                "ValidatingAdmissionPolicyBinding",
                "ValidatingWebhookConfiguration",
            )
        },
    ),
)

#: The names of the classes, first to last.
CLASS_NAMES: tuple[str, ...] = tuple(name for name, _groups in _CLASSES)

_RANKS: dict[tuple[str, str], int] = {
    (group, kind): rank
    for rank, (_name, groups) in enumerate(_CLASSES)
    for group, kinds in groups.items()
    for kind in kinds
}
_OTHERS = CLASS_NAMES.index("custom resources")
#: Groups that Kubernetes itself serves and acts on.
_BUILT_IN = frozenset(
    [
        "",
        "apps",
        "autoscaling",
        "batch",
        "extensions",
        "policy",
        "admissionregistration.k8s.io",
        "apiextensions.k8s.io",
        "apiregistration.k8s.io",
        "authentication.k8s.io",
        "authorization.k8s.io",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "internal.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
        "storagemigration.k8s.io",
    ]
)


def rank(group: str, kind: str) -> int:
    """The place of a kind's class, from 0. What is not known here is a custom resource, wherever it comes from."""
    return _RANKS.get((group, kind), _OTHERS)


def class_name(group: str, kind: str) -> str:
    """The class of a kind, for people."""
    return CLASS_NAMES[rank(group, kind)]


def is_custom(group: str) -> bool:
    """Whether somebody else's controller acts on the kinds of that group, perhaps far outside of the cluster."""
    return group not in _BUILT_IN
