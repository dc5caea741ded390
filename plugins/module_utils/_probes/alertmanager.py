# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The alertmanager kind: whether it is ready, which alerts fire, and which fired in the last night."""

from __future__ import annotations

import datetime
import json
import math
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    integer,
    names,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.prometheus_access import ACCESS, ServerCheck
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import PrometheusError, Server
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: Seconds between the moments at which the past is looked at.
_STEP_S = 60.0
#: Of the past, so much may be without data: a restart is no night.
_UNKNOWN_PAST = 0.05
_LISTED = 50


class AlertmanagerCheck(ServerCheck):
    silent = "failed"

    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._severities: tuple[str, ...] = options["severities"]
        self._ignore: tuple[str, ...] = options["ignore"]
        self._maximum: int = options["maximum"]
        self._window: float = options["window"]
        self._history: str | None = options["prometheus_url"]
        what = f" of severity {' or '.join(self._severities)}" if self._severities else ""
        self.expected = f"ready, at most {counted(self._maximum, 'alert')}{what} firing"
        if self._history:
            self.expected += f", none in the last {format_duration(self._window)}"
            self.open_at(self._history)
        self.hint = f"amtool alert query --alertmanager.url={self.server.url}"

    def judge(self, server: Server) -> Reading:
        status, body = server.fetch("/-/ready")
        if status != 200:
            said = body[:200].decode("utf-8", "replace").strip()
            return self.reading("failed", f"status {status}", f"not ready: {said}")
        alerts = [alert for alert in _listed(server, "/api/v2/alerts") if self._wanted(alert.get("labels", {}))]
        active = [alert for alert in alerts if _state(alert) == "active"]
        standing = [one for one in _listed(server, "/api/v2/silences") if _state(one) == "active"]
        suppressed = len(alerts) - len(active)
        ages: dict[str, list[float]] = {}
        for alert in active:
            ages.setdefault(str(alert["labels"].get("alertname", "?")), []).append(_age(alert))
        findings = [
            Finding(
                "failed", name, f"firing for {format_duration(max(own))}" + (f", {len(own)} times" * (len(own) > 1))
            )
            for name, own in sorted(ages.items(), key=lambda item: -len(item[1]))
            if len(active) > self._maximum
        ]
        measured = f"ready, {counted(len(active), 'alert')} firing"
        measured += (
            f", {suppressed} suppressed by {counted(len(standing), 'silence')}" if suppressed or standing else ""
        )
        values: dict[str, t.Any] = {
            "firing": {name: len(own) for name, own in sorted(ages.items())[:_LISTED]},
            "suppressed": suppressed,
            "silences": [_silence(one) for one in standing[:_LISTED]],
        }
        if self._history:
            prometheus = self.open_at(self._history)
            past, missing = self._past(prometheus)
            if missing > _UNKNOWN_PAST:
                words = f"Prometheus has no data of {math.ceil(missing * 100)} % of it"
                command = prometheus.command("/api/v1/query", {"query": "count(up)"})
                findings.append(Finding("unknown", "the past", words, command))
            values["fired_s"] = dict(sorted(past.items(), key=lambda item: -item[1])[:_LISTED])
            span = format_duration(self._window)
            measured += f", {counted(len(past), 'alert')} in the last {span}"
            findings += [
                Finding("warning", name, f"fired for {format_duration(seconds)} in the last {span}")
                for name, seconds in values["fired_s"].items()
                if name not in ages
            ]
        return with_hints(sum_up(self, measured, findings, **values), findings, self.own_hint)

    def _past(self, prometheus: Server) -> tuple[dict[str, float], float]:
        """Seconds that each alert fired within the window, as Prometheus recorded it, and the share without data."""
        now, _ = prometheus.time()
        # One moment stands for the step before it.
        start = now - self._window + _STEP_S
        series = prometheus.query_range('ALERTS{alertstate="firing"}', start, now, _STEP_S)
        moments: dict[str, set[float]] = {}
        for one in series:
            if self._wanted(one.labels):
                own = moments.setdefault(one.labels.get("alertname", "?"), set())
                own |= {moment for moment, value in one.points if not math.isnan(value)}
        # Whatever it watches has the series up; while it was down itself, no alert could be recorded.
        watched = prometheus.query_range("count(up)", start, now, _STEP_S)
        there = sum(len(one.points) for one in watched)
        count = math.floor((now - start) / _STEP_S) + 1
        return {name: len(own) * _STEP_S for name, own in moments.items()}, max(0.0, 1 - there / max(1, count))

    def _wanted(self, labels: dict[str, t.Any]) -> bool:
        right = not self._severities or labels.get("severity") in self._severities
        return right and labels.get("alertname") not in self._ignore


def _listed(server: Server, path: str) -> list[dict[str, t.Any]]:
    status, body = server.fetch(path)
    try:
        found = json.loads(body) if status == 200 else None
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        start = body[:120].decode("utf-8", "replace").strip()
        raise PrometheusError(
            "answer",
            f"{server.url}{path} does not answer as Alertmanager does",
            found=f"status {status}: {start}",
            next_command=server.command(path),
        )
    return found


def _state(thing: dict[str, t.Any]) -> str:
    status = thing.get("status")
    return str(status.get("state", "")) if isinstance(status, dict) else ""


def _age(alert: dict[str, t.Any]) -> float:
    try:
        begun = parse_time(str(alert.get("startsAt", "")))
    except InvalidInput:
        return 0.0
    return max(0.0, (_clock.now() - begun) / datetime.timedelta(seconds=1))


def _silence(one: dict[str, t.Any]) -> dict[str, t.Any]:
    matchers = ", ".join(f"{item.get('name')}={item.get('value')}" for item in one.get("matchers", []))
    return {"matchers": matchers, "until": one.get("endsAt"), "by": one.get("createdBy"), "comment": one.get("comment")}


ALERTMANAGER = Kind(
    name="alertmanager",
    options={
        **ACCESS,
        "severities": Option(names, default=()),
        "ignore": Option(names, default=("Watchdog",)),
        "maximum": Option(integer(0, 1_000_000), default=0),
        "prometheus_url": Option(text),
        "window": Option(parse_duration, default=43200.0),
    },
    prepare=AlertmanagerCheck,
    target=lambda options: t.cast(str, options["url"]),
)
