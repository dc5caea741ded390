# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbooks as an operator starts them, on a component of the engine postgresql_pitr: back up, drill, restore, rebuild."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

from tests.servers.archived import NAME
from tests.servers.bank import Bank, bank
from tests.servers.playbook import ROOT


def write_inventory(opened: Bank, directory: pathlib.Path) -> pathlib.Path:
    password = directory / "password"
    password.write_text(opened.server.password + "\n")
    password.chmod(0o600)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "environment_name": "local",
        "repository_url": opened.component.url,
        "rebuild_break_glass_files": [str(password)],
        "run_report_dir": str(directory / "reports"),
        "component_engine": "postgresql_pitr",
        "component_login_host": "127.0.0.1",
        "component_login_port": opened.server.instance.port,
        "component_login_password_file": str(password),
        "component_pitr_cipher_pass_file": str(opened.component.passphrase),
        "component_pitr_config_dir": str(opened.component.config_dir),
        "component_pitr_restart": "allowed",
        "component_pitr_data_dir": opened.server.instance.data_dir,
        "component_pitr_timeout": "60s",
        "component_scratch_dir": str(opened.component.path),
        "component_assertions": [
            {
                "name": "no row is missing",
                "database": "bank",
                "query": "SELECT count(*) = coalesce(max(number) + 1, 0) FROM ledger",
                "expected": "true",
            }
        ],
    }
    inventory = {
        "all": {
            "vars": variables,
            "children": {"components": {"children": {"postgresql_pitr": {"hosts": {NAME: {}}}}}},
        }
    }
    path = directory / "hosts.yml"
    path.write_text(json.dumps(inventory))
    return path


def play(inventory: pathlib.Path, playbook: str, *arguments: str) -> str:
    done = subprocess.run(
        [
            os.path.join(os.path.dirname(sys.executable), "ansible-playbook"),
            "-i",
            str(inventory),
            f"sre.runbooks.{playbook}",
            *arguments,
        ],
        cwd=inventory.parent,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_NOCOLOR": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def changed(output: str) -> int:
    (found,) = re.findall(rf"^{NAME} .*changed=(\d+)", output, re.MULTILINE)
    return int(found)


def test_a_component_goes_through_its_whole_life(tmp_path: pathlib.Path) -> None:
    with bank() as opened:
        inventory = write_inventory(opened, tmp_path)
        play(inventory, "back_up_components", "-e", "backup_force=true")
        wanted = opened.pay(3)
        opened.end_segment()
        opened.pay(2)
        opened.end_segment()
        play(inventory, "drill_restores", "-e", "drill_force=true", "-e", "drill_seed=5")
        proof = opened.component.listing().points[0].proofs[-1]
        assert (proof.level, proof.outcome, proof.details["seed"]) == ("asserted", "ok", 5)

        target = ("-e", f"restore_target_lsn={wanted.lsn}", "-e", "restore_target_inclusive=false")
        arguments = ("-e", f"restore_confirm={NAME}", *target)
        play(inventory, "restore_components", *arguments)
        assert opened.rows() == list(range(wanted.number + 1))
        # A fresh base of the new timeline.
        newest = opened.component.listing().points[0]
        assert newest.content["pgbackrest"]["timeline"] == 2
        assert changed(play(inventory, "restore_components", *arguments)) == 0

        # A rebuild brings it back when it is lost.
        expected = opened.rows()
        opened.server.instance.stop(mode="kill")
        shutil.rmtree(opened.server.instance.data_dir)
        play(inventory, "rebuild_environment", "-e", "rebuild_confirm=local")
        assert opened.rows() == expected
        opened.component.archive(state="absent")
