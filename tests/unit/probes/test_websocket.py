# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The websocket kind against servers that shake hands, refuse, forge, talk, and hang up."""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import hashlib
import pathlib
import re
import socketserver
import ssl
import threading
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from tests.servers.authority import self_signed
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.unit.probes.conftest import Ask

SECRET = "hunter2-of-sockets"


def frame(kind: int, payload: bytes = b"") -> bytes:
    length = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | kind]) + length + payload


class WebsocketServer(socketserver.ThreadingTCPServer):
    """Does what the path says. ``heads`` are the requests, ``frames`` what clients said afterwards, unmasked."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heads: list[str] = []
        self.frames: list[bytes] = []
        self.context = context

    def get_request(self) -> tuple[t.Any, t.Any]:
        line, place = super().get_request()
        return (self.context.wrap_socket(line, server_side=True) if self.context else line), place


class _Handler(socketserver.StreamRequestHandler):
    server: WebsocketServer

    def handle(self) -> None:
        # A client that hangs up leaves half a frame, or none.
        with contextlib.suppress(OSError, ValueError):
            self._handle()

    def _handle(self) -> None:
        head = "".join(iter(lambda: self.rfile.readline().decode(), "\r\n"))
        self.server.heads.append(head)
        path = head.split(" ", 2)[1]
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key"))
        if path == "/forged":
            key = "another"
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        spoken = "Sec-WebSocket-Protocol: chat\r\n" if path == "/chat" else ""
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        answer = f"HTTP/1.1 101 Switching Protocols\r\n{upgrade}Sec-WebSocket-Accept: {accept.decode()}\r\n{spoken}\r\n"
        self.wfile.write(answer.encode())
        if path == "/cut":
            time.sleep(0.2)
            return
        if path == "/goodbye":
            self.wfile.write(frame(8, (1001).to_bytes(2, "big")))
        if path == "/talks":
            self.wfile.write(frame(1, b"x" * 40_000) + frame(2, b"") + frame(9, b"are you there"))
        self._listen()

    def _listen(self) -> None:
        while True:
            kind, length = self.rfile.read(2)
            mask = self.rfile.read(4)
            payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(length & 0x7F)))
            assert length & 0x80, "a client has to mask"
            self.server.frames.append(bytes([kind & 0x0F]) + payload)
            if kind & 0x0F == 8:
                return


@contextlib.contextmanager
def running(context: ssl.SSLContext | None = None) -> collections.abc.Iterator[WebsocketServer]:
    with WebsocketServer(context) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def sockets() -> collections.abc.Iterator[WebsocketServer]:
    with running() as server:
        yield server


def url(server: WebsocketServer, path: str) -> str:
    return f"ws://127.0.0.1:{server.server_address[1]}{path}"


def test_a_handshake(sockets: WebsocketServer, ask: Ask) -> None:
    reading = ask("websocket", url=url(sockets, "/ok"), headers={"Origin": "https://shop.example"}).reading
    assert (reading.outcome, reading.values["status"]) == ("ok", 101)
    head = sockets.heads[-1]
    assert re.search(r"^Connection: Upgrade\r$", head, re.M)
    assert "Origin: https://shop.example" in head
    assert head.lower().count("\nconnection:") == 1
    # The next one is another, so that no cache can answer it.
    ask("websocket", url=url(sockets, "/ok"))
    keys = [re.search(r"Sec-WebSocket-Key: (\S+)", head).group(1) for head in sockets.heads[-2:]]  # type: ignore[union-attr]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("/forged", {}, "the answer is none to this handshake"),
        ("/ok", {"subprotocol": "chat"}, "it does not speak chat"),
        ("/chat", {"subprotocol": "mqtt"}, "it speaks 'chat'"),
        ("/goodbye", {"hold": 50}, "it was closed after"),
        ("/cut", {"hold": 50}, "it was closed after"),
    ],
)
def test_what_is_wrong(sockets: WebsocketServer, ask: Ask, path: str, options: dict[str, t.Any], message: str) -> None:
    reading = ask("websocket", url=url(sockets, path), **options).reading
    assert (reading.outcome, reading.message[: len(message)]) == ("failed", message)


def test_how_it_was_closed(sockets: WebsocketServer, ask: Ask) -> None:
    assert ask("websocket", url=url(sockets, "/goodbye"), hold=50).reading.message.endswith("goodbye with code 1001")
    assert ask("websocket", url=url(sockets, "/cut"), hold=50).reading.message.endswith("the connection was cut")
    assert ask("websocket", url=url(sockets, "/chat"), subprotocol="chat").reading.outcome == "ok"


def test_held_open_and_pings_answered(sockets: WebsocketServer, ask: Ask) -> None:
    pong, end = b"\x0aare you there", b"\x08" + (1000).to_bytes(2, "big")
    # On a slow machine the ping may come when it is not held any more.
    for hold in (1, 5, 20):
        sockets.frames.clear()
        assert ask("websocket", url=url(sockets, "/talks"), hold=hold).reading.outcome == "ok"
        wait_for(lambda: end in sockets.frames, "the end of the conversation")
        if pong in sockets.frames:
            break
    assert sockets.frames == [pong, end]


def test_what_is_no_websocket(ask: Ask) -> None:
    with HttpServer() as server:
        for path, message in (
            ("/", "status 200: no WebSocket here"),
            ("/unavailable", "status 503: no WebSocket here"),
        ):
            reading = ask("websocket", url=server.url + path, password=SECRET, user="u").reading
            assert reading.message.startswith(message)
        assert "does not start like HTTP" in ask("websocket", url=server.url + "/no-http").reading.message
        assert (
            ask("websocket", url=server.url + "/endless-head").reading.message == "the head of the response is too long"
        )
        assert SECRET not in repr(reading)
    assert ask("websocket", url=f"ws://127.0.0.1:{closed_port()}/").reading.message == "connection refused"
    with silent_listener() as port:
        assert ask("websocket", url=f"ws://127.0.0.1:{port}/", timeout=0.3).reading.values["timed_out"] is True


def test_over_tls(ask: Ask, tmp_path: pathlib.Path) -> None:
    issued = self_signed("shop", ["127.0.0.1"])
    (tmp_path / "ca.pem").write_bytes(issued.pem())
    with running(issued.context(tmp_path, [issued])) as server:
        secured = url(server, "/ok").replace("ws://", "wss://")
        assert ask("websocket", url=secured, ca_cert=str(tmp_path / "ca.pem"), hold=0.1).reading.outcome == "ok"
        assert ask("websocket", url=secured).reading.measured == "a certificate that does not verify"


@pytest.mark.parametrize(
    "options", [{"url": "127.0.0.1/x"}, {"url": "ftp://x/"}, {"url": "ws://x/", "hold": "5s", "timeout": 5}]
)
def test_what_is_refused(ask: Ask, options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        ask("websocket", **options)
