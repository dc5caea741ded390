# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ping kind against open, closed and silent ports."""

from __future__ import annotations

import collections.abc
import contextlib
import socket
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session
from ansible_collections.sre.runbooks.plugins.module_utils._probes.ping import PING, PingCheck
from tests.servers.http import HttpServer, closed_port
from tests.unit.probes.conftest import Ask


def test_an_open_port(server: HttpServer, ask: Ask) -> None:
    reading = ask("ping", host="localhost", port=server.port, pause=0, wait=15).reading
    assert (reading.outcome, reading.message, reading.values["sent"]) == ("ok", "as expected", 3)
    values = reading.values
    assert 0 < values["minimum_s"] <= values["average_s"] <= values["maximum_s"]
    assert reading.measured.startswith("0 % loss, ")


def test_a_closed_port_proves_the_host_where_that_is_enough(ask: Ask) -> None:
    port = closed_port()
    refused = ask("ping", host="127.0.0.1", port=port, pause=0, wait=15).reading
    assert (refused.outcome, refused.message) == ("failed", "connection refused (3 times)")
    # ICMP may get through all the same.
    assert refused.hint == f"nc -vz -w 15 127.0.0.1 {port}"
    assert ask("ping", host="127.0.0.1", port=port, pause=0, wait=15, refused=True).reading.outcome == "ok"


@contextlib.contextmanager
def deaf_port() -> collections.abc.Iterator[int]:
    """A port whose queue is full: handshakes are not answered."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            line = stack.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_silence_is_loss(ask: Ask) -> None:
    with deaf_port() as port:
        reading = ask("ping", host="127.0.0.1", port=port, count=2, wait=0.2, pause=0, refused=True).reading
    assert (reading.outcome, reading.message, reading.values["loss_percent"]) == ("failed", "no answer (2 times)", 100)


def test_a_host_whose_first_address_does_not_answer(
    server: HttpServer, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As localhost, where a server listens at 127.0.0.1 alone."""
    asked = socket.getaddrinfo

    def found(host: str, port: int, *rest: t.Any, **more: t.Any) -> list[t.Any]:
        (second,) = asked("127.0.0.1", port, *rest, **more)
        first = (*second[:4], ("127.0.0.1", closed_port()))
        return [first, second]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    reading = ask("ping", host="localhost", port=server.port, pause=0, wait=15).reading
    assert (reading.outcome, reading.message, reading.values["loss_percent"]) == ("ok", "as expected", 0)
    assert reading.values["address"] == "127.0.0.1"


@pytest.mark.parametrize("kind", ["ping", "tcp", "http"])
def test_a_name_that_could_not_be_found_is_asked_for_again(
    server: HttpServer, ask: Ask, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    found = socket.getaddrinfo
    failures = [socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")] * 2

    def resolve(host: str, *rest: t.Any, **more: t.Any) -> list[t.Any]:
        if failures:
            raise failures.pop()
        return found("127.0.0.1", *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    place = (
        {"url": f"http://shop.test:{server.port}/"} if kind == "http" else {"host": "shop.test", "port": server.port}
    )
    wait = {"wait": 15} if kind == "ping" else {}
    result = ask(kind, attempts=3, interval=0.01, **place, **wait)
    assert result.reading.outcome == "ok", result
    assert not failures


def test_a_host_that_does_not_exist(ask: Ask) -> None:
    reading = ask("ping", host="no-such-host.invalid", port=80).reading
    assert (reading.outcome, reading.measured) == ("failed", "no address")


def judged(trips: list[float], **given: t.Any) -> Reading:
    options = {key: option.default for key, option in PING.options.items()}
    options.update(host="h", port=1, timeout=5.0, count=4, **given)
    lost = {"no answer": 4 - len(trips)} if len(trips) < 4 else {}
    return PingCheck(options, Session())._judge(trips, lost, "10.0.0.1")


def test_bounds() -> None:
    assert judged([0.1] * 3).outcome == "failed"
    assert judged([0.1] * 3).message == "no answer (1 time)"
    assert judged([0.1] * 3, maximum_loss=25.0).outcome == "ok"
    assert judged([0.1] * 4, latency_limit=0.09).message == "slower than 0.09 s on average"
    assert judged([0.1, 0.1, 0.3, 0.3], latency_warning=0.15, latency_limit=0.25).outcome == "warning"
    assert judged([0.1, 0.1, 0.3, 0.3]).measured == "0 % loss, 100.0/200.0/300.0 ms (min/avg/max) to 10.0.0.1"


@pytest.mark.parametrize("options", [{"count": 5}, {"wait": 0}, {"count": 3, "pause": 2}])
def test_what_does_not_fit_is_refused(ask: Ask, options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        ask("ping", host="127.0.0.1", port=1, timeout=5, **options)
