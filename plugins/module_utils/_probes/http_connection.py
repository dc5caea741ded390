# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small HTTP/1.1 client for asyncio: thousands of requests a second on kept connections, with every size bounded.

The standard library has none for asyncio, and a probe must not need a third-party library on a managed host.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import ssl
import typing as t

_HEAD_LIMIT = 64 * 1024


class NotHttp(Exception):
    """What came back is not an HTTP response, or ended in the middle of one."""


@dataclasses.dataclass
class Response:
    """:ivar truncated: the body was longer than the limit, and is cut there."""

    status: int
    headers: dict[str, str]
    body: bytes
    truncated: bool = False


class HttpConnection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        #: A connection that served a request and can serve another.
        self.reusable = False
        self.requests = 0
        self.received = False
        self._buffer = bytearray()
        self._answer: asyncio.Future[Response] | None = None
        self._head: tuple[int, dict[str, str]] | None = None
        self._body = bytearray()
        self._limit = 0
        self._no_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = t.cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()  # nobody asked: such a connection is not to be trusted with the next request
            return
        self.received = True
        self._buffer += data
        try:
            self._parse(ended=False)
        except (NotHttp, ValueError) as error:
            self._fail(error if isinstance(error, NotHttp) else NotHttp("the response cannot be understood"))

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    async def request(self, data: bytes, body_limit: int, no_body: bool) -> Response:
        """Send a whole request and wait for its response. Cancelling it closes the connection.

        :arg no_body: for HEAD, whose response announces a body that does not come.
        :raises NotHttp: for an answer that is none. :raises ConnectionError: when the connection ends first.
        """
        self._answer = asyncio.get_running_loop().create_future()
        self._head, self._limit, self._no_body = None, body_limit, no_body
        self._body.clear()
        self._buffer.clear()
        self.received = self.reusable = False
        self.requests += 1
        if self.transport is None or self.transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self.transport.write(data)
        try:
            return await self._answer
        finally:
            self._answer = None
            if not self.reusable:
                self.close()

    def close(self) -> None:
        self.reusable = False
        if self.transport is not None:
            # Not close(): a peer that reads nothing would keep the socket until its buffer empties.
            self.transport.abort()

    def usable(self) -> bool:
        return self.reusable and self.transport is not None and not self.transport.is_closing()

    def _end(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            try:
                self._parse(ended=True)
            except (NotHttp, ValueError):
                pass
            if not self._answer.done():
                if isinstance(exc, OSError):
                    self._fail(exc)
                elif self.received:
                    self._fail(NotHttp("the connection was closed in the middle of the response"))
                else:
                    self._fail(ConnectionResetError("the connection was closed without a response"))
        self.close()

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _finish(self, keep: bool, truncated: bool = False) -> None:
        status, headers = t.cast("tuple[int, dict[str, str]]", self._head)
        self.reusable = keep and not self._buffer and headers.get("connection", "").lower() != "close"
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(status, headers, bytes(self._body), truncated))

    def _parse(self, ended: bool) -> None:
        while self._head is None:
            head = self._take_head()
            if head is None:
                return
            if head[0] >= 200 or head[0] == 101:  # any other 1xx only announces the response
                self._head = head
        status, headers = self._head
        if self._no_body or status in (101, 204, 304):
            # After a 101 another protocol is spoken, and no further request.
            self._finish(keep=status != 101)
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            if self._take_chunks():
                self._finish(keep=True)
            elif len(self._body) > self._limit:
                self._cut()
        elif "content-length" in headers:
            length = int(headers["content-length"])
            if length < 0:
                raise NotHttp("the response announces a negative length")
            if len(self._buffer) >= length and length <= self._limit:
                self._body += self._buffer[:length]
                del self._buffer[:length]
                self._finish(keep=True)
            elif len(self._buffer) > self._limit:
                self._body += self._buffer
                self._cut()
        else:
            self._body += self._buffer
            self._buffer.clear()
            if len(self._body) > self._limit:
                self._cut()
            elif ended:
                self._finish(keep=False)

    def _cut(self) -> None:
        del self._body[self._limit :]
        self._finish(keep=False, truncated=True)

    def _take_head(self) -> tuple[int, dict[str, str]] | None:
        end = self._buffer.find(b"\r\n\r\n")
        if not b"HTTP/".startswith(bytes(self._buffer[:5])):
            raise NotHttp(f"the answer does not start like HTTP: {bytes(self._buffer[:40])!r}")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                raise NotHttp("the head of the response is too long")
            return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        words = lines[0].split(None, 2)
        if len(words) < 2 or len(words[1]) != 3 or not words[1].isdecimal():
            raise NotHttp(f"the answer does not start like HTTP: {lines[0][:40]!r}")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if words[0] == "HTTP/1.0" and headers.get("connection", "").lower() != "keep-alive":
            headers["connection"] = "close"
        return int(words[1]), headers

    def _take_chunks(self) -> bool:
        """Move whole chunks to the body; true when the last one was seen."""
        while len(self._body) <= self._limit:
            line_end = self._buffer.find(b"\r\n")
            if line_end < 0:
                if len(self._buffer) > _HEAD_LIMIT:
                    raise NotHttp("a chunk of the response has no length")
                return False
            size = int(bytes(self._buffer[:line_end]).split(b";")[0], 16)
            if size < 0:
                raise NotHttp("the response announces a negative length")
            if size == 0:
                end = self._buffer.find(b"\r\n\r\n", line_end)  # after trailers, if any
                if end < 0:
                    return False
                del self._buffer[: end + 4]
                return True
            if size > self._limit:
                self._body += self._buffer[line_end + 2 :]
                self._buffer.clear()
                self._body += b"\0" * max(0, self._limit + 1 - len(self._body))
                return False
            if len(self._buffer) < line_end + 2 + size + 2:
                return False
            self._body += self._buffer[line_end + 2 : line_end + 2 + size]
            del self._buffer[: line_end + 2 + size + 2]
        return False


def why(error: OSError) -> str:
    """An operating system's error in a few words, without the address that the probe's name has already."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, asyncio.TimeoutError):
        return "timed out"
    return (error.strerror or str(error) or type(error).__name__)[:200]


class Connections:
    """Kept connections by origin; an origin is (host, port, TLS context or None, server name)."""

    def __init__(self) -> None:
        self._idle: dict[t.Any, list[HttpConnection]] = {}
        self._addresses: dict[tuple[str, int], asyncio.Future[list[t.Any]]] = {}

    def take(self, origin: t.Any) -> HttpConnection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    def give(self, origin: t.Any, connection: HttpConnection) -> None:
        if connection.usable():
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.close()

    async def use(
        self,
        origin: t.Any,
        context: ssl.SSLContext | None,
        ask: t.Callable[[HttpConnection], t.Awaitable[Response]],
        keep: bool = True,
        again: bool = True,
    ) -> Response:
        """What ``ask`` is answered on a kept connection or a new one.

        :arg keep: whether it may be one that served others, and serve others after it.
        :arg again: whether ``ask`` may be called once more, where a kept connection turns out to be closed.
        """
        connection = self.take(origin) if keep else None
        if connection is not None:
            try:
                return await self._asked(origin, connection, ask, keep)
            except OSError:
                # The server may have closed a kept connection at the very moment of its use: not its failure.
                if connection.received or not again:
                    raise
        host, port, _, name = origin
        return await self._asked(origin, await self.open(host, port, context, name), ask, keep)

    async def _asked(
        self,
        origin: t.Any,
        connection: HttpConnection,
        ask: t.Callable[[HttpConnection], t.Awaitable[Response]],
        keep: bool,
    ) -> Response:
        try:
            response = await ask(connection)
        except BaseException:
            connection.close()
            raise
        if keep:
            self.give(origin, connection)
        else:
            connection.close()
        return response

    async def open(self, host: str, port: int, context: ssl.SSLContext | None, name: str | None) -> HttpConnection:
        """Connect to the first address that answers. Raises OSError (ssl.SSLError included)."""
        _, connection = await self.connect(HttpConnection, host, port, context, name)
        return t.cast(HttpConnection, connection)

    async def connect(
        self, factory: t.Callable[[], t.Any], host: str, port: int, context: ssl.SSLContext | None, name: str | None
    ) -> tuple[t.Any, t.Any]:
        loop = asyncio.get_running_loop()
        problem: OSError | None = None
        for address in await self.resolve(host, port):
            try:
                return await loop.create_connection(
                    factory,
                    host=address[4][0],
                    port=address[4][1],
                    ssl=context,
                    server_hostname=(name or host) if context is not None else None,
                )
            except OSError as error:
                problem = problem or error
        raise problem or OSError(f"{host} has no address")

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    async def resolve(self, host: str, port: int) -> list[t.Any]:
        """Addresses as getaddrinfo gives them. Each name is found once for all probes. Raises OSError."""
        found = self._addresses.get((host, port))
        if found is None:
            loop = asyncio.get_running_loop()
            found = asyncio.ensure_future(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            self._addresses[(host, port)] = found
        try:
            # A probe that times out must not cancel the answer that others wait for.
            return await asyncio.shield(found)
        except OSError as error:
            # Whoever asks once more, asks anew: name servers fail for a moment.
            if self._addresses.get((host, port)) is found:
                del self._addresses[(host, port)]
            if isinstance(error, socket.gaierror):
                raise socket.gaierror(error.errno, f"{host}: {error.strerror}") from None
            raise
