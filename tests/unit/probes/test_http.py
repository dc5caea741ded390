# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The http kind against servers of all characters."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import pathlib
import ssl
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.unit.probes.conftest import Ask, ask_all


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/", {}),
        ("/", {"status": "2xx", "body": "ok", "body_matches": "^ok$"}),
        ("/", {"method": "HEAD"}),
        ("/", {"keep_alive": False}),
        ("/drip", {"body": "ok"}),
        ("/continue", {"body": "ok"}),
        ("/chunked", {"body_matches": "^abcdefg$"}),
        ("/until-close", {"body": "all of it"}),
        ("/until-close-in-pieces", {"body": "all of it"}),
        ("/no-content", {"status": 204}),
        ("/unavailable", {"status": [500, 503]}),
        ("/huge", {}),
        ("/huge", {"body": "xxxx"}),
        ("/huge-chunk", {}),
        ("/json", {"json": {"$.checks[0].name": "db", "checks[0].healthy": True}}),
        ("/echo", {"method": "POST", "request_body": "héllo", "body": "héllo"}),
        ("/echo", {"headers": {"X-Trace": "7"}, "body": "X-Trace: 7"}),
        ("/echo", {"user": "u", "password": "p", "body": base64.b64encode(b"u:p").decode()}),
        ("/slow", {"latency_limit": 50}),
    ],
)
def test_as_expected(server: HttpServer, ask: Ask, path: str, options: dict[str, t.Any]) -> None:
    result = ask("http", url=server.url + path, **options)
    assert result.reading.outcome == "ok", result.reading
    assert result.reading.hint is None
    assert result.reading.values["latency_s"] > 0


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("/unavailable", {}, "status 503: 'no backend'"),
        ("/", {"body": "fine"}, "the body does not contain 'fine'"),
        ("/", {"body_matches": "^k"}, "does not match"),
        ("/", {"json": {"a": 1}}, "the body is not JSON"),
        ("/json", {"json": {"checks[1].name": "db"}}, "the JSON has no checks[1].name"),
        ("/json", {"json": {"checks[0].healthy": False}}, "checks[0].healthy is True"),
        ("/huge", {"body": "y"}, "only the first 1048576 bytes"),
        ("/slow", {"latency_limit": 0.1}, "slower than 0.1 s"),
        ("/short", {}, "closed in the middle"),
        ("/half-chunk", {}, "closed in the middle"),
        ("/no-http", {}, "does not start like HTTP"),
        ("/bad-length", {}, "cannot be understood"),
        ("/negative", {}, "negative length"),
        ("/endless-head", {}, "head of the response is too long"),
        ("/empty", {}, "closed without a response"),
        ("/reset", {}, ""),
        ("/hang", {"timeout": 0.2}, "did not answer within"),
    ],
)
def test_not_as_expected(server: HttpServer, ask: Ask, path: str, options: dict[str, t.Any], message: str) -> None:
    reading = ask("http", url=server.url + path, **options).reading
    assert reading.outcome == "failed"
    assert message in reading.message
    assert reading.hint == f"curl -sv -m {max(1, round(options.get('timeout', 60)))} {server.url}{path}"


def test_slow_is_a_warning_where_asked(server: HttpServer, ask: Ask) -> None:
    assert ask("http", url=server.url + "/slow", latency_warning=0.1).reading.outcome == "warning"


def test_nobody_listens(ask: Ask) -> None:
    reading = ask("http", url=f"http://127.0.0.1:{closed_port()}/").reading
    assert (reading.outcome, reading.message) == ("failed", "connection refused")


def test_a_name_that_does_not_exist(ask: Ask) -> None:
    reading = ask("http", url="http://no-such-host.invalid/").reading
    assert reading.outcome == "failed"


def test_a_silent_server(ask: Ask) -> None:
    with silent_listener() as port:
        result = ask("http", url=f"http://127.0.0.1:{port}/", timeout=0.2)
    assert result.reading.values["timed_out"] is True
    assert result.duration_s < 30


def test_connections_are_shared_and_closed_ones_replaced() -> None:
    with HttpServer() as server:
        ask_all([{"kind": "http", "url": server.url}] * 500, concurrency=20)
        assert len(server.requests) == 500
        assert server.connections <= 20
    # This one closes after every second request without a word: a client that keeps connections must cope.
    with HttpServer(kept_requests=2) as server:
        results = ask_all([{"kind": "http", "url": server.url}] * 300)
        assert {result.reading.outcome for result in results} == {"ok"}


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1)])
def test_what_may_have_done_something_is_not_asked_again(method: str, times: int) -> None:
    with HttpServer() as server:
        closed = {"kind": "http", "url": f"{server.url}/empty", "method": method}
        _, result = ask_all([{"kind": "http", "url": server.url}, closed], concurrency=1)
        assert result.reading.outcome == "failed"
        assert sum(head.startswith(f"{method} /empty ".encode()) for head in server.requests) == times


def test_what_nobody_asked_for_is_no_answer(server: HttpServer) -> None:
    declarations = [{"kind": "http", "url": server.url + path} for path in ("/extra", "/")] * 20
    results = ask_all(declarations, concurrency=1)
    assert {result.reading.outcome for result in results} == {"ok"}


def test_what_the_path_may_hold(server: HttpServer, ask: Ask) -> None:
    ask("http", url=server.url + "/a b?q=ü&r=1%20", status=404)
    assert server.requests[-1].startswith(b"GET /a%20b?q=%C3%BC&r=1%20 HTTP/1.1\r\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A self-signed certificate for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_tls_is_verified_unless_told_otherwise(ask: Ask, certificate: pathlib.Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HttpServer(context) as server:
        refused = ask("http", url=server.url).reading
        assert (refused.outcome, refused.measured) == ("failed", "a certificate that does not verify")
        assert ask("http", url=server.url, ca_cert=str(certificate)).reading.outcome == "ok"
        wrong_name = ask("http", url=server.url, ca_cert=str(certificate), server_name="other.example").reading
        assert "other.example" in wrong_name.message
        assert ask("http", url=server.url, validate_certs=False).reading.outcome == "ok"
        assert ask("http", url=server.url.replace("https", "http")).reading.outcome == "failed"


def test_probes_with_other_tls_options_share_no_connection(certificate: pathlib.Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HttpServer(context) as server:
        lax = {"kind": "http", "url": server.url, "validate_certs": False}
        strict = {"kind": "http", "url": server.url}
        results = ask_all([lax, strict] * 20, concurrency=1)
    assert [result.reading.outcome for result in results] == ["ok", "failed"] * 20
