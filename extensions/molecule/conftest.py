# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios' tests share: the environment under test, its database, its reports and its repository."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from local_environment import LocalEnvironment  # noqa: E402  (found through the line above)


@pytest.fixture(scope="session")
def local() -> LocalEnvironment:
    """The environment that the scenario created."""
    root = pathlib.Path(os.environ["SRE_RUNBOOKS_LOCAL"])
    ports = {
        "postgresql": int(os.environ["SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT"]),
        "api": int(os.environ["SRE_RUNBOOKS_LOCAL_API_PORT"]),
    }
    if "SRE_RUNBOOKS_LOCAL_PROMETHEUS_PORT" in os.environ:
        ports["prometheus"] = int(os.environ["SRE_RUNBOOKS_LOCAL_PROMETHEUS_PORT"])
    (root / "ports.json").write_text(json.dumps(ports) + "\n", encoding="utf-8")
    inventory = os.environ.get("SCENARIO_INVENTORY", "inventories/local")
    prometheus = os.environ.get("SRE_RUNBOOKS_LOCAL_PROMETHEUS_PROGRAM", "")
    return LocalEnvironment(root, str(pathlib.Path(sys.executable).parent), inventory=inventory, prometheus=prometheus)


@pytest.fixture
def kubectl(local: LocalEnvironment) -> t.Callable[..., str]:
    """Call it with kubectl's arguments: its output, as an administrator of the scenario's control plane."""

    def run(*arguments: str) -> str:
        command = [str(ROOT / "tools" / "kubernetes"), "kubectl", str(local.root / "kubernetes"), *arguments]
        return subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True).stdout

    return run


@pytest.fixture
def query(local: LocalEnvironment) -> t.Callable[..., list[tuple[t.Any, ...]]]:
    """Call it with SQL and, where it is not ``flights``, the database; the rows come back."""
    import psycopg

    def run(sql: str, database: str = "flights") -> list[tuple[t.Any, ...]]:
        password = (local.root / "kit" / "postgres.password").read_text(encoding="utf-8").strip()
        port = local.variables()["SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT"]
        with psycopg.connect(
            host="127.0.0.1", port=port, user="postgres", password=password, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def component(local: LocalEnvironment) -> t.Callable[[str], dict[str, t.Any]]:
    """Call it with a component's name: its part of the newest report."""

    def find(name: str) -> dict[str, t.Any]:
        (found,) = [entry for entry in local.latest_report()["components"] if entry["name"] == name]
        return t.cast("dict[str, t.Any]", found)

    return find


@pytest.fixture
def points(local: LocalEnvironment) -> dict[str, t.Any]:
    """What ``recovery_point_info`` says of the database's recovery points."""
    arguments = {
        "repository": f"file://{local.root}/repository",
        "environment_name": "local",
        "component": "flights_db",
    }
    done = subprocess.run(
        [
            f"{local.bin_dir}/ansible",
            "--inventory=inventories/local/hosts.yml",
            "--module-name=sre.runbooks.recovery_point_info",
            f"--args={json.dumps(arguments)}",
            "flights_db",
        ],
        cwd=ROOT,
        env={
            **local.variables(),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_NOCOLOR": "1",
        },
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return t.cast("dict[str, t.Any]", json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])[0])
