# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that nobody archives becomes a component that is: prepared, backed up, found healthy, expired."""

from __future__ import annotations

import json
import os
import pathlib
import re
import sys
import typing as t

from tests.servers.archived import NAME, ArchivedComponent, archived_component
from tests.servers.playbook import run_playbook


def write_inventory(component: ArchivedComponent, directory: pathlib.Path) -> pathlib.Path:
    password = directory / "password"
    password.write_text(component.server.password + "\n")
    password.chmod(0o600)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "environment_name": "local",
        "repository_url": component.url,
        "run_report_dir": str(directory / "reports"),
        "component_engine": "postgresql_pitr",
        "component_rpo": "10m",
        "component_login_host": "127.0.0.1",
        "component_login_port": component.server.instance.port,
        "component_login_password_file": str(password),
        "component_pitr_cipher_pass_file": str(component.passphrase),
        "component_pitr_config_dir": str(component.config_dir),
    }
    groups = {"components": {"children": {"postgresql_pitr": {"hosts": {NAME: {}}}}}}
    path = directory / "hosts.yml"
    path.write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    return path


def play(inventory: pathlib.Path, playbook: str, *arguments: str) -> tuple[int, int, str]:
    """The exit code, the number of changes, and all that was on the screen."""
    done = run_playbook(inventory, playbook, *arguments)
    found = re.findall(rf"^{NAME} .*changed=(\d+)", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return done.returncode, int(found[0]), done.stdout


def newest_report(directory: pathlib.Path) -> dict[str, t.Any]:
    """What the newest report says of the component."""
    report = max((directory / "reports").glob("*Z-*/report.json"), key=os.path.getmtime)
    (reported,) = json.loads(report.read_text())["components"]
    return t.cast("dict[str, t.Any]", reported)


def test_a_server_is_prepared_backed_up_found_healthy_and_expired(tmp_path: pathlib.Path) -> None:
    with archived_component() as component:
        inventory = write_inventory(component, tmp_path)
        secrets = [component.passphrase.read_text().strip(), component.server.password]
        seen = []

        code, _changes, output = play(inventory, "prepare_archiving")
        assert code != 0 and "the server has to be restarted before it archives" in output, output
        code, changes, output = play(inventory, "prepare_archiving", "-e", "component_pitr_restart=allowed", "-vvvv")
        assert code == 0 and changes > 0, output
        seen.append(output)
        code, changes, output = play(inventory, "prepare_archiving")
        assert (code, changes) == (0, 0), output

        code, changes, output = play(inventory, "back_up_components", "-vvvv", "--diff")
        assert code == 0 and changes > 0, output
        seen.append(output)
        (point,) = component.listing().points
        assert point.level == "verified"
        code, changes, output = play(inventory, "back_up_components")
        assert (code, changes) == (0, 0), output
        reported = newest_report(tmp_path)
        assert reported["rpo"]["verdict"] == "met" and "what the archive did not hold yet" in reported["rpo"]["basis"]

        code, _changes, output = play(inventory, "check_health")
        assert code == 0, output
        assert newest_report(tmp_path)["rpo"]["basis"] == "observed: what the archive did not hold yet"
        # Only that would tell before somebody has to restore.
        wrong = component.write_passphrase(tmp_path / "wrong")
        code, _changes, output = play(inventory, "check_health", "-e", f"component_pitr_cipher_pass_file={wrong}")
        assert code != 0 and "the current generation 0001 does not open with the passphrase" in output, output
        code, changes, output = play(inventory, "expire_backups", "-vvvv")
        assert code == 0 and len(component.listing().points) == 1, output
        seen.append(output)
        assert not any(secret in output for secret in secrets for output in seen)
