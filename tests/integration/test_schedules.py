# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schedules of an environment as files that systemd, cron's grammar and a Kubernetes API take."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import typing as t

import pytest
import yaml

from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.module_call import call_module

FORMATS = ["cron", "systemd", "kubernetes", "awx"]
DIFFICULT = {
    "reason": 'it is "50 %" of $HOME, $(HOME) and $$; \\ so',
    "count": 3,
    "on": True,
    "list": ["a b"],
    "filled_in_later": "{{ who }} doesn't {# ever #} stop! %H `id` \\% \\\\% \\",
}
TABLE: list[dict[str, t.Any]] = [
    {"name": "backups", "runbook": "back_up_components", "every": "15m"},
    {"name": "drills", "runbook": "drill_restores", "every": "day", "at": "03:10", "limit": "orders_db:&production"},
    {
        "name": "morning",
        "runbook": "check_health",
        "every": "week",
        "weekdays": ["mon", "fri"],
        "variables": {"checklist": "morning"},
    },
    {"name": "quarterly", "runbook": "check_health", "every": "quarter", "variables": DIFFICULT, "enabled": False},
]
#: When each of them is due, to cron and to a CronJob.
MOMENTS = {
    "backups": "*/15 * * * *",
    "drills": "10 3 * * *",
    "morning": "0 0 * * 1,5",
    "quarterly": "0 0 1 1,4,7,10 *",
}


def options(path: pathlib.Path, **changes: t.Any) -> dict[str, t.Any]:
    given: dict[str, t.Any] = {
        "path": str(path),
        "environment_name": "Production EU",
        "schedules": TABLE,
        "formats": FORMATS,
        "timezone": "Europe/Berlin",
        "project_dir": "/",
        "inventories": ["inventories/production"],
        "executable": "/usr/bin/env",
        "kubernetes": {
            "namespace": "default",
            "image": "registry.example/ee:1",
            "inventories": ["hosts.yml"],
            "config_map": "project",
            "secret": "access",
        },
        "awx": {"organization": "Default", "project": "runbooks", "inventory": "production"},
    }
    return {**given, **changes}


def files(path: pathlib.Path) -> dict[str, str]:
    return {str(file.relative_to(path)): file.read_text("utf-8") for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("schedules")
    done = call_module("schedule_files", options(path))
    assert done["changed"] and sorted(files(path)) == done["files"] == done["changed_files"], done
    return path


def test_a_second_run_changes_nothing_and_check_mode_tells(written: pathlib.Path, tmp_path: pathlib.Path) -> None:
    before = {name: (written / name).stat().st_mtime_ns for name in files(written)}
    again = call_module("schedule_files", options(written))
    assert not again["changed"] and again["diff"] == []
    assert {name: (written / name).stat().st_mtime_ns for name in files(written)} == before
    planned = call_module("schedule_files", options(tmp_path), check=True)
    assert planned["changed"] and files(tmp_path) == {}
    told = {entry["after_header"]: entry["after"] for entry in planned["diff"]}
    assert told == files(written)


def test_what_is_no_longer_in_the_table_goes(tmp_path: pathlib.Path) -> None:
    call_module("schedule_files", options(tmp_path))
    (tmp_path / "systemd" / "somebody-elses.timer").write_text("[Timer]\n")
    done = call_module("schedule_files", options(tmp_path, schedules=TABLE[:1], formats=["systemd"]))
    assert done["changed"]
    assert sorted(files(tmp_path)) == [
        "systemd/somebody-elses.timer",
        "systemd/sre-runbooks-production-eu-backups.service",
        "systemd/sre-runbooks-production-eu-backups.timer",
    ]
    (tmp_path / "cron").mkdir(exist_ok=True)
    (tmp_path / "cron" / "sre-runbooks-production-eu").write_text("# mine\n")
    refused = call_module("schedule_files", options(tmp_path))
    assert refused["failed"] and "not ours is in the way" in refused["msg"]
    assert (tmp_path / "cron" / "sre-runbooks-production-eu").read_text() == "# mine\n"


def test_environments_in_one_directory_leave_each_other_alone(tmp_path: pathlib.Path) -> None:
    call_module("schedule_files", options(tmp_path))
    first = files(tmp_path)
    other = options(tmp_path, environment_name="Staging")
    assert call_module("schedule_files", other)["changed"]
    both = files(tmp_path)
    assert first.items() < both.items() and len(both) == 2 * len(first)
    assert not call_module("schedule_files", options(tmp_path))["changed"]
    call_module("schedule_files", {**other, "schedules": TABLE[:1], "formats": ["systemd"]})
    left = files(tmp_path)
    assert first.items() < left.items() and len(left) == len(first) + 2
    # Its files would have the same names.
    refused = call_module("schedule_files", options(tmp_path, environment_name="production eu"))
    assert refused["failed"] and "not ours is in the way" in refused["msg"]
    assert files(tmp_path) == left


def test_what_cannot_be_read_is_not_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / "cron").mkdir()
    name = tmp_path / "cron" / "sre-runbooks-production-eu"
    for target in (name.name, "nowhere"):
        name.symlink_to(target)
        refused = call_module("schedule_files", options(tmp_path, formats=["cron"]))
        assert refused.get("failed") and "cannot be read is in the way" in refused["msg"], refused
        assert name.is_symlink() and os.readlink(name) == target
        name.unlink()


class Tagged(yaml.SafeLoader):
    """Shows which texts Ansible is told to leave alone."""


Tagged.add_constructor("!unsafe", lambda _, node: ("!unsafe", node.value))


def words_of(cron_line: str) -> list[str]:
    """The command of a line of /etc/cron.d, as cron's shell gets it."""
    matched = re.fullmatch(r"((?:[0-9*,/]+ ){5})root (.*)", cron_line)
    assert matched, cron_line
    assert not re.search(r"(?<!\\)%", matched[2]), "cron would end the command there"
    # What crons make of it: some take a backslash for the start of each pair, some only before a percent sign.
    old = re.sub(r"\\([\\%])", r"\1", matched[2])
    new = matched[2].replace(r"\%", "%")
    assert shlex.split(old) == shlex.split(new)
    return shlex.split(new)


def test_cron_starts_what_the_table_says(tmp_path: pathlib.Path) -> None:
    enabled = [{**row, "enabled": True} for row in TABLE]
    call_module("schedule_files", options(tmp_path, schedules=enabled, formats=["cron"]))
    ((_, text),) = files(tmp_path).items()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "CRON_TZ=Europe/Berlin"
    assert [line.partition(" root ")[0] for line in lines[1:]] == list(MOMENTS.values())
    commands = [words_of(line) for line in lines[1:]]
    assert commands[0] == shlex.split("cd / && /usr/bin/env -i inventories/production sre.runbooks.back_up_components")
    assert commands[1][-2:] == ["--limit", "orders_db:&production"]
    given = [json.loads(word) for word in commands[3] if word.startswith("{")]
    assert {name: value for entry in given for name, value in entry.items()} == DIFFICULT


def test_systemd_takes_the_units(written: pathlib.Path) -> None:
    units = sorted((written / "systemd").iterdir())
    assert [unit.name for unit in units if unit.suffix == ".timer"] == [
        f"sre-runbooks-production-eu-{name}.timer" for name in ("backups", "drills", "morning")
    ]
    for name, moment in (
        ("backups", "*-*-* *:00,15,30,45:00"),
        ("drills", "*-*-* 03:10:00"),
        ("morning", "Mon,Fri *-*-* 00:00:00"),
    ):
        timer = (written / "systemd" / f"sre-runbooks-production-eu-{name}.timer").read_text().splitlines()
        # One that was slept through is made up for.
        assert f"OnCalendar={moment} Europe/Berlin" in timer and "Persistent=true" in timer
    assert "ExecStart=/usr/bin/env -i inventories/production" in units[0].read_text()
    program = shutil.which("systemd-analyze")
    if program is not None:
        done = subprocess.run(
            [program, "verify", "--man=no", *map(str, units)], capture_output=True, text=True, check=False
        )
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "sre-runbooks" in line]
        assert ours == []
    text = (written / "systemd" / "sre-runbooks-production-eu-quarterly.service").read_text()
    assert r'"{\"reason\": \"it is \\\"50 %%\\\" of $$HOME, $$(HOME) and $$$$; \\\\ so\"}"' in text
    assert r"{{ who }} doesn't {# ever #} stop! %%H `id` \\\\%% " in text


def expanded(word: str) -> str:
    """A word of a container's command as its program gets it, where no variable is set that it names."""
    assert not re.search(r"(?<!\$)(\$\$)*\$\(", word), "Kubernetes would take that for a variable"
    return word.replace("$$", "$")


def test_kubernetes_takes_the_cronjobs(written: pathlib.Path, kubernetes_cluster: KubernetesServer) -> None:
    api = kubernetes_cluster.api
    for path in sorted((written / "kubernetes").iterdir()):
        job = yaml.safe_load(path.read_text(encoding="utf-8"))
        created = api.request(
            "POST", "/apis/batch/v1/namespaces/default/cronjobs", job, dryRun="All", fieldValidation="Strict"
        )
        assert created["spec"]["timeZone"] == "Europe/Berlin"
        assert created["spec"]["schedule"] == MOMENTS[created["metadata"]["name"].removeprefix("production-eu-")]
        assert created["spec"]["concurrencyPolicy"] == "Forbid"
        (container,) = created["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        # What is on the machine that wrote them is not in the container.
        assert (container["command"], container["workingDir"]) == (["ansible-playbook"], "/runner/project")
        assert container["args"][:2] == ["-i", "hosts.yml"]
        assert container["volumeMounts"][0]["mountPath"] == "/runner/project"
        assert container["envFrom"] == [{"secretRef": {"name": "access"}}]
        if created["metadata"]["name"] == "production-eu-quarterly":
            given = [json.loads(expanded(word)) for word in container["args"] if word.startswith("{")]
            assert {name: value for entry in given for name, value in entry.items()} == DIFFICULT
        assert created["spec"]["suspend"] == (created["metadata"]["name"] == "production-eu-quarterly")


def test_awx_gets_templates_schedules_and_playbooks(written: pathlib.Path) -> None:
    text = (written / "awx" / "configure_production-eu.yml").read_text(encoding="utf-8")
    (play,) = yaml.load(text, Loader=Tagged)
    templates = [task["awx.awx.job_template"] for task in play["tasks"] if "awx.awx.job_template" in task]
    schedules = [task["awx.awx.schedule"] for task in play["tasks"] if "awx.awx.schedule" in task]
    assert [template["name"] for template in templates] == [entry["unified_job_template"] for entry in schedules]
    assert templates[2]["extra_vars"] == {"checklist": "morning"} and "limit" not in templates[2]
    assert [template.get("limit") for template in templates] == [None, "orders_db:&production", None, None]
    assert [entry["enabled"] for entry in schedules] == [True, True, True, False]
    hours = ",".join(map(str, range(24)))
    assert [entry["rrule"] for entry in schedules] == [
        f"DTSTART;TZID=Europe/Berlin:20240101T{start} RRULE:FREQ={rule}"
        for start, rule in (
            ("000000", f"DAILY;INTERVAL=1;BYHOUR={hours};BYMINUTE=0,15,30,45"),
            ("031000", "DAILY;INTERVAL=1;BYHOUR=3;BYMINUTE=10"),
            ("000000", "WEEKLY;INTERVAL=1;BYDAY=MO,FR;BYHOUR=0;BYMINUTE=0"),
            ("000000", "MONTHLY;INTERVAL=3;BYMONTHDAY=1;BYHOUR=0;BYMINUTE=0"),
        )
    ]
    for template in templates:
        (book,) = yaml.safe_load((written / "awx" / template["playbook"]).read_text(encoding="utf-8"))
        runbook = pathlib.Path(template["playbook"]).stem.removeprefix("production-eu_")
        assert book["import_playbook"] == f"sre.runbooks.{runbook}"


def test_awx_gets_texts_as_they_are_and_not_filled_in(written: pathlib.Path) -> None:
    text = (written / "awx" / "configure_production-eu.yml").read_text(encoding="utf-8")
    (play,) = yaml.load(text, Loader=Tagged)
    told = [task["awx.awx.job_template"] for task in play["tasks"] if "awx.awx.job_template" in task]
    assert told[3]["extra_vars"] == {**DIFFICULT, "filled_in_later": ("!unsafe", DIFFICULT["filled_in_later"])}


@pytest.mark.parametrize(
    ("place", "kind"), [("cron/sre-runbooks-production-eu", "pipe"), ("cron", "pipe"), ("", "pipe"), ("cron", "file")]
)
def test_what_is_no_file_or_no_directory_is_refused_and_not_waited_for(
    tmp_path: pathlib.Path, place: str, kind: str
) -> None:
    path = tmp_path / "schedules" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path) if kind == "pipe" else path.write_text("mine\n", encoding="utf-8")
    for check in (True, False):
        refused = call_module("schedule_files", options(tmp_path / "schedules", formats=["cron"]), check=check)
        assert refused.get("failed") and "is in the way" in refused["msg"] and str(path) in refused["msg"], refused
    assert path.is_fifo() or path.read_text("utf-8") == "mine\n"


def test_what_is_not_enabled_is_not_due(written: pathlib.Path, tmp_path: pathlib.Path) -> None:
    again = call_module("schedule_files", options(written))
    assert sorted(again["moments"]) == ["backups", "drills", "morning"] and again["disabled"] == ["quarterly"]
    assert "quarterly" not in (written / "cron" / "sre-runbooks-production-eu").read_text("utf-8")
    files_there = len(files(written))
    assert again["counts"] == {"entries": 4, "disabled": 1, "files": files_there, "written": 0, "removed": 0}
    assert not again["directory_made"]
    planned = call_module("schedule_files", options(tmp_path / "new"), check=True)
    assert planned["directory_made"] and planned["counts"]["written"] == files_there


def test_inventories_of_this_host_are_none_of_the_containers(tmp_path: pathlib.Path) -> None:
    def call(**cluster: t.Any) -> dict[str, t.Any]:
        given = {"namespace": "default", "image": "ee:1", **cluster}
        return call_module(
            "schedule_files",
            options(tmp_path, formats=["kubernetes"], inventories=["/elsewhere/hosts"], kubernetes=given),
        )

    refused = call()
    assert refused.get("failed") and "an inventory of this host is not in the container" in refused["msg"], refused
    assert "schedules_kubernetes.inventories" in refused["msg"] and files(tmp_path) == {}
    assert call(inventories=["inventories/production"], project_dir="/srv", executable="/venv/bin/ansible-playbook")[
        "changed"
    ]
    text = (tmp_path / "kubernetes" / "production-eu-backups.yml").read_text(encoding="utf-8")
    assert "/elsewhere" not in text and "/venv/bin/ansible-playbook" in text and "workingDir: /srv" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schedules": [{**TABLE[0], "limit": "order_db"}], "hosts": ["orders_db"]}, "did you mean 'orders_db'"),
        ({"schedules": TABLE[2:3], "checklists": ["mornings"]}, "did you mean 'mornings'"),
        ({"schedules": [{**TABLE[0], "variables": {"long": "x" * 1000}}]}, "too long for cron"),
        ({"inventories": ["a\nb"]}, "bad inventories"),
        ({"schedules": [{**TABLE[0], "evry": "1d"}]}, "unknown key 'evry', did you mean 'every'"),
        (
            {"schedules": [{**TABLE[0], "runbook": "backup_components"}], "runbooks": ["back_up_components"]},
            "did you mean 'back_up",
        ),
        ({"schedules": [TABLE[0], TABLE[0]]}, "two schedules are named 'backups'"),
        ({"schedules": [{**TABLE[0], "variables": {"db_password": "x-4711"}}]}, "looks like a secret"),
        ({"schedules": [{**TABLE[0], "variables": {"db": {"password": "x-4711"}}}]}, "db.password looks like a secret"),
        (
            {"schedules": [{**TABLE[0], "variables": {"stores": [{"keys": {"apiKey": "x-4711"}}]}}]},
            "stores[0].keys.apiKey looks like a secret",
        ),
        ({"schedules": [{**TABLE[0], "name": "../x"}]}, "bad name"),
        ({"schedules": [{**TABLE[0], "description": "a\nb"}]}, "bad description"),
        ({"schedules": [{**TABLE[0], "every": "fortnight"}]}, "schedule 1 (backups): not how often"),
        ({"timezone": "UTC\n* * * * * root rm"}, "not a timezone"),
        ({"timezone": "Europe/Berln"}, "with -e schedules_timezone=Europe/Berlin"),
        ({"user": "root ALL"}, "not a user"),
        ({"project_dir": "here"}, "bad project_dir"),
        ({"kubernetes": None}, "expected: the mapping schedules_kubernetes with namespace and image"),
        ({"awx": None}, "expected: the mapping schedules_awx with organization, project and inventory"),
        ({"environment_name": "x" * 50}, "too long a name"),
    ],
)
def test_a_bad_table_is_refused(tmp_path: pathlib.Path, changes: dict[str, t.Any], says: str) -> None:
    refused = call_module("schedule_files", options(tmp_path, **changes))
    assert refused.get("failed") and says in refused["msg"], refused
    assert "4711" not in refused["msg"] and files(tmp_path) == {}
