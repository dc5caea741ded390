# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_ingresses kind: every ingress leads to services and ports that exist and have ready endpoints."""

from __future__ import annotations

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
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes_services import ready_endpoints
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class IngressesCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self.expected = "ingresses whose backends exist and have ready endpoints"
        self.hint = self.kubectl("describe ingresses")

    def look(self) -> Reading:
        items = [item for item in self._list("/apis/networking.k8s.io/v1", "ingresses") if not self._ignored(item)]
        services = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one
            for one in self._list("/api/v1", "services", selected=False)
        }
        ready = ready_endpoints(self._list("/apis/discovery.k8s.io/v1", "endpointslices", selected=False))
        findings = []
        routes = 0
        for item in items:
            for where, backend in backends(item):
                routes += 1
                service = services.get((item["metadata"]["namespace"], backend["name"]))
                words = wrong_with(backend, service, ready)
                if words:
                    findings.append(Finding("failed", named(item), f"{where}: {words}"))
        measured = f"{routes - len(findings)} of {counted(routes, 'route')} of {counted(len(items), 'ingress', 'ingresses')} lead somewhere"
        return self.sum_up(measured, findings, ingresses=len(items), routes=routes)


def backends(ingress: Object) -> t.Iterator[tuple[str, Object]]:
    """Each route in words and the service that it names. A backend that is another resource is its controller's matter."""
    spec = ingress["spec"]
    default = (spec.get("defaultBackend") or {}).get("service")
    if default:
        yield "by default", default
    for rule in spec.get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            service = path["backend"].get("service")
            if service:
                yield f"{rule.get('host') or '*'}{path.get('path') or '/'}", service


def wrong_with(backend: Object, service: Object | None, ready: t.Mapping[tuple[str, str], int]) -> str:
    """Why a backend leads nowhere; empty when it does not."""
    name = backend["name"]
    if service is None:
        return f"there is no service {name}"
    if service["spec"].get("type") == "ExternalName":
        return ""
    port = backend.get("port") or {}
    known = service["spec"].get("ports") or []
    if not any(
        one.get("port") == port.get("number") or ("name" in port and one.get("name") == port["name"]) for one in known
    ):
        listed = ", ".join(str(one.get("name") or one["port"]) for one in known)
        return f"service {name} has no port {port.get('name') or port.get('number')}, only {listed or 'none'}"
    if not ready.get((service["metadata"]["namespace"], name)):
        return f"service {name} has no ready endpoint"
    return ""


KUBERNETES_INGRESSES = Kind(name="kubernetes_ingresses", options=dict(SCOPE), prepare=IngressesCheck, target=scope_of)
