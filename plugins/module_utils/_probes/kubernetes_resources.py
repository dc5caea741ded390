# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_resources kind: what containers use of their limits and requests, where the cluster measures it."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.quantity import parse_quantity
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import in_units, percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import (
    SCOPE,
    KubernetesCheck,
    Object,
    scope_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class ResourcesCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._memory: float = options["memory_percent"]
        self._warning: float = options["warning_percent"]
        self.expected = (
            f"containers that use less than {self._memory:g} % of their memory limit,"
            f" and less than {self._warning:g} % of any limit"
        )
        self.hint = self.kubectl("top pods --containers")

    def look(self) -> Reading:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import NotFound

        try:
            metrics = self._list("/apis/metrics.k8s.io/v1beta1", "pods", selected=False)
        except NotFound:
            return self.reading("unknown", "nothing", "the cluster does not measure: it serves no metrics.k8s.io")
        used = {_key(item): item for item in metrics}
        pods = [item for item in self._list("/api/v1", "pods") if not self._ignored(item)]
        findings: list[Finding] = []
        measured_pods = above = 0
        for pod in pods:
            usage = used.get(_key(pod))
            if usage is None:
                continue
            measured_pods += 1
            above += above_requests(pod, usage)
            findings += judge(pod, usage, self._memory, self._warning)
        running = sum((pod.get("status") or {}).get("phase") == "Running" for pod in pods)
        if running and not measured_pods:
            return self.reading("unknown", "nothing", f"nothing is measured of {counted(running, 'running pod')}")
        measured = f"{counted(measured_pods, 'pod')} measured, {above} use more memory than they requested"
        return self.sum_up(measured, findings, pods=measured_pods, above_requests=above)


def judge(pod: Object, usage: Object, memory_percent: float, warning_percent: float) -> list[Finding]:
    """What there is to say about the containers of one pod against their limits."""
    found = []
    declared = {one["name"]: one for one in pod["spec"]["containers"]}
    for container in usage.get("containers") or []:
        limits = ((declared.get(container["name"]) or {}).get("resources") or {}).get("limits") or {}
        for resource in ("memory", "cpu"):
            if resource not in limits or resource not in (container.get("usage") or {}):
                continue
            limit, now = parse_quantity(limits[resource]), parse_quantity(container["usage"][resource])
            percent = 100.0 * now / limit if limit else 0.0
            if percent < warning_percent:
                continue
            amount = (
                f"{in_units(now)} of {in_units(limit)}" if resource == "memory" else f"{now:.2f} of {limit:.2f} cores"
            )
            thing = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            # At its memory limit a container is killed; at that of the processor it only becomes slow.
            outcome = "failed" if resource == "memory" and percent >= memory_percent else "warning"
            words = f"container {container['name']} uses {percent:.0f} % of its {resource} limit ({amount})"
            found.append(Finding(outcome, thing, words))
    return found


def above_requests(pod: Object, usage: Object) -> bool:
    """Whether it uses more memory than it requested, so that it is among the first to go when its node runs out."""
    wanted = sum(
        parse_quantity((((one.get("resources") or {}).get("requests")) or {}).get("memory", 0))
        for one in pod["spec"]["containers"]
    )
    now = sum(parse_quantity((one.get("usage") or {}).get("memory", 0)) for one in usage.get("containers") or [])
    return now > wanted


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


KUBERNETES_RESOURCES = Kind(
    name="kubernetes_resources",
    options={
        **SCOPE,
        "memory_percent": Option(percentage, default=95.0),
        "warning_percent": Option(percentage, default=80.0),
    },
    prepare=ResourcesCheck,
    target=scope_of,
)
