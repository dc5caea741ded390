# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys rotated by the runbook, killed on the way and finished, with recovery points that only age ever encrypted."""

from __future__ import annotations

import datetime
import io
import json
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pyrage
import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import list_rewraps
from tests.servers.module_call import call_module, finish_module, start_module
from tests.servers.playbook import ROOT, run_playbook

HOUR = datetime.timedelta(hours=1)


class Keys:
    """Identities in files, as operators keep them, by name."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.recipients: dict[str, str] = {}
        self.secrets: list[str] = []
        for name in ("old", "new", "offline", "stranger"):
            identity = pyrage.x25519.Identity.generate()
            self.recipients[name] = str(identity.to_public())
            self.secrets.append(str(identity))
            self.path(name).write_text(f"# kept by {name}\n{identity}\n")
            self.path(name).chmod(0o600)

    def path(self, name: str) -> pathlib.Path:
        return self.directory / f"{name}-identity.txt"


class Site:
    """A component with recovery points and without a server: rotating keys needs none."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.keys = Keys(directory)
        made, _created = initialise_repository(f"file://{directory}/repository", "local", check_mode=False)
        assert made is not None
        self.repository: Repository = made

    def take(self, *names: str, age: int = 1, objects: int = 3) -> RecoveryPoint:
        writer = begin_point(self.repository, "db", "postgresql", None)
        encoding = Encoding(recipients=[self.keys.recipients[name] for name in names])
        for number in range(objects):
            name = f"db-0001/{number}.dat{encoding.suffix}"
            source = io.BytesIO(os.urandom(100) * 10 * (number + 1))
            writer.add(store_stream(self.repository.store, writer.object_key(name), name, source, encoding))
        return writer.commit(
            engine_version="15",
            consistency_time=_clock.now() - age * HOUR,
            content={},
            restore_guide="None.",
            encryption={"recipients": encoding.recipients},
        )

    def params(self, **options: t.Any) -> dict[str, t.Any]:
        return {"repository": self.repository.url, "environment_name": "local", "component": "db", **options}

    def rewrap(
        self, to: t.Sequence[str], by: t.Sequence[str], check: bool = False, **options: t.Any
    ) -> dict[str, t.Any]:
        return call_module("recovery_point_rewrap", self.rotation(to, by, **options), check)

    def rotation(self, to: t.Sequence[str], by: t.Sequence[str], **options: t.Any) -> dict[str, t.Any]:
        return self.params(
            encryption_recipients=[self.keys.recipients[name] for name in to],
            encryption_identity_files=[str(self.keys.path(name)) for name in by],
            **options,
        )

    def tree(self) -> dict[str, bytes]:
        root = self.directory / "repository"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def play(
        self, *arguments: str, recipients: t.Sequence[str], identity: str, playbook: str = "rotate_encryption_key"
    ) -> subprocess.CompletedProcess[str]:
        inventory = self.directory / "inventory.yml"
        variables = {
            "environment_name": "local",
            "repository_url": self.repository.url,
            "repository_encryption_recipients": [self.keys.recipients[name] for name in recipients],
            "repository_encryption_identity_file": str(self.keys.path(identity)),
            "run_report_dir": str(self.directory / "reports"),
            "component_engine": "postgresql",
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
        }
        inventory.write_text(yaml.safe_dump({"components": {"hosts": {"db": {}}, "vars": variables}}))
        return run_playbook(inventory, playbook, *arguments, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"))


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)


def states(found: dict[str, t.Any]) -> list[tuple[str, bool | None]]:
    return [(point["state"], point["current"]) for point in found["recovery_points"]]


@pytest.mark.slice
def test_a_key_is_rotated_by_the_runbook(site: Site) -> None:
    old, both = site.take("old", age=3), site.take("old", "offline", age=2)
    plain, new = site.take(age=1), site.take("new", "offline", age=0)
    rotated = {"recipients": ["new", "offline"], "identity": "new"}
    given = ["-e", f"rewrap_identity_files={site.keys.path('old')}"]
    before = site.tree()
    plan = site.play("--check", "--diff", *given, **rotated)
    assert plan.returncode == 0, plan.stdout
    assert site.tree() == before, "check mode wrote something"
    for point in (old, both):
        assert point.point_id in plan.stdout
    assert f"{new.point_id}: it" not in plan.stdout and "2 of 4 recovery points need new headers" in plan.stdout
    done = site.play(*given, **rotated)
    assert done.returncode == 0 and "2 of 4 recovery points got new headers" in done.stdout, done.stdout
    assert site.keys.recipients["offline"] in done.stdout  # not proven here, and said
    again = site.play(*given, **rotated)
    assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout
    assert "all 4 recovery points open with the current recipients" in again.stdout
    after = site.tree()
    data = {key: content for key, content in before.items() if "/objects/" in key or key.endswith("manifest.json")}
    assert {key: after[key] for key in data} == data
    report = json.loads((site.directory / "reports" / "latest" / "report.json").read_text())
    assert report["components"][0]["outcome"] == "ok"
    # From now on the old key is not needed.
    for identity in ("new", "offline"):
        found = call_module("encryption_info", site.rotation(["new", "offline"], [identity], depth="object"))
        assert states(found) == [("opens", True), ("plain", True), ("opens", True), ("opens", True)], found
        assert not found["orphaned"] and not found["not_current"]
    for point in (old, both, new, plain):
        for identity in ("new", "offline"):
            verified = call_module(
                "recovery_point_verify",
                site.params(
                    recovery_point=point.point_id,
                    force=True,
                    encryption_identity_file=str(site.keys.path(identity)),
                ),
            )
            assert "error" not in verified and verified["decoded"] == verified["objects"], verified
    lease = current_lease(site.repository, "db")
    assert lease is not None and not lease.held(_clock.now())
    for secret in site.keys.secrets:
        assert not any(secret.encode() in content for content in site.tree().values())
        assert secret not in plan.stdout + done.stdout + again.stdout


def test_a_point_that_nobody_here_opens_fails_the_runbook_after_the_others_are_done(site: Site) -> None:
    site.take("old", age=2)
    lost = site.take("stranger", age=1)
    done = site.play("-e", f"rewrap_identity_files={site.keys.path('old')}", recipients=["new"], identity="new")
    assert done.returncode != 0 and lost.point_id in done.stdout, done.stdout
    assert site.keys.recipients["stranger"] in done.stdout
    assert "1 of 2 recovery points do not open with the current recipients" in done.stdout
    found = call_module("encryption_info", site.rotation(["new"], ["new"]))
    assert states(found) == [("orphaned", False), ("opens", True)]
    assert found["orphaned"] == [lost.point_id] == found["not_current"]
    assert found["elsewhere"] == sorted(site.keys.recipients[name] for name in ("old", "stranger"))
    (problem,) = found["problems"]
    assert lost.point_id in problem and site.keys.recipients["stranger"] in problem
    assert problem in json.dumps(found["warnings"], ensure_ascii=False)


def test_wrong_input_is_refused_and_nothing_is_written(site: Site) -> None:
    site.take("old")
    before = site.tree()
    nobody = site.rewrap([], ["old"])
    unproven = site.rewrap(["new"], ["old"])
    stranger = site.rewrap(["new"], ["new"])
    missing = call_module(
        "recovery_point_rewrap", site.rotation(["new"], ["old"], encryption_identity_file="/nonexistent")
    )
    secret = site.rotation(["new"], ["old", "new"])
    secret["encryption_recipients"] = [site.keys.secrets[0]]
    leaked = call_module("recovery_point_rewrap", secret)
    ssh = site.rotation(["new"], ["old", "new"])
    ssh["encryption_recipients"] = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvcmdlZA=="]
    other = call_module("recovery_point_rewrap", ssh)
    broken = site.keys.path("broken")
    broken.write_text(site.keys.secrets[0][:-3] + "QQQ\n")
    damaged = call_module("recovery_point_rewrap", site.rotation(["new"], ["broken"]))
    for result, kind in (
        (nobody, "invalid_input"),
        (unproven, "refused"),
        (stranger, "wrong_identity"),
        (missing, "wrong_identity"),
        (leaked, "invalid_input"),
        (other, "refused"),
        (damaged, "invalid_input"),
    ):
        assert result["failed"] and result["error"]["kind"] == kind, result
        assert all(result["error"][part] for part in ("expected", "found", "next_command")), result
        del result["invocation"]  # Ansible's own echo of what was given, a secret among the recipients included
        assert not any(secret[20:50] in json.dumps(result) for secret in site.keys.secrets)
    assert site.tree() == {
        **before,
        **{key: content for key, content in site.tree().items() if key.startswith("control/")},
    }
    allowed = site.rewrap(["new"], ["old"], allow_unproven=True)
    assert allowed["changed"] and allowed["unproven"] == [site.keys.recipients["new"]]


def test_a_damaged_point_does_not_keep_the_others_from_it(site: Site) -> None:
    points = [site.take("old", age=age) for age in (3, 2, 1)]
    (stored,) = [stored for stored in points[1].objects if stored.name.endswith("/2.dat.zst.age")]
    path = site.directory / "repository" / stored.key
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the payload: only its first chunk shows it
    path.write_bytes(content)
    result = site.rewrap(["new"], ["old", "new"])
    assert result["failed"] and result["impossible"] == [points[1].point_id], result
    assert stored.name in result["msg"] and result["rewrapped"] == 2
    assert not list_rewraps(site.repository.store, points[1].prefix).whole
    assert site.rewrap(["new"], ["old", "new"])["rewrapped"] == 0


def test_a_lost_key_is_named_by_the_health_check_and_before_a_rebuild(site: Site) -> None:
    site.take("old", "new", age=2)
    newest = site.take("old", age=1)
    without_server = {"db answers": "there is no server", "db has space": "nor a disk of its own"}
    disabled = ["-e", json.dumps({"health_probes_disabled": without_server})]
    rotated: dict[str, t.Any] = {"recipients": ["new"], "identity": "new"}
    health = site.play(*disabled, playbook="check_health", **rotated)
    assert health.returncode != 0, health.stdout
    assert f"{newest.point_id} does not open here: it is encrypted for {site.keys.recipients['old']}" in health.stdout
    before = site.tree()
    rebuild = site.play("-e", "rebuild_confirm=local", playbook="rebuild_environment", **rotated)
    assert rebuild.returncode != 0 and site.tree() == before, rebuild.stdout
    for named in (newest.point_id, site.keys.recipients["old"], site.keys.recipients["new"], "docs/break-glass.md"):
        assert named in rebuild.stdout, rebuild.stdout


@pytest.mark.parametrize("moment", [0.0, 0.3, 0.6, 0.9])
def test_killed_and_run_again_it_converges(site: Site, moment: float) -> None:
    points = [site.take("old", age=age, objects=20) for age in range(1, 6)]
    data = {key: content for key, content in site.tree().items() if "/objects/" in key}
    rotation = site.rotation(["new"], ["old", "new"])
    process = start_module("recovery_point_rewrap", rotation)
    # Once it writes: at a share of the points, wherever that is.
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        begun = [point for point in points if (site.directory / "repository" / point.prefix / "rewraps").exists()]
        if len(begun) > moment * len(points):
            break
        time.sleep(0.002)
    process.kill()
    process.communicate()
    finished = finish_module(start_module("recovery_point_rewrap", rotation))
    assert "error" not in finished, finished
    assert not finish_module(start_module("recovery_point_rewrap", rotation))["changed"]
    found = call_module("encryption_info", site.rotation(["new"], ["new"], depth="object"))
    assert states(found) == [("opens", True)] * 5
    assert {key: content for key, content in site.tree().items() if "/objects/" in key} == data
    assert len(list_points(site.repository, "db").points) == 5
