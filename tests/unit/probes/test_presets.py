# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Presets of the http kind against what the systems' own documentation says that they answer, well and ill."""

from __future__ import annotations

import collections.abc
import contextlib
import http.server
import threading

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.presets import PRESETS
from tests.unit.probes.conftest import Ask

_CLUSTER = '{"cluster_name": "c", "status": "%s", "timed_out": false, "number_of_nodes": 3}'
_VAULT = '{"initialized": %s, "sealed": %s, "standby": false, "version": "2.4.0", "cluster_name": "vault-cluster-1"}'
_OK, _UP = '{"status":"ok"}', '{"status":"UP"}'
#: By preset: an answer that is well, and answers that are ill (status, body).
ANSWERS: dict[str, tuple[str, list[tuple[int, str]]]] = {
    "alertmanager": ("OK", [(503, "Service Unavailable")]),
    "argocd": ("ok", [(503, "error: connection refused")]),
    "blackbox_exporter": ("Healthy", [(200, "<html>a proxy's page</html>")]),
    "clickhouse": ("Ok.\n", [(200, "Not ok")]),
    "consul": ('"10.1.10.12:8300"', [(200, '""'), (500, "No cluster leader")]),
    "coredns": ("OK", [(503, "kubernetes")]),
    "couchdb": ('{"status":"ok","seeds":{}}\n', [(404, '{"status":"maintenance_mode"}'), (200, '{"status":"nolb"}')]),
    "elasticsearch": (_CLUSTER % "green", [(200, _CLUSTER % "red"), (408, '{"timed_out": true, "status": "yellow"}')]),
    "envoy": ("LIVE\n", [(503, "PRE_INITIALIZING\n")]),
    "etcd": ('{"health":"true","reason":""}', [(503, '{"health":"false","reason":"NOSPACE"}')]),
    "gitea": ('{"status": "pass", "checks": {}}', [(500, '{"status": "fail"}')]),
    "gitlab": ('{"status":"ok","master_check":[{"status":"ok"}]}', [(503, '{"status":"failed"}')]),
    "grafana": (
        '{\n  "commit": "087143285",\n  "database": "ok",\n  "version": "5.1.3"\n}',
        [(503, '{"database": "failing"}'), (200, "<html>login</html>")],
    ),
    "harbor": ('{"status":"healthy","components":[]}', [(200, '{"status":"unhealthy"}')]),
    "influxdb": ('{"name":"influxdb","status":"pass"}', [(503, '{"status":"fail"}')]),
    "jaeger": ('{"start_time":"2026-01-01T00:00:00Z","healthy":true,"status":"StatusOK"}', [(503, '{"status":"x"}')]),
    "keycloak": ('{\n    "status": "UP",\n    "checks": []\n}', [(503, '{"status": "DOWN"}')]),
    "kibana": ('{"status":{"overall":{"level":"available"}}}', [(503, '{"status":{"overall":{"level":"critical"}}}')]),
    "loki": (
        "ready\n",
        [(503, "Ingester not ready: waiting for 15s after being ready\n"), (200, "Some services are not Running:\n")],
    ),
    "mimir": ("ready\n", [(503, "Some services are not Running:\nStarting: 1\n")]),
    "minio": ("", [(503, "")]),
    "nats": (_OK, [(503, '{"status":"unavailable","error":"JetStream not current"}')]),
    "nginx": ("Active connections: 291 \nserver accepts handled requests\n", [(404, ""), (200, "Welcome to nginx!")]),
    "openbao": (_VAULT % ("true", "false"), [(503, _VAULT % ("true", "true")), (501, _VAULT % ("false", "true"))]),
    "opensearch": (_CLUSTER % "yellow", [(200, _CLUSTER % "red")]),
    "opentelemetry_collector": (
        '{"status":"Server available","upSince":"2026-01-01T00:00:00Z"}',
        [(503, '{"status":"Server not available"}')],
    ),
    "patroni": ('{"state": "running", "role": "replica"}', [(503, '{"state": "stopped"}')]),
    "prometheus": ("Prometheus Server is Ready.\n", [(503, "Service Unavailable"), (200, "ok")]),
    "pushgateway": ("OK", [(503, "")]),
    "rabbitmq": (_OK, [(503, '{"status":"failed","reason":"Resource alarm"}'), (401, '{"error":"not_authorized"}')]),
    "sonarqube": ('{"id":"20150504120436","version":"10.4","status":"UP"}', [(200, '{"status":"STARTING"}')]),
    "spring_boot": (_UP, [(503, '{"status":"OUT_OF_SERVICE"}')]),
    "tempo": ("ready\n", [(503, "Some services are not Running:\n")]),
    "thanos": ("", [(503, "")]),
    "traefik": ("OK", [(404, "404 page not found")]),
    "vault": (_VAULT % ("true", "false"), [(503, _VAULT % ("true", "true")), (472, _VAULT % ("true", "false"))]),
    "victoriametrics": ("OK", [(200, "no")]),
}


@contextlib.contextmanager
def answering(path: str, status: int, body: str) -> collections.abc.Iterator[str]:
    """The URL of a server that says this at one path, and that there is nothing at any other."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            content = body.encode() if self.path == path else b"nothing here"
            self.send_response(status if self.path == path else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_every_preset_is_tested() -> None:
    assert ANSWERS.keys() == PRESETS.keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_what_the_system_says(ask: Ask, preset: str) -> None:
    well, ill = ANSWERS[preset]
    path = PRESETS[preset].path
    with answering(path, 200, well) as url:
        reading = ask("http", url=url, preset=preset).reading
        assert reading.outcome == "ok", reading.message
        # A base with a slash at its end is the same.
        assert ask("http", url=url + "/", preset=preset).reading.outcome == "ok"
        assert ask("http", url=url + "/elsewhere", preset=preset).reading.outcome == "failed"
    for status, body in ill:
        with answering(path, status, body) as url:
            reading = ask("http", url=url, preset=preset).reading
        assert reading.outcome == "failed", body
        assert path.partition("?")[0] in str(reading.hint)


def test_what_the_inventory_expects_beside(ask: Ask) -> None:
    with answering("/api/health", 200, ANSWERS["grafana"][0]) as url:
        assert ask("http", url=url, preset="grafana", json={"version": "5.1.3"}).reading.outcome == "ok"
        assert ask("http", url=url, preset="grafana", json={"version": "6"}).reading.message == "version is '5.1.3'"
        assert ask("http", url=url, preset="grafana", json={"database": "fine"}).reading.message == "database is 'ok'"
        assert ask("http", url=url, preset="grafana", status=503).reading.outcome == "failed"
