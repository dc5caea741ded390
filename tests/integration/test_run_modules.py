# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules run, timeline_event and report as playbooks use them, with Ansible in between."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import typing as t

import jsonschema
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation
from tests.servers.module_call import call_module

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/report.schema.json").read_text())
PLAYBOOK = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))


class Site:
    """A repository, a report directory and a way to play tasks on them."""

    def __init__(self, path: pathlib.Path) -> None:
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository

        self.path = path
        self.repository = path / "repository"
        self.reports = path / "reports"
        self.url = f"file://{self.repository}"
        initialise_repository(self.url, "local", check_mode=False)

    def command(self, tasks: list[dict[str, t.Any]], *options: str) -> list[str]:
        place = {"repository": self.url, "environment_name": "local"}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {f"sre.runbooks.{name}": place for name in ("run", "timeline_event", "report")},
            "vars": {"repository": self.url, "report_dir": str(self.reports)},
            "tasks": [
                *tasks,
                {
                    "ansible.builtin.copy": {
                        "content": "{{ dict(a=a | default({}), b=b | default({})) | to_json }}",
                        "dest": str(self.path / "out.json"),
                        "mode": "0600",
                    },
                    "check_mode": False,
                },
            ],
        }
        playbook = self.path / "play.yml"
        playbook.write_text(yaml.safe_dump([play]))
        return [PLAYBOOK, "-i", "localhost,", "-c", "local", str(playbook), *options]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "SRE_RUNBOOKS_OPERATOR": "ada",
        }

    def play(self, tasks: list[dict[str, t.Any]], *options: str, fails: bool = False) -> dict[str, t.Any]:
        """Play the tasks; returns what they registered as a and b."""
        done = subprocess.run(
            self.command(tasks, *options),
            env=self.environment(),
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        if fails:
            return {"output": done.stdout + done.stderr}
        # Only the task that keeps the results, for this test, may have changed something.
        assert re.search(r"changed=[01] ", done.stdout), done.stdout
        return t.cast("dict[str, t.Any]", json.loads((self.path / "out.json").read_text()))

    def files(self) -> set[str]:
        return {str(path.relative_to(self.repository)) for path in self.repository.rglob("*") if path.is_file()}


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)


START = {"sre.runbooks.run": {"runbook": "back_up_components", "components": ["flights_db"]}, "register": "a"}
REPORT = {
    "sre.runbooks.report": {
        "run_id": "{{ a.run_id }}",
        "report_dir": "{{ report_dir }}",
        "components": [{"name": "flights_db", "engine": "postgresql", "rpo": "5m", "outcome": "ok"}, {}],
    },
    "register": "b",
}


def test_a_run_from_start_to_report(site: Site) -> None:
    event = {
        "run_id": "{{ a.run_id }}",
        "component": "flights_db",
        "step": "hook",
        "duration": "2",
        "outcome": "changed",
    }
    done = site.play([START, {"sre.runbooks.timeline_event": event}, REPORT])
    run_id, report = done["a"]["run_id"], done["b"]["report"]
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert re.fullmatch(r"\d{8}T\d{6}Z-back_up_components-[0-9a-f]{4}", run_id)
    assert (report["run_id"], report["operator"], report["recorded"]) == (run_id, "ada", True)
    assert [(entry["step"], entry["outcome"], entry["duration_s"]) for entry in report["timeline"]] == [
        ("hook", "changed", 2.0)
    ]
    assert done["b"]["verdict"] == "unknown"  # there is no recovery point
    assert not done["a"]["changed"] and not done["b"]["changed"]
    for name in (
        "report.json",
        "report.md",
        "report.html",
        "report.junit.xml",
        "report.prom",
        "closed.json",
        "run.json",
    ):
        assert f"runs/{run_id}/{name}" in site.files()
    assert not [name for name in site.files() if name.startswith("control/runs/")]
    assert (site.reports / "latest" / "report.html").read_text() == pathlib.Path(done["b"]["html_path"]).read_text()
    assert json.loads((site.reports / "latest" / "report.json").read_text()) == report
    assert done["b"]["summary_lines"][-1].endswith("report.html")


def test_reporting_again_changes_nothing(site: Site) -> None:
    done = site.play([START, REPORT])
    before = {name: (site.repository / name).read_bytes() for name in site.files()}
    (site.reports / done["a"]["run_id"] / "report.md").unlink()
    again = site.play([{"ansible.builtin.set_fact": {"a": {"run_id": done["a"]["run_id"]}}}, REPORT])
    assert again["b"]["report"] == done["b"]["report"]
    assert {name: (site.repository / name).read_bytes() for name in site.files()} == before
    assert (site.reports / "latest" / "report.md").exists()


def test_check_mode_writes_nothing(site: Site) -> None:
    before = site.files()
    event = {"sre.runbooks.timeline_event": {"run_id": "{{ a.run_id }}", "step": "hook"}}
    done = site.play([START, event, REPORT], "--check")
    assert site.files() == before and not site.reports.exists()
    assert done["a"]["record"] is False
    assert done["b"]["report"]["check_mode"] is True
    assert done["b"]["summary_lines"]


def test_closing_without_a_report(site: Site) -> None:
    finish = {"sre.runbooks.run": {"state": "finished", "run_id": "{{ a.run_id }}", "verdict": "met"}, "register": "b"}
    done = site.play([START, finish])
    assert done["b"]["verdict"] == "met"
    assert f"runs/{done['a']['run_id']}/closed.json" in site.files()


def test_a_killed_run_is_reported_by_the_next(site: Site) -> None:
    wait = {"ansible.builtin.command": "sleep 600"}
    with subprocess.Popen(
        site.command([START, wait]),
        env=site.environment(),
        cwd=site.path,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as killed:
        deadline = time.monotonic() + 120
        while not [name for name in site.files() if name.startswith("control/runs/")] and time.monotonic() < deadline:
            time.sleep(0.1)
        (name,) = [name for name in site.files() if name.startswith("control/runs/")]
        alive = site.play([START])
        assert alive["a"]["interrupted"] == []
        os.killpg(killed.pid, signal.SIGKILL)
    run_id = pathlib.Path(name).stem
    done = site.play([START])
    assert run_id in done["a"]["interrupted"]
    report = json.loads((site.repository / "runs" / run_id / "report.json").read_text())
    assert (report["verdict"], report["interrupted"]) == ("failed", True)
    assert "runs/" + run_id + "/closed.json" in site.files()


def test_without_a_repository_the_report_is_local(site: Site) -> None:
    shutil.rmtree(site.repository)
    refused = site.play([START], fails=True)
    assert "no repository at" in refused["output"]
    # Neither in the result nor in the line that Ansible shows before it.
    assert "ansible-playbook sre.runbooks." not in refused["output"], refused["output"]
    start = {"sre.runbooks.run": {**START["sre.runbooks.run"], "require_record": False}, "register": "a"}  # type: ignore[dict-item]
    report = {"sre.runbooks.report": {**REPORT["sre.runbooks.report"], "run_id": ""}, "register": "b"}  # type: ignore[dict-item]
    done = site.play([start, {"sre.runbooks.timeline_event": {"run_id": "{{ a.run_id }}", "step": "x"}}, report])
    assert done["a"]["record"] is False
    assert done["b"]["repository_prefix"] == "" and "no repository at" in done["b"]["problems"][0]
    assert os.path.exists(done["b"]["html_path"])
    assert not site.repository.exists()


def test_the_warning_that_there_is_no_repository_can_be_pasted(tmp_path: pathlib.Path) -> None:
    invocation = Invocation(playbooks=("sre.runbooks.check_health",), inventories=("/srv/hosts",))
    given = {"repository": f"file://{tmp_path}/none", "environment_name": "local", "runbook": "check_health"}
    options = {**given, "state": "started", "components": ["db"], "require_record": False}
    done = call_module("run", {**options, "invocation": invocation.to_data()})
    assert done["record"] is False, done
    assert "ansible-playbook -i /srv/hosts sre.runbooks.prepare_repository" in json.dumps(done["warnings"]), done


def test_commands_that_only_the_report_knows_of_are_whole_where_it_is_written(tmp_path: pathlib.Path) -> None:
    invocation = Invocation(playbooks=("sre.runbooks.check_health",), inventories=("/srv/hosts",))
    late = {"name": "db", "engine": "postgresql_pitr", "outcome": "ok", "rpo": "5m", "rpo_measured_s": 600}
    given = {"repository": f"file://{tmp_path}/none", "environment_name": "local", "runbook": "check_health"}
    options = {**given, "components": [late], "component_names": ["db"], "report_dir": str(tmp_path / "reports")}
    done = call_module("report", {**options, "invocation": invocation.to_data()})
    written = (pathlib.Path(done["report_path"]) / "report.json").read_text(encoding="utf-8")
    assert "ansible-playbook -i /srv/hosts sre.runbooks.prepare_archiving --limit db" in written, written


def test_without_a_place_for_it_the_report_is_in_the_repository(site: Site) -> None:
    site.reports.write_text("in the way")
    done = site.play([START, REPORT])
    assert done["b"]["html_path"] == "" and done["b"]["repository_prefix"]
    assert done["b"]["summary_lines"][-1].startswith("report: file://")


def test_nowhere_to_write_is_a_failure(site: Site) -> None:
    site.reports.write_text("in the way")
    shutil.rmtree(site.repository)
    report = {"sre.runbooks.report": {**REPORT["sre.runbooks.report"], "run_id": ""}}  # type: ignore[dict-item]
    assert "could be written nowhere" in site.play([report], fails=True)["output"]


def test_what_was_found_is_shown_where_no_report_can_be_made_of_it(site: Site) -> None:
    """Such as of what only a newer release of a role would say."""
    probe = {"name": "db answers", "outcome": "failed", "message": "connection refused"}
    known = {"name": "localhost", "outcome": "half", "detail": "out of luck", "probes": [probe]}
    variables = {"environment_name": "local", "repository_url": site.url, "run_id": "", "__run_began": ""}
    finish = {"ansible.builtin.include_role": {"name": "sre.runbooks.run", "tasks_from": "finish.yml"}}
    remember = {"ansible.builtin.set_fact": {"__run_component": known}}
    output = site.play([remember, {"vars": variables, **finish}], fails=True)["output"]
    assert "localhost: half: out of luck" in output and "failed db answers: connection refused" in output, output
    assert "value of outcome must be one of" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runbook": "Back up!"}, "not a runbook"),
        ({}, "runbook"),
        ({"runbook": "x", "environment_name": "production"}, "belongs to another environment"),
        ({"state": "finished", "run_id": "../../etc", "verdict": "met"}, "not a run id"),
    ],
)
def test_bad_input(site: Site, arguments: dict[str, t.Any], message: str) -> None:
    assert message in site.play([{"sre.runbooks.run": arguments}], fails=True)["output"]


def test_a_bad_objective_names_its_component(site: Site) -> None:
    components = [{"name": "flights_db", "rpo": "soon", "outcome": "ok"}]
    done = site.play([{"sre.runbooks.report": {"components": components}, "register": "b"}])
    assert "flights_db: rpo: not a duration" in "\n".join(done["b"]["summary_lines"])


@pytest.mark.parametrize("module", ["run", "timeline_event", "report"])
def test_documented_examples_run(site: Site, module: str) -> None:
    source = (ROOT / "plugins" / "modules" / f"{module}.py").read_text()
    examples = yaml.safe_load(source.split('EXAMPLES = r"""')[1].split('"""')[0])
    done = subprocess.run(
        site.command(examples), env=site.environment(), cwd=site.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
