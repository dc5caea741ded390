# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command to run next can be pasted: it has the operator's inventory, limit, variables and vaults, and no secret."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import pathlib
import shlex
import typing as t

import pytest
from ansible import context
from ansible.utils.context_objects import CLIArgs

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._module import complete
from ansible_collections.sre.runbooks.plugins.module_utils._runs.commands import Invocation, completed
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import complete_result, current_invocation
from ansible_collections.sre.runbooks.plugins.plugin_utils.report_directory import report_directory

TYPED: dict[str, t.Any] = {
    "args": ("sre.runbooks.restore_components",),
    "inventory": ("/srv/an inventory", "/srv/more"),
    "subset": "flights_db,other",
    "extra_vars": (
        "restore_target_time=2026-11-21T05:10:00Z component_login_password=hunter2",
        '{"repository_s3": {"secret_key": "hunter2"}, "component_jobs": 4}',
        "@vars.yml",
        "repository_encryption_identity_file=/kit/age.txt",
        "run_webhook_url=https://hooks.example/hunter2",
        "service_api_key=hunter2",
    ),
    "vault_ids": (),
    "vault_password_files": ("/srv/vault",),
}


@pytest.fixture
def invocation(monkeypatch: pytest.MonkeyPatch) -> Invocation:
    monkeypatch.delenv("AWX_HOST", raising=False)
    monkeypatch.setattr(context, "CLIARGS", CLIArgs(TYPED))
    found = current_invocation()
    assert found is not None
    return found


def test_another_playbook_gets_what_says_where_everything_is(invocation: Invocation) -> None:
    said = "x; next: ansible-playbook sre.runbooks.back_up_components --limit flights_db"
    command = completed(said, invocation).partition("next: ")[2]
    assert shlex.split(command) == [
        *("ansible-playbook", "-i", "/srv/an inventory", "-i", "/srv/more", "--vault-password-file", "/srv/vault"),
        *("-e", "@vars.yml", "-e", '{"component_jobs": 4}', "-e", "repository_encryption_identity_file=/kit/age.txt"),
        *("sre.runbooks.back_up_components", "--limit", "flights_db"),
    ]
    assert completed(command, invocation) == command


def test_the_same_command_keeps_all_of_it(invocation: Invocation) -> None:
    said = {"next_command": "the same command with --limit flights_db -e restore_confirm=flights_db; report: x"}
    command = completed(said, invocation)["next_command"]
    assert command.endswith(" -e restore_confirm=flights_db; report: x") and "hunter2" not in command
    assert shlex.split(command.partition(";")[0]) == [
        *("ansible-playbook", "-i", "/srv/an inventory", "-i", "/srv/more", "--vault-password-file", "/srv/vault"),
        *("sre.runbooks.restore_components", "-e", "@vars.yml", "-e", "restore_target_time=2026-11-21T05:10:00Z"),
        *("-e", '{"component_jobs": 4}', "-e", "repository_encryption_identity_file=/kit/age.txt"),
        *("--limit", "flights_db", "-e", "restore_confirm=flights_db"),
    ]
    other = completed("the same command with -e restore_target_time=x", invocation)
    assert "--limit flights_db,other" in other and other.count("restore_target_time") == 1


def test_the_same_command_may_be_all_that_is_needed(invocation: Invocation) -> None:
    said = "mend it, then: the same command"
    command = completed(said, invocation)
    assert command.startswith("mend it, then: ansible-playbook -i ") and command.endswith(
        " --limit flights_db,other "
        + " ".join(
            [
                "-e @vars.yml",
                "-e restore_target_time=2026-11-21T05:10:00Z",
                "-e '{\"component_jobs\": 4}'",
                "-e repository_encryption_identity_file=/kit/age.txt",
            ]
        )
    )
    assert completed(command, invocation) == command


# Those of the field's words; what a single file derives for itself, if it was imported, says itself what is next.
KINDS = [
    kind
    for kind in (RunbookError, *RunbookError.__subclasses__(), *RepositoryError.__subclasses__())
    if kind.__module__ == RunbookError.__module__
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("component", [None, "flights_db"])
def test_what_is_next_where_nobody_knew_is_a_whole_command(
    invocation: Invocation, kind: type[RunbookError], component: str | None
) -> None:
    said = complete(kind("x"), component).next_command or ""
    command = shlex.split(completed(said.rpartition(": ")[2], invocation))
    assert command[0] == "ansible-playbook" and any(word.startswith("sre.runbooks.") for word in command)
    if component and kind is not RepositoryError:
        assert command[command.index("--limit") + 1] == component and command.count("--limit") == 1


def test_a_value_with_spaces_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ("restore_target_time='2026-11-21 05:10:00+00:00' restore_target_name=before the upgrade",)
    monkeypatch.delenv("AWX_HOST", raising=False)
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({**TYPED, "extra_vars": typed}))
    command = shlex.split(completed("the same command with -e restore_confirm=x", current_invocation()))
    again = tuple(value for option, value in itertools.pairwise(command) if option == "-e")
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({**TYPED, "extra_vars": again}))
    found = current_invocation()
    assert found is not None
    assert dict(found.variables) == {
        "restore_target_time": '{"restore_target_time": "2026-11-21 05:10:00+00:00"}',
        "restore_target_name": "restore_target_name=before",
        "restore_confirm": "restore_confirm=x",
    }


def test_what_was_wrong_in_it_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ("cheklist=morning", '{"helth_probes": [{"name": "a b"}]}', "run_scenario=x")
    monkeypatch.delenv("AWX_HOST", raising=False)
    monkeypatch.setattr(
        context, "CLIARGS", CLIArgs({**TYPED, "args": ("sre.runbooks.check_health",), "extra_vars": typed})
    )
    said = "x; next: the same command renaming cheklist to checklist, helth_probes to health_probes without -e run_scenario"
    command = shlex.split(completed(said, current_invocation()).partition("next: ")[2])
    again = [value for option, value in itertools.pairwise(command) if option == "-e"]
    assert again == ["checklist=morning", '{"health_probes": [{"name": "a b"}]}']
    both = completed(
        "the same command without -e helth_probes -e cheklist with -e run_scenario=y", current_invocation()
    )
    assert [value for option, value in itertools.pairwise(shlex.split(both)) if option == "-e"] == ["run_scenario=y"]


def test_the_same_runbook_stays_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWX_HOST", raising=False)
    typed = {**TYPED, "args": ("sre.runbooks.check_health",), "extra_vars": ("checklist=morning",)}
    monkeypatch.setattr(context, "CLIARGS", CLIArgs(typed))
    found = current_invocation()
    assert found is not None
    assert "-e checklist=morning sre.runbooks.check_health" in completed(
        "ansible-playbook sre.runbooks.check_health", found
    )
    assert "checklist" not in completed("ansible-playbook sre.runbooks.back_up_components", found)
    another = found.of_another_run("check_health-weekly")
    assert completed("the same command", another).endswith(" sre.runbooks.check_health -e checklist=weekly")


@pytest.mark.parametrize(
    "said",
    [
        "the same command with -e restore_confirm=x; report: y",
        "ansible-playbook sre.runbooks.back_up_components --limit flights_db",
        "ansible-playbook sre.runbooks.restore_components -e restore_confirm=x",
    ],
)
@pytest.mark.parametrize("inventories", [(), ("/srv/inventory",)])
@pytest.mark.parametrize("modes", [(), ("--check",)])
def test_a_complete_command_stays_as_it_is(inventories: tuple[str, ...], modes: tuple[str, ...], said: str) -> None:
    variables = (("repository_url", "repository_url=file:///srv/a"), ("run_id", '{"run_id": "a b"}'))
    typed = Invocation(("sre.runbooks.restore_components",), inventories, "flights_db", variables, modes=modes)
    once = completed(said, typed)
    assert once != said and once.count("file:///srv/a") == 1
    assert completed(once, typed) == once


@pytest.mark.parametrize(
    ("said", "keeps"),
    [
        ("the same command", True),
        ("the same command renaming restore_target_time to x", True),
        ("the same command without -e restore_target_time with -e restore_confirm=flights_db", True),
        ("ansible-playbook sre.runbooks.restore_components --limit flights_db -e restore_confirm=flights_db", True),
        ("ansible-playbook sre.runbooks.roll_back --limit flights_db -e roll_back_confirm=flights_db", True),
        ("ansible-playbook sre.runbooks.restore_components --limit flights_db --check", True),
        ("ansible-playbook sre.runbooks.back_up_components --limit flights_db; report: -e x_confirm=y", False),
        ("ansible-playbook sre.runbooks.expire_backups --check", True),
    ],
)
@pytest.mark.parametrize("difference", [False, True])
def test_what_only_asked_does_not_act_when_it_is_pasted(
    monkeypatch: pytest.MonkeyPatch, said: str, keeps: bool, difference: bool
) -> None:
    monkeypatch.delenv("AWX_HOST", raising=False)
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({**TYPED, "check": True, "diff": difference}))
    found = current_invocation()
    assert found is not None
    found = Invocation.from_data(json.loads(json.dumps(found.to_data())))
    command = completed(said, found)
    assert command.count("--check") == (1 if keeps else 0), command
    assert command.count("--diff") == (1 if difference and keeps and "expire_backups" not in said else 0), command
    # However often it is completed, and where the inventory is the configuration's.
    assert completed(command, found) == command
    bare = dataclasses.replace(t.cast("Invocation", found), inventories=(), vault=())
    assert completed(completed(said, bare), bare) == completed(said, bare)
    # A run that is closed because it was killed had a record, and so was no --check.
    assert "--check" not in completed("the same command", bare.of_another_run("restore_components"))
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({**TYPED, "check": False, "diff": False}))
    assert completed(said, current_invocation()).count("--check") == said.count("--check")


def test_an_inventory_that_is_not_there_is_not_repeated(invocation: Invocation) -> None:
    command = shlex.split(completed("the same command without -i -e component_jobs", invocation))
    assert "-i" not in command and not any("component_jobs" in word for word in command)
    assert command[:4] == ["ansible-playbook", "--vault-password-file", "/srv/vault", "sre.runbooks.restore_components"]


def test_commands_of_ansible_itself_get_the_inventory_too(invocation: Invocation) -> None:
    for said in ("ansible-inventory --graph", "ansible flights_db -m ansible.builtin.ping"):
        command = completed(f"x; next: {said}", invocation).partition("next: ")[2]
        assert shlex.split(command)[:5] == [said.split()[0], "-i", "/srv/an inventory", "-i", "/srv/more"]
        assert command.endswith(said.partition(" ")[2]) and completed(command, invocation) == command
    assert completed("the ansible of that host", invocation) == "the ansible of that host"


def test_what_ansible_remembers_of_a_failure_is_completed_as_its_result_is(invocation: Invocation) -> None:
    @dataclasses.dataclass(frozen=True)
    class Event:
        msg: str

    @dataclasses.dataclass(frozen=True)
    class Summary:
        event: Event

    said = "there is no repository; next: ansible-playbook sre.runbooks.prepare_repository"
    result = {"failed": True, "msg": said, "exception": Summary(Event(said))}
    complete_result(result)
    assert result["msg"] == t.cast("Summary", result["exception"]).event.msg == completed(said, invocation) != said
    older = {"failed": True, "msg": said, "exception": "Traceback: x"}
    complete_result(older)
    assert older["exception"] == "Traceback: x"


def test_what_was_typed_survives_the_way_to_a_module(invocation: Invocation) -> None:
    assert Invocation.from_data(json.loads(json.dumps(invocation.to_data()))) == invocation
    assert Invocation.from_data({}) is None


def test_where_nobody_typed_a_command_none_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "the same command with -e restore_confirm=flights_db"
    monkeypatch.setattr(context, "CLIARGS", CLIArgs({**TYPED, "args": "localhost"}))
    assert completed(said, current_invocation()) == said
    monkeypatch.setattr(context, "CLIARGS", CLIArgs(TYPED))
    monkeypatch.setenv("AWX_HOST", "https://awx.example.com")
    assert completed(said, current_invocation()) == said


def test_reports_go_where_the_operator_stands(tmp_path: pathlib.Path) -> None:
    here = str(tmp_path)
    assert report_directory("", here) == f"{here}/reports"
    assert report_directory("said/so", here) == f"{here}/said/so"
    assert report_directory("/srv/reports", here) == "/srv/reports"


def test_a_project_that_is_read_only_keeps_no_report(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write wherever the mode forbids it, so the answer is made up.
    monkeypatch.setattr(os, "access", lambda *_arguments: False)
    assert report_directory("", str(tmp_path)) is None
    assert report_directory("said", str(tmp_path)) == f"{tmp_path}/said"
