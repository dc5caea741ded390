# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_workloads kind: Deployments, StatefulSets, DaemonSets and Jobs are available, and settled."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.stopping import holders
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import (
    PROGRESSING,
    READY,
    STOPPED,
    WORKLOADS,
    controller_of,
    judge_workload,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, integer
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


class WorkloadsCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._minimum: int = options["minimum"]
        self.expected = f"at least {counted(self._minimum, 'workload')}, each available and settled"
        self.hint = self.kubectl("get deployments,statefulsets,daemonsets,jobs")

    def look(self) -> Reading:
        found: list[tuple[str, Object]] = []
        for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"):
            items = self._list(*WORKLOADS[kind])
            kept = newest_jobs(items) if kind == "Job" else [one for one in items if controller_of(one) is None]
            found += [(kind, item) for item in kept if not self._ignored(item)]
        findings = [finding for kind, item in found for finding in judge(kind, item)]
        states = collections.Counter(judge_workload(kind, item).state for kind, item in found)
        measured = f"{states[READY]} of {counted(len(found), 'workload')} available and settled"
        values = {"workloads": len(found), "states": dict(states)}
        if len(found) < self._minimum:
            # Nothing that was looked at shows nothing.
            missing = Finding("failed", "the scope", f"it has {counted(len(found), 'workload')}, not {self._minimum}")
            findings.insert(0, missing)
        return self.sum_up(measured, findings, **values)


def judge(kind: str, item: Object) -> list[Finding]:
    """What there is to say about one workload."""
    held = holders(item)
    if held:
        words = f"it is still stopped for {', '.join(held)}; the restore that stopped it has to be finished"
        return [Finding("failed", named(item, kind), words)]
    found = judge_workload(kind, item)
    if found.state in (READY, STOPPED) or (kind == "Job" and found.state == PROGRESSING):
        return []
    outcome = "warning" if found.state == PROGRESSING else "failed"
    return [Finding(outcome, named(item, kind), f"{found.measured}, {found.reason}")]


def newest_jobs(items: t.Sequence[Object]) -> list[Object]:
    """Jobs of nobody, and of each CronJob the newest: that an earlier one failed is history."""
    newest: dict[str, Object] = {}
    alone = []
    for item in items:
        owner = controller_of(item)
        if owner is None:
            alone.append(item)
            continue
        known = newest.get(owner["uid"])
        if known is None or item["metadata"]["creationTimestamp"] >= known["metadata"]["creationTimestamp"]:
            newest[owner["uid"]] = item
    return alone + list(newest.values())


KUBERNETES_WORKLOADS = Kind(
    name="kubernetes_workloads",
    options={**SCOPE, "minimum": Option(integer(0, 1000000), default=1)},
    prepare=WorkloadsCheck,
    target=scope_of,
)
