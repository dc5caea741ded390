# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pods of a test cluster use, served as metrics.k8s.io: as their annotations say, also more and more.

A program beside the control plane, which the API server asks for that group as it would ask a metrics-server.
"""

from __future__ import annotations

import calendar
import http.server
import json
import pathlib
import re
import ssl
import sys
import time
import typing as t

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[3])]

from tests.servers.kubernetes.api import Api, Object  # noqa: E402  (found through the line above)
from tests.servers.kubernetes.credentials import Pair  # noqa: E402

GROUP = "metrics.k8s.io"
#: Annotations of pods, for each container: millicores, MiB, and MiB more each second of the pod's life.
CPU, MEMORY, GROWTH = (f"test.sre.runbooks/{name}" for name in ("cpu-m", "memory-mi", "memory-growth-mi"))
_VERSION = f"{GROUP}/v1beta1"
_BASE = f"/apis/{_VERSION}"


def registration(port: int) -> list[Object]:
    """What makes the API server ask port ``port`` of loopback."""
    name = {"name": "metrics", "namespace": "kube-system"}
    spec = {
        "group": GROUP,
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "insecureSkipTLSVerify": True,
        "service": {**name, "port": port},
    }
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": name,
         "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"v1beta1.{GROUP}"},
         "spec": spec},
    ]  # fmt: skip


class Metrics:
    """Answers to the group's requests, made from the pods as they are."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def answer(self, path: str) -> tuple[int, Object]:
        """The status and the document for a path without its query."""
        if path == _BASE:
            resources = [
                {"name": name, "singularName": "", "namespaced": kind.startswith("Pod"), "kind": kind,
                 "verbs": ["get", "list"]}
                for name, kind in (("nodes", "NodeMetrics"), ("pods", "PodMetrics"))
            ]  # fmt: skip
            return 200, {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": _VERSION,
                "resources": resources,
            }
        found = re.fullmatch(rf"{re.escape(_BASE)}(?:/namespaces/([^/]+))?/(pods|nodes)(?:/([^/]+))?", path)
        if not found:
            return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}
        namespace, resource, name = found.groups()
        items = self._pods(namespace) if resource == "pods" else self._nodes()
        if not name:
            kind = "PodMetricsList" if resource == "pods" else "NodeMetricsList"
            return 200, {"kind": kind, "apiVersion": _VERSION, "metadata": {}, "items": items}
        for item in items:
            if item["metadata"]["name"] == name:
                return 200, item
        return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}

    def _pods(self, namespace: str | None) -> list[Object]:
        running = [pod for pod in self.api.list("v1", "Pod", namespace) if pod["status"].get("phase") == "Running"]
        return [self._described("PodMetrics", pod, containers=_containers(pod)) for pod in running]

    def _nodes(self) -> list[Object]:
        pods = self._pods(None)
        cpu = sum(int(c["usage"]["cpu"][:-1]) for pod in pods for c in pod["containers"])
        memory = sum(int(c["usage"]["memory"][:-2]) for pod in pods for c in pod["containers"])
        nodes = self.api.list("v1", "Node")
        share = {"cpu": f"{cpu // len(nodes)}m", "memory": f"{memory // len(nodes)}Ki"} if nodes else {}
        return [self._described("NodeMetrics", node, usage=share) for node in nodes]

    @staticmethod
    def _described(kind: str, of: Object, **content: t.Any) -> Object:
        metadata = {key: value for key, value in of["metadata"].items() if key in ("name", "namespace", "labels")}
        metadata["creationTimestamp"] = of["metadata"]["creationTimestamp"]
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {
            "kind": kind,
            "apiVersion": _VERSION,
            "metadata": metadata,
            "timestamp": moment,
            "window": "10s",
            **content,
        }


def _containers(pod: Object) -> list[Object]:
    notes = pod["metadata"].get("annotations", {})
    born = calendar.timegm(time.strptime(pod["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ"))
    mebibytes = float(notes.get(MEMORY, 16)) + float(notes.get(GROWTH, 0)) * (time.time() - born)
    usage = {"cpu": f"{int(notes.get(CPU, 1))}m", "memory": f"{int(mebibytes * 1024)}Ki"}
    return [{"name": container["name"], "usage": usage} for container in pod["spec"]["containers"]]


def main() -> None:
    """``metrics.py URL DIRECTORY PORT``: answer until killed."""
    url, directory, port = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    credentials = directory / "credentials"
    pair = Pair(str(credentials / "admin.crt"), str(credentials / "admin.key"))
    metrics = Metrics(Api(url, str(credentials / "ca.crt"), pair))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                status, document = metrics.answer(self.path.partition("?")[0].rstrip("/"))
            except Exception as error:  # the API server went away, or came back; the next request tells
                status, document = 503, {"kind": "Status", "apiVersion": "v1", "code": 503, "message": str(error)}
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(credentials / "server.crt", credentials / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
