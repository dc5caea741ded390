# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists by their path, in chunks: for questions about the present, which need no consistent moment."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster

_CHUNK = 500
_ATTEMPTS = 3


def list_path(
    cluster: Cluster, path: str, query: t.Mapping[str, str | None] | None = None
) -> t.Iterator[dict[str, t.Any]]:
    """The objects of the collection at ``path``, one chunk in memory. Begins again when the list expired under way."""
    attempt = 0
    seen: set[str] = set()
    token: str | None = None
    while True:
        try:
            document = cluster.get(path, {**(query or {}), "limit": _CHUNK, "continue": token})
        except ApiFailure as error:
            attempt += 1
            if error.status != 410 or token is None or attempt == _ATTEMPTS:
                raise
            token = None
            continue
        for item in document.get("items") or []:
            key = f"{item['metadata'].get('namespace', '')}/{item['metadata'].get('name', '')}"
            if key not in seen:
                seen.add(key)
                yield item
        token = (document.get("metadata") or {}).get("continue") or None
        if token is None:
            return
