# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is told things by POST, of every character."""

from __future__ import annotations

import contextlib
import http.server
import json
import ssl
import threading
import time
import typing as t


class Receiver(http.server.BaseHTTPRequestHandler):
    """``/<status>`` answers with it, ``/flaky`` only to the third, ``/slow`` and ``/drip`` take their time."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = t.cast("list[dict[str, t.Any]]", self.server.received)  # type: ignore[attr-defined]
        received.append({"path": self.path, "headers": dict(self.headers), "document": json.loads(body)})
        if self.path == "/slow":
            time.sleep(5)
        if self.path == "/drip":
            with contextlib.suppress(OSError):
                for _ in range(50):
                    self.wfile.write(b"H")
                    time.sleep(0.1)
            return
        tried = len([entry for entry in received if entry["path"] == self.path])
        status = {"/flaky": 503 if tried < 3 else 202, "/moved": 302, "/slow": 200}.get(self.path)
        self.send_response(status or int(self.path[1:4]))
        if self.path == "/moved":
            self.send_header("Location", "/200")
        self.end_headers()
        if self.path.startswith("/404"):
            self.wfile.write(
                f"\n  no hook \x1b[31mat {self.path} for {self.headers['Authorization']}\nsecond\n".encode()
            )

    def do_GET(self) -> None:
        raise AssertionError("a redirect was followed")

    def log_message(self, format: str, *args: object) -> None:
        pass


class WebhookServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.received: list[dict[str, t.Any]] = []
        self.scheme = "http"

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}{path}"


@contextlib.contextmanager
def running_webhook(context: ssl.SSLContext | None = None) -> t.Iterator[WebhookServer]:
    with WebhookServer() as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
            server.scheme = "https"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
