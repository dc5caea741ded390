# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_logs kind: how many recent lines of containers' logs speak of errors.

Lines are counted and never shown: logs hold what should not stand in a report. Whoever may ``get pods/log`` reads every
log of the namespace, which is why nothing implies this kind unless the inventory asks for it.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pods import container_statuses, restarts_of
from ansible_collections.sre.runbooks.plugins.module_utils._log_lines import OF_ERRORS, matching
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    integer,
    pattern,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, with_hints
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

#: Of one container. The API cuts off the newest lines where bytes are limited, so fewer lines are asked for then.
_LINES = 5000
_BYTES = 4 << 20


class LogsCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._pattern: re.Pattern[str] = options["pattern"] or re.compile(OF_ERRORS)
        self._window: float = options["window"]
        self._maximum: int = options["maximum"]
        self._fail_above: int | None = options["fail_above"]
        self._most: int = options["containers"]
        self.expected = (
            f"at most {counted(self._maximum, 'line')} of errors in the last {format_duration(self._window)}"
        )
        self.hint = self.kubectl("get pods")

    def _kubectl_logs(self, pod: Object, container: str) -> str:
        metadata = pod["metadata"]
        words = f"logs {shlex.quote(metadata['name'])} --container={container} --since={max(1, round(self._window))}s"
        return f"{self.kubectl(words, metadata['namespace'])} | grep -P {shlex.quote(self._pattern.pattern)}"

    def look(self) -> Reading:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import (
            ApiFailure,
            Forbidden,
            NotFound,
        )

        pods = [pod for pod in self._list("/api/v1", "pods") if not self._ignored(pod)]
        # Those in trouble first: not every log of a large namespace is read.
        pods.sort(key=lambda pod: (-sum(one.count for one in restarts_of(pod)), named(pod)))
        containers = [(pod, container) for pod in pods for container in _started(pod)]
        counts: dict[str, int] = {}
        findings: list[Finding] = []
        silent: list[Finding] = []
        read = whole = 0
        for pod, container in containers[: self._most]:
            try:
                text, complete = self._recent(pod, container)
            except NotFound:
                continue  # the pod went while others were read
            except Forbidden:
                words = "what they say is not known: this identity may not get pods/log"
                return self.sum_up("nothing", [Finding("unknown", "logs", words)], containers=len(containers))
            except ApiFailure as error:
                words = f"its log cannot be read: {error.found or error.message}"
                silent.append(Finding("unknown", f"{named(pod)}/{container}", words))
                continue
            read, whole = read + 1, whole + complete
            found = matching(text, self._pattern)
            if found:
                thing = f"{named(pod)}/{container}"
                counts[thing] = found
                words = f"{'' if complete else 'at least '}{counted(found, 'line')} of errors"
                findings.append(Finding("warning", thing, words, self._kubectl_logs(pod, container)))
        total = sum(counts.values())
        measured = f"{counted(total, 'line')} of errors in the logs of {counted(read, 'container')}"
        if len(containers) > self._most:
            measured += f" of {len(containers)}"
        if total <= self._maximum:
            findings = []
        elif self._fail_above is not None and total > self._fail_above:
            findings = [Finding("failed", one.thing, one.words, one.hint) for one in findings]
        findings = sorted(findings, key=lambda one: -counts[one.thing]) + silent
        values = {"containers": len(containers), "read": read, "whole": whole, "lines": total, "lines_of": counts}
        return with_hints(self.sum_up(measured, findings, **values), findings, self._options["hint"])

    def _recent(self, pod: Object, container: str) -> tuple[str, bool]:
        """The end of what it said within the window, and whether that is all of it."""
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_logs import read_end

        window = max(1, round(self._window))
        body, lines = read_end(self._api.cluster, pod, container, _LINES, _BYTES, sinceSeconds=window)
        return body.decode("utf-8", "replace"), len(body) < _BYTES and body.count(b"\n") < lines


def _started(pod: Object) -> list[str]:
    """The containers that have a log."""
    return [entry["name"] for entry in container_statuses(pod) if "waiting" not in (entry.get("state") or {})]


KUBERNETES_LOGS = Kind(
    name="kubernetes_logs",
    options={
        **SCOPE,
        "pattern": Option(pattern),
        "window": Option(parse_duration, default=900.0),
        "maximum": Option(integer(0, 1000000000), default=0),
        "fail_above": Option(integer(0, 1000000000)),
        "containers": Option(integer(1, 10000), default=50),
    },
    prepare=LogsCheck,
    target=scope_of,
)
