# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_autoscalers kind: HorizontalPodAutoscalers that work and have room above them."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import condition
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


class AutoscalersCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self.expected = "autoscalers that can measure and are below their maximum"
        self.hint = self.kubectl("get horizontalpodautoscalers")

    def look(self) -> Reading:
        items = [
            item for item in self._list("/apis/autoscaling/v2", "horizontalpodautoscalers") if not self._ignored(item)
        ]
        findings = [finding for finding in map(judge, items) if finding is not None]
        measured = f"{len(items) - len(findings)} of {counted(len(items), 'autoscaler')} in order"
        return self.sum_up(measured, findings, autoscalers=len(items))


def judge(item: Object) -> Finding | None:
    """What there is to say about one autoscaler."""
    spec, status = item["spec"], item.get("status") or {}
    wanted, limit = status.get("desiredReplicas", 0), spec["maxReplicas"]
    thing = named(item)
    for kind in ("AbleToScale", "ScalingActive"):
        found = condition(item, kind)
        # One whose target is scaled to 0 rests on purpose.
        if found.get("status") == "False" and found.get("reason") != "ScalingDisabled":
            return Finding("failed", thing, f"cannot scale: {found.get('reason')}: {found.get('message')}"[:400])
    if spec.get("minReplicas", 1) == limit:
        return None
    limited = condition(item, "ScalingLimited")
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        return Finding("warning", thing, f"wants more than its maximum of {limit}")
    if wanted >= limit:
        return Finding("warning", thing, f"is at its maximum of {limit}")
    return None


KUBERNETES_AUTOSCALERS = Kind(
    name="kubernetes_autoscalers", options=dict(SCOPE), prepare=AutoscalersCheck, target=scope_of
)
