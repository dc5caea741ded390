# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes before the first backup: hosts, repository, and the marker of the environment."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest

from tests.servers.health_environment import HealthEnvironment
from tests.servers.playbook import run_playbook
from tests.servers.postgresql import running_server
from tools.local_environment import LocalEnvironment

BIN_DIR = subprocess.run(["tools/environment"], capture_output=True, text=True, check=True).stdout.strip()


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", done.stdout))


def test_the_repository_is_made_once_and_checked_afterwards(tmp_path: pathlib.Path) -> None:
    local = LocalEnvironment(tmp_path / "local", BIN_DIR)
    here = ["-e", f"repository_url=file://{tmp_path}/repository"]
    assert changed(local.play("prepare_repository", "--check", *here, capture_output=True)) == 1
    assert not (tmp_path / "repository").exists()
    assert changed(local.play("prepare_repository", *here, capture_output=True)) == 1
    assert changed(local.play("prepare_repository", *here, capture_output=True)) == 0
    other = local.play("prepare_repository", *here, "-e", "environment_name=production", capture_output=True)
    assert other.returncode != 0
    assert "production" in other.stdout


def test_an_existing_server_is_adopted_with_its_name_said(tmp_path: pathlib.Path) -> None:
    local = LocalEnvironment(tmp_path / "local", BIN_DIR)
    with running_server("system") as running:
        password = tmp_path / "password"
        password.write_text(f"{running.address.password}\n", encoding="utf-8")
        password.chmod(0o600)
        here = ["-e", f"component_login_port={running.address.port}", "-e", f"component_login_password_file={password}"]
        here += ["-e", f"component_login_user={running.address.user}"]
        assert (
            local.play("adopt_environment", *here, "-e", "adopt_confirm=nonsense", capture_output=True).returncode != 0
        )
        assert changed(local.play("adopt_environment", *here, "-e", "adopt_confirm=local", capture_output=True)) == 1
        assert changed(local.play("adopt_environment", *here, "-e", "adopt_confirm=local", capture_output=True)) == 0


@pytest.mark.parametrize(("limit", "chosen"), [("scratch", {"scratch"}), ("web", {"web"}), ("other", set())])
def test_hosts_for_drills_are_prepared_too_and_no_others(tmp_path: pathlib.Path, limit: str, chosen: set[str]) -> None:
    inventory = tmp_path / "hosts.ini"
    inventory.write_text("[components]\nweb\n[drill_hosts]\nscratch\n[others]\nother\n", encoding="utf-8")
    done = run_playbook(inventory, "prepare_hosts", "--list-hosts", "--limit", limit)
    assert (done.returncode == 0) == bool(chosen), done.stdout
    assert set(re.findall(r"^      (\w+)$", done.stdout, re.M)) == chosen
    assert bool(chosen) != ("nothing would be done" in done.stdout)


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_hosts_get_their_libraries_in_an_environment_of_their_own(tmp_path: pathlib.Path, arguments: list[str]) -> None:
    local = LocalEnvironment(tmp_path / "local", BIN_DIR)
    place = tmp_path / "venv"
    here = [
        "-e",
        f"prepare_hosts_virtualenv={place}",
        "-e",
        "prepare_hosts_become=false",
        "-e",
        '{"prepare_hosts_packages": []}',
    ]
    here += ["-e", '{"prepare_hosts_requirements": ["zstandard>=0.22"]}', "--limit", "flights_db"]
    here += ["-e", f"prepare_hosts_python={BIN_DIR}/python"]
    assert changed(local.play("prepare_hosts", *arguments, *here, capture_output=True)) == 1
    if arguments:
        assert not place.exists()
    else:
        assert changed(local.play("prepare_hosts", *here, capture_output=True)) == 0
        subprocess.run([f"{place}/bin/python", "-c", "import zstandard"], check=True)


def test_a_python_that_is_not_there_is_named_by_its_variable(health: HealthEnvironment) -> None:
    inventory = health.path / "hosts.yml"
    done = run_playbook(inventory, "prepare_hosts", "--limit", "front", "-e", "prepare_hosts_python=/usr/bin/python9")
    assert done.returncode != 0, done.stdout
    assert "front: its Python does not run; expected: " in done.stdout, done.stdout
    assert "in prepare_hosts_python; found: /usr/bin/python9; next: correct prepare_hosts_python" in done.stdout
    command = f"ansible-playbook -i {inventory} sre.runbooks.prepare_hosts --limit front"
    assert f"then: {command}" in done.stdout and f"{command} -e" not in done.stdout, done.stdout
