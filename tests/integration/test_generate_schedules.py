# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook that writes schedules, as an operator starts it: its default table, its commands, what it refuses."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess

import yaml

from tests.servers.playbook import ROOT, run_playbook


def test_the_default_table_follows_the_components_and_the_user(tmp_path: pathlib.Path) -> None:
    hosts = {
        "quick": {"component_engine": "postgresql", "component_rpo": "10m", "component_backup_interval": "20m"},
        "slow": {"component_engine": "postgresql", "component_rpo": "30m", "component_backup_interval": ""},
        "page": {"component_engine": "service", "component_rpo": "2m"},
    }
    inventory = {
        "components": {
            "hosts": hosts,
            "vars": {"environment_name": "testing", "repository_url": f"file://{tmp_path}/repository"},
        }
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "id").write_text("#!/bin/sh\necho operator\n", encoding="utf-8")
    (tmp_path / "bin" / "id").chmod(0o755)
    done = run_playbook(
        tmp_path / "hosts.yml",
        "generate_schedules",
        *("-e", f"schedules_dir={tmp_path}/schedules"),
        PATH=f"{tmp_path}/bin:{os.environ['PATH']}",
    )
    assert done.returncode == 0, done.stdout
    assert "*/15 * * * *   backups" in done.stdout
    # It has no objectives that could be verified.
    assert "8 schedules; 17 files in " in done.stdout and "(a directory that was made): 17 written" in done.stdout
    assert "   objectives" not in done.stdout
    cron = (tmp_path / "schedules" / "cron" / "sre-runbooks-testing").read_text(encoding="utf-8")
    assert "*/15 * * * * operator cd " in cron
    service = (tmp_path / "schedules" / "systemd" / "sre-runbooks-testing-backups.service").read_text(encoding="utf-8")
    assert "\nUser=operator\n" in service


def test_what_is_next_of_the_playbook_can_be_pasted(tmp_path: pathlib.Path) -> None:
    """It makes no report, in which commands are completed elsewhere."""
    table = [{"name": "x", "runbook": "check_health", "every": "day", "limit": "quikc"}]
    known = {"environment_name": "testing", "repository_url": f"file://{tmp_path}/repository", "schedules": table}
    hosts = {"quick": {"component_engine": "service"}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"components": {"hosts": hosts, "vars": known}}), "utf-8")
    done = run_playbook(
        tmp_path / "hosts.yml", "generate_schedules", "--check", "-e", f"schedules_dir={tmp_path}/schedules"
    )
    assert done.returncode != 0 and "limit names 'quikc'" in done.stdout, done.stdout
    assert f"next: ansible-inventory -i {tmp_path}/hosts.yml --graph\n" in done.stdout, done.stdout
    assert "next: ansible-inventory --graph" not in done.stdout


def test_a_table_that_is_a_mapping_is_refused_by_its_name(tmp_path: pathlib.Path) -> None:
    known = {"environment_name": "testing", "repository_url": f"file://{tmp_path}/repository"}
    hosts = {"quick": {"component_engine": "service"}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"components": {"hosts": hosts, "vars": known}}), "utf-8")
    given = ("-e", f"schedules_dir={tmp_path}/schedules", "-e", '{"schedules": {"name": "x"}}')
    done = run_playbook(tmp_path / "hosts.yml", "generate_schedules", *given)
    assert done.returncode != 0 and "schedules is no table; expected: a list of mappings" in done.stdout, done.stdout
    assert "found: a mapping; next: " in done.stdout and "<class" not in done.stdout, done.stdout
    command = f"ansible-playbook -i {tmp_path}/hosts.yml sre.runbooks.generate_schedules -e schedules_dir="
    assert command in done.stdout and "-e schedules_dir=" + str(tmp_path) + "/schedules\n" in done.stdout, done.stdout


def test_the_playbook_writes_a_table_for_whom_has_none(tmp_path: pathlib.Path) -> None:
    inventory = tmp_path / "production"
    inventory.symlink_to(ROOT / "inventories" / "production")

    def generate(*more: str) -> subprocess.CompletedProcess[str]:
        return run_playbook(
            inventory,
            *("generate_schedules", "--diff", "-e", f"schedules_dir={tmp_path}/schedules"),
            *("-e", "schedules_project_dir=/srv/runbooks", *more),
            ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
        )

    def written(*more: str) -> str:
        done = generate(*more)
        assert done.returncode == 0, done.stdout
        return done.stdout

    planned = written("--check")
    assert "changed=1" in planned and not (tmp_path / "schedules").exists()
    assert (
        f"9 schedules; 19 files in {tmp_path}/schedules (a directory that would be made): 19 would be written"
        in planned
    )
    screen = written()
    assert "changed=1" in screen and "+OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 06:30:00 UTC" in screen
    assert re.search(r"\*/\d+ \* \* \* \*   backups", screen), screen
    assert re.search(r"10 6 \* \* \*   objectives", screen) and "(a directory that was made): 19 written" in screen
    again = written()
    assert "changed=1" not in again and "0 written, 0 removed, 19 as they were" in again
    row = {"name": "a", "runbook": "check_health", "every": "day"}
    for bad, says in (
        ({"schedules": [{**row, "variables": {"checklist": "mornin"}}]}, "did you mean 'morning'?"),
        ({"health_checklists": ["night"]}, "health_checklists is no mapping of checklists by name"),
        ({"schedules": [{**row, "limit": "order_db"}]}, "did you mean 'orders_db'?"),
        (
            {"schedules_formats": ["crontab"]},
            "awx. Got no match for: crontab; next: correct schedules_formats, then: ansible-",
        ),
    ):
        done = generate("-e", json.dumps(bad))
        assert done.returncode != 0 and says in done.stdout, done.stdout
        assert "argument_spec_data" not in done.stdout
    cron = (tmp_path / "schedules" / "cron" / "sre-runbooks-production").read_text(encoding="utf-8")
    assert "sre.runbooks.check_health -e checklist=quarterly" in cron and "cd /srv/runbooks && " in cron


def test_variables_that_a_scheduled_run_will_not_have_are_named_without_their_values(tmp_path: pathlib.Path) -> None:
    hosts = {"quick": {"component_engine": "service"}}
    known = {"environment_name": "testing", "repository_url": f"file://{tmp_path}/repository"}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"components": {"hosts": hosts, "vars": known}}), "utf-8")
    done = run_playbook(
        tmp_path / "hosts.yml",
        *("generate_schedules", "--check", "-e", f"schedules_dir={tmp_path}/schedules"),
        SRE_RUNBOOKS_WEBHOOK_URL="https://example.org/hunter2",
        SRE_RUNBOOKS_TEXTFILES="",
        ANSIBLE_FORKS="7",
    )
    screen = " ".join(done.stdout.split())
    assert done.returncode == 0, screen
    named = re.search(r"will not have these environment variables, which are set here: ([A-Z_, ]+); next: ", screen)
    assert named and {"SRE_RUNBOOKS_WEBHOOK_URL", "ANSIBLE_FORKS"} <= set(named[1].split(", ")), screen
    assert "SRE_RUNBOOKS_TEXTFILES" not in named[1] and "hunter2" not in screen
