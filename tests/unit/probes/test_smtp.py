# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smtp kind, and STARTTLS of the tls kind, against a mail server, and against what only looks like one."""

from __future__ import annotations

import dataclasses
import pathlib
import ssl
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from tests.servers.authority import self_signed
from tests.servers.http import closed_port, silent_listener
from tests.servers.mail import ACCOUNT, mail_server
from tests.unit.probes.conftest import Ask
from tests.unit.probes.test_tls import talking

USER, PASSWORD = ACCOUNT


@dataclasses.dataclass
class Tls:
    """A server's context, and what a client trusts."""

    context: ssl.SSLContext
    ca_cert: str


@pytest.fixture
def tls(tmp_path: pathlib.Path) -> Tls:
    issued = self_signed("mail", ["127.0.0.1"])
    (tmp_path / "ca.pem").write_bytes(issued.pem())
    return Tls(issued.context(tmp_path, [issued]), str(tmp_path / "ca.pem"))


def test_a_server_without_tls(ask: Ask) -> None:
    with mail_server() as (port, kept):
        refused = ask("smtp", host="127.0.0.1", port=port).reading
        assert (refused.outcome, refused.message) == ("failed", "it does not offer STARTTLS")
        reading = ask("smtp", host="127.0.0.1", port=port, tls="none", helo="probe.example").reading
        assert (reading.outcome, reading.message) == ("ok", "as expected")
        assert "mail of the tests" in reading.values["banner"]
        assert kept.clients[-1] == "probe.example"
        other = ask("smtp", host="127.0.0.1", port=port, tls="none", banner="^mx1 ").reading
        assert (other.outcome, other.message) == ("failed", "another greeting")
        assert ask("smtp", host="127.0.0.1", port=port, tls="none", banner="of the tests").reading.outcome == "ok"
        missing = ask("smtp", host="127.0.0.1", port=port, tls="none", mechanisms="plain").reading
        assert missing.message == "it does not offer PLAIN"


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_tls_that_validates_or_not(ask: Ask, tls: Tls, way: str) -> None:
    options: dict[str, t.Any] = {"starttls": tls.context} if way == "starttls" else {"implicit": tls.context}
    with mail_server(**options) as (port, _):
        trusted = ask("smtp", host="127.0.0.1", port=port, tls=way, ca_cert=tls.ca_cert).reading
        assert trusted.outcome == "ok", trusted
        reading = ask("smtp", host="127.0.0.1", port=port, tls=way).reading
        assert (reading.outcome, reading.measured) == ("failed", "a certificate that does not verify")
        assert ask("smtp", host="127.0.0.1", port=port, tls=way, validate_certs=False).reading.outcome == "ok"
        wrong = ask("smtp", host="127.0.0.1", port=port, tls=way, ca_cert=tls.ca_cert, server_name="mx.example").reading
        assert wrong.outcome == "failed"
        # The other way is none.
        other = "implicit" if way == "starttls" else "starttls"
        assert ask("smtp", host="127.0.0.1", port=port, tls=other, timeout=1).reading.outcome == "failed"
        if way == "starttls":
            seen = ask("tls", host="127.0.0.1", port=port, starttls="smtp", ca_cert=tls.ca_cert).reading
            assert (seen.outcome, seen.values["subject"]) == ("ok", "mail")


@pytest.mark.parametrize("excluded", [[], ["PLAIN"]], ids=["plain", "login"])
def test_a_login(ask: Ask, tls: Tls, tmp_path: pathlib.Path, excluded: list[str]) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    with mail_server(starttls=tls.context, accounts=True, auth_exclude_mechanism=excluded) as (port, kept):
        options: dict[str, t.Any] = {"host": "127.0.0.1", "port": port, "ca_cert": tls.ca_cert, "user": USER}
        from_file = ask("smtp", password_file=str(tmp_path / "password"), mechanisms=["LOGIN"], **options).reading
        assert from_file.outcome == "ok", from_file
        assert ask("smtp", password=PASSWORD, **options).reading.outcome == "ok"
        wrong = ask("smtp", password=PASSWORD + "x", **options).reading
        assert (wrong.outcome, wrong.measured) == ("failed", "no login")
        assert "535" in wrong.message
        for reading in (from_file, wrong):
            assert PASSWORD not in repr(reading)
        absent = ask("smtp", password_file=str(tmp_path / "none"), **options).reading
        assert absent.outcome == "unknown"
        assert kept.senders == [], "a mail was begun"


def test_a_server_without_accounts(ask: Ask, tls: Tls) -> None:
    with mail_server(starttls=tls.context, auth_exclude_mechanism=["PLAIN", "LOGIN"]) as (port, _):
        reading = ask("smtp", host="127.0.0.1", port=port, ca_cert=tls.ca_cert, user=USER, password=PASSWORD).reading
    assert (reading.outcome, reading.message) == ("failed", "it offers neither AUTH PLAIN nor AUTH LOGIN")


@pytest.mark.parametrize(
    ("said", "measured"),
    [
        (b"554 no service\r\n", "no greeting"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no greeting"),
        (b"220-and\r\n220-so\r\n" * 100, "no greeting"),
        (b"220 " + b"x" * 100_000, "no greeting"),
        (b"220 hello\r\n500 what?\r\n", "no answer to EHLO"),
        (b"220 hello\r\n250-mail\r\n250 STARTTLS\r\n454 not now\r\n", "no TLS"),
        (b"220 hello\r\n250-mail\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n", "no TLS"),
        (b"220 hello\r\n250-mail\r\n250 STARTTLS\r\n", "no TLS"),
        (b"", "no greeting"),
    ],
)
def test_what_only_looks_like_one(ask: Ask, said: bytes, measured: str) -> None:
    with talking(said, ask_first=0) as port:
        reading = ask("smtp", host="127.0.0.1", port=port).reading
    assert (reading.outcome, reading.measured) == ("failed", measured), reading
    assert reading.message


def test_nobody_and_silence(ask: Ask) -> None:
    assert ask("smtp", host="127.0.0.1", port=closed_port()).reading.message == "connection refused"
    with silent_listener() as port:
        assert ask("smtp", host="127.0.0.1", port=port, timeout=0.3).reading.values["timed_out"] is True


@pytest.mark.parametrize(
    "options",
    [
        {"user": "u", "password": "p", "tls": "none"},
        {"user": "u"},
        {"helo": "a b\r\nMAIL FROM:<>"},
    ],
)
def test_what_is_refused(ask: Ask, options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        ask("smtp", host="127.0.0.1", **options)
