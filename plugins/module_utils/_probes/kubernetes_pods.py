# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_pods kind: no pod waits, crashes, is not ready or will not go, with the reason that Kubernetes gives."""

from __future__ import annotations

import collections
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import trouble_of
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.workloads import controller_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kubernetes import (
    SCOPE,
    KubernetesCheck,
    named,
    scope_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class PodsCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._grace: float = options["grace"]
        self.expected = (
            f"no pod that waits or is not ready for more than {format_duration(self._grace)}, and none that fails"
        )
        self.hint = self.kubectl("get pods --output=wide")

    def look(self) -> Reading:
        pods = [pod for pod in self._list("/api/v1", "pods") if not self._ignored(pod)]
        now = self._api.cluster.now()
        findings = []
        reasons: collections.Counter[str] = collections.Counter()
        for pod in pods:
            # What became of a Job is the matter of kubernetes_workloads.
            if (pod.get("status") or {}).get("phase") == "Failed" and (controller_of(pod) or {}).get("kind") == "Job":
                continue
            trouble = trouble_of(pod, now, self._grace)
            if trouble is not None:
                reasons[trouble.reason] += 1
                # An evicted pod was replaced; its remains are only worth a look.
                outcome = "warning" if trouble.reason == "Evicted" else "failed"
                findings.append(Finding(outcome, named(pod), str(trouble)))
        measured = f"{len(pods) - len(findings)} of {counted(len(pods), 'pod')} in order"
        return self.sum_up(measured, findings, pods=len(pods), reasons=dict(reasons))


KUBERNETES_PODS = Kind(
    name="kubernetes_pods",
    options={**SCOPE, "grace": Option(parse_duration, default=120.0)},
    prepare=PodsCheck,
    target=scope_of,
)
