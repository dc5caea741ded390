# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An environment of two services that a health check asks, as an operator plays it."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import sys
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.servers.http import HttpServer
from tests.servers.playbook import ROOT, run_playbook


def environment_variables(path: pathlib.Path) -> dict[str, t.Any]:
    """What an inventory says of an environment whose repository and reports are in this directory, on this machine."""
    return {
        "environment_name": "testing",
        "repository_url": f"file://{path}/repository",
        "repository_allow_same_filesystem": True,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "run_report_dir": str(path / "reports"),
    }


class HealthEnvironment:
    """Two services on real HTTP servers, an inventory and a repository."""

    def __init__(self, path: pathlib.Path, front: int, back: int) -> None:
        self.path = path
        self.reports = path / "reports"
        initialise_repository(f"file://{path}/repository", "testing", check_mode=False)
        self.probes = {
            "front": [
                {"name": "front answers", "kind": "http", "url": f"http://127.0.0.1:{front}/"},
                {"name": "front is quick", "kind": "tcp", "host": "127.0.0.1", "port": front, "critical": False},
            ],
            "back": [{"name": "back answers", "kind": "http", "url": f"http://127.0.0.1:{back}/"}],
        }
        for probe in itertools.chain.from_iterable(self.probes.values()):
            probe["timeout"] = "1m"
        self.write()

    def write(self, **variables: t.Any) -> None:
        """The inventory, with further variables of the environment."""
        inventory = {
            "all": {
                "vars": {
                    **environment_variables(self.path),
                    "component_engine": "service",
                    "component_rto": "5m",
                    **variables,
                },
                "children": {
                    "components": {"hosts": {name: {"component_probes": own} for name, own in self.probes.items()}}
                },
            }
        }
        (self.path / "hosts.yml").write_text(yaml.safe_dump(inventory), encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
        return [program, "-i", str(self.path / "hosts.yml"), "sre.runbooks.check_health", *arguments]

    def variables(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local" / "collections"),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }

    def check(self, *arguments: str) -> tuple[int, str]:
        done = run_playbook(
            self.path / "hosts.yml", "check_health", *arguments, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg")
        )
        return done.returncode, done.stdout

    def report(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", json.loads((self.reports / "latest" / "report.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def health_servers() -> t.Iterator[tuple[HttpServer, HttpServer]]:
    with HttpServer() as front, HttpServer() as back:
        yield front, back


@pytest.fixture
def health(tmp_path: pathlib.Path, health_servers: tuple[HttpServer, HttpServer]) -> HealthEnvironment:
    return HealthEnvironment(tmp_path, health_servers[0].port, health_servers[1].port)
