# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objectives of a service against a real Prometheus that has sixty days of it."""

from __future__ import annotations

import collections.abc
import contextlib
import http.server
import itertools
import json
import math
import pathlib
import ssl
import threading
import time
import typing as t

import pytest

from tests.servers.certificates import Certificates, make_certificates
from tests.servers.http import HttpServer, closed_port
from tests.servers.module_call import call_module
from tests.servers.prometheus import Running, running_prometheus

DAY = 86400.0
STEP = 300.0
#: Requests in each step, and how many of them failed in the last thirty days, and in the thirty days before.
REQUESTS, FAILED_NOW, FAILED_BEFORE = 600.0, 0.2, 0.1


def history(now: float) -> dict[str, list[tuple[float, float]]]:
    """One instance's counters, and a second one that began anew in the middle and went away yesterday."""
    count = int(61 * DAY / STEP)
    moments = [now - (count - place) * STEP for place in range(count + 1)]
    failed, served, second = [], [], []
    bad = good = 0.0
    for place, moment in enumerate(moments):
        share = FAILED_NOW if moment > now - 30 * DAY else FAILED_BEFORE
        bad, good = bad + share, good + REQUESTS - share
        failed.append((moment, bad))
        served.append((moment, good))
        if moment <= now - DAY:
            second.append((moment, 100.0 * (place % (count // 2))))
    return {
        'http_requests_total{code="500",instance="a"}': failed,
        'http_requests_total{code="200",instance="a"}': served,
        'http_requests_total{code="200",instance="b"}': second,
        'p95{job="api"}': [(moment, 1.5 if place % 10 else 2.5) for place, moment in enumerate(moments)],
        'holes{job="api"}': [(moment, math.nan if place % 50 == 0 else 1.0) for place, moment in enumerate(moments)],
        'short{job="api"}': [(moment, 1.0) for moment in moments if moment > now - 20 * DAY],
        'nothing{job="api"}': [(moment, math.nan) for moment in moments],
        'stopped{job="api"}': [(moment, 1.0) for moment in moments if moment < now - 0.1 * DAY],
    }


@pytest.fixture(scope="module")
def prometheus() -> collections.abc.Iterator[tuple[Running, dict[str, list[tuple[float, float]]]]]:
    samples = history(time.time())
    with running_prometheus(samples) as server:
        yield server, samples


def slo(name: str, indicator: dict[str, t.Any], **objective: t.Any) -> dict[str, t.Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "service": "flights",
            "indicator": {"spec": indicator},
            "timeWindow": [{"duration": "30d"}],
            "objectives": [objective],
        },
    }


GOOD = {"ratioMetric": {"good": 'http_requests_total{code!~"5.."}', "total": "http_requests_total"}}
BAD = {"ratioMetric": {"bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"}}


def judge(server: Running | str, *objectives: dict[str, t.Any], **options: t.Any) -> dict[str, t.Any]:
    url = server if isinstance(server, str) else server.url
    return call_module("objective_info", {"url": url, "objectives": list(objectives), **options})


def by_hand(samples: dict[str, list[tuple[float, float]]], name: str, now: float) -> float:
    """The growth of the series of that name over the last thirty days, sample by sample."""
    whole = 0.0
    for series, points in samples.items():
        if not series.startswith(name):
            continue
        before = [moment for moment, _ in points if moment <= now - 30 * DAY]
        inside = [value for moment, value in points if moment >= before[-1]]
        whole += sum(new - old if new >= old else new for old, new in itertools.pairwise(inside))
    return whole


def test_availability_over_thirty_days(
    prometheus: tuple[Running, dict[str, list[tuple[float, float]]]],
) -> None:
    server, samples = prometheus
    result = judge(
        server, slo("good", GOOD, target=0.9995), slo("bad", BAD, target=0.9998), slo("all", GOOD, target=0.99)
    )
    assert "failed" not in result, result
    now = math.floor(time.time())
    total = by_hand(samples, "http_requests_total", now)
    failed = by_hand(samples, 'http_requests_total{code="500"', now)
    assert failed == pytest.approx(30 * DAY / STEP * FAILED_NOW)
    first, second, third = result["objectives"]
    assert first["values"]["total"] == pytest.approx(total, rel=1e-9)
    assert first["sli"] == pytest.approx(1 - failed / total, rel=1e-9)
    assert first["budget"]["left"] == pytest.approx(1 - failed / total / 0.0005, abs=1e-9)
    assert (first["outcome"], first["coverage"], first["exhausts_at"]) == ("met", 1.0, None)
    assert first["trend"]["change"] < 0 < first["trend"]["former_sli"]
    assert [rate["firing"] for rate in first["burn_rates"]] == [False] * 4
    assert second["outcome"] == "missed" and second["budget"]["left"] < 0
    assert second["budget"]["left"] == pytest.approx(1 - failed / total / 0.0002, abs=1e-9)
    assert [rate["firing"] for rate in second["burn_rates"]] == [False, False, False, True]
    assert third["outcome"] == "met"
    assert result["verdict"] == "missed"
    assert result["summary"].startswith("1 of 3 objectives is not met: bad (missed): the error budget is overspent by")


def test_thresholds_by_samples_and_by_slices(
    prometheus: tuple[Running, dict[str, list[tuple[float, float]]]],
) -> None:
    server, _ = prometheus
    latency = {"thresholdMetric": "p95"}
    sliced = slo("sliced", latency, op="lte", value=2, target=0.99, timeSliceTarget=0.8, timeSliceWindow="1h")
    sliced["spec"]["budgetingMethod"] = "Timeslices"
    result = judge(server, slo("samples", latency, op="lte", value=2, target=0.89), sliced)
    samples, slices = result["objectives"]
    assert samples["sli"] == pytest.approx(0.9, abs=0.001) and samples["outcome"] == "met"
    assert (slices["sli"], slices["values"]["total"]) == (1.0, 720)


@pytest.mark.parametrize(
    ("indicator", "message"),
    [
        ({"thresholdMetric": "never_heard_of"}, "the series of never_heard_of are absent"),
        ({"ratioMetric": {"good": "never_heard_of", "total": "http_requests_total"}}, "of never_heard_of are absent"),
        ({"thresholdMetric": "holes"}, "only 97 % of the window has data"),
        ({"thresholdMetric": "short"}, "only 66 % of the window has data"),
        ({"thresholdMetric": "stopped"}, "stale: the newest data is 2 h 2"),
        # What is computed over a day still has a value then.
        ({"thresholdMetric": "max_over_time(stopped[1d])"}, "stale: the newest data is 2 h 2"),
        ({"thresholdMetric": "min_over_time((stopped + 0)[1d:5m])"}, "stale: the newest data is 2 h 2"),
        ({"ratioMetric": {"counter": False, "good": "sum(sum_over_time(stopped[1d]))", "total": "sum(p95)"}}, "stale"),
        ({"ratioMetric": {"counter": False, "good": "sum(p95)", "total": "sum(sum_over_time(stopped[1d]))"}}, "stale"),
        (
            {"thresholdMetric": "http_requests_total"},
            "two series where one is expected, of the query http_requests_total",
        ),
        ({"thresholdMetric": "sum(p95) +"}, "Prometheus refuses the query sum(p95) +"),
        ({"thresholdMetric": "p95 / 0"}, "the series of p95 / 0 have nothing but NaN or infinity"),
        (
            {"ratioMetric": {"bad": "nothing", "total": "http_requests_total"}},
            "the series of nothing have nothing but NaN",
        ),
    ],
    ids=[
        *("absent", "good-absent", "nan", "partial", "stale", "outlived", "outlived-subquery", "outlived-good"),
        *("outlived-total", "two-series", "bad-query", "infinite", "nan-counter"),
    ],
)
def test_what_is_not_known_is_not_met(
    prometheus: tuple[Running, dict[str, list[tuple[float, float]]]], indicator: dict[str, t.Any], message: str
) -> None:
    target: dict[str, t.Any] = {"target": 0.5}
    if "thresholdMetric" in indicator:
        target.update(op="gte", value=0)
    result = judge(prometheus[0], slo("asked", indicator, **target))
    objective = result["objectives"][0]
    assert (result["verdict"], objective["sli"]) == ("unknown", None)
    assert message in objective["message"], objective
    # Where the question is wrong, asking it again is not all that helps; what is to be done then comes last.
    wrong = "refuses the query" in message or "two series" in message
    assert objective["hint"].startswith(
        f"{'mend the query (what it answers: ' if wrong else ''}curl -sS -G http://127.0.0.1:"
    )
    mended = " in the variable objectives of the inventory (docs/objectives.md), then: the same command without -e objectives"
    assert objective["hint"].endswith(mended if wrong else " -m 30"), objective


def test_what_is_computed_over_a_day_is_judged_where_its_data_is_there(
    prometheus: tuple[Running, dict[str, list[tuple[float, float]]]],
) -> None:
    longest = slo("longest", {"thresholdMetric": "max_over_time(p95[1d])"}, op="gte", value=2.5, target=0.99)
    (objective,) = judge(prometheus[0], longest)["objectives"]
    assert (objective["outcome"], objective["sli"], objective["coverage"]) == ("met", 1.0, 1.0)


def test_another_window_and_no_objective(
    prometheus: tuple[Running, dict[str, list[tuple[float, float]]]],
) -> None:
    short = judge(
        prometheus[0], slo("short", {"thresholdMetric": "short"}, op="gte", value=1, target=0.9), window="10d"
    )
    assert (short["verdict"], short["objectives"][0]["window_s"]) == ("met", 10 * DAY)
    assert judge(prometheus[0])["verdict"] == "unknown"
    refused = judge(prometheus[0], slo("short", GOOD, target=2))
    (objective,) = refused["objectives"]
    assert (refused["verdict"], objective["name"], objective["message"]) == (
        "unknown",
        "short",
        "bad spec.objectives[0].target",
    )
    assert (objective["expected"], objective["measured"]) == (
        "more than 0 and less than 1, did you mean targetPercent: 2?",
        "2",
    )


def test_a_bad_definition_keeps_no_other_from_being_judged(
    prometheus: tuple[Running, dict[str, list[tuple[float, float]]]],
) -> None:
    good = slo("good", GOOD, target=0.9)
    mine, theirs, misspelt = (
        {**good, "metadata": {"name": name, "labels": {"component": component}}}
        for name, component in (("mine", "api"), ("theirs", "db"), ("misspelt", "app"))
    )
    documents = [slo("bad", GOOD, target=2), "nonsense", mine, theirs, misspelt, good]
    result = judge(prometheus[0], *documents, components=["api", "db"], limit=["api"], only=[])
    assert [(one["name"], one["outcome"]) for one in result["objectives"]] == [
        ("bad", "unknown"),
        ("objective 2", "unknown"),
        ("mine", "met"),
        ("misspelt", "unknown"),
        ("good", "met"),
    ]
    assert result["left_out"] == [{"name": "theirs", "component": "db"}]
    assert "did you mean api?" in result["objectives"][3]["expected"]
    only = judge(prometheus[0], *documents, only=["god"])
    assert "did you mean good?" in only["objectives"][0]["expected"]


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        ({"window": "soon"}, "objectives_window"),
        ({"clock_tolerance": "-1"}, "objectives_clock_tolerance"),
        ({"minimum_coverage": "much"}, "objectives_minimum_coverage"),
        ({"minimum_coverage": 1.5}, "objectives_minimum_coverage"),
        ({"timeout": "fast"}, "objectives_prometheus.timeout"),
    ],
)
def test_a_value_that_is_none_is_named_as_the_inventory_calls_it(options: dict[str, t.Any], variable: str) -> None:
    refused = judge("http://127.0.0.1:1", slo("asked", GOOD, target=0.9), **options)
    assert refused["failed"] and f"({variable} of the inventory) is not a" in refused["msg"]
    assert f"next: correct {variable}, then: the same command" in refused["msg"]


def test_a_prometheus_that_does_not_answer_or_answers_otherwise() -> None:
    objective = slo("asked", GOOD, target=0.9)
    refused = judge(f"http://127.0.0.1:{closed_port()}", objective)
    assert (
        refused["verdict"] == "unknown"
        and "does not answer [expected: an answer, found: connection refused, next: curl" in refused["summary"]
    )
    with HttpServer() as server:
        other = judge(server.url, objective)
    assert other["verdict"] == "unknown" and "does not answer to time() as Prometheus does" in other["summary"]
    bad = judge("ftp://host", objective)
    assert bad["failed"] and "such as http://host:9090" in bad["msg"]


def test_a_prometheus_whose_clock_is_apart_or_whose_answer_is_partial() -> None:
    objective = slo("asked", GOOD, target=0.9)
    for answer, message in (
        ({"resultType": "scalar", "result": [0, str(time.time() + 7230)]}, "2 h 00 m ahead of ours"),
        ({"resultType": "scalar", "result": [0, str(time.time() - 7200)]}, "2 h 00 m behind ours"),
        ({"resultType": "scalar", "result": [0, "soon"]}, "answers with a point that is no number"),
        ({"resultType": "scalar", "result": {}}, "does not answer as Prometheus does"),
        ({"resultType": "vector", "result": []}, "does not answer to time() as Prometheus does"),
    ):
        with answering({"status": "success", "data": answer}) as url:
            result = judge(url, objective)
        assert result["verdict"] == "unknown" and message in result["summary"], result
    with answering({"status": "success", "warnings": ["a store is unavailable"], "data": {}}) as url:
        assert "the answer to time() is partial [" in judge(url, objective)["summary"]


def test_secrets_are_in_no_output(tmp_path: pathlib.Path) -> None:
    token = "token-that-nobody-may-see"
    # Of what is in a file, Ansible does not know that it is secret.
    (tmp_path / "token").write_text(token)
    for given in ({"bearer_token": token}, {"bearer_token_file": str(tmp_path / "token")}):
        with answering({"status": "error", "errorType": "internal", "error": "no"}) as url:
            result = judge(url, slo("asked", GOOD, target=0.9), **given)
            assert Answer.tokens == [f"Bearer {token}"]
        assert result["verdict"] == "unknown"
        assert token not in json.dumps({key: value for key, value in result.items() if key != "invocation"})
        assert result.get("invocation", {}).get("module_args", {}).get("bearer_token") != token


def test_tls_with_an_authority_of_its_own_and_a_token_from_a_file(tmp_path: pathlib.Path) -> None:
    certificates = make_certificates(str(tmp_path / "tls"))
    (tmp_path / "token").write_text("a-token\n")
    objective = slo("asked", GOOD, target=0.9)
    document = {"status": "success", "data": {"resultType": "scalar", "result": [0, "7"]}}
    with answering(document, certificates) as url:
        strange = judge(url, objective)
        assert "does not answer [expected: an answer, found: TLS: " in strange["summary"] and not Answer.tokens
        known = judge(url, objective, ca_cert=certificates.ca, bearer_token_file=str(tmp_path / "token"))
        assert "behind ours" in known["summary"] and set(Answer.tokens) == {"Bearer a-token"}
        assert "behind ours" in judge(url, objective, validate_certs=False)["summary"]
        for options, message in (
            ({"ca_cert": str(tmp_path / "token")}, "the TLS files cannot be used"),
            ({"bearer_token_file": str(tmp_path / "none")}, "none cannot be read"),
        ):
            refused = judge(url, objective, **options)
            assert refused["failed"] and message in refused["msg"]


class Answer(http.server.BaseHTTPRequestHandler):
    """Says the same to everybody."""

    document: t.ClassVar[dict[str, t.Any]] = {}
    tokens: t.ClassVar[list[str]] = []

    def do_POST(self) -> None:
        if "Authorization" in self.headers:
            self.tokens.append(self.headers["Authorization"])
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps(self.document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def answering(document: dict[str, t.Any], certificates: Certificates | None = None) -> collections.abc.Iterator[str]:
    """The URL of a server that answers everything with one JSON document, with TLS where it has certificates."""
    Answer.tokens.clear()
    handler = type("OneAnswer", (Answer,), {"document": document})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            # The handshake belongs to the thread of the request, where it may fail without ending the server.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{'https' if certificates else 'http'}://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
