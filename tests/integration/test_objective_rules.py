# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules and alerts out of objectives: promtool's judgement, an idempotent file, and a Prometheus that fires."""

from __future__ import annotations

import pathlib
import re
import subprocess
import time
import typing as t

import pytest
import yaml

from tests.servers.module_call import call_module
from tests.servers.prometheus import check_rules, running_prometheus

ROOT = pathlib.Path(__file__).resolve().parents[2]


def documented() -> list[dict[str, t.Any]]:
    """The three objectives of the documentation."""
    page = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(objectives:.*?)```", page, re.DOTALL)
    assert found
    return t.cast("list[dict[str, t.Any]]", yaml.safe_load(found[1])["objectives"])


def write(
    path: pathlib.Path, objectives: list[dict[str, t.Any]], check: bool = False, **options: t.Any
) -> dict[str, t.Any]:
    files = {"path": str(path / "objectives.yml"), "test_path": str(path / "objectives_test.yml")}
    return call_module("objective_rules", {**files, "objectives": objectives, **options}, check)


def promtool_test(path: pathlib.Path) -> tuple[int, str]:
    done = subprocess.run(
        ["promtool", "test", "rules", str(path / "objectives_test.yml")], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_check_write_again_and_change(tmp_path: pathlib.Path) -> None:
    checked = write(tmp_path, documented(), check=True)
    assert checked["changed"] and not list(tmp_path.iterdir())
    written = write(tmp_path, documented())
    assert written["changed"] and (written["rules"], written["alerts"], written["tests"]) == (24, 15, 7)
    assert [entry["after"] for entry in written["diff"]] == [entry["after"] for entry in checked["diff"]]
    assert not write(tmp_path, documented())["changed"]
    check_rules(tmp_path / "objectives.yml")
    assert promtool_test(tmp_path)[0] == 0
    stricter = documented()
    stricter[0]["spec"]["objectives"][0]["target"] = 0.999
    changed = write(tmp_path, stricter)
    assert changed["changed"] and "14.4 * 0.001" in (tmp_path / "objectives.yml").read_text()
    assert "14.4 * 0.0005" in changed["diff"][0]["before"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("> 14.4 * 0.0005", "> 144 * 0.0005"),
        ("> 1 * 0.0005", "> 0.1 * 0.0005"),
        ("and ignoring(__name__)", "or ignoring(__name__)"),
        ('status!~\\"5..\\"', 'status=~\\"5..\\"'),
        (" or 0 * ", " + 0 * "),
        ('for: "10m"', 'for: "10h"'),
    ],
    ids=["deaf", "nervous", "one-window", "upside-down", "silent-outage", "late"],
)
def test_the_generated_test_sees_rules_that_are_wrong(tmp_path: pathlib.Path, right: str, wrong: str) -> None:
    write(tmp_path, documented()[:1])
    rules = tmp_path / "objectives.yml"
    text = rules.read_text()
    assert right in text
    rules.write_text(text.replace(right, wrong))
    code, said = promtool_test(tmp_path)
    assert code != 0 and "FAILED" in said


def sliced(document: dict[str, t.Any], name: str, **target: t.Any) -> dict[str, t.Any]:
    spec = document["spec"]
    target = {**spec["objectives"][0], "timeSliceTarget": 0.9, "timeSliceWindow": "5m", **target}
    return {
        "metadata": {"name": name},
        "spec": {**spec, "budgetingMethod": "Timeslices", "objectives": [target]},
    }


def every_kind() -> list[dict[str, t.Any]]:
    """Ratios of good and of bad events, of values, of slices; thresholds by samples and by slices; with and without a component."""
    good, latency, slices = documented()
    bad, values, samples = documented()[0], documented()[0], documented()[2]
    bad["metadata"] = {"name": "bad"}
    errors = 'http_requests_total{job="flights_api", status=~"4..|5.."}'
    bad["spec"]["indicator"]["spec"]["ratioMetric"].update(bad=errors)
    del bad["spec"]["indicator"]["spec"]["ratioMetric"]["good"]
    values["metadata"] = {"name": "values"}
    values["spec"]["indicator"]["spec"]["ratioMetric"] = {
        "good": "sum(rate(a_total[5m]))",
        "total": "sum(rate(b_total[5m]))",
        "counter": False,
    }
    samples["metadata"] = {"name": "samples"}
    samples["spec"]["budgetingMethod"] = "Occurrences"
    samples["spec"]["objectives"] = [{"op": "lte", "value": 2, "target": 0.99}]
    stricter = documented()[0]
    stricter["metadata"]["name"] = "stricter"
    return [good, latency, slices, bad, values, samples, stricter, sliced(documented()[0], "ratio_slices")]


def test_rules_of_several_objectives_are_no_duplicates(tmp_path: pathlib.Path) -> None:
    """Alerts that differ by nothing but their expressions are one alert twice to promtool, and to who routes them."""
    written = write(tmp_path, every_kind())
    assert written.get("changed") is True, written
    check_rules(tmp_path / "objectives.yml")
    groups = yaml.safe_load((tmp_path / "objectives.yml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert len({(alert["alert"], *sorted(alert["labels"].items())) for alert in alerts}) == len(alerts) == 8 * 5
    assert {alert["labels"].get("component") for alert in alerts} == {"flights_api", None}
    assert all({"slo", "service", "severity"} <= alert["labels"].keys() for alert in alerts)


def test_the_unit_test_of_many_objectives_has_no_more_cases_than_that_of_a_few(tmp_path: pathlib.Path) -> None:
    """promtool evaluates every rule for every case: a case for each objective takes time that grows with their square."""
    many = []
    for number in range(40):
        text = yaml.safe_dump(documented()[number % 2]).replace("flights_api", f"service{number}")
        many.append({**yaml.safe_load(text), "metadata": {"name": f"objective_{number}"}})
    few, more = (write(tmp_path, many[:count], validate=False)["tests"] for count in (2, 40))
    assert few == more
    asked = (tmp_path / "objectives_test.yml").read_text()
    assert all(asked.count(f'{{slo=\\"objective_{number}\\"}} - ') == 2 for number in range(40)), asked[-3000:]


def test_nobody_is_alerted_where_nobody_asks_until_the_series_are_gone(tmp_path: pathlib.Path) -> None:
    """A quantile of nothing is NaN, which compares as false with everything, and 0 of 0 events are no bad slice."""
    latency = documented()[2]
    rate = 'sum by (le) (rate(latency_bucket{job="api"}[5m]))'
    latency["spec"]["indicator"]["spec"]["thresholdMetric"] = f"histogram_quantile(0.95, {rate})"
    latency["spec"]["budgetingMethod"] = "Occurrences"
    latency["spec"]["objectives"] = [{"op": "lte", "value": 2, "target": 0.99}]
    latency["metadata"] = {"name": "samples"}
    ratio = sliced(documented()[0], "ratio_slices")
    hours = sliced(documented()[0], "ratio_hours", timeSliceWindow="1h")
    # Of a day's greatest value nobody sees that there is none any more.
    longest = documented()[2]
    longest["metadata"] = {"name": "longest"}
    longest["spec"]["indicator"]["spec"]["thresholdMetric"] = 'max_over_time(latency_seconds{job="api"}[1d]) + 0'
    values = documented()[0]
    values["metadata"] = {"name": "values"}
    values["spec"]["indicator"]["spec"]["ratioMetric"] = {
        "good": 'max_over_time(latency_seconds{job="api"}[1d])',
        "total": 'sum by (job) (max_over_time(latency_seconds{job="api"}[1d]))',
        "counter": False,
    }
    write(tmp_path, [latency, sliced(latency, "slices"), ratio, hours, longest, values], validate=False)
    counters = [
        'latency_seconds{job="api"}',
        *(f'latency_bucket{{job="api", le="{bound}"}}' for bound in ("1", "2", "+Inf")),
        'http_requests_total{job="flights_api", status="200"}',
    ]
    names = ["longest", "ratio_hours", "ratio_slices", "samples", "slices", "values"]
    lost = [f'{{alertname="ObjectiveHasNoData", slo="{name}"}}' for name in names]
    count = 'count by (alertname, slo) (ALERTS{alertstate="firing"})'
    test = {
        "rule_files": ["objectives.yml"],
        "evaluation_interval": "5m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": "100x60 stale"} for series in counters],
                "promql_expr_test": [
                    {"expr": count, "eval_time": "1h", "exp_samples": []},
                    {
                        "expr": count,
                        "eval_time": "80m",
                        "exp_samples": [{"labels": labels, "value": 1} for labels in lost],
                    },
                ],
            }
        ],
    }
    (tmp_path / "objectives_test.yml").write_text(yaml.safe_dump(test))
    code, said = promtool_test(tmp_path)
    assert code == 0, said


def test_what_promtool_refuses_replaces_nothing(tmp_path: pathlib.Path) -> None:
    write(tmp_path, documented())
    before = (tmp_path / "objectives.yml").read_text()
    bad = documented()
    bad[2]["spec"]["indicator"]["spec"]["thresholdMetric"] = "sum(rate(http_requests_total[5m])) +"
    refused = write(tmp_path, bad)
    assert refused["failed"] and "promtool check rules refuses" in refused["msg"] and "api_throughput" in refused["msg"]
    assert (tmp_path / "objectives.yml").read_text() == before
    assert write(tmp_path, bad, validate=False)["changed"]
    assert "no objective was given" in write(tmp_path, [])["msg"]
    missing = write(tmp_path, documented(), promtool="promtool-that-is-not-there")
    assert missing["error"]["kind"] == "missing_requirement"
    assert "is not on this host as promtool-that-is-not-there; expected: objectives_rules_promtool as" in missing["msg"]
    assert missing["error"]["next_command"] == "the same command with -e objectives_rules_promtool=promtool"
    elsewhere = write(tmp_path / "none", documented())
    assert "no directory" in elsewhere["msg"]


def test_a_file_of_rules_may_be_called_as_anything(tmp_path: pathlib.Path) -> None:
    files = {"path": str(tmp_path / "test.yml")}
    written = call_module("objective_rules", {**files, "objectives": documented()[:1]})
    assert written.get("changed") is True, written
    check_rules(tmp_path / "test.yml")


def test_a_prometheus_with_these_rules_fires(tmp_path: pathlib.Path) -> None:
    """A service that fails a fifth of its requests, on a real server."""
    write(tmp_path, documented()[:1])
    now = time.time()
    moments = [now - 7200 + 30 * place for place in range(242)]
    served = {
        f'http_requests_total{{job="flights_api",status="{status}"}}': [
            (moment, each * place) for place, moment in enumerate(moments)
        ]
        for status, each in (("200", 8.0), ("503", 2.0))
    }
    with running_prometheus(served, rules=(tmp_path / "objectives.yml").read_text()) as server:

        def firing() -> list[dict[str, t.Any]]:
            return [one for one in server.get("/api/v1/alerts")["data"]["alerts"] if one["state"] == "firing"]

        server.wait_for(lambda: "page" in {alert["labels"]["severity"] for alert in firing()})
        alerts = firing()
    assert {alert["labels"]["alertname"] for alert in alerts} == {"ObjectiveBurnsBudget"}
    assert {alert["labels"]["severity"] for alert in alerts} >= {"page"}
