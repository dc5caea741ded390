# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbooks about objectives as an operator or a schedule starts them."""

from __future__ import annotations

import collections.abc
import json
import os
import pathlib
import re
import time
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.health_environment import environment_variables
from tests.servers.http import closed_port
from tests.servers.playbook import play, run_playbook
from tests.servers.prometheus import Running, check_rules, running_prometheus

#: Requests a minute, and the share of them that fails in the second half of the time.
MINUTE = 60.0


def history(now: float) -> dict[str, list[tuple[float, float]]]:
    # And on for as long as the tests of this file may take.
    moments = [now - 6 * 3600 + MINUTE * place for place in range(361 + 60)]
    return {
        'http_requests_total{job="flights_api",status="200"}': [
            (moment, 60.0 * place) for place, moment in enumerate(moments)
        ],
        'http_requests_total{job="flights_api",status="503"}': [
            (moment, 0.06 * place) for place, moment in enumerate(moments)
        ],
    }


@pytest.fixture(scope="module")
def prometheus() -> collections.abc.Iterator[Running]:
    with running_prometheus(history(time.time())) as server:
        yield server


def slo(name: str, target: float) -> dict[str, t.Any]:
    ratio = {"good": 'http_requests_total{status!~"5.."}', "total": 'http_requests_total{job="flights_api"}'}
    return {
        "metadata": {"name": name, "labels": {"component": "flights_api", "kind": "availability"}},
        "spec": {
            "service": "flights",
            "indicator": {"spec": {"ratioMetric": ratio}},
            "timeWindow": [{"duration": "3h"}],
            "objectives": [{"target": target}],
        },
    }


class Environment:
    """An inventory with objectives, and a repository."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        initialise_repository(f"file://{path}/repository", "testing", check_mode=False)

    def play(
        self, playbook: str, *arguments: str, more_components: tuple[str, ...] = (), **variables: t.Any
    ) -> tuple[int, str]:
        inventory = {
            "components": {
                "hosts": {name: {"component_engine": "service"} for name in ("flights_api", *more_components)},
                "vars": {**environment_variables(self.path), **variables},
            }
        }
        hosts = self.path / "hosts.yml"
        hosts.write_text(yaml.safe_dump(inventory), encoding="utf-8")
        done = run_playbook(hosts, playbook, *arguments)
        return done.returncode, done.stdout

    def report(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads((self.path / "reports/latest/report.json").read_text("utf-8")))


@pytest.fixture
def environment(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    for name in [name for name in os.environ if name.startswith("SRE_RUNBOOKS_")]:
        monkeypatch.delenv(name)
    return Environment(tmp_path)


def test_what_is_met_is_reported_with_its_budget(environment: Environment, prometheus: Running) -> None:
    code, screen = environment.play(
        "verify_objectives", objectives=[slo("availability", 0.99)], objectives_prometheus={"url": prometheus.url}
    )
    assert code == 0, screen
    assert "met: " in screen and "of the error budget left" in screen
    report = environment.report()
    assert (report["kind"], report["verdict"]) == ("objectives", "met")
    (objective,) = report["service_objectives"]
    assert objective["sli"] == pytest.approx(60 / 60.06)
    assert objective["budget"]["left"] == pytest.approx(1 - 0.06 / 60.06 / 0.01)


def test_what_is_missed_or_unknown_fails(environment: Environment, prometheus: Running) -> None:
    objectives = [slo("strict", 0.9995), slo("mild", 0.99)]
    code, screen = environment.play(
        "verify_objectives", objectives=objectives, objectives_prometheus={"url": prometheus.url}
    )
    assert code != 0 and "missed: the error budget is overspent" in screen
    report = environment.report()
    assert report["verdict"] == "missed"
    assert [(one["name"], one["outcome"]) for one in report["service_objectives"]] == [
        ("strict", "missed"),
        ("mild", "met"),
    ]
    only = environment.play(
        "verify_objectives",
        "-e",
        '{"objectives_only": ["mild"]}',
        objectives=objectives,
        objectives_prometheus={"url": prometheus.url},
    )
    assert only[0] == 0, only[1]
    nobody = {"url": f"http://127.0.0.1:{closed_port()}"}
    for arguments in ((), ("--check",)):
        silent = environment.play("verify_objectives", *arguments, objectives=objectives, objectives_prometheus=nobody)
        assert (
            silent[0] != 0 and "does not answer\\n  expected: an answer\\n  found: connection refused" in silent[1]
        ), silent[1]
    assert environment.report()["verdict"] == "unknown"
    mild = '{"objectives_only": ["mild"]}'
    checked = environment.play(
        "verify_objectives",
        *("--check", "-e", mild),
        objectives=objectives,
        objectives_prometheus={"url": prometheus.url},
    )
    assert checked[0] == 0 and "nothing was done" not in checked[1], checked[1]


def test_what_cannot_be_judged_is_unknown_with_the_reason() -> None:
    """In one play of the role alone: nothing of it fails, as the report does that. Nothing is said twice."""
    somewhere = {"url": "http://127.0.0.1:1"}
    cases: list[tuple[dict[str, t.Any], dict[str, str]]] = [
        ({}, {"message": "the inventory does not say how to reach Prometheus", "measured": "nothing"}),
        ({"objectives_prometheus": {**somewhere, "usr": "me"}}, {"measured": "url, usr (did you mean user?)"}),
        ({"objectives_prometheus": "http://127.0.0.1:1"}, {"message": "objectives_prometheus is no mapping"}),
        (
            {"objectives_window": "soon", "objectives_prometheus": somewhere},
            {
                "message": "window (objectives_window of the inventory) is not a duration",
                "expected": "seconds, or such as 15m, 1h30m, 2d",
                "measured": "'soon'",
                # A whole command, of the play that this test wrote.
                "hint": r"correct objectives_window, then: ansible-playbook \S.* -e objectives_window=1h",
            },
        ),
        (
            {"objectives_only": ["availabilty"], "objectives_prometheus": somewhere},
            {
                "name": "availabilty",
                "message": "there is no such objective",
                "expected": "one of availability, did you mean availability?",
            },
        ),
        (
            {"objectives": {"a": 1}, "objectives_prometheus": somewhere},
            {"name": "objectives", "message": "the variable objectives is no list", "measured": "a mapping"},
        ),
    ]
    tasks: list[dict[str, t.Any]] = []
    for variables, _ in cases:
        role = {"name": "sre.runbooks.objectives", "tasks_from": "evaluate.yml", "rolespec_validate": False}
        tasks.append(
            {"ansible.builtin.include_role": role, "vars": {"objectives": [slo("availability", 0.99)], **variables}}
        )
        tasks.append({"ansible.builtin.debug": {"msg": "{{ __run_objectives }}"}})
    played = play(tasks)
    for (_, wanted), result in zip(cases, played.results[1::2], strict=True):
        (objective,) = result["msg"]
        assert objective["outcome"] == "unknown", played.output
        assert re.fullmatch(wanted.pop("hint", ".*"), objective["hint"], re.S), objective
        assert {"name": "availability", **wanted}.items() <= objective.items(), objective


def test_every_bad_definition_is_a_finding_of_its_own_and_hides_nothing(
    environment: Environment, prometheus: Running
) -> None:
    lost = slo("lost", 0.99)
    lost["metadata"]["labels"]["component"] = "flights_app"
    code, screen = environment.play(
        "verify_objectives",
        objectives=[slo("good", 0.99), slo("high", 2), {"metadata": {"name": "empty"}}, lost],
        objectives_prometheus={"url": prometheus.url},
    )
    assert code != 0
    report = environment.report()
    outcomes = {one["name"]: one["outcome"] for one in report["service_objectives"]}
    assert outcomes == {"high": "unknown", "empty": "unknown", "lost": "unknown", "good": "met"}
    texts = [finding["text"] for finding in report["findings"]]
    assert len(texts) == 3 and all(text.count("expected: ") == text.count("next: ") == 1 for text in texts), texts
    assert "did you mean flights_api?" in texts[2]
    # Commands are such that they can be pasted.
    assert screen.count("then: ansible-playbook -i ") == 3 and "the same command" not in str(report["findings"])


def test_a_limit_leaves_out_what_is_about_others(environment: Environment, prometheus: Running) -> None:
    theirs, nobodys = slo("theirs", 0.9999), slo("nobodys", 0.99)
    theirs["metadata"]["labels"]["component"] = "flights_db"
    del nobodys["metadata"]["labels"]["component"]
    variables = {"objectives": [slo("mine", 0.99), theirs, nobodys], "objectives_prometheus": {"url": prometheus.url}}
    limit = ("--limit", "flights_api")
    code, screen = environment.play("verify_objectives", *limit, more_components=("flights_db",), **variables)
    assert code == 0, screen
    assert "left out, as they are about components that this run is not: theirs of flights_db" in screen
    assert {one["name"] for one in environment.report()["service_objectives"]} == {"mine", "nobodys"}
    variables["objectives"] = [theirs]
    code, screen = environment.play("verify_objectives", *limit, more_components=("flights_db",), **variables)
    assert code != 0 and "next: define objectives in the inventory" in screen, screen


def test_no_objective_is_no_success(environment: Environment) -> None:
    code, screen = environment.play(
        "verify_objectives", objectives=[], objectives_prometheus={"url": "http://localhost:1"}
    )
    assert code != 0 and "no objective was" in screen, screen
    assert environment.report()["verdict"] == "failed"


def test_rules_are_written_once(environment: Environment) -> None:
    rules = environment.path / "rules.yml"
    variables = {"objectives": [slo("availability", 0.99)], "objectives_rules_file": str(rules)}
    counts = f"8 recording rules and 5 alerts of 1 objective in {rules}"
    code, screen = environment.play("generate_objective_rules", "--check", "--diff", **variables)
    assert code == 0 and "+groups:" in screen and not rules.exists(), screen
    assert f"would be written: {counts} (new: availability)" in screen
    code, screen = environment.play("generate_objective_rules", **variables)
    assert (
        code == 0
        and f"localhost: written: {counts} (new: availability), which Prometheus reads at its next reload" in screen
    )
    check_rules(rules)
    # A file of rules is of every component, whatever the limit.
    variables["objectives"] = [slo("availability", 0.999), slo("other", 0.9)]
    limit = ("--limit", "flights_db")
    code, screen = environment.play("generate_objective_rules", *limit, more_components=("flights_db",), **variables)
    assert code == 0 and "of 2 objectives" in screen and "(new: other; changed: availability)" in screen, screen
    code, screen = environment.play("generate_objective_rules", **variables)
    assert code == 0 and "changed=0" in screen and "unchanged: 16 recording rules" in screen


def test_rules_that_cannot_be_written_say_why(environment: Environment) -> None:
    rules = str(environment.path / "rules.yml")
    nothing = environment.play("generate_objective_rules", objectives=[], objectives_rules_file=rules)
    assert nothing[0] != 0 and "next: define one, then: ansible-playbook -i " in nothing[1] and "rm " not in nothing[1]
    lost = slo("lost", 0.99)
    lost["metadata"]["labels"]["component"] = "flights_app"
    bad = environment.play("generate_objective_rules", objectives=[slo("high", 2), lost], objectives_rules_file=rules)
    assert bad[0] != 0 and "high: bad spec.objectives[0].target" in bad[1] and "did you mean flights_api?" in bad[1]
    relative = environment.play("generate_objective_rules", objectives=[], objectives_rules_file="rules.yml")
    assert relative[0] != 0 and "the whole path of a file" in relative[1]


@pytest.mark.parametrize(
    ("given", "says", "command"),
    [
        (
            "objectives_rules_host=flights_pai",
            "objectives_rules_host is no host, did you mean flights_api?; expected: localhost or a host of the inventory",
            " -e objectives_rules_host=flights_api",
        ),
        ("objectives_rules_host=monitorng", "found: monitorng; next: ", " -e objectives_rules_host=localhost"),
        ("objectives_only=availability", "objectives_only is of verify_objectives; expected: ", ""),
    ],
)
def test_rules_are_written_where_they_are_read_whole_or_not_at_all(
    environment: Environment, given: str, says: str, command: str
) -> None:
    rules = environment.path / "rules.yml"
    code, screen = environment.play(
        "generate_objective_rules",
        "-e",
        given,
        objectives=[slo("availability", 0.99)],
        objectives_rules_file=str(rules),
    )
    assert code != 0 and says in screen and not rules.exists(), screen
    assert (
        f"ansible-playbook -i {environment.path}/hosts.yml sre.runbooks.generate_objective_rules{command}\n" in screen
    )
