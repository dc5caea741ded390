# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A webhook is told how a run ended, by a real server of every character, and never stands in the way of the result."""

from __future__ import annotations

import json
import pathlib
import socket
import ssl
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._runs.announcement import announcement, is_due
from tests.servers.certificates import make_certificates
from tests.servers.module_call import call_module
from tests.servers.webhook import WebhookServer, running_webhook
from tests.unit.runs.sample_report import HOSTILE, health_report, rebuild_report

SECRET = "Bearer not-to-be-seen-4711"
TOLD = announcement(health_report(), "/srv/reports/report.html")


@pytest.fixture
def server() -> t.Iterator[WebhookServer]:
    with running_webhook() as server:
        yield server


def tell(url: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    told = call_module("notification", {"announcement": TOLD, "url": url, "timeout": "1m", **options}, check)
    assert "not-to-be-seen" not in json.dumps(told)
    return told


def test_the_verdict_the_changes_and_the_failures_arrive(server: WebhookServer, tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n", encoding="utf-8")
    told = tell(server.url("/204"), secret_file=str(tmp_path / "secret"), header="X-Token")
    assert (told["sent"], told["status"], told["attempts"], told["changed"]) == (True, 204, 1, False)
    (received,) = server.received
    assert received["headers"]["X-Token"] == SECRET
    assert received["headers"]["Content-Type"] == "application/json"
    document = received["document"]
    assert document == json.loads(json.dumps(TOLD))
    assert (document["verdict"], document["previous_verdict"]) == ("failed", "met")
    assert document["changes"][0].startswith("flights_api: probe 0: ok → failed")
    assert document["failures"][0]["component"] == "flights_api"
    assert "\x1b" not in json.dumps(document, ensure_ascii=False) and HOSTILE not in json.dumps(document)


@pytest.mark.parametrize(
    ("path", "attempts", "status", "problem"),
    [
        ("/flaky", 3, 202, ""),
        ("/500", 3, 500, "it answered 500 (3 attempts)"),
        # That is "later", and not "no".
        ("/429", 3, 429, "it answered 429 (3 attempts)"),
        ("/404?key=not-to-be-seen", 1, 404, "it answered 404: no hook  [31mat /404?key=… for …"),
        ("/moved", 1, 302, "it answered 302"),
    ],
)
def test_a_server_that_refuses(server: WebhookServer, path: str, attempts: int, status: int, problem: str) -> None:
    told = tell(server.url(path), secret=SECRET)
    assert (told["attempts"], told["status"], len(server.received)) == (attempts, status, attempts)
    assert problem in told["problem"] and told["sent"] == (not problem) and "second" not in told["problem"]
    assert not told.get("failed")


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_a_server_that_takes_its_time(server: WebhookServer, path: str) -> None:
    told = tell(server.url(path), timeout="0.5", attempts=1)
    assert "no answer within 0.5 s" in told["problem"] or "timed out" in told["problem"]


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        told = tell(f"http://127.0.0.1:{port}/hook-not-to-be-seen", attempts=1)
    assert "Connection refused" in told["problem"] and f"http://127.0.0.1:{port} was not told" in told["problem"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "ftp://host/"}, "not a webhook's URL"),
        ({"url": "not-to-be-seen"}, "not a webhook's URL"),
        ({"url": ""}, "nobody says where to"),
        ({"url_file": "/nowhere"}, "url_file /nowhere cannot be read"),
        ({"secret": "two\nlines"}, "not a header"),
        ({"attempts": 0}, "1 to 10 attempts"),
        ({"timeout": "soon"}, "not a duration"),
    ],
)
def test_what_cannot_be_tried_is_a_warning_too(server: WebhookServer, options: dict[str, t.Any], says: str) -> None:
    told = tell(**{"url": server.url("/200"), **options})
    assert says in told["problem"] and not told["sent"] and not told.get("failed")
    assert server.received == []


def test_tls_is_checked(tmp_path: pathlib.Path) -> None:
    certificates = make_certificates(str(tmp_path / "tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    with running_webhook(context) as server:
        assert "could not be reached" in tell(server.url("/200"), attempts=1)["problem"]
        assert tell(server.url("/200"), ca_cert=certificates.ca)["sent"]


@pytest.mark.parametrize(
    ("occasion", "verdict", "before", "changed", "due"),
    [
        ("failure", "met", "failed", True, False),
        ("failure", "unknown", "unknown", False, True),
        ("change", "met", "failed", True, True),
        ("change", "failed", "failed", False, False),
        ("change", "failed", None, False, True),
        ("change", "met", None, False, False),
        ("always", "met", "met", False, True),
    ],
)
def test_occasions(occasion: str, verdict: str, before: str | None, changed: bool, due: bool) -> None:
    told = {**TOLD, "verdict": verdict, "previous_verdict": before, "changed": changed}
    assert is_due(told, occasion) is due


def test_check_mode_and_other_occasions_send_nothing(server: WebhookServer) -> None:
    assert tell(server.url("/200"), check=True)["due"]
    well = announcement(rebuild_report(), "")
    told = call_module("notification", {"announcement": well, "url": server.url("/200")})
    assert (told["due"], told["sent"], told["problem"]) == (False, False, "")
    assert server.received == []


def test_what_is_sent_stays_small() -> None:
    report = health_report()
    report["findings"] = [{"severity": "failure", "component": "x", "text": "y" * 9000}] * 10_000
    report["previous"]["changes"] = ["z" * 9000] * 10_000
    told = announcement(report, "")
    assert len(json.dumps(told)) < 100_000
    assert (told["failures_count"], told["changes_count"]) == (10_000, 10_004)
