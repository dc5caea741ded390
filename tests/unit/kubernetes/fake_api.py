# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An API server of a few lines on loopback, for what no real one does on demand."""

from __future__ import annotations

import collections.abc
import contextlib
import http.server
import json
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, connect
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.retries import Patience

Reply = tuple[int, t.Any, dict[str, str]]
#: For requests that are to succeed in the end, also on a machine that stops for a while.
PATIENT = Patience(connect_s=120, read_s=120, retry_s=120)
#: For those that are given up.
IMPATIENT = Patience(connect_s=120, read_s=120, retry_s=1.5)


class Asked(t.NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class FakeApi:
    """``answer`` gets what was asked and gives status, document (or bytes) and headers; None cuts the connection."""

    def __init__(self, answer: t.Callable[[Asked], Reply | None]) -> None:
        self.asked: list[Asked] = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(self.command, self.path, dict(self.headers.items()), self.rfile.read(length))
                fake.asked.append(asked)
                reply = answer(asked)
                if reply is None:
                    self.close_connection = True
                    return
                status, document, headers = reply
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(content)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: t.Any) -> None:
                pass

        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            setattr(Handler, f"do_{method}", Handler._serve)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def fake_cluster(
    answer: t.Callable[[Asked], Reply | None], patience: Patience = PATIENT, **params: t.Any
) -> collections.abc.Iterator[tuple[Cluster, FakeApi]]:
    fake = FakeApi(answer)
    try:
        with connect({"host": fake.url, **params}, patience) as cluster:
            yield cluster, fake
    finally:
        fake.close()


def status(code: int, reason: str = "", message: str = "", **details: t.Any) -> Reply:
    """What an API server says when it refuses."""
    document = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return code, {**document, "details": details}, {}


def replies(*given: Reply | None) -> t.Callable[[Asked], Reply | None]:
    """One after the other; the last one for ever."""
    left = list(given)
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]
