# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_nodes kind: nodes are ready and under no pressure."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import condition
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    integer,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import (
    CONNECTION,
    KubernetesCheck,
    Object,
    named,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class NodesCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._minimum: int = options["minimum"]
        self.expected = f"at least {counted(self._minimum, 'node')}, each ready and under no pressure"
        self.hint = self.kubectl("get nodes --output=wide")

    def look(self) -> Reading:
        nodes = [item for item in self._list("/api/v1", "nodes") if not self._ignored(item)]
        findings = [finding for item in nodes for finding in judge(item)]
        ready = sum(condition(item, "Ready").get("status") == "True" for item in nodes)
        if len(nodes) < self._minimum:
            findings.append(
                Finding("failed", "the cluster", f"it has {counted(len(nodes), 'node')}, not {self._minimum}")
            )
        return self.sum_up(f"{ready} of {counted(len(nodes), 'node')} ready", findings, nodes=len(nodes), ready=ready)


def judge(item: Object) -> list[Finding]:
    """What there is to say about one node."""
    found = []
    for entry in (item.get("status") or {}).get("conditions") or [{"type": "Ready", "status": "Unknown"}]:
        kind, status = entry.get("type"), entry.get("status")
        words = f"{entry.get('reason') or ''}: {entry.get('message') or ''}".strip(": ")[:300]
        if kind == "Ready" and status != "True":
            found.append(Finding("failed", named(item), f"not ready: {words}" if words else "not ready"))
        elif kind != "Ready" and status == "True":
            # Pressure of the usual kinds, and whatever a node problem detector adds: true is never good.
            found.append(Finding("failed", named(item), f"{kind}: {words}" if words else str(kind)))
    if item["spec"].get("unschedulable"):
        found.append(Finding("warning", named(item), "takes no new pods (cordoned)"))
    return found


KUBERNETES_NODES = Kind(
    name="kubernetes_nodes",
    options={
        **CONNECTION,
        "selector": Option(text),
        "ignore": Option(names, default=()),
        "minimum": Option(integer(0, 1000000), default=1),
    },
    prepare=NodesCheck,
    target=lambda options: str(options["context"] or "of the cluster"),
)
