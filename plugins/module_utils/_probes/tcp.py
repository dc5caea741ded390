# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tcp kind: a connection, and optionally what the other side says."""

from __future__ import annotations

import asyncio
import shlex
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Check,
    Kind,
    Option,
    Reading,
    integer,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_connection import why

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_ANSWER_LIMIT = 64 * 1024


class _Conversation(asyncio.Protocol):
    """Collects what arrives until it contains the expected bytes."""

    def __init__(self, wanted: bytes) -> None:
        self.received = b""
        self._wanted = wanted
        self.heard: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self._wanted in self.received:
            self._tell(True)
        elif len(self.received) > _ANSWER_LIMIT:
            self._tell(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell(False)

    def _tell(self, found: bool) -> None:
        if not self.heard.done():
            self.heard.set_result(found)


class TcpCheck(Check):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        self._session = session
        self._host, self._port = options["host"], options["port"]
        self._send = (options["send"] or "").encode("utf-8")
        self._expect = (options["expect"] or "").encode("utf-8")
        self._limit: float | None = options["latency_limit"]
        self.expected = "a connection"
        if self._expect:
            self.expected += f", answered with {shown(options['expect'])}"
        if self._limit is not None:
            self.expected += f", within {self._limit:g} s"
        self.hint = f"nc -vz -w {max(1, round(options['timeout']))} {shlex.quote(self._host)} {self._port}"

    async def ask(self) -> Reading:
        started = time.perf_counter()
        try:
            transport, conversation = await self._session.connections.connect(
                lambda: _Conversation(self._expect), self._host, self._port, None, None
            )
        except OSError as error:
            return self.reading("failed", "no connection", why(error))
        try:
            if self._send:
                transport.write(self._send)
            if self._expect and not await conversation.heard:
                said = shown(conversation.received[:100].decode("utf-8", "replace"))
                return self.reading("failed", f"answered {said}", "closed without the expected answer")
        finally:
            transport.abort()
        latency = time.perf_counter() - started
        measured = f"connected in {latency:.3f} s"
        if self._limit is not None and latency > self._limit:
            return self.reading("failed", measured, f"slower than {self._limit:g} s", latency_s=round(latency, 6))
        return self.reading("ok", measured, "as expected", latency_s=round(latency, 6))


TCP = Kind(
    name="tcp",
    options={
        "host": Option(text, required=True),
        "port": Option(integer(1, 65535), required=True),
        "send": Option(text),
        "expect": Option(text),
        "latency_limit": Option(parse_duration),
    },
    prepare=TcpCheck,
    target=lambda options: f"{options['host']}:{options['port']}",
)
