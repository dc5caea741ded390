# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists by their path, in pages: for questions about the present, which need no consistent moment."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.listing import Page, cut_short, page_of

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster

#: Objects of the first page, which most lists end with; one of the largest has 1.5 MiB.
_FIRST_PAGE = 100
_ATTEMPTS = 3


def list_path(
    cluster: Cluster, path: str, query: t.Mapping[str, str | None] | None = None
) -> t.Iterator[dict[str, t.Any]]:
    """The objects of the collection at ``path``, one page in memory. Begins again when the list expired under way."""
    attempt, limit = 0, _FIRST_PAGE
    seen: set[str] = set()
    token: str | None = None
    while True:
        try:
            body = cluster.request("GET", path, {**(query or {}), "limit": limit, "continue": token}).body
        except ApiFailure as error:
            attempt += 1
            if error.status != 410 or token is None or attempt == _ATTEMPTS:
                raise
            token = None
            continue
        length, page = len(body), Page(body)
        del body
        try:
            for item in page:
                key = f"{item['metadata'].get('namespace', '')}/{item['metadata'].get('name', '')}"
                if key not in seen:
                    seen.add(key)
                    yield item
        except ValueError:
            raise cut_short(cluster, "what should be a list", path, length) from None
        token = page.metadata.get("continue") or None
        if token is None:
            return
        limit = page_of(page.count, length)
