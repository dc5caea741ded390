# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health check as an operator runs it: what changed first, nothing left out in silence, nothing asked is a failure."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import time
from xml.etree import ElementTree

import pytest

from tests.servers.deadline import wait_for
from tests.servers.health_environment import HealthEnvironment
from tests.servers.http import HttpServer


def test_what_changed_is_said_first(health: HealthEnvironment, tmp_path: pathlib.Path) -> None:
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    code, screen = health.check("-e", f"run_textfile_dir={textfiles}")
    assert code == 0 and "nothing to compare with" in screen, screen
    (figures,) = textfiles.iterdir()
    assert figures.name == "sre_runbooks_testing_check_health.prom"
    health.probes["back"][0]["url"] += "unavailable"
    health.probes["front"].append({"name": "front is there", "kind": "tcp", "host": "127.0.0.1", "port": 1})
    health.write(health_probes_disabled={"front is there": "not opened yet"})
    code, screen = health.check("-e", f"run_textfile_dir={textfiles}")
    assert code != 0
    before, changed, after = screen.partition("changed since")
    # Neither the table nor the verdict comes before it.
    assert all(words in after and words not in before for words in ("rows lost", "check_health of testing: ")), screen
    said = f"{changed}{after}".splitlines()
    assert said[1].strip().startswith("back: back answers: ok → failed (")
    assert [line.strip() for line in said[2:4]] == [
        "back: met → failed",
        "front: front is there: new, disabled (not opened yet)",
    ]
    assert "front is there is not probed: not opened yet" in screen
    report = health.report()
    assert report["components"][1]["probes_disabled"] == {"front is there": "not opened yet"}
    suites = ElementTree.parse(health.reports / "latest" / "report.junit.xml").getroot()
    assert suites.attrib["failures"] == "3" and suites.attrib["skipped"] == "1"  # run, component and probe
    assert (
        'sre_runbooks_run_verdict{environment="testing",runbook="check_health",verdict="failed"} 1'
        in figures.read_text()
    )
    for name in ("report.html", "report.md"):
        text = (health.reports / "latest" / name).read_text(encoding="utf-8")
        assert text.index("Changed since the run before") < text.index("Findings")


@pytest.mark.parametrize(
    ("disabled", "arguments", "says"),
    [
        ({"front ansers": "x"}, (), "front ansers (did you mean front answers?)"),
        ({"front answers": " "}, (), "probe 'front answers' is disabled without a reason"),
        ({"front ansers": "x"}, ("--limit", "front"), "did you mean front answers?"),
    ],
)
def test_a_probe_is_left_out_by_its_name_and_with_a_reason(
    health: HealthEnvironment, disabled: dict[str, str], arguments: tuple[str, ...], says: str
) -> None:
    health.write(health_probes_disabled=disabled)
    code, screen = health.check(*arguments)
    assert code != 0 and says in screen and "the same command" not in screen, screen
    assert health.report()["verdict"] == "failed"


def test_a_probe_of_a_component_that_is_not_here_may_be_left_out(health: HealthEnvironment) -> None:
    # It may be named nearly as one that is here, or by no component at all.
    health.probes["fromt"] = [{**health.probes["front"][0], "name": "fromt answers"}]
    disabled = ("back answers", "fromt answers", "a page of its own")
    health.write(health_probes_disabled=dict.fromkeys(disabled, "being rebuilt"))
    code, screen = health.check("--limit", "front")
    assert code == 0, screen


@pytest.mark.parametrize("arguments", [(), ("-e", "checklist=morning")], ids=["everything", "checklist"])
def test_nothing_asked_is_a_failure(health: HealthEnvironment, arguments: tuple[str, ...]) -> None:
    health.probes["back"] = []
    health.write()
    code, screen = health.check(*arguments)
    assert code != 0 and "back: no probe ran" in screen, screen
    health.write(health_probes_disabled=dict.fromkeys(("front answers", "front is quick"), "x"))
    assert health.check("--limit", "front", *arguments)[0] != 0


def test_parts_of_a_limit_are_whatever_ansible_takes(health: HealthEnvironment, tmp_path: pathlib.Path) -> None:
    (tmp_path / "hosts").write_text("back\n", encoding="utf-8")
    code, screen = health.check("--limit", f"components:&front,ba*,~b.ck,@{tmp_path}/hosts,components[0:1]")
    assert code == 0 and len(health.report()["components"]) == 2, screen


def test_what_answers_to_nothing_is_not_in_order(health: HealthEnvironment) -> None:
    closed = {"kind": "tcp", "host": "127.0.0.1", "port": 1, "critical": False}
    health.probes["back"] = [closed, {"kind": "kubernetes_api", "kubeconfig": "/nowhere", "critical": False}]
    health.write()
    code, screen = health.check()
    assert code != 0 and "back: no probe came out well, so nothing is known of it" in screen, screen
    (back,) = [one for one in health.report()["components"] if one["name"] == "back"]
    assert back["verdict"] == "failed"


def test_a_probe_needs_no_name(health: HealthEnvironment) -> None:
    for probe in health.probes["front"]:
        del probe["name"]
    health.write(health_probes_disabled={"back answers": "being rebuilt"})
    code, screen = health.check("--limit", "front")
    assert code == 0, screen
    assert [(probe["kind"], probe["outcome"]) for probe in health.report()["probes"]] == [
        ("http", "ok"),
        ("tcp", "ok"),
    ]


def test_a_run_with_a_limit_is_not_the_scheduled_one(health: HealthEnvironment) -> None:
    assert health.check("--limit", "front")[0] == 0
    demanded = {"name": "checks are made", "kind": "scheduled_run", "runbook": "check_health", "within": "1d"}
    health.write(health_probes=[demanded])
    code, screen = health.check("--limit", "front")
    assert code != 0 and "it was played for some of the components only" in screen and "without back" in screen, screen


def test_what_could_not_be_asked_is_a_failure(health: HealthEnvironment) -> None:
    health.probes["back"] = [{"name": "back has a claim", "kind": "kubernetes_api", "kubeconfig": "/nowhere"}]
    health.write()
    code, screen = health.check()
    (probe,) = [probe for probe in health.report()["probes"] if probe["component"] == "back"]
    assert probe["outcome"] == "unknown"
    assert code != 0 and health.report()["verdict"] == "failed", screen


def test_objectives_are_verified_too_unless_the_checklist_says_no(health: HealthEnvironment) -> None:
    """Prometheus is not there, which is no success."""
    objective = {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": "availability"}, "spec": {}}
    health.write(objectives="")
    code, screen = health.check()
    assert code != 0 and "the variable objectives is no list" in screen, screen
    assert health.report()["verdict"] == "unknown"
    health.write(
        objectives=[objective],
        objectives_prometheus={"url": "http://127.0.0.1:1"},
        health_checklists={"short": {"objectives": False}},
    )
    code, screen = health.check()
    assert health.reports.exists(), screen
    (judged,) = health.report()["service_objectives"]
    assert code != 0 and judged["outcome"] == "unknown", screen
    assert health.report()["verdict"] == "unknown" and "objective unknown" in screen
    assert health.check("-e", "checklist=short")[0] == 0
    assert health.report()["service_objectives"] == []


def test_what_ran_before_the_interruption_is_reported(
    health: HealthEnvironment, health_servers: tuple[HttpServer, ...]
) -> None:
    hanging = {"kind": "http", "url": f"http://127.0.0.1:{health_servers[1].port}/hang", "timeout": "2m"}
    health.probes["back"].append({"name": "back hangs", **hanging})
    health.write()
    asked = len(health_servers[1].requests)
    with subprocess.Popen(
        health.command(),
        env=health.variables(),
        cwd=health.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        runs = health.path / "repository" / "runs"

        def noted() -> bool:
            return any("front answers" in path.read_text(encoding="utf-8") for path in runs.glob("*/events/*.json"))

        wait_for(lambda: len(health_servers[1].requests) >= asked + 2 and noted(), "what answers at once", 300)
        time.sleep(3)  # the answer of the other probe beside the one that hangs is noted
        os.killpg(process.pid, signal.SIGINT)
        screen = process.communicate(timeout=300)[0]
    (run,) = (health.path / "repository" / "runs").iterdir()
    said = screen[screen.index("the run was interrupted") :].splitlines()
    assert [line.strip() for line in said[1:3]] == [
        f"report: {health.reports}/{run.name}/report.html",
        f"next: ansible-playbook -i {health.path}/hosts.yml sre.runbooks.check_health",
    ], screen
    assert (run / "closed.json").exists() and (health.reports / run.name / "report.html").exists()
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert (report["interrupted"], report["verdict"]) == (True, "failed")
    outcomes = {probe["name"]: (probe["outcome"], probe["message"]) for probe in report["probes"]}
    assert outcomes["front answers"][0] == outcomes["back answers"][0] == "ok"
    assert outcomes["back hangs"] == ("unknown", "interrupted before it answered")
    health.probes["back"].pop()
    health.write()
    assert health.check()[0] == 0
    # Half a check is nothing to compare with.
    assert health.report()["previous"] is None
