# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every kind that talks over the network against servers that are silent, slow, or say anything at all."""

from __future__ import annotations

import collections.abc
import contextlib
import os
import socket
import struct
import threading
import time
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_request import place_of, request_of
from tests.servers.deadline import wait_for
from tests.servers.http import silent_listener
from tests.unit.probes.conftest import ask_all
from tools.local_environment import free_port

#: A declaration of each, but for the port.
KINDS: dict[str, dict[str, t.Any]] = {
    "http": {"kind": "http", "url": "http://127.0.0.1:{port}/"},
    "https": {"kind": "http", "url": "https://127.0.0.1:{port}/", "certificate_days": 1},
    "tcp": {"kind": "tcp", "host": "127.0.0.1", "expect": "never said"},
    "tls": {"kind": "tls", "host": "127.0.0.1"},
    "tls of smtp": {"kind": "tls", "host": "127.0.0.1", "starttls": "smtp"},
    "tls of postgresql": {"kind": "tls", "host": "127.0.0.1", "starttls": "postgres"},
    "smtp": {"kind": "smtp", "host": "127.0.0.1"},
    "smtp, implicit": {"kind": "smtp", "host": "127.0.0.1", "tls": "implicit"},
    "smtp, no tls": {"kind": "smtp", "host": "127.0.0.1", "tls": "none", "mechanisms": "NEVER"},
    "websocket": {"kind": "websocket", "url": "ws://127.0.0.1:{port}/"},
    "dns": {"kind": "dns", "record": "a.example", "servers": "127.0.0.1:{port}"},
}


def declaration(name: str, port: int, timeout: float) -> dict[str, t.Any]:
    found = {key: item.format(port=port) if isinstance(item, str) else item for key, item in KINDS[name].items()}
    return {**found, "timeout": timeout, **({"port": port} if "host" in found else {})}


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("name", KINDS)
def test_silence_ends_at_the_timeout_and_leaves_nothing_open(name: str) -> None:
    with silent_listener() as port, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", port))
        before = descriptors()
        results = ask_all([declaration(name, port, 0.3)] * 10)
        wait_for(lambda: descriptors() <= before, "every descriptor to be closed")
    assert {result.reading.outcome for result in results} == {"failed"}


@contextlib.contextmanager
def serving(serve: t.Callable[[socket.socket], None]) -> collections.abc.Iterator[int]:
    """A port whose callers are dealt with one after the other."""

    def work() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), line:
                serve(line)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(line: socket.socket) -> None:
    """Something new every moment, and never an end."""
    line.settimeout(60)
    while True:
        line.sendall(b" ")
        time.sleep(0.02)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "dns"])
def test_a_reset_is_a_failure(name: str) -> None:
    with serving(reset) as port:
        reading = ask_all([declaration(name, port, 60)])[0].reading
    assert reading.outcome == "failed"
    assert "timed_out" not in reading.values
    assert reading.message


@pytest.mark.parametrize("name", [name for name in KINDS if name != "dns"])
def test_who_is_slow_is_not_waited_for(name: str) -> None:
    with serving(drip) as port:
        result = ask_all([declaration(name, port, 0.5)])[0]
    # Either it is seen at once to be nonsense, or the timeout is that of the whole, not of each word.
    assert result.reading.outcome == "failed"
    assert result.duration_s < 30


class Babbler:
    """Says what it is told to, over TCP as soon as somebody comes and over UDP to every question, and then hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self._ended = threading.Event()
        # A port for both of them, which the kernel may not have given to another's datagrams.
        self.port = free_port()
        self._tcp = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._lines, self._datagrams)]

    def __enter__(self) -> Babbler:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._tcp.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._tcp.close()
        self._udp.close()

    def _lines(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                line, _ = self._tcp.accept()
                with line:
                    line.sendall(self.answer)
                    line.shutdown(socket.SHUT_WR)
                    line.settimeout(60)
                    while line.recv(65536):
                        pass

    def _datagrams(self) -> None:
        self._udp.settimeout(0.05)
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                question, place = self._udp.recvfrom(4096)
                # With the question's own number, so that it is looked at.
                self._udp.sendto(question[:2] + self.answer[:1000], place)


@pytest.fixture(scope="module")
def babbler() -> collections.abc.Iterator[Babbler]:
    with Babbler() as running:
        yield running


_LIKELY = st.sampled_from(
    [
        b"220 ",
        b"250-",
        b"250 STARTTLS\r\n",
        b"HTTP/1.1 ",
        b"101 x\r\n",
        b"200 OK\r\n",
        b"Location: ",
        b"Content-Length: ",
        b"\r\n",
        b"S",
        b"\x16\x03\x03\x00\x7a",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x85\x00\x00\x01\x00\x01",
        b"\xc0\x0c",
    ]
)
ANYTHING = st.lists(st.one_of(st.binary(max_size=40), _LIKELY), max_size=12).map(b"".join)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=25)
@given(answer=ANYTHING)
def test_whatever_is_said_the_probe_judges_it(babbler: Babbler, name: str, answer: bytes) -> None:
    babbler.answer = answer
    reading = ask_all([declaration(name, babbler.port, 2)])[0].reading
    # "unknown" would mean that the probe itself broke.
    assert reading.outcome == "failed" or (reading.outcome == "ok" and name == "http"), reading
    assert reading.message


FIRST = request_of(
    {
        "method": "GET",
        "user": "u",
        "password": "hunter2",
        "headers": {"X-Token": "hunter2"},
        "request_body": None,
        "keep_alive": True,
    },
    "https://a.example:8443/x/y?z=1",
)
LOCATIONS = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}{}{}{}".format,
        *(
            st.sampled_from(parts)
            for parts in (
                ["https://", "http://", "//", "/", "", "ftp://", "HTTPS://"],
                ["a.example", "A.EXAMPLE", "a.example.", "a.example@b.example", "b.example", "[::1]", "a.example%00"],
                ["", ":8443", ":443", ":0", ":x"],
                ["", "/", "/p?q#f", "\\@b.example/", "/\r\nX: 1"],
            )
        ),
    ),
)


@given(st.lists(LOCATIONS, min_size=1, max_size=3), st.sampled_from([301, 302, 303, 307, 308]))
def test_wherever_redirects_lead_credentials_stay(locations: list[str], status: int) -> None:
    request, stayed = FIRST, True
    for location in locations:
        try:
            request = request.redirected(status, location)
        except ValueError:
            return
        place = place_of(request.place.url)
        assert place == request.place
        stayed = stayed and (place.secure, place.host, place.port) == (True, "a.example", 8443)
        data = request.data()
        assert (b"hunter2" in data) is stayed, place.url
        assert (b"Authorization" in data) is stayed, place.url
        # Nor can a location put headers of its own into the request.
        assert data.count(b"\r\n\r\n") == 1 and data.endswith(b"\r\n\r\n")
        assert not any(line.startswith(b"X:") for line in data.split(b"\r\n"))
