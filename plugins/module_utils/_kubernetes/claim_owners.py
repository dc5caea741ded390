# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Objects that claims go with: deleting the one, the cluster deletes the other, and its data."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster


def owners_of_claims(cluster: Cluster, namespace: str | None) -> set[str]:
    """The uids of those that own claims, and of those that own a StatefulSet that does: an operator's resources.

    :arg namespace: None for all.
    """
    place = f"namespaces/{quoted(namespace)}/" if namespace else ""
    found = set(_owners(cluster, f"/api/v1/{place}persistentvolumeclaims", None))
    return found | set(_owners(cluster, f"/apis/apps/v1/{place}statefulsets", found)) if found else found


def takes_claims_along(cluster: Cluster, namespace: str | None, item: t.Mapping[str, t.Any]) -> bool:
    """Whether the cluster deletes claims with this live object; as far as can be known, where nobody may see claims."""
    if deletes_claims(item):
        return True
    with contextlib.suppress(Forbidden):
        return item["metadata"]["uid"] in owners_of_claims(cluster, namespace)
    return False


def deletes_claims(item: t.Mapping[str, t.Any]) -> bool:
    """Whether it is a StatefulSet that takes its claims along; it may not own them yet."""
    spec = item.get("spec") or {}
    policy = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    return (
        item.get("kind") == "StatefulSet" and policy.get("whenDeleted") == "Delete" and "volumeClaimTemplates" in spec
    )


def _owners(cluster: Cluster, path: str, of: t.Container[str] | None) -> t.Iterator[str]:
    for item in list_path(cluster, path):
        if of is None or item["metadata"].get("uid") in of:
            yield from (str(owner.get("uid")) for owner in item["metadata"].get("ownerReferences") or [])
