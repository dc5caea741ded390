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
import tempfile

from tests.servers.archived import NAME
from tests.servers.bank import Bank, bank
from tests.servers.playbook import run_playbook
from tools.local_environment import free_port


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
    done = run_playbook(inventory, playbook, *arguments)
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
        drilled = play(inventory, "drill_restores", "-e", "drill_force=true", "-e", "drill_seed=5")
        assert f"sre.runbooks.drill_restores --limit {NAME} -e drill_force=true -e drill_seed=5" in drilled
        assert f"ansible-playbook -i {inventory} sre.runbooks.drill_restores" in drilled
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
        released = play(inventory, "restore_components", "-e", "restore_release=true")
        assert "1 kept data directory released" in released and "nothing to do" not in released

        # A rebuild brings it back when it is lost.
        expected = opened.rows()
        opened.server.instance.stop(mode="kill")
        shutil.rmtree(opened.server.instance.data_dir)
        play(inventory, "rebuild_environment", "-e", "rebuild_confirm=local")
        assert opened.rows() == expected
        opened.component.archive(state="absent")


def test_a_server_that_is_gone_comes_back_on_a_new_host(tmp_path: pathlib.Path) -> None:
    """As docs/pitr.md says: from repository, inventory and passphrase, where nothing was but PostgreSQL's programs."""
    with bank() as opened:
        inventory = write_inventory(opened, tmp_path)
        opened.back_up()
        opened.pay(3)
        opened.end_segment()
        expected = opened.rows()
        opened.server.instance.stop(mode="kill")
        shutil.rmtree(opened.server.instance.data_dir)
        shutil.rmtree(opened.component.config_dir)

        port, prefix = free_port(), ["runuser", "--user=postgres", "--"] if os.geteuid() == 0 else []
        with tempfile.TemporaryDirectory(prefix="srt-new-", dir="/var/tmp") as place:
            os.chmod(place, 0o711)
            home = pathlib.Path(place) / "host"
            home.mkdir(mode=0o755)
            if prefix:
                shutil.chown(home, "postgres", "postgres")
            data = home / "data"
            control = [*prefix, f"{opened.server.bin_dir}/pg_ctl", f"--pgdata={data}", "--wait"]
            moved = {
                "component_login_port": port,
                "component_pitr_data_dir": str(data),
                "component_pitr_stop_command": [*control, "--mode=fast", "stop"],
                "component_pitr_start_command": [
                    *(*control, f"--log={home}/log", f"--options=-p {port} -k {home} -h 127.0.0.1", "start"),
                ],
            }
            more = tmp_path / "moved.json"
            more.write_text(json.dumps(moved))
            try:
                # Nothing is there that could be lost, so nothing has to be confirmed.
                done = play(inventory, "restore_components", "--limit", NAME, "-e", f"@{more}")
                assert "is a fresh base of it" in done
                found = subprocess.run(
                    [f"{opened.server.bin_dir}/psql", "-XAtc", "SELECT number FROM ledger ORDER BY 1", "bank"],
                    env={
                        "PGHOST": "127.0.0.1",
                        "PGPORT": str(port),
                        "PGUSER": "postgres",
                        "PGPASSWORD": opened.server.password,
                    },
                    stdout=subprocess.PIPE,
                    check=True,
                    text=True,
                )
                assert [int(number) for number in found.stdout.split()] == expected
                assert opened.component.listing().points[0].content["pgbackrest"]["timeline"] == 2
                assert changed(play(inventory, "prepare_archiving", "-e", f"@{more}")) == 0
            finally:
                subprocess.run([*control, "--mode=immediate", "stop"], check=False, cwd="/")
