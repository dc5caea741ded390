# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way to a Kubernetes API on which chosen requests fail, the way busy servers, proxies and networks do."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import re
import select
import socket
import ssl
import struct
import threading
import types
import typing as t
import urllib.parse

if t.TYPE_CHECKING:
    from tests.servers.kubernetes.server import KubernetesServer

#: An answer's status, instead of doing what was asked: 401 (an expired token), 403, 404, 409, 410 (a list that cannot
#: be continued), 429 (with Retry-After), 500, 503 and others. ``lost``: done, yet the connection is cut before the
#: answer. ``reset``: cut before the server sees it. ``cut``: cut in the middle of the answer. ``short``: half of the
#: answer and then its proper end, so that only its content tells. ``stall``: no answer within ``stall_s``. ``hold``: no
#: fault, but passed on only when :meth:`FaultyApi.release` is called.
ApiFaultKind = int | t.Literal["lost", "reset", "cut", "short", "stall", "hold"]

_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclasses.dataclass
class _Plan:
    """Which requests suffer: those that match, from the number ``at`` (0 is the first), ``times`` of them."""

    fault: ApiFaultKind
    matching: re.Pattern[str]
    at: int
    times: int
    seen: int = 0
    suffered: int = 0

    def due(self, line: str) -> bool:
        if not self.matching.search(line):
            return False
        self.seen += 1
        if self.seen <= self.at or self.suffered >= self.times:
            return False
        self.suffered += 1
        return True


class FaultyApi:
    """A context manager. ``requests`` are the methods and paths with queries, as ``GET /api/v1/pods?limit=500``.

    Its ``url`` answers with the cluster's own certificate, so that a kubeconfig differs in the port alone.
    """

    def __init__(self, cluster: KubernetesServer, stall_s: float = 10.0, retry_after_s: int = 1) -> None:
        target = urllib.parse.urlsplit(cluster.url)
        self._cluster = cluster
        self._target = (str(target.hostname), int(target.port or 443))
        self._stall_s, self._retry_after_s = stall_s, retry_after_s
        self._serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._serving.load_cert_chain(*cluster.serving)
        self._upstream = ssl.create_default_context(cafile=cluster.ca)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._released = threading.Event()
        self._held = 0
        self._open: set[socket.socket] = set()
        self.clear()

    def clear(self) -> None:
        """From now on nothing fails, and ``requests`` begin anew."""
        with self._lock:
            self._plans: list[_Plan] = []
            self.requests: list[str] = []
            self._byte_limit: int | None = None

    def plan(self, fault: ApiFaultKind, matching: str = "", at: int = 0, times: int = 1) -> None:
        """The ``times`` next requests whose method and path match the expression suffer, after ``at`` that do not.

        Several plans may hold at once; the first that fits counts.
        """
        with self._lock:
            self._plans.append(_Plan(fault, re.compile(matching), at, times))

    def storm(self, *faults: ApiFaultKind, every: int = 2, times: int = 50) -> None:
        """Of all requests, each ``every``-th suffers one of the faults in turn, ``times`` altogether."""
        for number in range(times):
            self.plan(faults[number % len(faults)], at=every - 1)

    @property
    def holds(self) -> bool:
        """Whether a request waits to be released."""
        with self._lock:
            return self._held > 0

    def release(self) -> None:
        """Pass on what is held, and hold nothing any more."""
        self._released.set()

    def cut_streams_after(self, size: int | None) -> None:
        """Upgraded connections (exec, port-forward) are cut after ``size`` bytes of answers; None: no more."""
        with self._lock:
            self._byte_limit = size

    def kubeconfig(self, token: str | None = None) -> str:
        """The path of an administrator's kubeconfig, or of a token's bearer, whose way this is."""
        return self._cluster.write_kubeconfig(f"faulty-{self.port}{'-token' if token else ''}", token, self.url)

    def __enter__(self) -> FaultyApi:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._closed.set()
        self._released.set()
        self._listener.close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            _reset(connection)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket) -> collections.abc.Iterator[socket.socket]:
        with self._lock:
            self._open.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _serve(self, bare: socket.socket) -> None:
        """One connection, one request: each is answered with ``Connection: close``."""
        with contextlib.suppress(OSError, ValueError):
            bare.settimeout(120)
            with self._kept(self._serving.wrap_socket(bare, server_side=True)) as client:
                received = _receive_request(client)
                if received is None:
                    return
                head, body = received
                line = head.split(b" HTTP/", 1)[0].decode("latin-1")
                fault = self._due(line)
                if isinstance(fault, int):
                    client.sendall(_refusal(fault, self._retry_after_s))
                elif fault == "stall":
                    self._closed.wait(self._stall_s)
                    _reset(client)
                elif fault == "reset" or (fault == "hold" and not self._hold()):
                    _reset(client)
                else:
                    self._forward(client, head, body, fault)

    def _hold(self) -> bool:
        """Whether the request is to be passed on; those that are held to the end are not."""
        with self._lock:
            self._held += 1
        self._released.wait()
        with self._lock:
            self._held -= 1
        return not self._closed.is_set()

    def _due(self, line: str) -> ApiFaultKind | None:
        with self._lock:
            self.requests.append(line)
            return next((plan.fault for plan in self._plans if plan.due(line)), None)

    def _forward(self, client: socket.socket, head: bytes, body: bytes, fault: ApiFaultKind | None) -> None:
        upgrade = re.search(rb"(?i)\r\nconnection: *[^\r]*upgrade", head)
        lines = head.rstrip(b"\r\n").split(b"\r\n")
        if not upgrade:
            lines = [line for line in lines if not line.lower().startswith((b"connection:", b"accept-encoding:"))]
            lines.append(b"Connection: close")
        context = self._upstream
        if b"\r\nauthorization:" not in head.lower():
            context = ssl.create_default_context(cafile=self._cluster.ca)
            context.load_cert_chain(*self._cluster.administrator)
        bare = socket.create_connection(self._target, timeout=120)
        with self._kept(context.wrap_socket(bare, server_hostname="localhost")) as server:
            server.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            if upgrade:
                self._relay(client, server)
            elif fault in ("lost", "cut", "short"):
                answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
                start = answer.index(b"\r\n\r\n") + 4
                if fault == "short":
                    client.sendall(_shortened(answer[:start], answer[start:]))
                    return
                if fault == "cut":
                    client.sendall(answer[: start + (len(answer) - start) // 2])
                _reset(client)
            else:
                # As it comes: a watch's answer has no end.
                for part in iter(lambda: server.recv(1 << 16), b""):
                    client.sendall(part)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Both ways until either side ends, or the answers have reached the planned size."""
        with self._lock:
            limit = self._byte_limit
        ways = {client: server, server: client}
        sent = 0
        while not self._closed.is_set():
            # What TLS has already decrypted, no selector sees.
            waiting = [one for one in ways if t.cast(ssl.SSLSocket, one).pending()]
            for source in waiting or select.select(list(ways), [], [], 1)[0]:
                part = source.recv(1 << 16)
                if not part:
                    return
                if source is server and limit is not None:
                    part = part[: limit - sent]
                    sent += len(part)
                ways[source].sendall(part)
                if limit is not None and sent >= limit:
                    _reset(client)
                    return


def _receive_request(client: socket.socket) -> tuple[bytes, bytes] | None:
    """The head, and the body whether its length was told or it came in chunks (it is then passed on as told)."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = client.recv(1 << 16)
        if not more:
            return None
        received += more
    head, _mark, body = received.partition(b"\r\n\r\n")
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        while not body.endswith(b"0\r\n\r\n"):
            more = client.recv(1 << 16)
            if not more:
                return None
            body += more
        return head, body
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length:
        more = client.recv(1 << 16)
        if not more:
            return None
        body += more
    return head, body


def _refusal(status: int, retry_after_s: int) -> bytes:
    reason = _REASONS.get(status, "Unknown")
    document = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status, "reason": reason,
        "message": f"injected: {reason}",
    }  # fmt: skip
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    if status == 429:
        head += f"Retry-After: {retry_after_s}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def _shortened(head: bytes, body: bytes) -> bytes:
    """Half of an answer, with a head that says that this is all."""
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        body = _joined(body)
    half = body[: len(body) // 2]
    lines = [
        line
        for line in head.rstrip(b"\r\n").split(b"\r\n")
        if not line.lower().startswith((b"content-length:", b"transfer-encoding:"))
    ]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(half)]) + b"\r\n\r\n" + half


def _joined(chunks: bytes) -> bytes:
    parts = []
    while chunks:
        size, _mark, chunks = chunks.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        if not length:
            break
        parts.append(chunks[:length])
        chunks = chunks[length + 2 :]
    return b"".join(parts)


def _reset(connection: socket.socket) -> None:
    """Close so that the other side is told of a reset, as by a middlebox that lost its table."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
