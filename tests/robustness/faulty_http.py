# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way to an S3 server on which chosen requests fail, the way networks and busy stores do."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
import types
import typing as t
import urllib.parse

#: ``slow_down``: 503 for this request and the three after it. ``internal_error``: done, yet the answer is 500.
#: ``reset``: cut before the server sees it. ``lost_answer``: cut after the server did it. ``cut_upload``,
#: ``cut_download``: cut in the middle of a body. ``stall``: no answer at all. ``flip_upload``, ``flip_download``: one bit
#: of a body changes on the way.
HttpFault = t.Literal[
    "slow_down",
    "internal_error",
    "reset",
    "lost_answer",
    "cut_upload",
    "cut_download",
    "stall",
    "flip_upload",
    "flip_download",
]
HTTP_FAULTS: tuple[HttpFault, ...] = t.get_args(HttpFault)
_ERROR = "HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"


class FaultyHttp:
    """A context manager. ``requests`` are the methods and paths seen since :meth:`plan`."""

    def __init__(self, url: str, stall_s: float = 10.0) -> None:
        target = urllib.parse.urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 80))
        self._stall_s = stall_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.plan(None, "reset")

    def plan(self, at: int | None, fault: HttpFault) -> None:
        """From now on the request number ``at`` (from 0) suffers ``fault``; None: none does."""
        with self._lock:
            self.requests: list[str] = []
            self._at, self._fault = at, fault

    def __enter__(self) -> FaultyHttp:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _due(self, line: str) -> HttpFault | None:
        with self._lock:
            number = len(self.requests)
            self.requests.append(line)
            last = (self._at or 0) + (3 if self._fault == "slow_down" else 0)
            return self._fault if self._at is not None and self._at <= number <= last else None

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(60)
            received = _until(client, b"\r\n\r\n")
            if received is None:
                return
            head, body = received
            if b"100-continue" in head.lower():
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int((re.search(rb"(?i)\r\ncontent-length: *(\d+)", head) or [b"", b"0"])[1])
            while len(body) < length:
                more = client.recv(1 << 16)
                if not more:
                    return
                body += more
            fault = self._due(head.split(b" HTTP/", 1)[0].decode("latin-1"))
            self._answer(client, head, body, fault)

    def _answer(self, client: socket.socket, head: bytes, body: bytes, fault: HttpFault | None) -> None:
        if fault == "slow_down":
            client.sendall(_error(503, "SlowDown"))
            return
        if fault == "stall":
            self._closed.wait(self._stall_s)
        if fault in ("reset", "stall"):
            _reset(client)
            return
        if fault == "flip_upload" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "cut_upload":
            body = body[: len(body) // 2]
        answer = self._forward(head, body, whole=fault != "cut_upload")
        if fault in ("lost_answer", "cut_upload"):
            _reset(client)
        elif fault == "internal_error":
            client.sendall(_error(500, "InternalError"))
        elif fault == "cut_download":
            client.sendall(answer[: answer.index(b"\r\n\r\n") + 4 + (len(answer) - answer.index(b"\r\n\r\n") - 4) // 2])
            _reset(client)
        elif fault == "flip_download" and not answer.endswith(b"\r\n\r\n"):
            client.sendall(answer[:-1] + bytes([answer[-1] ^ 1]))
        else:
            client.sendall(answer)

    def _forward(self, head: bytes, body: bytes, whole: bool) -> bytes:
        lines = [
            line for line in head.rstrip(b"\r\n").split(b"\r\n") if not re.match(rb"(?i)(expect|connection):", line)
        ]
        with socket.create_connection(self._target, timeout=60) as server:
            server.sendall(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
            if not whole:
                time.sleep(0.05)
                _reset(server)
                return b""
            parts = []
            while True:
                part = server.recv(1 << 16)
                if not part:
                    return b"".join(parts)
                parts.append(part)


def _until(source: socket.socket, mark: bytes) -> tuple[bytes, bytes] | None:
    received = b""
    while mark not in received:
        more = source.recv(1 << 16)
        if not more:
            return None
        received += more
    head, _mark, rest = received.partition(mark)
    return head + mark, rest


def _error(status: int, code: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>"
    return _ERROR.format(status=status, length=len(body), body=body).encode()


def _reset(connection: socket.socket) -> None:
    """Close so that the other side is told of a reset, as by a middlebox that lost its table."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
