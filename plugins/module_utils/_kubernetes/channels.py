# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several byte streams over one connection to the API server, as ``exec`` and ``portforward`` have them (v4.channel.k8s.io)."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import ssl
import threading
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._errors import missing_library
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import Access
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Unreachable, clean, explain
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import StreamBroken

PROTOCOL = "v4.channel.k8s.io"
_CONNECT_TIMEOUT_S = 30.0
# A peer that vanished without a word is noticed after about a minute; one that works on something is not.
_KEEPALIVE = (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 4))
_UNACKNOWLEDGED_MS = 60_000


class Channels:
    """An open connection. One thread may receive while others send."""

    def __init__(self, line: t.Any, what: str) -> None:
        self._line = line
        self._what = what
        self._socket = line.sock = _Line(line.sock)

    def send(self, channel: int, data: bytes) -> None:
        """Raises :class:`StreamBroken` when the connection has ended."""
        import websocket

        try:
            self._line.send_binary(bytes((channel,)) + data)
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise self._broken(error) from None

    def receive(self) -> tuple[int, bytes] | None:
        """The next bytes with their channel, waited for; None once the server has said that it is done.

        :raises StreamBroken: the connection ended in any other way.
        """
        import websocket

        try:
            while True:
                code, frame = self._line.recv_data_frame(True)
                if code == websocket.ABNF.OPCODE_CLOSE:
                    return None
                if code in (websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT) and frame.data:
                    data = bytes(frame.data)
                    return data[0], data[1:]
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise self._broken(error) from None

    def close(self) -> None:
        """Also ends a ``receive`` or ``send`` that waits in another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _broken(self, error: Exception) -> StreamBroken:
        return StreamBroken(
            f"the connection of {self._what} ended in the middle",
            expected="that it lasts until the other side is done",
            found=clean(str(error) or type(error).__name__),
            next_command="when it happens again, look at what stands between here and the API server; now: the same command",
        )


def open_channels(access: Access, path: str, query: t.Sequence[tuple[str, str]], what: str) -> Channels:
    """Open ``path`` of the API for channels.

    :arg what: for errors, such as ``"exec in pod shop/db-0"``.
    :raises ApiFailure: refused; the subclasses of ``_kubernetes.errors``, by status.
    :raises Unreachable: no connection.
    """
    try:
        import kubernetes.stream.ws_client
        import websocket
    except ImportError as error:
        raise missing_library(
            "kubernetes with what it streams with", "kubernetes 31 or newer, with websocket-client,", error
        ) from None
    url = urllib.parse.urlsplit(str(access.configuration.host))
    scheme = "ws" if url.scheme == "http" else "wss"
    target = urllib.parse.urlunsplit(
        (scheme, url.netloc, url.path.rstrip("/") + path, urllib.parse.urlencode(query), "")
    )
    headers = {"sec-websocket-protocol": PROTOCOL}
    headers.update({name.lower(): value for name, value in access.headers().items()})
    try:
        with _default_timeout(_CONNECT_TIMEOUT_S):
            stream: t.Any = kubernetes.stream.ws_client
            line = stream.create_websocket(access.configuration, target, headers)
    except websocket.WebSocketBadStatusException as error:
        raise explain(
            "GET", what, access.place, error.status_code, _document(error.resp_body), access.secrets()
        ) from None
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise Unreachable(
            f"no connection for {what}",
            expected=f"that {access.place} lets WebSockets through",
            found=clean(str(error) or type(error).__name__, access.secrets()),
            next_command="wait until the server is ready (kubectl get --raw /readyz), then: the same command",
        ) from None
    line.settimeout(None)
    _keep_alive(line.sock)
    return Channels(line, what)


def _document(body: bytes | None) -> t.Any:
    text = (body or b"").decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


@contextlib.contextmanager
def _default_timeout(seconds: float) -> t.Iterator[None]:
    """For a connection that the official client makes without one."""
    import websocket

    before = websocket.getdefaulttimeout()
    websocket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        websocket.setdefaulttimeout(before)


def _keep_alive(line: socket.socket) -> None:
    with contextlib.suppress(OSError):  # only notices a vanished peer sooner
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)


class _Line:
    """A socket on which one thread may read while another writes, TLS included.

    OpenSSL's state is one for both directions and not made for two threads, so each call of it is made alone, never
    blocks, and waiting happens outside. Only what websocket-client uses is here.
    """

    def __init__(self, line: t.Any) -> None:
        self._line = line
        self._alone = threading.Lock()
        line.setblocking(False)

    def recv(self, size: int) -> bytes:
        while True:
            try:
                with self._alone:
                    return bytes(self._line.recv(size))
            except (ssl.SSLWantReadError, BlockingIOError):
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)

    def send(self, data: bytes) -> int:
        while True:
            try:
                with self._alone:
                    return int(self._line.send(data))
            except (ssl.SSLWantWriteError, BlockingIOError):
                self._wait(select.POLLOUT)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._line.fileno(), event)
        poll.poll()

    def fileno(self) -> int:
        return int(self._line.fileno())

    def gettimeout(self) -> float:
        # "Non-blocking": websocket-client then calls recv and send as they are, and those wait here.
        return 0

    def settimeout(self, _seconds: float | None) -> None:
        """Nothing here has a time of its own; see the keep-alive."""

    def shutdown(self, how: int) -> None:
        # Not under the lock and not by TLS: it is what wakes a thread that waits.
        socket.socket.shutdown(self._line, how)

    def close(self) -> None:
        with self._alone:
            self._line.close()
