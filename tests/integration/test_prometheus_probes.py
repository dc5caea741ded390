# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds that ask Prometheus and Alertmanager, on real servers with histories of weeks."""

from __future__ import annotations

import collections.abc
import contextlib
import http.server
import json
import math
import pathlib
import re
import threading
import time
import typing as t
import urllib.error
import urllib.request

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.servers.prometheus import Running, post_alerts, running_alertmanager, running_prometheus, silence
from tests.unit.probes.conftest import ask_all

WEEK = 7 * 86400
#: Values around this time of the last weeks, the newest first; the third week has none.
FORMER = (100.0, 90.0, math.nan, 110.0)


def asked(kind: str, **options: t.Any) -> t.Any:
    return ask_all([{"kind": kind, **options}])[0].reading


def history(now: float) -> dict[str, list[tuple[float, float]]]:
    latest = [now - 200 + 20 * place for place in range(11)]
    orders = [
        (now - week * WEEK + 120 * place, value)
        for week, value in reversed(list(enumerate(FORMER, start=1)))
        for place in range(-30, 31)
        if not math.isnan(value)
    ]
    return {
        'up{job="api",instance="a"}': [(moment, 1) for moment in latest],
        'up{job="api",instance="b"}': [(moment, 0) for moment in latest],
        "orders": orders + [(moment, 105) for moment in latest],
        "nothing": [(moment, math.nan) for moment in latest],
        "gone": [(now - 3600 + 20 * place, 1) for place in range(10)],
    }


@pytest.fixture(scope="module")
def prometheus() -> collections.abc.Iterator[Running]:
    with running_prometheus(history(time.time())) as server:
        yield server


@pytest.mark.parametrize(
    ("expression", "options", "outcome", "message"),
    [
        ("orders", {"minimum": 100, "maximum": 110}, "ok", "as expected"),
        ("orders", {"minimum": 106}, "failed", "below 106"),
        ("orders", {"maximum": 104.5}, "failed", "above 104.5"),
        ("orders", {"maximum": 110, "warning_maximum": 100}, "warning", "above 100"),
        ("orders", {"maximum": 90, "warning_maximum": 80}, "failed", "above 90"),
        ("3 + 4", {"minimum": 7, "maximum": 7}, "ok", "as expected"),
        ("scalar(orders)", {"minimum": 7}, "ok", "as expected"),
        ("up", {"minimum": 1, "series": "any"}, "ok", "as expected"),
        ("up", {"minimum": 1, "series": "all"}, "failed", "below 1"),
        # What has no value is never ok.
        (
            "up",
            {"minimum": 0},
            "unknown",
            '2 series where one is expected: up{instance="a", job="api"}, up{instance="b"',
        ),
        ("never_heard_of", {"maximum": 1}, "unknown", "absent or stale"),
        ("never_heard_of", {"maximum": 1, "series": "all"}, "unknown", "absent or stale"),
        ("gone", {"maximum": 1}, "unknown", "absent or stale"),
        ("nothing", {"maximum": 1}, "unknown", "the value of nothing{} is no number: nan"),
        ("nothing", {"maximum": 1, "series": "any"}, "unknown", "no number: nan"),
        ('nothing or up{instance="a"}', {"minimum": 1, "series": "all"}, "unknown", "no number: nan"),
        ('nothing or up{instance="a"}', {"minimum": 1, "series": "any"}, "ok", "as expected"),
        ("scalar(up)", {"maximum": 1}, "unknown", "no number: nan"),
        ("orders / 0", {"minimum": 1}, "unknown", "no number: inf"),
        # The oldest of many samples is no more its value than the newest.
        ("orders[1h]", {"minimum": 100}, "unknown", "a range and not a value: choose one, such as max_over_time(…)"),
        ("max_over_time(orders[1h])", {"minimum": 100}, "ok", "as expected"),
        ("sum(", {"minimum": 1}, "unknown", "Prometheus refuses the query sum("),
        ("orders", {"baseline_weeks": 4}, "ok", "as expected"),
        ("orders", {"baseline_weeks": 4, "baseline_percent": 1}, "failed", "above the band from 99 to 101"),
        ("-orders", {"baseline_weeks": 4, "baseline_percent": 1}, "failed", "below the band from -101 to -99"),
        ("orders", {"baseline_weeks": 4, "maximum": 104}, "failed", "above 104"),
        ("orders", {"baseline_weeks": 7}, "unknown", "only 3 of 7 former weeks have a value"),
        ('up{instance="a"}', {"baseline_weeks": 1}, "unknown", "only 0 of 1 former week have a value"),
    ],
)
def test_an_expression(
    prometheus: Running, expression: str, options: dict[str, t.Any], outcome: str, message: str
) -> None:
    reading = asked("promql", url=prometheus.url, expression=expression, **options)
    assert (reading.outcome, message in reading.message) == (outcome, True), reading
    assert (reading.hint is None) == (outcome == "ok")
    assert outcome == "ok" or f"query={expression}" in reading.hint


def test_servers_that_do_not_answer(tmp_path: pathlib.Path) -> None:
    query = {"expression": "up", "minimum": 1}
    refused = asked("promql", url=f"http://127.0.0.1:{closed_port()}", **query)
    assert (refused.outcome, refused.measured) == ("unknown", "connection refused")
    with silent_listener() as port:
        silent = asked("promql", url=f"http://127.0.0.1:{port}", timeout=0.5, **query)
    assert (silent.outcome, silent.values.get("timed_out")) == ("failed", True)
    missing = asked("promql", url="http://127.0.0.1:1", password_file=str(tmp_path / "none"), **query)
    assert missing.outcome == "unknown" and "none cannot be read" in missing.message


#: bcrypt of "correct horse", made for this test.
WEB = 'basic_auth_users: {probe: "$2b$04$IAzC91JbkL8dn1nS/KNiYu3TIHQz2NGIr7jd7Fy9ZXzxJiYQXZOtC"}\n'


def test_a_server_that_lets_in_who_has_the_password(tmp_path: pathlib.Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("battery staple\n")
    with running_prometheus(web=WEB) as server:
        query = {"url": server.url, "expression": "vector(1)", "minimum": 1, "user": "probe"}
        assert asked("promql", **query, password_file=str(tmp_path / "password")).outcome == "ok"
        assert asked("promql", **query, password="correct horse").outcome == "ok"
        for denied in ({"password_file": str(tmp_path / "wrong")}, {}, {"bearer_token": "abc"}):
            reading = asked("promql", **query, **denied)
            assert (reading.outcome, reading.measured) == ("unknown", "status 401"), reading
            assert "staple" not in str(reading)


RULES = """
groups:
  - name: good and bad
    rules:
      - {record: "recorded", expr: "vector(1)"}
      - {record: "twice", expr: "label_replace(up, 'instance', 'x', '', '')"}
"""


@pytest.fixture(scope="module")
def scraping() -> collections.abc.Iterator[tuple[Running, int]]:
    """A server that scrapes itself and a port on which nothing listens, and one of whose rules fails."""
    dead = closed_port()
    with running_prometheus(
        scrape=[f"127.0.0.1:{dead}", f"127.0.0.1:{closed_port()}"], rules=RULES, own=True
    ) as server:
        server.wait_for(lambda: server.get("/api/v1/query", query="twice")["status"] == "success")
        server.wait_for(lambda: "err" in str(server.get("/api/v1/rules")))
        server.wait_for(lambda: len(server.get("/api/v1/query", query="up")["data"]["result"]) == 3)
        yield server, dead


def test_a_prometheus_that_works(scraping: tuple[Running, int]) -> None:
    server, _ = scraping

    def ask() -> t.Any:
        return asked("prometheus", url=server.url, targets_down=2, rule_failures=1, jobs="own")

    # On a machine that has much else to do, it does not answer itself within a second each time.
    reading = server.wait_for(lambda: reading if (reading := ask()).outcome == "ok" else None)
    assert (reading.outcome, reading.measured) == ("ok", "ready, 1 of 3 targets up"), reading
    assert reading.values["newest_sample_age_s"] < 300 and reading.values["rule_failures"] == 1


def test_what_is_wrong_with_a_prometheus(scraping: tuple[Running, int]) -> None:
    server, dead = scraping
    reading = asked("prometheus", url=server.url, jobs=["own", "orders"], gaps_of="up", gap_window="1h")
    assert reading.outcome == "failed"
    things = {finding["thing"]: finding["words"] for finding in reading.values["findings"]}
    assert things["job orders"] == "no target"
    assert "2 targets down" in things["job scraped"] and f"127.0.0.1:{dead}" in things["job scraped"]
    assert "metrics with the same labelset" in things["rule twice"]
    assert things["up"].startswith("a gap of ") and reading.values["longest_gap_s"] > 3000
    assert reading.hint.startswith("curl -sS ")
    (server.directory / "rules.yml").write_text("groups: broken")
    try:
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(urllib.request.Request(server.url + "/-/reload", method="POST"))
        refused = asked("prometheus", url=server.url, targets_down=2, rule_failures=1)
        assert "its configuration: the last one was refused" in refused.message
    finally:
        (server.directory / "rules.yml").write_text(RULES)


@pytest.mark.parametrize("ever", [False, True], ids=["never", "once"])
def test_a_prometheus_that_ingests_nothing(ever: bool) -> None:
    now = time.time()
    past = {"old": [(now - 7200, 1.0), (now - 3600, 1.0)]}
    with running_prometheus(past if ever else None) as server:
        reading = asked("prometheus", url=server.url)
    assert reading.outcome == "failed"
    told = "ingestion: no sample for 1 h 0" if ever else "ingestion: no sample since it started"
    assert told in reading.message and "targets: none at all" in reading.message


def test_gaps_as_long_as_they_are() -> None:
    now = time.time()
    moments = [now - 6 * 3600 + 30 * place for place in range(6 * 120 + 1)]
    gaps = {"short": (3600, 9), "long": (3600, 12)}
    samples = {
        name: [(moment, 1.0) for moment in moments if not since < now - moment <= since + 60 * minutes]
        for name, (since, minutes) in gaps.items()
    }
    with running_prometheus(samples) as server:
        for expression, options, found in (
            ("short", {}, False),
            ("long", {}, True),
            ("sum(long)", {}, True),
            ("short", {"longest_gap": "8m"}, True),
            ("long", {"longest_gap": "14m"}, False),
            ("short", {"longest_gap": "1m", "gap_window": "30m"}, False),
        ):
            window = {"gap_window": "5h", **options}
            reading = asked("prometheus", url=server.url, gaps_of=expression, **window)
            assert (expression in {one["thing"] for one in reading.values["findings"]}) == found, reading
    with pytest.raises(InvalidInput, match="longest_gap must be at least 5 m 18 s"):
        asked("prometheus", url="http://127.0.0.1:1", gaps_of="sum(long)", longest_gap="1m")
    with pytest.raises(InvalidInput, match="longest_gap must be at least "):
        asked("prometheus", url="http://127.0.0.1:1", gaps_of="long", longest_gap="1m", gap_window="30d")


def test_what_a_prometheus_does_not_know_of_itself() -> None:
    """Targets that it has not asked yet, and its metrics at an address that is not there."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            targets = [{"health": health, "labels": {"job": "api"}} for health in ("up", "unknown")]
            documents: dict[str, t.Any] = {"targets": {"activeTargets": targets}, "rules": {"groups": []}}
            path = self.path.split("?")[0].rsplit("/", 1)[1]
            if self.command == "POST":
                self.rfile.read(int(self.headers["Content-Length"]))
                documents["query"] = {"resultType": "scalar", "result": [0, str(time.time())]}
            found = path == "ready" or path in documents
            body = json.dumps({"status": "success", "data": documents.get(path)}).encode() if found else b"none"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reading = asked("prometheus", url=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    assert (reading.outcome, reading.measured) == ("unknown", "ready, 1 of 2 targets up"), reading
    things = {finding["thing"]: (finding["outcome"], finding["words"]) for finding in reading.values["findings"]}
    assert things == {
        "its own metrics": ("unknown", "status 404"),
        "targets": ("unknown", "of 1 it is not known whether they are up"),
    }


def test_servers_that_are_none() -> None:
    for kind, path in (("prometheus", "prometheus"), ("alertmanager", "alert")):
        refused = asked(kind, url=f"http://127.0.0.1:{closed_port()}")
        assert (refused.outcome, refused.measured) == ("failed", "connection refused"), path
        with HttpServer() as server:
            nonsense = asked(kind, url=server.url)
        assert nonsense.outcome == "failed" and refused.hint.startswith("curl -sS http://"), nonsense


def test_a_prometheus_that_was_down_all_night_knows_of_no_alert() -> None:
    now = time.time()
    up = [now - 13 * 3600 + 60 * place for place in range(13 * 60)]
    awake = [moment for moment in up if not 2 * 3600 < now - moment < 8 * 3600]
    with running_alertmanager() as alertmanager, running_prometheus({"up": [(one, 1) for one in awake]}) as prometheus:
        both = {"url": alertmanager.url, "prometheus_url": prometheus.url}
        asleep = asked("alertmanager", **both)
        assert asleep.outcome == "unknown" and re.search(
            "the past: Prometheus has no data of (49|50) % of it", asleep.message
        )
        assert asked("alertmanager", **both, window="1h").outcome == "ok"
    with running_alertmanager() as alertmanager, running_prometheus({"other": [(now, 1)]}) as prometheus:
        nothing = asked("alertmanager", url=alertmanager.url, prometheus_url=prometheus.url)
        assert "Prometheus has no data of 100 % of it" in nothing.message


def test_alerts_of_now_and_of_the_night() -> None:
    now = time.time()
    night = [now - 6 * 3600 + 60 * place for place in range(30)]
    fired = {
        'ALERTS{alertname="Night",alertstate="firing",severity="page"}': [(moment, 1) for moment in night],
        'up{job="api"}': [(now - 13 * 3600 + 60 * place, 1) for place in range(13 * 60)],
    }
    with running_alertmanager() as alertmanager, running_prometheus(fired) as prometheus:
        quiet = asked("alertmanager", url=alertmanager.url)
        assert (quiet.outcome, quiet.measured) == ("ok", "ready, 0 alerts firing")
        both = {"url": alertmanager.url, "prometheus_url": prometheus.url}
        after = asked("alertmanager", **both)
        assert after.outcome == "warning"
        # Prometheus carries a value on for five minutes.
        assert 1800 <= after.values["fired_s"]["Night"] <= 1800 + 300 + 60
        assert asked("alertmanager", **both, window="1h").outcome == "ok"
        assert asked("alertmanager", **both, severities="ticket").outcome == "ok"
        assert asked("alertmanager", **both, window="24h").outcome == "unknown"
        alerts = [
            {"labels": {"alertname": name, "severity": severity, "instance": str(place)}}
            for place, (name, severity) in enumerate(
                [("Slow", "ticket"), ("Slow", "ticket"), ("Down", "page"), ("Watchdog", "none")]
            )
        ]
        post_alerts(alertmanager, alerts)
        alertmanager.wait_for(lambda: len(alertmanager.get("/api/v2/alerts")) == 4)
        firing = asked("alertmanager", **both)
        assert firing.outcome == "failed" and firing.values["firing"] == {"Down": 1, "Slow": 2}
        assert firing.message.startswith("Slow: firing for ") and ", 2 times; Down: firing for " in firing.message
        assert "Night: fired for " in firing.message
        assert asked("alertmanager", url=alertmanager.url, maximum=3).outcome == "ok"
        assert asked("alertmanager", url=alertmanager.url, severities="page", ignore="Down").outcome == "ok"
        silence(alertmanager, "Slow", 600)
        alertmanager.wait_for(
            lambda: [one["status"]["state"] for one in alertmanager.get("/api/v2/alerts")].count("suppressed") == 2
        )
        silenced = asked("alertmanager", url=alertmanager.url, ignore="Down, Watchdog")
        assert (silenced.outcome, silenced.measured) == ("ok", "ready, 0 alerts firing, 2 suppressed by 1 silence")
        assert silenced.values["silences"][0]["comment"] == "known"
