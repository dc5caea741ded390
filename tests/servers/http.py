# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real HTTP servers of all characters on loopback: fast, slow, hanging, resetting, lying."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import socket
import ssl
import struct
import threading
import typing as t
import urllib.parse

from tools.local_environment import free_port

#: What each path sends, byte for byte, for those that do not keep to the usual.
RAW = {
    "/": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/json": b'HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n{"checks": [{"name": "db", "healthy": true}]}'.replace(
        b"43", b"45"
    ),
    "/unavailable": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nno backend",
    "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: 1\r\n\r\n",
    "/until-close": b"HTTP/1.0 200 OK\r\n\r\nall of it",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "/half-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
    "/no-http": b"220 mail.example ESMTP\r\n",
    "/bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "/negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "/continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/huge": b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000,
    "/huge-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n" + b"x" * 3_000_000,
    "/endless-head": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50_000,
    "/extra": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 For Nobody\r\nContent-Length: 0\r\n\r\n",
    "/empty": b"",
}
_CLOSING = {"/until-close", "/short", "/half-chunk", "/no-http", "/empty"}


class HttpServer:
    """Runs in a thread of its own. ``requests`` are the heads received, ``connections`` the number accepted.

    ``hanging`` are the requests for ``/hang`` at the moment, ``most_hanging`` the most of them at a time.

    Beside the paths of ``RAW``, ``/to/<status>/<quoted location>`` redirects, and some do what their names say.
    """

    def __init__(self, context: ssl.SSLContext | None = None, kept_requests: int = 10**9) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.hanging = self.most_hanging = 0
        self.kept_requests = kept_requests
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener, ssl=self._context))
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            for _ in range(self.kept_requests):
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head)
                path = head.split(b" ", 2)[1].decode("ascii")
                if not await self._answer(path, head, reader, writer):
                    break
        writer.close()

    async def _answer(self, path: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if path == "/hang":
            self.hanging += 1
            self.most_hanging = max(self.most_hanging, self.hanging)
            try:
                await reader.read()  # until the client has had enough
            finally:
                self.hanging -= 1
            return False
        elif path == "/reset":
            line = t.cast(socket.socket, writer.get_extra_info("socket"))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif path == "/slow":
            await asyncio.sleep(0.3)
            path = "/"
        elif path == "/until-close-in-pieces":
            for piece in (b"HTTP/1.1 200 OK\r\n\r\n", b"all ", b"of it"):
                writer.write(piece)
                await asyncio.sleep(0.02)
            return False
        elif path == "/drip":
            for byte in RAW["/"]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.001)
            return True
        elif path.startswith("/to/"):
            _, _, status, location = path.split("/", 3)
            head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {urllib.parse.unquote(location)}\r\nContent-Length: 0\r\n\r\n"
            writer.write(head.encode("latin-1"))
            return True
        elif path == "/echo":
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            body = head + await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return True
        content = RAW.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        if head.startswith(b"HEAD "):
            content = content.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"
        writer.write(content)
        await writer.drain()
        return path not in _CLOSING


@contextlib.contextmanager
def silent_listener(accept_queue: int = 128) -> collections.abc.Iterator[int]:
    """A port that takes connections and never says anything; for datagrams it is free."""
    with socket.create_server(("127.0.0.1", free_port()), backlog=accept_queue) as listener:
        yield listener.getsockname()[1]


def closed_port() -> int:
    """A port on which nothing listens, and nothing will."""
    return free_port()
