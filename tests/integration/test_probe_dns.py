# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dns kind on real name servers, which agree or not, and on what only claims to be one."""

from __future__ import annotations

import collections.abc
import contextlib
import socket
import sys
import threading
import typing as t

import dns.message
import dns.resolver
import dns.rrset
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.http import closed_port
from tests.servers.knot import NameServer, name_server
from tests.unit.probes.conftest import ask_all

ZONE = """\
$ORIGIN shop.example.
@ 3600 SOA ns1 hostmaster %(serial)s 3600 600 86400 60
@ 3600 NS ns1
ns1 3600 A 127.0.0.1
www 300 A 192.0.2.10
www 300 A 192.0.2.11
www 300 AAAA 2001:db8::10
shop 60 CNAME WWW
@ 300 MX 10 Mail
mail 300 A %(mail)s
@ 300 TXT "v=spf1 include:" "_spf.Example -all"
big 300 TXT "%(big)s"
loop1 60 CNAME loop2
loop2 60 CNAME loop1
"""


def zone(serial: int = 7, mail: str = "192.0.2.25") -> str:
    return ZONE % {"serial": serial, "mail": mail, "big": '" "'.join(["x" * 250] * 8)}


@pytest.fixture(scope="module")
def first() -> collections.abc.Iterator[NameServer]:
    # The second zone has a file that cannot be read: it answers SERVFAIL.
    with name_server({"shop.example": zone(), "broken.example": "nonsense\n"}) as server:
        yield server


@pytest.fixture(scope="module")
def second() -> collections.abc.Iterator[NameServer]:
    with name_server({"shop.example": zone(8, "192.0.2.26")}) as server:
        yield server


def ask(*servers: NameServer | str, record: str = "www.shop.example", **options: t.Any) -> Reading:
    addresses = [server if isinstance(server, str) else server.address for server in servers]
    return ask_all([{"kind": "dns", "record": record, "servers": addresses, **options}])[0].reading


def test_answers(first: NameServer) -> None:
    reading = ask(first)
    assert (reading.outcome, reading.measured) == ("ok", "192.0.2.10, 192.0.2.11")
    server = reading.values["servers"][0]
    assert (server["rcode"], server["ttl"], server["authoritative"]) == ("NOERROR", 300, True)
    assert ask(first, answers=["192.0.2.11", "192.0.2.10"]).outcome == "ok"
    assert ask(first, type="AAAA", answers="2001:0DB8:0::10").outcome == "ok"
    # A name that is another's: what it leads to counts.
    assert ask(first, record="shop.shop.example", answers=["192.0.2.10", "192.0.2.11"]).outcome == "ok"
    assert ask(first, record="shop.shop.example", type="CNAME", answers="www.shop.example").outcome == "ok"
    assert ask(first, record="shop.example", type="MX", answers="10 MAIL.shop.example.").outcome == "ok"
    assert ask(first, record="shop.example", type="TXT", answers="v=spf1 include:_spf.Example -all").outcome == "ok"
    assert ask(first, record="shop.example", type="TXT", answers="v=spf1 include:_spf.example -all").outcome == "failed"
    # More than fits in a datagram: asked again over TCP.
    assert ask(first, record="big.shop.example", type="TXT", answers="x" * 2000).outcome == "ok"


def test_other_answers_are_named(first: NameServer) -> None:
    reading = ask(first, answers="192.0.2.10")
    assert (reading.outcome, reading.message) == ("failed", f"{first.address}: 192.0.2.10, 192.0.2.11")
    assert reading.hint == f"dig @127.0.0.1 -p {first.port} www.shop.example A"
    for record, said in (
        ("none.shop.example", "NXDOMAIN"),
        ("broken.example", "SERVFAIL"),
        ("elsewhere.example", "REFUSED"),
    ):
        reading = ask(first, record=record)
        assert (reading.outcome, reading.message) == ("failed", f"{first.address}: {said}")
    assert ask(first, record="mail.shop.example", type="AAAA").message == f"{first.address}: the name has no AAAA"
    assert ask(first, record="loop1.shop.example").outcome == "failed"


def test_a_name_that_is_not_to_exist(first: NameServer) -> None:
    assert ask(first, record="none.shop.example", rcode="NXDOMAIN").outcome == "ok"
    assert ask(first, rcode="NXDOMAIN").message == f"{first.address}: NOERROR"


def test_bounds(first: NameServer) -> None:
    assert ask(first, maximum_ttl="5m", authoritative=True).outcome == "ok"
    assert ask(first, maximum_ttl="1m").message == f"{first.address}: it may be kept for 300 s"
    # Of a chain, the shortest life counts.
    assert ask(first, record="shop.shop.example", maximum_ttl=60).outcome == "ok"
    assert ask(first, latency_limit=0).outcome == "failed"


def test_servers_that_agree_or_not(first: NameServer, second: NameServer) -> None:
    assert ask(first, second, agree=True).outcome == "ok"
    assert ask(first, second, record="shop.example", type="SOA").outcome == "ok"
    reading = ask(first, second, record="shop.example", type="SOA", agree=True)
    assert reading.outcome == "failed"
    assert reading.message.startswith("the servers disagree: ns1.shop.example hostmaster.shop.example 7 ")
    assert f"hostmaster.shop.example 8 3600 600 86400 60 from {second.address}" in reading.message
    reading = ask(first, second, record="mail.shop.example", agree=True)
    assert reading.message == (
        f"the servers disagree: 192.0.2.25 from {first.address}; 192.0.2.26 from {second.address}"
    )


def test_the_servers_of_the_host(first: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Resolver:
        """What /etc/resolv.conf would say."""

        nameservers: t.ClassVar = ["127.0.0.1"]
        port = first.port

    monkeypatch.setattr(dns.resolver, "Resolver", Resolver)
    assert ask(answers=["192.0.2.10", "192.0.2.11"]).outcome == "ok"
    assert ask(agree=True).outcome == "unknown"


def test_one_that_is_silent_is_named(first: NameServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{deaf.getsockname()[1]}"
        # On a slow machine the other one gets time to answer.
        for timeout in (3, 12, 48):
            reading = ask(first, silent, agree=True, timeout=timeout)
            if "1 of 2 servers answer" in reading.measured:
                break
    assert (reading.outcome, reading.message) == ("failed", f"{silent}: no answer")
    assert reading.measured == f"192.0.2.10, 192.0.2.11 from {first.address}, 1 of 2 servers answer"
    assert ask(f"127.0.0.1:{closed_port()}", timeout=1).outcome == "failed"
    assert "own name is not known" in ask("no-such-host.invalid").message


Reply = t.Callable[[bytes], t.Iterable[bytes]]


@contextlib.contextmanager
def saying(reply: Reply) -> collections.abc.Iterator[str]:
    """Something that answers datagrams; its address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        line.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    data, place = line.recvfrom(4096)
                    for answer in reply(data):
                        line.sendto(answer, place)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{line.getsockname()[1]}"
        ended.set()
        thread.join(10)


def other_question(data: bytes) -> t.Iterable[bytes]:
    query = dns.message.from_wire(data)
    forged = dns.message.make_response(dns.message.make_query("other.example", "A"))
    forged.id = query.id
    yield forged.to_wire()


def other_id(data: bytes) -> t.Iterable[bytes]:
    forged = dns.message.make_response(dns.message.from_wire(data))
    forged.id = (forged.id + 1) % 65536
    forged.answer.append(dns.rrset.from_text("www.shop.example.", 60, "IN", "A", "192.0.2.66"))
    yield forged.to_wire()


@pytest.mark.parametrize(
    "reply", [lambda data: [b"nonsense"], lambda data: [data[:2]], lambda data: [b""], other_question, other_id]
)
def test_one_that_lies(reply: Reply) -> None:
    with saying(reply) as address:
        reading = ask(address, timeout=2)
    assert reading.outcome == "failed"
    assert "192.0.2.66" not in repr(reading)


def test_a_lost_datagram_is_sent_again(first: NameServer) -> None:
    seen: list[bytes] = []

    def second_time(data: bytes) -> t.Iterable[bytes]:
        seen.append(data)
        if len(seen) > 1:
            response = dns.message.make_response(dns.message.from_wire(data))
            response.answer.append(dns.rrset.from_text("www.shop.example.", 60, "IN", "A", "192.0.2.1"))
            yield response.to_wire()

    with saying(second_time) as address:
        # On a slow machine there is time for the second one.
        for timeout in (3, 12, 48):
            seen.clear()
            reading = ask(address, timeout=timeout)
            if reading.outcome == "ok":
                break
        assert len(seen) > 1 and (reading.outcome, reading.measured) == ("ok", "192.0.2.1")
        # It claims no authority.
        assert ask(address, authoritative=True).message == f"{address}: it answers without authority"


@pytest.mark.parametrize(
    "options",
    [
        {"servers": "10.0.0.1", "agree": True},
        {"servers": "a b"},
        {"servers": "10.0.0.1:99999"},
        {"rcode": "NXDOMAIN", "answers": "10.0.0.1"},
        {"type": "BOGUS"},
        {"answers": []},
    ],
)
def test_what_is_refused(options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        ask_all([{"kind": "dns", "record": "a.example", **options}])


def test_without_the_library_it_is_unknown(first: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "dns" or name.startswith("dns.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dns", None)
    reading = ask(first)
    assert reading.outcome == "unknown"
    assert "dnspython cannot be imported" in reading.message
