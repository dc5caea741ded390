# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nobody can have meant is refused before anything is asked, all of it at once."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest

from tests.servers.health_environment import HealthEnvironment


@pytest.mark.parametrize(
    ("arguments", "says", "next_command"),
    [
        (
            ("-i", "inventories/productoin"),
            "no host of the inventory is in 'components'",
            "with -i and the path of the inventory: ansible-playbook sre.runbooks.check_health",
        ),
        (
            ("-e", "component_hosts=tpyo"),
            "no host of the inventory is in 'tpyo'",
            "then: ansible-playbook -i HOSTS sre.runbooks.check_health",
        ),
        (
            ("--inventory", "other,", "--limit", "other"),
            "nothing would be done, as no component is left; expected: hosts of 'components'; found: nobody of them",
            "next: see who is there: ansible-inventory -i HOSTS -i other, --graph",
        ),
        (
            ("--limit", "front,bakc"),
            "--limit names who is not there, did you mean back?",
            "next: ansible-playbook -i HOSTS sre.runbooks.check_health --limit front,back",
        ),
        (
            ("--limit", "front:!bakc", "--check"),
            "found: bakc",
            "next: ansible-playbook -i HOSTS --check sre.runbooks.check_health --limit 'front,!back'",
        ),
        (
            ("--limit", "front,quite_another"),
            "found: quite_another",
            "next: ansible-playbook -i HOSTS sre.runbooks.check_health --limit front",
        ),
        # Without what it leaves out, it would be about more.
        (
            ("--limit", "front:!quite_another"),
            "found: quite_another",
            "next: see who is there: ansible-inventory -i HOSTS --graph",
        ),
        (
            ("--tags", "probes"),
            "none of this runbook's tasks would be played",
            "next: ansible-playbook -i HOSTS sre.runbooks.check_health",
        ),
    ],
    ids=["inventory", "components", "no component", "limit", "all but", "nobody near", "all but nobody near", "tags"],
)
def test_nobody_is_a_failure(
    health: HealthEnvironment, arguments: tuple[str, ...], says: str, next_command: str
) -> None:
    """Where Ansible itself skips the play, and ends as if everything were well."""
    if "-i" in arguments:
        (health.path / "hosts.yml").write_text("all: {}\n", encoding="utf-8")
    code, screen = health.check(*arguments)
    assert code != 0 and says in screen, screen
    next_command = next_command.replace("HOSTS", f"{health.path}/hosts.yml")
    assert any(line.endswith(next_command) for line in screen.splitlines()), screen
    assert not health.reports.exists()


def test_mistakes_are_named_together_and_what_fails_after_them_is_new(
    health: HealthEnvironment, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "pass word").write_text("hunter2\n")
    own = {"name": "db", "kind": "postgresql", "port": 1, "password_file": str(tmp_path / "pass word")}
    typo = {"name": "x", "kind": "command", "argv": ["echo"], "exit_cods": 1}
    health.probes["back"] = [{**own, "prot": 2}, typo]
    health.write()
    code, screen = health.check("--limit", "back")
    assert code != 0, screen
    said = screen.partition("failure: back: ")[2].splitlines()
    assert said[0] == "2 mistakes in the declarations of probes", screen
    assert said[1].strip() == "probe 1 (db) of kind postgresql has the unknown key 'prot', did you mean 'port'?"
    assert said[2].strip() == "probe 2 (x) of kind command has the unknown key 'exit_cods', did you mean 'exit_codes'?"
    health.probes["back"] = [own, {"name": "x", "kind": "command", "argv": ["echo"], "stdout": "y"}]
    health.write()
    code, screen = health.check("--limit", "back")
    assert code != 0 and "nothing changed" not in screen, screen
    assert "  back: db: new, failed (" in screen and "  back: its probes were not asked before" in screen, screen
    assert "failed   x: the output does not contain 'y' (found exit code 0" in screen, screen
    assert f"""next: PGPASSWORD="$(cat '{tmp_path}/pass word')" psql """ in screen, screen
    assert "hunter2" not in screen


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ({"health_probes_disabled": ["front answers"]}, "argument 'health_probes_disabled' is of type list"),
        ({"health_space_free_percent": "many"}, "argument 'health_space_free_percent' is of type str"),
        ({"run_webhook_occasion": "allways"}, "value of run_webhook_occasion must be one of: failure, change, always"),
    ],
)
def test_what_no_role_takes_is_refused_before_there_is_a_record(
    health: HealthEnvironment, variable: dict[str, t.Any], says: str
) -> None:
    (name,) = variable
    code, screen = health.check("-e", json.dumps(variable), "-e", "run_scenario=x")
    assert code != 0 and says in screen and "argument_spec_data" not in screen, screen
    command = f"ansible-playbook -i {health.path}/hosts.yml sre.runbooks.check_health -e run_scenario=x"
    # What was wrong is left out of it.
    assert f"next: correct {name}, then: {command}\n" in screen
    assert not (health.path / "repository" / "runs").exists(), screen
    # Of one component it is refused as well.
    health.probes["front"] = []
    health.write(
        **{
            key: f"{{{{ {json.dumps(value)} if inventory_hostname == 'back' else omit }}}}"
            for key, value in variable.items()
        }
    )
    code, screen = health.check()
    assert code != 0 and says.split(" is ")[0] in screen, screen
    assert not (health.path / "repository" / "runs").exists(), screen


def test_checklists_that_are_no_mapping_are_refused(health: HealthEnvironment) -> None:
    code, screen = health.check("-e", '{"health_checklists": ["morning"]}', "-e", "checklist=morning")
    assert code != 0 and "health_checklists is no mapping of checklists by name; expected: such as " in screen, screen
    assert (
        f"then: ansible-playbook -i {health.path}/hosts.yml sre.runbooks.check_health -e checklist=morning\n" in screen
    )
    assert not (health.path / "repository" / "runs").exists(), screen


def test_probes_that_arrive_as_a_text_are_refused_by_their_variable(health: HealthEnvironment) -> None:
    code, screen = health.check("-e", 'health_probes=\'{"kind":"tcp"}\'', "--limit", "front")
    assert code != 0 and "front: health_probes is not usable; expected: a list of probes" in screen, screen
    assert "can only concatenate" not in screen and "Finalization of task args" not in screen, screen
    command = f"ansible-playbook -i {health.path}/hosts.yml sre.runbooks.check_health --limit front"
    assert f"then: {command}" in screen and f"{command} -e" not in screen, screen


def test_a_webhook_that_cannot_be_told_is_refused_before_there_is_a_record(health: HealthEnvironment) -> None:
    code, screen = health.check("-e", "run_webhook_url=ftp://chat.example/hush")
    assert code != 0 and "run_webhook_url is no webhook's URL; expected: http:// or https://" in screen, screen
    assert f"then: ansible-playbook -i {health.path}/hosts.yml sre.runbooks.check_health\n" in screen, screen
    assert "hush" not in screen and not (health.path / "repository" / "runs").exists(), screen


# Of the second alone Ansible says a class.
@pytest.mark.parametrize("value", [{"component_probes": "http"}, {"component_probes": {"kind": "tcp"}}])
def test_a_component_with_a_wrong_type_is_told_without_classes_of_python(
    health: HealthEnvironment, value: dict[str, str]
) -> None:
    (name,) = value
    code, screen = health.check("-e", json.dumps(value), "--limit", "front")
    said = [line for line in screen.splitlines() if "front: a variable is not of its type" in line]
    assert code != 0 and said and name in screen, screen
    ours = "\n".join(finding["text"] for finding in health.report()["findings"])
    assert name in ours and "<class" not in ours and "AnsibleTagged" not in ours, ours


def test_values_that_implied_probes_cannot_have_are_named_by_their_variables(health: HealthEnvironment) -> None:
    variables = ("-e", "health_credential_maximum_age=90days", "-e", "health_space_free_percent=101")
    code, screen = health.check(*variables, "--limit", "front")
    assert code != 0 and "front: health_credential_maximum_age and health_space_free_percent are not usable; " in screen
    assert "; found: health_credential_maximum_age = 90days, health_space_free_percent = 101; next: " in screen, screen
    (component,) = health.report()["components"]
    assert component["outcome"] == "failed" and component["probes"] == []
    command = f"ansible-playbook -i {health.path}/hosts.yml sre.runbooks.check_health --limit front"
    assert command in screen and f"{command} -e" not in screen, screen


def test_what_is_misspelt_is_named_and_what_is_not_ours_is_not(
    health: HealthEnvironment, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "more.yml").write_text("run_webhook_ocasion: always\n", encoding="utf-8")
    code, screen = health.check("-e", "cheklist=morning", "-e", "health_age=90d", "-e", f"@{tmp_path}/more.yml")
    assert code != 0 and "cheklist (did you mean checklist?)" in screen, screen
    assert "run_webhook_ocasion (did you mean run_webhook_occasion?)" in screen
    # Far from every name, and yet meant for this runbook: its next command does without.
    assert "such as health_checklist, " in screen and ", health_age; next: " in screen, screen
    assert f"sre.runbooks.check_health -e @{tmp_path}/more.yml -e checklist=morning\n" in screen
    health.write(helth_probes=[])
    code, screen = health.check()
    assert code != 0 and "helth_probes (did you mean health_probes?)" in screen, screen
    health.write(checklists=["ours"], environment_names=["a"], target_host="x")
    code, screen = health.check("-e", "app_version=2", "-e", "ansible_verbosity_of_ours=1", "--limit", "front")
    assert code == 0, screen
