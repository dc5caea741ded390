# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server that does as little as possible, in a process of its own: what is measured is who asks.

It listens at one port of many loopback addresses, prints the port, and ends with its standard input. Paths that begin with
``/hang`` are never answered.
"""

from __future__ import annotations

import asyncio
import sys

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        # Requests without a body, one at a time, that fit into one piece.
        if not data.startswith(b"GET /hang"):
            self.transport.write(_ANSWER)


async def _serve(addresses: int) -> None:
    loop = asyncio.get_running_loop()
    port = 0
    for number in range(addresses):
        server = await loop.create_server(_Answering, f"127.0.0.{number + 1}", port, backlog=4096)
        port = server.sockets[0].getsockname()[1]
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
