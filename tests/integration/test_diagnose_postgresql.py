# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook for a corrupted server: copied first, told what is damaged, rebuilt or sent to a recovery point."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import typing as t

import pytest

from tests.servers.postgresql import Server, running_server
from tools.local_environment import LocalEnvironment

BIN_DIR = subprocess.run(["tools/environment"], capture_output=True, text=True, check=True).stdout.strip()
PAGE = 8192


class Desk:
    """An operator with one server, one repository and the playbooks."""

    def __init__(self, place: pathlib.Path, server: Server) -> None:
        self.place = place
        self.server = server
        self.local = LocalEnvironment(place / "local", BIN_DIR)
        password = place / "password"
        password.write_text(f"{server.password}\n", encoding="utf-8")
        password.chmod(0o600)
        identity = place / "identity"
        subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
        self.variables = place / "variables.json"
        self.variables.write_text(
            json.dumps(
                {
                    "repository_url": f"file://{place}/repository",
                    "component_login_host": "127.0.0.1",
                    "component_login_port": server.instance.port,
                    "component_login_user": "postgres",
                    "component_login_password_file": str(password),
                    "component_backup_login_user": "",
                    "component_databases": ["ship"],
                    "repository_encryption_recipients": [],
                    "repository_encryption_identity_file": str(identity),
                    "component_assertions": [],
                    "component_stop_consumers_tasks": "",
                    "component_start_consumers_tasks": "",
                    "run_report_dir": str(place / "reports"),
                }
            ),
            encoding="utf-8",
        )

    def play(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.local.play(
            playbook, "--limit", "flights_db", "-e", f"@{self.variables}", *arguments, capture_output=True
        )

    def damage(self, relation: str, offset: int, content: bytes) -> None:
        self.server.execute("CHECKPOINT")
        name = self.server.execute(f"SELECT pg_relation_filepath('{relation}')", "ship")[0][0]
        self.server.instance.stop()
        with open(pathlib.Path(self.server.instance.data_dir) / name, "r+b") as file:
            file.seek(offset)
            file.write(content)
        self.server.instance.start(tied=True)


@pytest.fixture
def desk(tmp_path: pathlib.Path) -> t.Iterator[Desk]:
    with running_server("system") as server:
        server.execute("CREATE DATABASE ship")
        server.execute(
            "CREATE TABLE cargo AS SELECT n AS id, 'crate ' || n AS name FROM generate_series(1, 5000) n;"
            " CREATE INDEX cargo_name ON cargo (name)",
            "ship",
        )
        desk = Desk(tmp_path, server)
        done = desk.play("prepare_repository")
        assert done.returncode == 0, done.stdout
        yield desk


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", done.stdout))


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode != 0, done.stdout
    return " ".join(done.stdout.split())


def test_the_runbook_of_a_corrupted_server(desk: Desk) -> None:
    assert changed(desk.play("diagnose_postgresql")) == 0

    # The line pointers of an index's leaf in another order.
    desk.damage("cargo_name", PAGE + 24, bytes(4) + b"\x10\x9f\x20\x00" * 3)
    words = said(desk.play("diagnose_postgresql"))
    assert "damaged indexes" in words and "ship: cargo_name:" in words and "-e diagnose_repair=true" in words

    words = said(desk.play("diagnose_postgresql", "-e", "diagnose_repair=true"))
    assert "this is the only copy" in words and "diagnose_copy_dir=" in words

    copies = desk.place / "copies"
    copies.mkdir()
    repair = ["-e", "diagnose_repair=true", "-e", f"diagnose_copy_dir={copies}"]
    planned = desk.play("diagnose_postgresql", "--check", *repair)
    assert not (copies / "flights_db").exists()
    assert "cargo_name: reindexed" in planned.stdout or planned.returncode != 0
    assert changed(desk.play("diagnose_postgresql", *repair)) == 2
    assert (copies / "flights_db" / "PG_VERSION").exists()
    assert changed(desk.play("diagnose_postgresql", *repair)) == 0

    assert changed(desk.play("back_up_components")) == 1
    point = next((desk.place / "repository" / "components" / "flights_db" / "points").iterdir()).name
    desk.damage("cargo", 4 * PAGE, b"\xff" * 24)
    words = said(desk.play("diagnose_postgresql"))
    assert "damaged data" in words and "ship: cargo:" in words and "(blocks 4)" in words
    assert f"{point} (verified, loses everything since" in words and "restore_confirm=flights_db" in words

    restore = ["-e", "restore_confirm=flights_db", "-e", f"restore_recovery_point={point}"]
    changed(desk.play("adopt_environment", "-e", "adopt_confirm=local"))
    assert changed(desk.play("restore_components", *restore)) >= 1
    # The damaged database was put aside, not dropped; with it gone the server is sound.
    changed(desk.play("restore_components", *restore, "-e", "restore_release=true"))
    assert changed(desk.play("diagnose_postgresql")) == 0
