# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Systems with a health endpoint: where it is, and what it says when all is well."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Preset:
    """:ivar path: appended to the URL. :ivar body_matches: a regular expression. :ivar json: values by their paths."""

    path: str = ""
    status: tuple[int, ...] = (200,)
    body_matches: str | None = None
    json: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)


_READY = Preset("/ready", body_matches=r"^ready\s*$")
_VAULT = {"initialized": True, "sealed": False}
#: Green or yellow: it serves; the kind elasticsearch knows more.
_SERVES = Preset("/_cluster/health", body_matches=r'"status"\s*:\s*"(green|yellow)"', json={"timed_out": False})
PRESETS: dict[str, Preset] = {
    "alertmanager": Preset("/-/ready", body_matches=r"^OK\s*$"),
    "argocd": Preset("/healthz?full=true", body_matches=r"^ok\s*$"),
    "blackbox_exporter": Preset("/-/healthy", body_matches=r"^Healthy\s*$"),
    "clickhouse": Preset("/ping", body_matches=r"^Ok\.\s*$"),
    # Without a leader it is an empty text.
    "consul": Preset("/v1/status/leader", body_matches=r'^"[^"]+:\d+"\s*$'),
    "coredns": Preset("/ready", body_matches=r"^OK\s*$"),
    "couchdb": Preset("/_up", json={"status": "ok"}),
    "elasticsearch": _SERVES,
    "envoy": Preset("/ready", body_matches=r"^LIVE\s*$"),
    "etcd": Preset("/health", json={"health": "true"}),
    "gitea": Preset("/api/healthz", json={"status": "pass"}),
    "gitlab": Preset("/-/readiness", json={"status": "ok"}),
    "grafana": Preset("/api/health", json={"database": "ok"}),
    "harbor": Preset("/api/v2.0/health", json={"status": "healthy"}),
    "influxdb": Preset("/health", json={"status": "pass"}),
    # The first is what versions before 2 say on their admin port, where every path is the same.
    "jaeger": Preset("/status", body_matches=r'"status"\s*:\s*"(Server available|StatusOK)"'),
    "keycloak": Preset("/health/ready", json={"status": "UP"}),
    "kibana": Preset("/api/status", json={"status.overall.level": "available"}),
    "loki": _READY,
    "mimir": _READY,
    "minio": Preset("/minio/health/cluster"),
    "nats": Preset("/healthz", json={"status": "ok"}),
    "nginx": Preset("/stub_status", body_matches=r"^Active connections: \d+"),
    "openbao": Preset("/v1/sys/health?standbyok=true", json=_VAULT),
    "opensearch": _SERVES,
    "opentelemetry_collector": Preset("/", body_matches=r'"status"\s*:\s*"(Server available|StatusOK)"'),
    "patroni": Preset("/health", json={"state": "running"}),
    "prometheus": Preset("/-/ready", body_matches=r"^Prometheus Server is Ready\."),
    "pushgateway": Preset("/-/ready", body_matches=r"^OK\s*$"),
    "rabbitmq": Preset("/api/health/checks/local-alarms", json={"status": "ok"}),
    "sonarqube": Preset("/api/system/status", json={"status": "UP"}),
    "spring_boot": Preset("/actuator/health", json={"status": "UP"}),
    "tempo": _READY,
    "thanos": Preset("/-/ready"),
    "traefik": Preset("/ping", body_matches=r"^OK\s*$"),
    "vault": Preset("/v1/sys/health?standbyok=true&perfstandbyok=true", json=_VAULT),
    "victoriametrics": Preset("/health", body_matches=r"^OK\s*$"),
}
