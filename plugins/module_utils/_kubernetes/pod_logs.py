# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of containers' logs, as an API server gives them."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted

Object = t.Mapping[str, t.Any]


def read_end(
    cluster: Cluster, pod: Object, container: str, lines: int, limit: int, **more: str | int | bool
) -> tuple[bytes, int]:
    """The last lines, and how many were asked for in the end; ``limit`` bytes are the beginning of a line that is longer.

    The API cuts off the newest where the limit is reached, so fewer lines are asked for then.

    :arg more: further parameters of the API.
    """
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{quoted(metadata['namespace'])}/pods/{quoted(metadata['name'])}/log"
    while True:
        query = {"container": container, "tailLines": lines, "limitBytes": limit, **more}
        body = cluster.request("GET", path, query, accept="*/*").body
        if len(body) < limit or lines == 1:
            return body, lines
        lines = max(1, lines // 4)
