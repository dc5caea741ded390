# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The http kind on redirects, where credentials stay behind, and on the certificates on its way."""

from __future__ import annotations

import base64
import collections.abc
import pathlib
import typing as t
import urllib.parse

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.http_request import request_of
from tests.servers.authority import self_signed
from tests.servers.http import HttpServer
from tests.unit.probes.conftest import Ask

SECRET = "hunter2-of-redirects"


def to(server: HttpServer, location: str, status: int = 302) -> str:
    return f"{server.url}/to/{status}/{urllib.parse.quote(location, safe='')}"


@pytest.fixture
def other() -> collections.abc.Iterator[HttpServer]:
    """Another server than the one that is asked."""
    with HttpServer() as running:
        yield running


def test_redirects_are_followed_only_where_asked(server: HttpServer, ask: Ask) -> None:
    url = to(server, "/chunked")
    assert ask("http", url=url).reading.message == "status 302"
    assert ask("http", url=url, status=302).reading.outcome == "ok"
    reading = ask("http", url=url, follow_redirects=1, body="abcdefg", final_url=f"{server.url}/chunked").reading
    assert (reading.outcome, reading.values["redirects"]) == ("ok", 1)
    assert reading.values["url"] == f"{server.url}/chunked"


def test_their_number_is_bounded(server: HttpServer, ask: Ask) -> None:
    loop = "/to/302/" + urllib.parse.quote("/to/302/%2F", safe="")
    assert ask("http", url=server.url + loop, follow_redirects=2).reading.outcome == "ok"
    reading = ask("http", url=server.url + loop, follow_redirects=1).reading
    assert (reading.outcome, reading.message) == ("failed", "more than 1 redirect")


def test_the_place_where_it_ends(server: HttpServer, ask: Ask) -> None:
    options = {"url": to(server, "/json?token=" + SECRET), "follow_redirects": 3, "status": 404}
    assert ask("http", final_url=f"{server.url}/json", **options).reading.outcome == "ok"
    reading = ask("http", final_url=f"{server.url}/login", **options).reading
    assert reading.message == f"it ends at {server.url}/json?…"
    # What a server puts into a URL may be a token; what the inventory does is the inventory's.
    assert SECRET not in repr((reading.measured, reading.message, reading.values))


@pytest.mark.parametrize(
    "location",
    ["ftp://localhost/", "https://", "http://u:p@localhost/", "http://a b/", "http://[", "http://x:99999/"],
)
def test_places_that_are_not_gone_to(server: HttpServer, ask: Ask, location: str) -> None:
    reading = ask("http", url=to(server, location), follow_redirects=3).reading
    assert reading.outcome == "failed"
    assert "is not followed" in reading.message


def test_a_redirect_to_nobody(server: HttpServer, ask: Ask) -> None:
    assert (
        ask("http", url=to(server, "http://127.0.0.1:1/"), follow_redirects=1).reading.message == "connection refused"
    )
    # Without a place it is an answer like any other.
    assert ask("http", url=to(server, ""), follow_redirects=1).reading.message == "status 302"


def test_credentials_stay_with_their_server(server: HttpServer, other: HttpServer, ask: Ask) -> None:
    options: dict[str, t.Any] = {
        "user": "u",
        "password": SECRET,
        "headers": {"X-Token": SECRET, "Cookie": SECRET},
        "follow_redirects": 3,
    }
    token = base64.b64encode(f"u:{SECRET}".encode())
    ask("http", url=to(server, "/echo"), **options)
    assert server.requests[-1].count(SECRET.encode()) == 2
    assert token in server.requests[-1]
    ask("http", url=to(server, f"{other.url}/echo"), **options)
    assert other.requests, "it was not followed"
    # Nor are they given away on the way back.
    ask("http", url=to(server, to(other, f"{server.url}/echo")), **options)
    for request in (*other.requests, server.requests[-1]):
        assert SECRET.encode() not in request
        assert token not in request


@pytest.mark.parametrize(
    ("status", "method", "asked"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b"a=1"), (308, "POST", b"a=1")],
)
def test_what_is_sent_on(server: HttpServer, ask: Ask, status: int, method: str, asked: bytes) -> None:
    options = {"method": "POST", "request_body": "a=1", "follow_redirects": 1}
    assert ask("http", url=to(server, "/echo", status), body=f"{method} /echo", **options).reading.outcome == "ok"
    body_was_sent = (
        ask("http", url=to(server, "/echo", status), body_matches=r"a=1$", **options).reading.outcome == "ok"
    )
    assert body_was_sent is bool(asked)


def test_a_body_goes_to_no_other_server(server: HttpServer, other: HttpServer, ask: Ask) -> None:
    options = {"method": "POST", "request_body": SECRET, "follow_redirects": 1}
    reading = ask("http", url=to(server, f"{other.url}/echo", 307), **options).reading
    assert (reading.outcome, other.requests) == ("failed", [])
    assert "send the body to another server" in reading.message


def test_another_port_or_scheme_is_another_server() -> None:
    options = {"method": "GET", "user": "u", "password": "p", "headers": {}, "request_body": None, "keep_alive": True}
    first = request_of(options, "https://a.example/x")
    for location, foreign in (
        ("/y", False),
        ("https://a.example:443/y", False),
        ("https://A.example/y", False),
        ("http://a.example/y", True),
        ("https://a.example:444/y", True),
        ("//b.example/y", True),
    ):
        there = first.redirected(302, location)
        assert there.foreign is foreign, location
        assert (b"Authorization" in there.data()) is not foreign


def test_days_that_certificates_have_left(ask: Ask, tmp_path: pathlib.Path) -> None:
    issued = self_signed("shop", ["localhost", "127.0.0.1"], days=(-10, 20))
    (tmp_path / "ca.pem").write_bytes(issued.pem())
    with HttpServer(issued.context(tmp_path, [issued])) as secured, HttpServer() as plain:
        trusted = {"url": secured.url, "ca_cert": str(tmp_path / "ca.pem")}
        for options in (trusted, {"url": secured.url, "validate_certs": False}):
            reading = ask("http", certificate_days=7, certificate_warning_days=14, **options).reading
            assert (reading.outcome, round(reading.values["certificate_days"])) == ("ok", 20)
            assert ask("http", certificate_warning_days=30, **options).reading.outcome == "warning"
            reading = ask("http", certificate_days=30, **options).reading
            assert (reading.outcome, reading.message) == ("failed", "the certificate ends in 20.0 days")
        # A certificate that was only passed on the way counts too.
        way = {**trusted, "url": to(secured, plain.url), "follow_redirects": 1}
        assert ask("http", certificate_days=30, **way).reading.outcome == "failed"
        # Where no TLS is met at all, there is no certificate that stays valid.
        nothing = ask("http", url=to(plain, "/"), follow_redirects=1, certificate_warning_days=1).reading
        assert (nothing.outcome, nothing.message) == ("failed", "no certificate was met: it is not reached over TLS")
