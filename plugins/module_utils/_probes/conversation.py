# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Protocols that talk in turns, and may switch to TLS in the middle: every size is bounded."""

from __future__ import annotations

import asyncio
import ssl
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown

_LINE_LIMIT = 64 * 1024
#: What nobody has taken yet; a protocol that sends more than that unasked is cut off.
_LIMIT = 1024 * 1024


class Misunderstanding(Exception):
    """The other side did not say what it should have; the text quotes what it said."""


class Conversation(asyncio.Protocol):
    """One connection; one side speaks at a time. Whoever opened it closes it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._ended = False
        self._problem: Exception | None = None
        self._news: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = t.cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if len(self._heard) > _LIMIT:
            self.close()
        self._tell()

    def eof_received(self) -> None:
        self._ended = True
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended, self._problem = True, exc
        self._tell()

    def say(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    async def line(self) -> str:
        """The next line without its end. Raises Misunderstanding, or OSError when the connection ends first."""
        while b"\n" not in self._heard:
            if len(self._heard) > _LINE_LIMIT:
                raise Misunderstanding("it talks without end")
            await self._wait()
        found, _, rest = bytes(self._heard).partition(b"\n")
        self._heard[:] = rest
        return found.decode("utf-8", "replace").rstrip("\r")

    async def exactly(self, count: int) -> bytes:
        """The next bytes. Raises OSError when the connection ends first."""
        while len(self._heard) < count:
            await self._wait()
        found = bytes(self._heard[:count])
        del self._heard[:count]
        return found

    async def upgrade(self, context: ssl.SSLContext, name: str) -> ssl.SSLObject:
        """Switch to TLS. Raises OSError, ssl.SSLError among them, and Misunderstanding."""
        if self._heard:
            # Who stands in between could have put words before the handshake that are then taken for the server's.
            raise Misunderstanding(f"it said more before TLS began: {shown(bytes(self._heard[:40]))}")
        plain = t.cast(asyncio.Transport, self.transport)
        try:
            transport = await asyncio.get_running_loop().start_tls(plain, self, context, server_hostname=name)
        except BaseException:
            plain.abort()
            raise
        if transport is None:
            raise ConnectionResetError("the connection was closed as TLS began")
        self.transport = transport
        return t.cast(ssl.SSLObject, transport.get_extra_info("ssl_object"))

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def _wait(self) -> None:
        if self._ended:
            if isinstance(self._problem, OSError):
                raise self._problem
            raise ConnectionResetError("the connection was closed before it had answered")
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


async def smtp_reply(conversation: Conversation, expected: str) -> list[str]:
    """The texts of a reply of any number of lines. Raises Misunderstanding for another code, and OSError."""
    texts = []
    while True:
        line = await conversation.line()
        if line[:3] != expected or line[3:4] not in ("", " ", "-"):
            raise Misunderstanding(f"it said {shown(line[:200])} where {expected} was expected")
        texts.append(line[4:])
        if line[3:4] != "-":
            return texts
        if len(texts) > 100:
            raise Misunderstanding("it talks without end")


async def start_tls_of_smtp(conversation: Conversation, name: str) -> None:
    """Up to where TLS begins. Raises Misunderstanding and OSError."""
    await smtp_reply(conversation, "220")
    conversation.say(f"EHLO {name}\r\n".encode())
    offered = await smtp_reply(conversation, "250")
    if not any(text.strip().upper() == "STARTTLS" for text in offered):
        raise Misunderstanding("it does not offer STARTTLS")
    conversation.say(b"STARTTLS\r\n")
    await smtp_reply(conversation, "220")


async def start_tls_of_postgresql(conversation: Conversation, name: str) -> None:
    """Up to where TLS begins. Raises Misunderstanding and OSError."""
    conversation.say(bytes.fromhex("0000000804d2162f"))  # SSLRequest of its protocol
    answer = await conversation.exactly(1)
    if answer == b"N":
        raise Misunderstanding("it does not offer TLS")
    if answer != b"S":
        raise Misunderstanding(f"it said {answer!r} where S was expected")


START_TLS: dict[str, t.Callable[[Conversation, str], t.Awaitable[None]]] = {
    "smtp": start_tls_of_smtp,
    "postgres": start_tls_of_postgresql,
}
