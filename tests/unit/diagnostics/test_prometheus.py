# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to the Prometheus that diagnostics ask is the one that objectives take."""

from __future__ import annotations

import collections.abc
import contextlib
import http.server
import threading
import time

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Gathered, gather
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.prometheus import Prometheus
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.access import PROMETHEUS_OPTIONS

TARGET = b'{"scrapePool": "api", "scrapeUrl": "http://api/metrics", "health": "down", "lastError": "refused"}'
ANSWER = b'{"status": "success", "warnings": ["a part only"], "data": {"activeTargets": [' + TARGET + b"]}}"


@contextlib.contextmanager
def serving(*pieces: bytes, pause_s: float = 0) -> collections.abc.Iterator[str]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                for piece in pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    time.sleep(pause_s)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def targets(url: str, timeout: str = "30s") -> Gathered:
    options = {**dict.fromkeys(PROMETHEUS_OPTIONS), "url": url, "timeout": timeout}
    _alerts, asked = Prometheus(options).collectors()
    (found,) = gather([asked], Masker(), 20, 1 << 18, 1 << 24)
    return found


def test_a_proxy_of_the_environment_is_for_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(ANSWER) as url:
        found = targets(url)
    assert found.outcome == "collected", found.why
    # Of a part only, what there is counts.
    assert [finding.text for finding in found.findings] == ["target http://api/metrics of job api is down: refused"]


def test_a_server_that_sends_a_byte_now_and_then_has_a_limit() -> None:
    with serving(*(bytes((byte,)) for byte in ANSWER), pause_s=0.2) as url:
        began = time.monotonic()
        found = targets(url, timeout="1s")
        assert time.monotonic() - began < 10
    assert found.outcome == "failed" and "does not answer" in found.why, found.why
