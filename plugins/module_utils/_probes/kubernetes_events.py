# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubernetes_events kind: recent warnings, grouped by reason and kind of object, and counted."""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration, parse_time
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
    scope_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


@dataclasses.dataclass
class Group:
    """Warnings of one reason about one kind of object. ``example``: the newest of them."""

    reason: str
    kind: str
    count: int = 0
    objects: set[str] = dataclasses.field(default_factory=set)
    last: datetime.datetime | None = None
    example: str = ""


class EventsCheck(KubernetesCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__({**options, "ignore": ()}, session)
        self._window: float = options["window"]
        self._maximum: int = options["maximum"]
        self._fail_above: int | None = options["fail_above"]
        self._ignored_reasons: tuple[str, ...] = options["ignore"]
        self.expected = f"at most {counted(self._maximum, 'warning')} in the last {format_duration(self._window)}"
        self.hint = self.kubectl("get events --field-selector=type=Warning --sort-by=.lastTimestamp")

    def look(self) -> Reading:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.paging import list_path

        middle = f"/namespaces/{self._namespace}" if self._namespace else ""
        items = list(list_path(self._api.cluster, f"/api/v1{middle}/events", {"fieldSelector": "type=Warning"}))
        groups = grouped(items, self._api.cluster.now(), self._window, self._ignored_reasons)
        total = sum(group.count for group in groups)
        measured = f"{counted(total, 'warning')} of {counted(len(groups), 'sort')}"
        findings = []
        if total > self._maximum:
            outcome = "failed" if self._fail_above is not None and total > self._fail_above else "warning"
            for group in groups:
                words = f"{group.count} times about {counted(len(group.objects), 'object')}, such as {group.example}"
                findings.append(Finding(outcome, f"{group.reason} ({group.kind})", words))
        return self.sum_up(measured, findings, warnings=total, reasons={group.reason: group.count for group in groups})


def grouped(
    items: t.Iterable[Object], now: datetime.datetime, window_s: float, ignored: t.Sequence[str] = ()
) -> list[Group]:
    """The groups of the events that happened within the window, the most frequent first."""
    groups: dict[tuple[str, str], Group] = {}
    for item in items:
        series = item.get("series") or {}
        at = series.get("lastObservedTime") or item.get("lastTimestamp") or item.get("eventTime")
        at = parse_time(at or item["metadata"]["creationTimestamp"])
        reason = str(item.get("reason") or "unknown")
        if (now - at).total_seconds() > window_s or any(fnmatch.fnmatchcase(reason, pattern) for pattern in ignored):
            continue
        about = item.get("involvedObject") or {}
        kind = str(about.get("kind") or "object")
        group = groups.setdefault((reason, kind), Group(reason, kind))
        group.count += int(series.get("count") or item.get("count") or 1)
        thing = f"{about['namespace']}/{about.get('name')}" if about.get("namespace") else str(about.get("name"))
        group.objects.add(thing)
        if group.last is None or at >= group.last:
            message = " ".join(str(item.get("message") or "").split())
            group.last, group.example = at, f"{thing}: {message}"[:300]
    return sorted(groups.values(), key=lambda group: -group.count)


KUBERNETES_EVENTS = Kind(
    name="kubernetes_events",
    options={
        **CONNECTION,
        "namespace": Option(text),
        "ignore": Option(names, default=()),
        "window": Option(parse_duration, default=3600.0),
        "maximum": Option(integer(0, 1000000000), default=0),
        "fail_above": Option(integer(0, 1000000000)),
    },
    prepare=EventsCheck,
    target=scope_of,
)
