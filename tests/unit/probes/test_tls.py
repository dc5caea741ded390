# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tls kind against servers whose certificates are good, old, foreign, lonely, or none at all."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import pathlib
import socket
import ssl
import sys
import threading
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes.certificate import read_certificate
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.authority import Issued, self_signed
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.unit.probes.conftest import Ask

LOOPBACK = ("localhost", "127.0.0.1")


@dataclasses.dataclass
class World:
    """An authority that is trusted, one below it, and where files go."""

    directory: pathlib.Path
    root: Issued
    middle: Issued
    ask: Ask

    def probe(self, context: ssl.SSLContext, **options: t.Any) -> Reading:
        with HttpServer(context) as server:
            given = {"host": "localhost", "port": server.port, "ca_cert": str(self.directory / "ca.pem"), **options}
            return self.ask("tls", **given).reading

    def serve(self, issued: Issued, sent: t.Sequence[Issued] | None = None, **options: t.Any) -> Reading:
        return self.probe(issued.context(self.directory, sent), **options)


@pytest.fixture
def world(tmp_path: pathlib.Path, ask: Ask) -> World:
    root = self_signed("Root of the tests", days=(-100, 1000))
    (tmp_path / "ca.pem").write_bytes(root.pem())
    return World(tmp_path, root, root.issue("Middle of the tests", days=(-100, 500), authority=True), ask)


def test_a_good_one_is_measured(world: World) -> None:
    reading = world.serve(world.middle.issue("shop", LOOPBACK))
    assert (reading.outcome, reading.message, reading.hint) == ("ok", "as expected", None)
    assert reading.measured.startswith("'shop' for localhost, 127.0.0.1, ends in 90.0 days, TLSv1.3")
    values = reading.values
    assert (values["validates"], values["subject"], values["issuer"]) == (True, "shop", "Middle of the tests")
    assert values["chain"] == ["shop", "Middle of the tests"]
    assert (values["days_left"], values["age_days"]) == (pytest.approx(90, abs=0.1), pytest.approx(10, abs=0.1))
    assert values["key"] == "EC secp256r1"


@pytest.mark.parametrize(
    ("days", "outcome", "message"),
    [
        ((-100, -3), "failed", "expired 3.0 days ago"),
        ((-100, 6.5), "failed", "ends in 6.5 days"),
        ((-100, 29.5), "warning", "ends in 29.5 days"),
        ((1, 90), "failed", "not valid before"),
    ],
)
def test_the_time_it_is_valid(world: World, days: tuple[float, float], outcome: str, message: str) -> None:
    reading = world.serve(world.middle.issue("shop", LOOPBACK, days))
    assert (reading.outcome, reading.message[: len(message)]) == (outcome, message)
    # What does not validate is measured all the same.
    assert reading.values["days_left"] == pytest.approx(days[1], abs=0.1)


def test_bounds_of_the_inventory(world: World) -> None:
    issued = world.middle.issue("shop", LOOPBACK, (-100, 20))
    assert world.serve(issued, days=1, warning_days=2).outcome == "ok"
    assert world.serve(issued, days=21).message == "ends in 20.0 days"
    beyond = world.serve(issued, days=21, warning_days=1)
    assert (beyond.outcome, beyond.message) == ("failed", "ends in 20.0 days")
    assert world.serve(issued, warning_days=0, maximum_age="90d").message == "it was made 100.0 days ago"
    assert world.serve(issued, warning_days=0, maximum_age="101d").outcome == "ok"


def test_an_authority_that_ends_before_what_it_issued(world: World) -> None:
    middle = world.root.issue("Old middle", days=(-100, 4), authority=True)
    reading = world.serve(middle.issue("shop", LOOPBACK))
    assert (reading.outcome, reading.message) == ("failed", "ends in 4.0 days (that of 'Old middle')")
    dead = world.root.issue("Dead middle", days=(-100, -4), authority=True)
    assert world.serve(dead.issue("shop", LOOPBACK)).message == "expired 4.0 days ago: that of 'Dead middle'"


def test_self_signed(world: World) -> None:
    alone = self_signed("alone", LOOPBACK, authority=False)
    reading = world.serve(alone, [alone])
    assert (reading.outcome, reading.message) == ("failed", "self-signed, and not trusted here")
    assert reading.values["validates"] is False
    trusted = world.directory / "alone.pem"
    trusted.write_bytes(alone.pem())
    assert world.serve(alone, [alone], ca_cert=str(trusted)).outcome == "ok"
    assert world.serve(alone, [alone], validate_certs=False).outcome == "ok"


def test_the_wrong_host(world: World) -> None:
    reading = world.serve(world.middle.issue("other", ["a.example", "*.b.example"]))
    assert reading.message == "wrong host: the certificate is for a.example, *.b.example, not for localhost"
    assert world.serve(world.middle.issue("other", ["a.example"]), server_name="a.example").outcome == "ok"
    nameless = world.serve(world.middle.issue("localhost"))
    assert (nameless.outcome, nameless.message[:18]) == ("warning", "it names no host (")
    by_address = world.serve(world.middle.issue("other", ["10.9.8.7"]), host="127.0.0.1")
    assert by_address.message == "wrong host: the certificate is for 10.9.8.7, not for 127.0.0.1"


def test_an_incomplete_chain(world: World) -> None:
    issued = world.middle.issue("shop", LOOPBACK)
    reading = world.serve(issued, [issued])
    assert reading.outcome == "failed"
    assert reading.message.startswith("incomplete chain or unknown authority: the certificate of 'Middle of the tests'")
    assert reading.values["chain_length"] == 1


def test_an_unknown_authority(world: World) -> None:
    stranger = self_signed("Stranger")
    issued = stranger.issue("shop", LOOPBACK)
    expected = "the chain ends at the self-signed 'Stranger', which is not trusted here"
    assert world.serve(issued, [issued, stranger]).message == expected


def test_a_long_chain(world: World) -> None:
    above = world.root
    for place in range(12):
        above = above.issue(f"Level {place}", days=(-100, 500), authority=True)
    issued = above.issue("shop", LOOPBACK)
    reading = world.serve(issued)
    assert (reading.outcome, reading.message) == ("failed", "the chain is too long: 13 certificates")
    assert reading.values["validates"] is True
    assert world.serve(issued, maximum_chain=13).outcome == "ok"


def test_everything_that_is_wrong_is_said(world: World) -> None:
    reading = world.serve(world.middle.issue("other", ["a.example"], (-100, 3)), maximum_age="30d")
    assert reading.message.split("; ") == [
        "wrong host: the certificate is for a.example, not for localhost",
        "ends in 3.0 days",
        "it was made 100.0 days ago",
    ]


def test_old_protocols(world: World) -> None:
    context = world.middle.issue("shop", LOOPBACK).context(world.directory)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert world.probe(context).outcome == "ok"
    assert world.probe(context, minimum_version="TLSv1.3").message == "it speaks TLSv1.2"
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    assert world.probe(context).message == "it speaks nothing newer than TLSv1.1"


def test_what_is_no_tls(world: World) -> None:
    with talking(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        plain = world.ask("tls", host="127.0.0.1", port=port).reading
    assert (plain.outcome, plain.measured) == ("failed", "no TLS connection")
    assert "does not speak TLS" in plain.message
    with silent_listener() as port:
        assert world.ask("tls", host="127.0.0.1", port=port, timeout=0.3).reading.values["timed_out"] is True
    assert world.ask("tls", host="127.0.0.1", port=closed_port()).reading.message == "connection refused"


@pytest.mark.parametrize(
    "answer", [b"", b"220 mail.example ESMTP\r\n", b"\x15\x03\x01\x00\x02\x02\x28", b"\x16" * 4000]
)
def test_a_server_that_lies(world: World, answer: bytes) -> None:
    with talking(answer) as port:
        reading = world.ask("tls", host="127.0.0.1", port=port).reading
    assert (reading.outcome, reading.measured) == ("failed", "no TLS connection"), reading
    assert reading.message


@contextlib.contextmanager
def talking(answer: bytes, context: ssl.SSLContext | None = None, ask_first: int = 1) -> collections.abc.Iterator[int]:
    """A server that reads, says one thing, goes over to TLS where it has a context, and closes."""

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), line:
                line.settimeout(60)
                line.recv(ask_first)
                line.sendall(answer)
                if context is not None:
                    with context.wrap_socket(line, server_side=True) as secured:
                        secured.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_postgresql_begins_in_plain_text(world: World) -> None:
    context = world.middle.issue("shop", LOOPBACK).context(world.directory)
    options = {"host": "127.0.0.1", "starttls": "postgres", "ca_cert": str(world.directory / "ca.pem")}
    with talking(b"S", context, ask_first=8) as port:
        assert world.ask("tls", port=port, **options).reading.outcome == "ok"
    for answer, message in ((b"N", "it does not offer TLS"), (b"E", "it said b'E' where S was expected")):
        with talking(answer, ask_first=8) as port:
            assert world.ask("tls", port=port, **options).reading.message == message
    with talking(b"S and more", ask_first=8) as port:
        assert "more before TLS began" in world.ask("tls", port=port, **options).reading.message


def test_what_is_no_certificate() -> None:
    with pytest.raises(InvalidInput, match="no certificate"):
        read_certificate(b"\x30\x03nonsense")


def test_without_the_library_it_is_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    issued = world.middle.issue("shop", LOOPBACK)
    context = issued.context(world.directory)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    reading = world.probe(context)
    assert reading.outcome == "unknown"
    assert "cryptography cannot be imported" in reading.message
