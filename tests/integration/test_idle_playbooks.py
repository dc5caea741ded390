# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runbooks that do nothing, or are only asked what they would do, say so, and why."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.servers.health_environment import HealthEnvironment
from tests.servers.playbook import run_playbook


@pytest.mark.parametrize(
    ("runbook", "why"),
    [
        ("restore_components", "holds no data of its own; its data is a component it depends on"),
        ("prepare_archiving", "its engine keeps no continuous archive"),
        ("roll_back_configuration", "holds no objects of a namespace of Kubernetes"),
    ],
)
def test_a_runbook_that_did_nothing_says_so_and_why(health: HealthEnvironment, runbook: str, why: str) -> None:
    confirm = "restore_confirm=front" if runbook == "restore_components" else "roll_back_confirm=front"
    extra = () if runbook == "prepare_archiving" else ("-e", confirm)
    done = run_playbook(health.path / "hosts.yml", runbook, "--limit", "front", *extra)
    assert done.returncode == 0, done.stdout
    assert f"{runbook} of testing, only front: nothing to do (every component was skipped)" in done.stdout, done.stdout
    assert f"skipped: front: {why}" in done.stdout, done.stdout
    report = health.report()
    assert report["verdict"] == "met" and report["verdict_reason"] == "every component was skipped"
    written = (health.reports / "latest" / "report.md").read_text("utf-8")
    assert written.startswith("# Nothing to do: ") and why in written


def test_a_rebuild_that_is_only_asked_for_shows_its_plan_and_measures_nothing(
    health: HealthEnvironment, tmp_path: pathlib.Path
) -> None:
    tasks = tmp_path / "start_it.yml"
    tasks.write_text("- name: Start it\n  ansible.builtin.debug:\n    msg: started\n", encoding="utf-8")
    health.write(component_provision_tasks=str(tasks))
    done = run_playbook(health.path / "hosts.yml", "rebuild_environment", "--check")
    assert done.returncode == 0, done.stdout
    plan = "where it is not there, would be provided by start_it.yml; would be asked"
    assert f"front: {plan} 2 probes" in done.stdout and f"back: {plan} 1 probe" in done.stdout, done.stdout
    for name in ("front", "back"):
        assert re.search(rf"{name} +– +– +5 m +unknown +– +– +unknown\b", done.stdout), done.stdout
    # Done, it is timed.
    run = run_playbook(health.path / "hosts.yml", "rebuild_environment", "-e", "rebuild_confirm=testing")
    assert run.returncode == 0 and "would be asked" not in run.stdout, run.stdout
    assert all(item["rto"]["measured_s"] is not None for item in health.report()["components"])
