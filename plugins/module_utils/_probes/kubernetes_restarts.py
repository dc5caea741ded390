# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_restarts kind: containers that were restarted too often, the last time not long ago.

The API keeps the number of all restarts of a container and the time of the last alone. So what is counted is restarts
since the pod was made, of containers whose last one lies within the window.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import restarts_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, integer
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


class RestartsCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._maximum: int = options["maximum"]
        self._window: float = options["window"]
        self.expected = (
            f"no container with more than {counted(self._maximum, 'restart')},"
            f" the last within {format_duration(self._window)}"
        )
        self.hint = self.kubectl("get pods")

    def look(self) -> Reading:
        pods = [pod for pod in self._list("/api/v1", "pods") if not self._ignored(pod)]
        now = self._api.cluster.now()
        findings = []
        total = most = 0
        for pod in pods:
            for restarts in restarts_of(pod):
                total, most = total + restarts.count, max(most, restarts.count)
                ago = None if restarts.last_end is None else (now - restarts.last_end).total_seconds()
                if restarts.count <= self._maximum or (ago is not None and ago > self._window):
                    continue
                when = "at a time that is not known" if ago is None else f"{format_duration(max(ago, 0.0))} ago"
                words = (
                    f"container {restarts.container} was restarted {restarts.count} times, last {when}: {restarts.why}"
                )
                findings.append(Finding("failed", named(pod), words))
        measured = (
            f"{counted(total, 'restart')} of the containers of {counted(len(pods), 'pod')}, at most {most} of one"
        )
        return self.sum_up(measured, findings, pods=len(pods), restarts=total, most=most)


KUBERNETES_RESTARTS = Kind(
    name="kubernetes_restarts",
    options={
        **SCOPE,
        "maximum": Option(integer(0, 1000000), default=3),
        "window": Option(parse_duration, default=3600.0),
    },
    prepare=RestartsCheck,
    target=scope_of,
)
