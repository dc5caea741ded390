# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port of a pod on loopback: every connection made there is forwarded through the API, as ``kubectl port-forward`` does.

The listener belongs to this process: it ends with it, however that ends. What travels is not framed by us, because
the protocols that go through here (PostgreSQL's) say themselves what is complete.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.access import Access
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.channels import Channels, open_channels
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import clean
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import StreamBroken

_DATA, _ERROR = 0, 1
_PIECE = 131072
#: Seconds in which what clients said before they hung up has to be sent on.
_FAREWELL_S = 2.0
#: Connections that wait to be accepted; pg_dump and pg_restore make one per job.
_BACKLOG = 128


class Tunnel:
    """A listener on loopback for one port of one pod; several connections at once.

    ``host`` and ``port`` say where it listens. Use it as a context manager, or let the process end.

    :raises EngineError: no port of loopback could be had.
    """

    host = "127.0.0.1"

    def __init__(self, access: Access, namespace: str, pod: str, port: int) -> None:
        self._access = access
        self._path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward"
        self._pod_port = port
        self.place = f"pod {namespace}/{pod} port {port}"
        self.hint = f"kubectl port-forward -n {namespace} pod/{pod} :{port}"
        self._open: set[_Connection] = set()
        self._lock = threading.Lock()
        self._failure = ""
        self._closed = False
        try:
            self._listener = socket.create_server((self.host, 0), backlog=_BACKLOG)
        except OSError as error:
            raise EngineError(
                f"no way to {self.place} could be opened",
                expected=f"a free port at {self.host}",
                found=str(error.strerror),
            ) from None
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def failure(self) -> str:
        """Why the newest connection that failed did so; empty when none has."""
        return self._failure

    def close(self) -> None:
        """Stop listening, let those end who have hung up here, and cut what is open still."""
        with self._lock:
            self._closed = True
        # A thread that waits in accept() is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        # A client says goodbye and hangs up; cut off before that went out, the server would keep its session, and its locks.
        until = time.monotonic() + _FAREWELL_S
        while self._open and time.monotonic() < until:
            time.sleep(0.01)
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.close()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                local, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(local,), daemon=True).start()

    def _serve(self, local: socket.socket) -> None:
        with contextlib.closing(local):
            try:
                channels = open_channels(self._access, self._path, [("ports", str(self._pod_port))], self.place)
            except RunbookError as error:
                self._failure = str(error)
                return
            connection = _Connection(local, channels)
            with self._lock:
                refused = self._closed
                if not refused:
                    self._open.add(connection)
            try:
                if not refused:
                    self._failure = connection.carry() or self._failure
            finally:
                connection.close()
                with self._lock:
                    self._open.discard(connection)


class _Connection:
    """One connection from loopback, and its way to the pod. Each direction has a thread, and holds one piece at most."""

    def __init__(self, local: socket.socket, channels: Channels) -> None:
        self._local = local
        self._channels = channels
        self._ended_here = False

    def carry(self) -> str:
        """Until either side ends. Returns what the other side complained about."""
        with contextlib.suppress(OSError):
            self._local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._outwards, daemon=True).start()
        greeted: set[int] = set()
        try:
            while True:
                received = self._channels.receive()
                if received is None:
                    return ""
                channel, data = received
                if channel not in greeted:
                    # The first bytes of each channel are the port's number, two bytes, which we know.
                    greeted.add(channel)
                    data = data[2:]
                if not data:
                    continue
                if channel == _ERROR:
                    return clean(data.decode("utf-8", "replace"))
                if channel == _DATA:
                    self._local.sendall(data)
        except StreamBroken as error:
            return "" if self._ended_here else str(error.found)
        except OSError:
            return ""  # who asked has gone away

    def _outwards(self) -> None:
        try:
            while True:
                data = self._local.recv(_PIECE)
                if not data:
                    break
                self._channels.send(_DATA, data)
        except StreamBroken:
            return  # the other direction has still to read what was said before the end, and says why
        except OSError:
            pass
        # Neither channel can say that only one direction has ended.
        self._ended_here = True
        self._channels.close()

    def close(self) -> None:
        self._channels.close()
        with contextlib.suppress(OSError):
            self._local.shutdown(socket.SHUT_RDWR)
