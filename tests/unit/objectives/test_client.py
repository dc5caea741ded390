# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of Prometheus against a server that takes its time."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import threading

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.access import PROMETHEUS_OPTIONS, server_of
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.client import PrometheusError, Server


def test_headers_that_come_slowly_do_not_hold_a_request_longer_than_its_time() -> None:
    finished, left = threading.Event(), threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(90):
                connection.sendall(b"X-Wait: 1\r\n")
                if left.wait(0.2):
                    return
            finished.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        try:
            with pytest.raises(PrometheusError, match="does not answer") as caught:
                Server(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=1.0).fetch("/-/ready")
            # The server is not through yet: it was not waited for.
            assert (caught.value.reason, caught.value.found) == ("unreachable", "no answer in time")
            assert not finished.is_set()
        finally:
            left.set()
            thread.join(30)


def test_what_is_asked_by_hand_waits_no_longer_than_we_do() -> None:
    server = Server("http://127.0.0.1:9", timeout=5.0)
    asked = server.command("/api/v1/query", {"query": 'up{job="a b"}'})
    assert asked == "curl -sS -G http://127.0.0.1:9/api/v1/query --data-urlencode 'query=up{job=\"a b\"}' -m 5"
    assert server.command("/api/v1/targets") == "curl -sS http://127.0.0.1:9/api/v1/targets -m 5"
    # 0 would be for ever.
    assert Server("http://127.0.0.1:9", timeout=0.2).command("/api/v1/targets").endswith(" -m 1")


def test_what_a_module_says_to_ask_is_let_in_as_the_module_was(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "token"
    path.write_text("hunter2\n")
    nothing = {**dict.fromkeys(PROMETHEUS_OPTIONS), "url": "http://127.0.0.1:9", "timeout": "30s"}
    asked = server_of({**nothing, "bearer_token_file": str(path), "ca_cert": "/etc/ca.pem"}).command("/x")
    assert f'"$(cat {path})" | curl -sS -K - --cacert /etc/ca.pem http://127.0.0.1:9/x' in asked
    assert "hunter2" not in asked
    assert server_of({**nothing, "user": "me", "validate_certs": False}).command("/x").startswith("curl -sS -u me -k ")
