# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Prometheus knows: alerts that fire, targets that are down, rules that cannot be evaluated."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import typing as t
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_ANSWER_LIMIT = 32 << 20
_LONGEST_WAIT_S = 30.0
_ERROR_LIMIT = 64 << 10
_SHOWN = 10


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A credential goes to the server that it is meant for and to no other."""

    def redirect_request(self, *_given: t.Any) -> None:
        """Take the redirect for the answer."""
        return


class Prometheus:
    """One server.

    :arg options: ``url``, and where it asks for them ``user`` and ``password`` or ``password_file``, or
        ``bearer_token_file``; ``ca_cert``, ``validate_certs``.
    """

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._options = options
        self._url = str(options["url"]).rstrip("/")
        parts = urllib.parse.urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise InvalidInput(
                "the address of Prometheus is not usable",
                expected="http:// or https:// with a host, and no credentials in it",
                found=f"{parts.scheme}://{parts.hostname or ''}",
                next_command="correct diagnostics_prometheus in the inventory",
            )

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
        request = urllib.request.Request(self._url + path, headers=self._headers())  # noqa: S310 (its scheme was looked at)
        context = ssl.create_default_context(cafile=self._options.get("ca_cert") or None)
        if self._options.get("validate_certs") is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        opener = urllib.request.build_opener(_StayHere, urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=min(_LONGEST_WAIT_S, desk.left_s)) as response:
                body = response.read(_ANSWER_LIMIT + 1)
        except urllib.error.HTTPError as error:
            with error:
                said = f"status {error.code}: {_shortened(desk, error.read(_ERROR_LIMIT), 500)}"
            raise self._failure(said) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(str(getattr(error, "reason", error) or type(error).__name__)) from None
        try:
            document = json.loads(body) if len(body) <= _ANSWER_LIMIT else None
        except ValueError:
            document = None
        if not isinstance(document, dict) or document.get("status") != "success":
            raise self._failure(_shortened(desk, body[:_ERROR_LIMIT], 200))
        return t.cast("dict[str, t.Any]", document.get("data") or {})

    def _headers(self) -> dict[str, str]:
        options = self._options
        if options.get("bearer_token_file"):
            return {"Authorization": f"Bearer {_first_line(options['bearer_token_file'])}"}
        if options.get("user"):
            password = options.get("password")
            if password is None and options.get("password_file"):
                password = _first_line(options["password_file"])
            pair = f"{options['user']}:{password or ''}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        return {}

    def _failure(self, found: str) -> EngineError:
        return EngineError(
            f"no answer of Prometheus at {self._url}",
            expected="the answer of its HTTP API",
            found=found,
            next_command=f"curl {self._url}/-/ready",
        )


def _shortened(desk: Desk, content: bytes, length: int) -> str:
    """Masked while it is whole: half a secret is not known as one."""
    return desk.masker.text(content.decode("utf-8", "replace"))[:length]


def _label(alert: t.Mapping[str, t.Any], name: str) -> str:
    return str((alert.get("labels") or {}).get(name) or "")


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline(65536).strip()
