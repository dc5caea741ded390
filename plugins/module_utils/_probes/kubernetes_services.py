# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_services kind: every service has an endpoint that is ready."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import (
    SCOPE,
    KubernetesCheck,
    Object,
    named,
    scope_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_SERVICE = "kubernetes.io/service-name"


class ServicesCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self.expected = "services with at least one ready endpoint each"
        self.hint = self.kubectl("get services,endpointslices")

    def look(self) -> Reading:
        services = [item for item in self._list("/api/v1", "services") if not self._ignored(item)]
        # Slices carry the labels of their service, but only by convention.
        ready = ready_endpoints(self._list("/apis/discovery.k8s.io/v1", "endpointslices", selected=False))
        findings = []
        looked = 0
        for item in services:
            if item["spec"].get("type") == "ExternalName":
                continue
            looked += 1
            count = ready[item["metadata"]["namespace"], item["metadata"]["name"]]
            if not count:
                findings.append(Finding("failed", named(item), f"no ready endpoint; {_chooses(item)}"))
        measured = f"{looked - len(findings)} of {counted(looked, 'service')} with ready endpoints"
        return self.sum_up(measured, findings, services=looked)


def ready_endpoints(slices: t.Iterable[Object]) -> collections.Counter[tuple[str, str]]:
    """How many a service has, by namespace and name."""
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for item in slices:
        service = (item["metadata"].get("labels") or {}).get(_SERVICE)
        if service is None:
            continue
        for endpoint in item.get("endpoints") or []:
            # Not said means ready.
            if (endpoint.get("conditions") or {}).get("ready") is not False:
                found[item["metadata"]["namespace"], service] += 1
    return found


def _chooses(service: Object) -> str:
    selector = service["spec"].get("selector")
    if not selector:
        return "it selects no pods, so somebody else has to list its endpoints"
    return "it selects " + ", ".join(f"{key}={value}" for key, value in selector.items())


KUBERNETES_SERVICES = Kind(name="kubernetes_services", options=dict(SCOPE), prepare=ServicesCheck, target=scope_of)
