# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus knows: alerts that fire, targets that are down, rules that cannot be evaluated."""

from __future__ import annotations

import json
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.access import server_of
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import Server
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_ERROR_LIMIT = 64 << 10
_SHOWN = 10


class Prometheus:
    """One server.

    :arg options: all of :data:`PROMETHEUS_OPTIONS`.
    """

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._options = options
        self._url = str(options["url"]).rstrip("/")
        try:
            Server(self._url)
        except InvalidInput as error:
            parts = urllib.parse.urlsplit(self._url)
            raise InvalidInput(
                "the address of Prometheus is not usable",
                expected="http:// or https:// with a host, and no credentials in it",
                found=f"{parts.scheme}://{parts.hostname or ''}",
                next_command="correct diagnostics_prometheus in the inventory",
            ) from error

    def collectors(self) -> list[Collector]:
        """What can be asked of it."""
        return [
            Collector("prometheus_alerts", "alerts that fire, rules that fail", self._alerts),
            Collector("prometheus_targets", "targets that are down", self._targets),
        ]

    def _alerts(self, desk: Desk) -> None:
        alerts = self._ask(desk, "/api/v1/alerts").get("alerts") or []
        desk.document("alerts", alerts)
        firing = [alert for alert in alerts if alert.get("state") == "firing"]
        rank = {"critical": 0, "warning": 1}
        firing.sort(key=lambda alert: (rank.get(_label(alert, "severity"), 2), str(alert.get("activeAt"))))
        for alert in firing[:_SHOWN]:
            words = (alert.get("annotations") or {}).get("summary") or _label(alert, "instance")
            severity = "failure" if _label(alert, "severity") == "critical" else "warning"
            desk.finding(severity, f"alert {_label(alert, 'alertname')} fires since {alert.get('activeAt')}: {words}")
        if len(firing) > _SHOWN:
            desk.finding("warning", f"{len(firing) - _SHOWN} more alerts fire")
        groups = self._ask(desk, "/api/v1/rules").get("groups") or []
        broken = [rule for group in groups for rule in group.get("rules") or [] if rule.get("health") == "err"]
        desk.document("rules_that_fail", broken)
        if broken:
            names = ", ".join(str(rule.get("name")) for rule in broken[:5])
            desk.finding("warning", f"{counted(len(broken), 'rule')} of Prometheus cannot be evaluated: {names}")

    def _targets(self, desk: Desk) -> None:
        targets = self._ask(desk, "/api/v1/targets?state=active").get("activeTargets") or []
        rows = [
            (
                target.get("scrapePool"),
                target.get("scrapeUrl"),
                target.get("health"),
                target.get("lastScrape"),
                target.get("lastError"),
            )
            for target in targets
        ]
        rows.sort(key=lambda row: row[2] == "up")
        desk.table("targets", ("job", "address", "health", "last seen", "error"), rows)
        down = [row for row in rows if row[2] == "down"]
        for row in down[:_SHOWN]:
            desk.finding("failure", f"target {row[1]} of job {row[0]} is down: {row[4]}")
        if len(down) > _SHOWN:
            desk.finding("failure", f"{len(down) - _SHOWN} more targets are down")

    def _ask(self, desk: Desk, path: str) -> dict[str, t.Any]:
        # What it says of a part only is of use here, where nothing is computed from it.
        wait_s = min(parse_duration(self._options["timeout"]), desk.left_s)
        server = server_of({**self._options, "timeout": wait_s})
        status, body = server.fetch(path)
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if status != 200 or not isinstance(document, dict) or document.get("status") != "success":
            raise EngineError(
                f"no answer of Prometheus at {self._url}",
                expected="the answer of its HTTP API",
                found=f"status {status}: {_shortened(desk, body[:_ERROR_LIMIT], 500)}",
                next_command=server.command(path),
            )
        return t.cast("dict[str, t.Any]", document.get("data") or {})


def _shortened(desk: Desk, content: bytes, length: int) -> str:
    """Masked while it is whole: half a secret is not known as one."""
    return desk.masker.text(content.decode("utf-8", "replace"))[:length]


def _label(alert: t.Mapping[str, t.Any], name: str) -> str:
    return str((alert.get("labels") or {}).get(name) or "")
