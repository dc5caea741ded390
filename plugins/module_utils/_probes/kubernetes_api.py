# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_api kind: whether the API server says of itself that it is ready."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import (
    CONNECTION,
    KubernetesCheck,
    scope_of,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class ApiCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._limit: float | None = options["latency_limit"]
        self.expected = "an API server that is ready"
        if self._limit is not None:
            self.expected += f" and answers within {format_duration(self._limit)}"
        self.hint = self.kubectl("get --raw '/readyz?verbose'")

    def look(self) -> Reading:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Unreachable

        cluster = self._api.cluster
        started = time.perf_counter()
        try:
            cluster.request("GET", "/readyz")
        except Unreachable as error:
            words = f"HTTP {error.status}" if error.status else "no answer"
            return self.reading("failed", words, f"{cluster.place} is not ready: {error.found or error.message}")
        latency = time.perf_counter() - started
        version = cluster.version().get("gitVersion", "of no known version")
        measured = f"ready, {version}, {latency * 1000:.0f} ms"
        values = {"version": version, "latency_s": round(latency, 6)}
        if self._limit is not None and latency > self._limit:
            return self.reading("failed", measured, "it answers too slowly", **values)
        return self.reading("ok", measured, "as expected", **values)


KUBERNETES_API = Kind(
    name="kubernetes_api",
    options={**CONNECTION, "latency_limit": Option(parse_duration)},
    prepare=ApiCheck,
    target=scope_of,
)
