# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a namespace holds that somebody put there."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import discover
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden, NotFound
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.ownership import is_marker, left_to
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster


def content_found(cluster: Cluster, namespace: str | None, limit: int = 100) -> list[str]:
    """The objects of a namespace that are content, as ``Deployment web``. A whole cluster always has some."""
    if namespace is None:
        return [f"the cluster at {cluster.place}"]
    found: list[str] = []
    for kind in discover(cluster).kinds:
        if not kind.namespaced:
            continue
        try:
            for item in list_path(cluster, kind.path(namespace)):
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.kind)
                if left_to(item) is None and not is_marker(item):
                    found.append(f"{kind.kind} {item['metadata']['name']}")
                if len(found) >= limit:
                    return found
        except Forbidden:
            # What may not be seen may be content.
            found.append(f"{kind.label}, which this identity may not list")
        except NotFound:
            continue
    return found
