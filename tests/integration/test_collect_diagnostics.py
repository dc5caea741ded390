# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collecting diagnostics as an operator does: one component that answers, one that is out of reach, one archive."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.alerts import ALERTS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "Zq9-password-4711"


@pytest.fixture
def collect(tmp_path: pathlib.Path) -> t.Callable[..., subprocess.CompletedProcess[str]]:
    """Call it with arguments of the playbook: it ran on a service whose probe fails, and on a host out of reach."""
    initialise_repository(f"file://{tmp_path}/repository", "testing", check_mode=False)
    (tmp_path / "front.log").write_text(f"ERROR password={SECRET}\n")
    front = {
        "ansible_connection": "local",
        "component_probes": [{"name": "front answers", "kind": "tcp", "host": "127.0.0.1", "port": 9}],
        "diagnostics_log_files": [f"{tmp_path}/front.log"],
        "diagnostics_directories": [str(tmp_path)],
    }
    inventory = {
        "all": {
            "vars": {
                "environment_name": "testing",
                "repository_url": f"file://{tmp_path}/repository",
                "repository_allow_same_filesystem": True,
                "ansible_python_interpreter": sys.executable,
                "component_engine": "service",
                "run_report_dir": f"{tmp_path}/reports",
            },
            "children": {
                "components": {
                    "hosts": {"front": front, "lost": {"ansible_host": "127.0.0.1", "ansible_port": 9}},
                }
            },
        }
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
        command = [program, "-i", str(tmp_path / "hosts.yml"), "sre.runbooks.collect_diagnostics", *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(("PG", "SRE_RUNBOOKS_"))},
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_LOCAL_TEMP": f"{tmp_path}/local-tmp",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def test_one_archive_of_what_answers_and_what_does_not(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    done = collect("-e", "alert=service_down", "-e", "diagnostics_keep_in_repository=true")
    (path,) = tmp_path.glob("reports/2*/diagnostics.tar.gz")
    assert f"diagnostics: {path}" in done.stdout
    assert "failure: front: probe front answers is failed" in done.stdout
    # Once is enough, and nothing was judged, let alone met.
    assert done.stdout.count("probe front answers is failed") == 1
    assert "lost: nothing was collected: lost: its host is unreachable" in done.stdout
    assert "changed=0" in done.stdout
    assert "changed=1" not in done.stdout
    with tarfile.open(path) as files:
        found = {
            entry.name.partition("/")[2]: t.cast("t.IO[bytes]", files.extractfile(entry)).read().decode()
            for entry in files
        }
    for name in (
        "front/host_processes/by_cpu.txt",
        "front/health_probes/results.txt",
        "front/recent_changes/runs_newest_first.txt",
    ):
        assert name in found
    assert "ERROR password=********" in "".join(found.values())
    assert SECRET not in "".join(found.values()) + done.stdout

    report = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    details = {component["name"]: json.dumps(component) for component in report["components"]}
    assert str(path) in details["front"]
    # What could not be looked at is a failure of the run; what was found broken is not.
    assert {component["name"]: component["outcome"] for component in report["components"]} == {
        "front": "ok",
        "lost": "failed",
    }
    assert {component["name"]: component["verdict"] for component in report["components"]}["front"] != "failed"
    assert done.returncode == 2
    assert [stored.name for stored in tmp_path.glob("repository/runs/*/diagnostics/*")] == ["diagnostics.tar.gz"]
    # What came from the hosts goes with the playbook.
    assert list((tmp_path / "local-tmp").rglob("*diagnostics*")) == []


def test_nothing_collected_is_a_failure(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    """The repository is all that is asked here, and is not there."""
    only = ("-e", '{"diagnostics_host": false, "diagnostics_probes": false, "diagnostics_log_files": []}')
    done = collect("--limit", "front", *only, "-e", f"repository_url=file://{tmp_path}/none")
    assert done.returncode != 0, done.stdout
    (path,) = tmp_path.glob("reports/2*/report.json")
    (component,) = json.loads(path.read_text(encoding="utf-8"))["components"]
    assert (component["outcome"], component["verdict"]) == ("failed", "failed"), done.stdout


def test_what_was_found_is_told_where_no_archive_can_be_written(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    only = ("-e", '{"diagnostics_host": false, "diagnostics_log_files": []}')
    done = collect(*only, "-e", f"run_report_dir={tmp_path}/taken")
    assert done.returncode == 2, done.stdout
    assert "failure: front: probe front answers is failed" in done.stdout
    # Also of whom something else is wrong.
    assert "failure: front, lost: the archive could be written nowhere" in done.stdout, done.stdout
    assert "-e run_report_dir=/var/tmp/reports" in done.stdout
    (report,) = tmp_path.glob("repository/runs/*/report.json")
    assert f"report: file://{tmp_path}/repository/runs/{report.parent.name}/report.html" in done.stdout
    assert json.loads(report.read_text(encoding="utf-8"))["verdict"] == "failed"


def test_check_mode_tells_the_plan(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    done = collect("--check", "--limit", "front", "-e", "alert=disk_full")
    assert done.returncode == 0, done.stdout
    assert (
        "front: would ask host_disks, host_space, recent_changes, host_processes, host_logs, health_probes"
        in done.stdout
    )
    assert "Run every probe" not in done.stdout
    assert not (tmp_path / "reports").exists()


def test_probes_that_cannot_run_are_told(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    done = collect("--limit", "front", "-e", '{"health_probes_disabled": {"front anwsers": "moved"}}')
    assert done.returncode == 0, done.stdout
    why = "the probes did not run: health_probes_disabled names a probe that is not there"
    assert f"warning: front: health_probes is failed: {why}" in done.stdout
    assert "collect_diagnostics of testing, only front: done (no objective was judged)" in done.stdout
    assert "verdict: done" in done.stdout or "verdict:" not in done.stdout
    (path,) = tmp_path.glob("reports/2*/diagnostics.tar.gz")
    with tarfile.open(path) as files:
        (index,) = [entry for entry in files if entry.name.endswith("/index.html")]
        page = t.cast("t.IO[bytes]", files.extractfile(index)).read().decode()
    assert page.count(why) == 2
    report = json.loads((path.parent / "report.json").read_text(encoding="utf-8"))
    assert any(why in finding["text"] for finding in report["findings"])
    assert "Objectives met" not in (path.parent / "report.html").read_text(encoding="utf-8")


def test_a_password_of_one_letter(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    done = collect("-v", "--limit", "front", "-e", "component_login_password=e", "-e", "diagnostics_probes=false")
    assert done.returncode == 0, done.stdout
    # What the module said of it came with stars in place of each "e".
    assert re.search(r'"summary": "\d+ items from \d+ collectors in ', done.stdout), done.stdout
    (path,) = tmp_path.glob("reports/2*/diagnostics.tar.gz")
    with tarfile.open(path) as files:
        names = "".join(files.getnames())
        (index,) = [entry for entry in files if entry.name.endswith("/index.md")]
        page = t.cast("t.IO[bytes]", files.extractfile(index)).read().decode()
    assert "front/host_processes/by_memory.txt" in names
    assert "processes that take most CPU and memory" in page
    assert "did not arrive" not in page


def test_an_alert_that_nobody_knows_is_refused(collect: t.Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = collect("-e", "alert=databse_down")
    assert done.returncode != 0
    assert "there is no alert databse_down (did you mean database_down?)" in done.stdout
    # Before anything is begun.
    assert "Open the record of this run" not in done.stdout
    assert "/hosts.yml sre.runbooks.collect_diagnostics -e alert=database_down\n" in done.stdout
    assert "/hosts.yml sre.runbooks.collect_diagnostics -e alert=disk_full\n" in collect("-e", "alert=disk").stdout


def test_an_empty_alert_is_none(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    done = collect("--check", "--limit", "front", "-e", "alert=", "-e", "diagnostics_time_limit=abc")
    assert "front: time_limit is not a duration" in done.stdout
    # What is next is the last that is said, and has neither what was wrong nor less than what was asked for.
    command = "sre.runbooks.collect_diagnostics --limit front -e alert="
    assert "next: correct diagnostics_time_limit in the inventory, then: ansible-playbook -i " in done.stdout
    assert f"then: ansible-playbook -i {tmp_path}/hosts.yml --check {command}\n" in done.stdout
    # Nor does Ansible's own line say it otherwise.
    assert "the same command" not in done.stdout


def test_where_the_archive_is_stands_before_what_is_next(
    collect: t.Callable[..., subprocess.CompletedProcess[str]], tmp_path: pathlib.Path
) -> None:
    collect("--limit", "front", "-e", "alert=disk_full", "-e", "diagnostics_time_limit=1minute")
    (path,) = tmp_path.glob("reports/2*/report.json")
    (component,) = json.loads(path.read_text(encoding="utf-8"))["components"]
    where, _next, command = component["message"].partition("; next: ")
    assert where.endswith(f"; archive: {path.parent}/diagnostics.tar.gz"), component
    assert command.endswith("/hosts.yml sre.runbooks.collect_diagnostics --limit front -e alert=disk_full"), component


def test_the_role_knows_the_alerts_of_the_module() -> None:
    known = yaml.safe_load((ROOT / "roles/diagnostics/vars/main.yml").read_text())["__diagnostics_alerts"]
    assert known == ["all", *sorted(ALERTS)]
