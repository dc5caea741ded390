# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The websocket kind: a handshake through everything that stands in front, and that the connection is left open."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import shlex
import ssl
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._curl import curl, patience
from ansible_collections.sre.runbooks.plugins.module_utils._probes.conversation import Conversation, Misunderstanding
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    mapping,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import why
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_request import Request, request_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.tls_options import TLS_OPTIONS

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: RFC 6455, 1.3: what makes an answer one to this very handshake.
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEADERS = 200
_PING, _PONG, _CLOSE = 0x89, 0x8A, 0x88


class WebsocketCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._options = options
        scheme, mark, rest = options["url"].partition("://")
        known = {"ws": "http", "wss": "https", "http": "http", "https": "https"}
        if not mark or scheme.lower() not in known:
            raise ValueError("url must be such as wss://host:port/path")
        if options["hold"] is not None and options["hold"] >= options["timeout"]:
            raise ValueError("hold has to be shorter than timeout")
        self._url = f"{known[scheme.lower()]}://{rest}"
        self._request("")
        self._context = session.tls_context(options) if self._url.startswith("https:") else None
        self.expected = "a WebSocket"
        if options["subprotocol"] is not None:
            self.expected += f" that speaks {options['subprotocol']}"
        if options["hold"] is not None:
            self.expected += f", left open for {format_duration(options['hold'])} without traffic"
        upgrade = "-H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13'"
        key = base64.b64encode(b"\0" * 16).decode("ascii")
        before, flags = curl(options)
        command = f"{before}curl -sv --http1.1{flags} {patience(options)} {upgrade} -H 'Sec-WebSocket-Key: {key}'"
        self.hint = f"{command} {shlex.quote(self._url)}"

    async def ask(self) -> Reading:
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        request = self._request(key)
        started = time.perf_counter()
        try:
            name = self._options["server_name"] or request.place.host
            connect = self._session.connections.connect
            _, line = await connect(
                Conversation, request.place.host, request.place.port, self._context, name if self._context else None
            )
            try:
                line.say(request.data())
                status, headers = await _head(line)
                latency = time.perf_counter() - started
                problem = self._refusal(status, headers, key)
                if problem is None and self._options["hold"] is not None:
                    problem = await self._hold(line)
                if problem is None:
                    line.say(_frame(_CLOSE, (1000).to_bytes(2, "big")))
            finally:
                line.close()
        except ssl.SSLCertVerificationError as error:
            return self.reading("failed", "a certificate that does not verify", f"TLS: {error.verify_message}")
        except ssl.SSLError as error:
            return self.reading("failed", "no TLS connection", f"TLS: {error.reason or error}")
        except Misunderstanding as error:
            return self.reading("failed", "no HTTP response", str(error))
        except OSError as error:
            return self.reading("failed", "no response", why(error))
        measured = f"status {status} in {latency:.3f} s"
        values = {"status": status, "latency_s": round(latency, 6)}
        limit = self._options["latency_limit"]
        if problem is None and limit is not None and latency > limit:
            problem = f"slower than {limit:g} s"
        return self.reading("ok" if problem is None else "failed", measured, problem or "as expected", **values)

    def _request(self, key: str) -> Request:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = key
        if self._options["subprotocol"] is not None:
            upgrade["Sec-WebSocket-Protocol"] = self._options["subprotocol"]
        rest = {"method": "GET", "request_body": None, "keep_alive": True}
        return request_of({**self._options, **rest, "headers": {**self._options["headers"], **upgrade}}, self._url)

    def _refusal(self, status: int, headers: dict[str, str], key: str) -> str | None:
        if status != 101:
            return f"status {status}: no WebSocket here, or something in front of it lets none through"
        # What a cache or another server would say to somebody else's handshake is told apart by this.
        digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
        accepted = base64.b64encode(digest).decode("ascii")
        if headers.get("sec-websocket-accept") != accepted or headers.get("upgrade", "").lower() != "websocket":
            return "the answer is none to this handshake"
        spoken, wanted = headers.get("sec-websocket-protocol"), self._options["subprotocol"]
        if wanted is not None and spoken != wanted:
            return f"it speaks {shown(spoken)}" if spoken else f"it does not speak {wanted}"
        return None

    async def _hold(self, line: Conversation) -> str | None:
        """Leave it open, answering pings alone; why it did not stay so."""
        started = time.perf_counter()
        listening = asyncio.ensure_future(_listen(line))
        try:
            done, _ = await asyncio.wait({listening}, timeout=self._options["hold"])
        finally:
            listening.cancel()
        if not done:
            return None
        after = time.perf_counter() - started
        return f"it was closed after {after:.1f} s without traffic: {listening.result()}"


async def _head(line: Conversation) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer. Raises Misunderstanding and OSError."""
    first = await line.line()
    match = re.match(r"HTTP/1\.[01] ([1-5]\d\d)( |$)", first)
    if match is None:
        raise Misunderstanding(f"the answer does not start like HTTP: {shown(first[:40])}")
    headers: dict[str, str] = {}
    for _ in range(_HEADERS):
        name, _, value = (await line.line()).partition(":")
        if not name:
            return int(match[1]), headers
        headers[name.strip().lower()] = value.strip()
    raise Misunderstanding("the head of the response is too long")


async def _listen(line: Conversation) -> str:
    """Take what comes until the other side ends it; says how."""
    try:
        while True:
            kind, length = await line.exactly(2)
            size = length & 0x7F
            if size > 125:
                size = int.from_bytes(await line.exactly(2 if size == 126 else 8), "big")
            if kind == _CLOSE:
                code = await line.exactly(2) if size >= 2 else b""
                return f"it said goodbye with code {int.from_bytes(code, 'big')}" if code else "it said goodbye"
            if kind == _PING and size <= 125:
                line.say(_frame(_PONG, await line.exactly(size)))
                continue
            while size:
                size -= len(await line.exactly(min(size, 65536)))
    except OSError as error:
        return "the connection was cut" if isinstance(error, ConnectionResetError) else why(error)


def _frame(kind: int, payload: bytes) -> bytes:
    """A client's frame, masked as it has to be."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([kind, 0x80 | len(payload)]) + mask + masked


WEBSOCKET = Kind(
    name="websocket",
    options={
        "url": Option(text, required=True),
        "headers": Option(mapping, default={}, secret=True),
        "user": Option(text),
        "password": Option(text, secret=True),
        "subprotocol": Option(text),
        "hold": Option(parse_duration),
        "latency_limit": Option(parse_duration),
        **TLS_OPTIONS,
        "server_name": Option(text),
    },
    prepare=WebsocketCheck,
    target=lambda options: t.cast(str, options["url"]),
)
