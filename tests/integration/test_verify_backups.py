# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The runbook verify_backups as an operator starts it: exit status, screen, record, report."""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import generate_key, with_signing
from tests.servers.playbook import run_playbook


class Site:
    """A component with signed recovery points and without a server: verifying needs none."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        made, _created = initialise_repository(f"file://{directory}/repository", "local", check_mode=False)
        assert made is not None
        self.repository: Repository = made
        self.public: list[str] = []
        for name in ("backup", "prover"):
            secret, public = generate_key()
            (directory / f"{name}.key").write_text(secret)
            self.public.append(str(public))
        self.signing = with_signing(made, {"signing_key_file": str(directory / "backup.key")})

    def take(self) -> RecoveryPoint:
        writer = begin_point(self.signing, "flights_db", "postgresql", None)
        name = "db-0001/1.dat.zst"
        source = io.BytesIO(os.urandom(5000))
        writer.add(store_stream(self.signing.store, writer.object_key(name), name, source, Encoding()))
        return writer.commit(engine_version="15", consistency_time=_clock.now(), content={}, restore_guide="None.")

    def path(self, key: str) -> pathlib.Path:
        return self.directory / "repository" / key

    def play(self, *arguments: str, **variables: t.Any) -> tuple[subprocess.CompletedProcess[str], dict[str, t.Any]]:
        """What was on the screen, and the report."""
        inventory = self.directory / "inventory.yml"
        reports = self.directory / "reports"
        common = {
            "environment_name": "local",
            "repository_url": self.repository.url,
            "repository_signing_public_keys": self.public,
            "repository_signing_key_file": str(self.directory / "backup.key"),
            "repository_prover_signing_key_file": str(self.directory / "prover.key"),
            "repository_require_signature": True,
            "run_report_dir": str(reports),
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            **variables,
        }
        hosts = {
            "flights_db": {"component_engine": "postgresql", "component_rpo": "1h", "component_rto": "1h"},
            "api": {"component_engine": "service"},
        }
        inventory.write_text(yaml.safe_dump({"components": {"hosts": hosts, "vars": common}}))
        shutil.rmtree(reports, ignore_errors=True)
        done = run_playbook(inventory, "verify_backups", *arguments)
        found = list(reports.rglob("*.json")) if reports.exists() else []
        return done, json.loads(found[0].read_text()) if found else {}


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)


def test_the_runbook_says_what_it_found_and_fails_on_it(site: Site) -> None:
    points = [site.take() for _ in range(2)]
    done, report = site.play()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (report["kind"], report["verdict"]) == ("verify", "met")
    (flights,) = [item for item in report["components"] if item["name"] == "flights_db"]
    assert "2 recovery points, 0 unchanged, 2 read, history intact" in flights["message"]
    assert points[1].point_id in flights["message"] and str(points[1].manifest_sha256) in flights["message"]
    assert report["audit"]["integrity"]["result"] == "intact"
    assert [entry["step"] for entry in report["timeline"] if entry["component"] == "flights_db"] == ["verify backups"]
    assert (site.directory / "prover.key").read_text().splitlines()[1] not in done.stdout
    shutil.rmtree(site.path(points[1].prefix))
    done, report = site.play()
    assert done.returncode != 0 and report["verdict"] == "failed"
    assert "removed" in done.stdout and points[1].point_id in done.stdout and "next:" in done.stdout
    assert any(points[1].point_id in finding["text"] for finding in report["findings"])
    done, report = site.play(verify_accepted_findings=[f"removed {points[1].point_id}"])
    assert done.returncode == 0 and report["verdict"] == "met", done.stdout


def test_check_mode_reads_no_data_and_writes_nothing(site: Site) -> None:
    site.take()
    before = {str(path) for path in site.path("").rglob("*")}
    done, _report = site.play("--check")
    assert done.returncode == 0, done.stdout
    assert {str(path) for path in site.path("").rglob("*")} == before
