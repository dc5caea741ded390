# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection through a tunnel: nothing that the other side has said is lost, whichever side ends first."""

from __future__ import annotations

import socket
import threading
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import tunnel
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.channels import Channels
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import StreamBroken
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.tunnel import Tunnel, _Connection

DATA, ERROR = 0, 1
PORT = b"\x15\x38"
GOODBYE = b"FATAL: terminating connection due to administrator command"


class Line:
    """The API's side: what it says in turn, and whether it still listens."""

    def __init__(self, *said: tuple[int, bytes], listens: bool = True, after: threading.Event | None = None) -> None:
        self.said = list(said)
        self.listens, self.after = listens, after
        self.heard = b""
        self.failed, self.closed = threading.Event(), threading.Event()

    def send(self, _channel: int, data: bytes) -> None:
        if not self.listens or self.closed.is_set():
            self.failed.set()
            raise StreamBroken("the connection ended", found="broken pipe")
        self.heard += data

    def receive(self) -> tuple[int, bytes] | None:
        if not self.listens:
            self.failed.wait(60)
            time.sleep(0.1)  # long enough for whoever would hang up now
        if self.closed.is_set():
            raise StreamBroken("the connection ended", found="closed")
        if self.said:
            return self.said.pop(0)
        if self.after is not None:
            self.after.wait(60)
        return None

    def close(self) -> None:
        self.closed.set()
        if self.after is not None:
            self.after.set()


@pytest.fixture
def ends() -> t.Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    with ours, theirs:
        yield ours, theirs


def carried(ours: socket.socket, line: Line) -> tuple[threading.Thread, list[str]]:
    said: list[str] = []

    def carry() -> None:
        connection = _Connection(ours, t.cast(Channels, line))
        said.append(connection.carry())
        connection.close()

    thread = threading.Thread(target=carry)
    thread.start()
    return thread, said


def received(theirs: socket.socket) -> bytes:
    return b"".join(iter(lambda: theirs.recv(1 << 16), b""))


def test_what_a_server_says_when_it_hangs_up_arrives(ends: tuple[socket.socket, socket.socket]) -> None:
    """The next question meets a line that is dead, and the reason for it has still to be read."""
    ours, theirs = ends
    line = Line((ERROR, PORT), (DATA, PORT + GOODBYE), listens=False)
    theirs.sendall(b"SELECT 1")
    thread, said = carried(ours, line)
    assert received(theirs) == GOODBYE
    thread.join(60)
    assert said == [""]


def test_who_hangs_up_here_ends_it_there(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    line = Line((DATA, PORT), after=threading.Event())
    thread, said = carried(ours, line)
    theirs.sendall(b"a question")
    theirs.shutdown(socket.SHUT_RDWR)
    thread.join(60)
    assert line.closed.is_set() and line.heard == b"a question" and said == [""]


def test_what_the_kubelet_complains_about_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    thread, said = carried(ours, Line((DATA, PORT), (ERROR, PORT), (ERROR, b"connection refused")))
    assert received(theirs) == b""
    thread.join(60)
    assert said == ["connection refused"]


class SlowLine(Line):
    """What is said takes a while to go out."""

    def send(self, channel: int, data: bytes) -> None:
        time.sleep(0.1)
        super().send(channel, data)


def test_a_goodbye_goes_out_before_the_tunnel_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never hears it keeps the session, and what the session has locked."""
    line = SlowLine((DATA, PORT), after=threading.Event())
    monkeypatch.setattr(tunnel, "open_channels", lambda *_arguments: line)
    with Tunnel(t.cast("t.Any", None), "shop", "pg-0", 5432) as way:
        with socket.create_connection((way.host, way.port), 60) as client:
            client.sendall(b"SELECT 1")
            until = time.monotonic() + 60
            while not line.heard and time.monotonic() < until:
                time.sleep(0.01)
            client.sendall(b"goodbye")
    assert line.heard == b"SELECT 1goodbye"
