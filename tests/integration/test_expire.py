# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention as an operator meets it: the modules in plays, and the playbooks over a whole inventory."""

from __future__ import annotations

import datetime
import pathlib
import re
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import acquire
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import tombstone_ids
from tests.servers.playbook import play
from tests.unit.repository.taking import stored_point
from tools.local_environment import LocalEnvironment

BIN_DIR = subprocess.run(["tools/environment"], capture_output=True, text=True, check=True).stdout.strip()
DAY = datetime.timedelta(days=1)
POLICY = {"hourly": 0, "daily": 2, "weekly": 0, "monthly": 0, "yearly": 0, "min_age": "0"}


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    made, _created = initialise_repository(f"file://{tmp_path}/repository", "local", check_mode=False)
    assert made is not None
    return made


@pytest.fixture
def points(repository: Repository) -> list[RecoveryPoint]:
    """A point of each of the last four days, the newest first."""
    now = _clock.now() - datetime.timedelta(minutes=5)
    return [stored_point(repository, now - days * DAY, "flights_db") for days in (3, 2, 1, 0)][::-1]


def task(module: str, repository: Repository, **options: t.Any) -> dict[str, t.Any]:
    place = {"repository": repository.url, "environment_name": "local", "component": "flights_db"}
    return {f"sre.runbooks.{module}": {**place, **options}}


def tree(repository: Repository) -> dict[str, tuple[int, int]]:
    found = {}
    for path in pathlib.Path(repository.store.path).rglob("*"):
        status = path.stat()
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def listed(repository: Repository) -> list[str]:
    return [point.point_id for point in list_points(repository, "flights_db").points]


@pytest.mark.slice
def test_check_mode_shows_exactly_what_is_then_done_once(repository: Repository, points: list[RecoveryPoint]) -> None:
    expire = task("recovery_point_expire", repository, **POLICY)
    before = tree(repository)
    (checked,) = play([expire], "--check", "--diff").results
    assert checked["changed"] and tree(repository) == before
    assert [row["action"] for row in checked["plan"]] == ["keep", "keep", "expire", "expire"]
    assert checked["plan"][0]["reasons"][0] == "newest" and all(row["reasons"] for row in checked["plan"])
    assert points[3].point_id in checked["diff"]["before"] and points[3].point_id not in checked["diff"]["after"]
    assert checked["plan_lines"][0].startswith(f"keep     {points[0].point_id}")
    done, again = play([expire, expire], "--diff").results
    assert done["changed"] and not again["changed"]
    assert done["plan"] == checked["plan"] and done["diff"] == checked["diff"]
    assert sorted(done["expired"]) == sorted(checked["expired"]) and done["bytes"] >= checked["bytes"] > 0
    assert again["diff"]["before"] == again["diff"]["after"] and again["kept"] == 2
    assert listed(repository) == [points[0].point_id, points[1].point_id]
    assert tombstone_ids(repository.store, "flights_db") == {point.point_id for point in points[2:]}


def kept_by_restores(repository: Repository) -> list[str]:
    return [point.point_id for point in list_points(repository, before_component("flights_db")).points]


def test_what_restores_replaced_goes_by_its_age(repository: Repository, points: list[RecoveryPoint]) -> None:
    """And neither counts for the policy of the component's own points nor is kept by it; the newest stays, and what is pinned."""
    now, name = _clock.now(), before_component("flights_db")
    kept = [stored_point(repository, now - days * DAY, name).point_id for days in (50, 45, 40, 35, 2)]
    pin = task("recovery_point_pin", repository, recovery_point=kept[1], reason="it is looked into")
    expire = task("recovery_point_expire", repository, **POLICY)
    before = tree(repository)
    pinned, checked = play([pin, expire], "--check", "--diff").results
    assert pinned["changed"] and tree(repository) == before
    assert {row["point_id"] for row in checked["plan"] if row["action"] == "expire"} == {
        points[2].point_id,
        points[3].point_id,
        *kept[:4],
    }
    assert checked["kept"] == 2
    _pinned, done, again = play([pin, expire, expire], "--diff").results
    assert done["changed"] and not again["changed"]
    assert kept_by_restores(repository) == [kept[4], kept[1]]
    assert listed(repository) == [points[0].point_id, points[1].point_id]
    assert tombstone_ids(repository.store, name) == {kept[0], kept[2], kept[3]}
    sooner = task("recovery_point_expire", repository, **POLICY, keep_replaced="1d")
    assert not play([sooner], "--diff").results[0]["changed"]


@pytest.mark.slice
def test_pins_and_holds_keep_a_point_until_they_are_released(
    repository: Repository, points: list[RecoveryPoint]
) -> None:
    old = points[3].point_id
    pin = {"recovery_point": old, "reason": "the audit", "expires": "2037-01-31", "by": "ana"}
    hold = {"recovery_point": old, "reason": "case 17", "kind": "hold"}
    before = tree(repository)
    (checked,) = play([task("recovery_point_pin", repository, **pin)], "--check", "--diff").results
    assert checked["changed"] and tree(repository) == before and "the audit" in checked["diff"]["after"]
    pinned, again, later, held, expired, info, gone, freed, last, over, refused = play(
        [
            task("recovery_point_pin", repository, **pin),
            task("recovery_point_pin", repository, **pin),
            task("recovery_point_pin", repository, **{**pin, "expires": "2038-01-31"}),
            task("recovery_point_pin", repository, **hold),
            task("recovery_point_expire", repository, **POLICY),
            task("recovery_point_info", repository, recovery_point=old),
            task("recovery_point_pin", repository, recovery_point=points[2].point_id, reason="too late"),
            task("recovery_point_pin", repository, recovery_point=old, state="absent"),
            task("recovery_point_pin", repository, **hold, state="absent"),
            task("recovery_point_expire", repository, **POLICY),
            task("recovery_point_pin", repository, reason="over", expires="2020-01-01"),
        ]
    ).results
    assert pinned["changed"] and not again["changed"] and later["changed"] and held["changed"]
    assert [pin["expires"][:4] if pin["expires"] else None for pin in held["pins"]] == ["2038", None]
    (row,) = (row for row in expired["plan"] if row["point_id"] == old)
    assert row["action"] == "keep" and row["reasons"][0].startswith("pinned until 2038-01-31T00:00:00Z by ana because")
    assert row["reasons"][1].endswith("because case 17") and expired["expired"] == [points[2].point_id]
    assert [pin["reason"] for pin in info["newest"]["pins"]] == ["the audit", "case 17"]
    assert gone["failed"] and gone["error"]["kind"] == "object_missing"
    assert freed["changed"] and [pin["kind"] for pin in freed["pins"]] == ["hold"]
    assert last["changed"] and last["pins"] == []
    assert over["expired"] == [old]
    assert refused["failed"] and refused["error"]["kind"] == "invalid_input"


def test_what_cannot_be_done_is_said(repository: Repository, points: list[RecoveryPoint]) -> None:
    damaged = pathlib.Path(repository.store.path) / points[1].manifest_key
    damaged.write_bytes(b"{}")
    before = tree(repository)
    results = play(
        [
            task("recovery_point_expire", repository, timezone="Europe/Atlantis"),
            task("recovery_point_expire", repository, keep_within="a while"),
            task("recovery_point_expire", repository, **{**POLICY, "daily": 0}),
            task("recovery_point_expire", repository, **{**POLICY, "stale_after": "1m"}),
            task("recovery_point_pin", repository, reason=" "),
            task("recovery_point_pin", repository, reason="x", kind="hold", expires="2037-01-01"),
            task("recovery_point_pin", repository, reason="x", recovery_point="20200101T000000Z-0000"),
        ],
        "--check",
    ).results
    for result in results:
        assert result["failed"] and result["error"]["next_command"], result
    assert [result["error"]["kind"] for result in results] == [
        *["invalid_input"] * 3,
        "refused",
        *["invalid_input"] * 2,
        "object_missing",
    ]
    assert tree(repository) == before
    acquire(repository, "flights_db", "20261121T051000Z-back_up_components-abcd", describe_holder("x"), 3600)
    busy, pinned = play(
        [
            task("recovery_point_expire", repository, **POLICY),
            task("recovery_point_pin", repository, recovery_point=points[1].point_id, reason="evidence"),
        ]
    ).results
    assert busy["failed"] and busy["error"]["kind"] == pinned["error"]["kind"] == "lease_held"


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", done.stdout))


@pytest.mark.slice
def test_the_playbooks_show_the_plan_carry_it_out_and_report(
    repository: Repository, points: list[RecoveryPoint], tmp_path: pathlib.Path
) -> None:
    local = LocalEnvironment(tmp_path / "local", BIN_DIR)
    here = ["-e", f"repository_url={repository.url}", "-e", f"run_report_dir={tmp_path}/reports"]
    policy = [f"component_retention_{name}={value}" for name, value in POLICY.items()]
    here += [argument for setting in policy for argument in ("-e", setting)]
    before = tree(repository)
    checked = local.play("expire_backups", "--check", *here, capture_output=True)
    assert changed(checked) == 1 and tree(repository) == before
    for point in points:
        assert re.search(rf"(keep|expire) +{point.point_id} .*(newest|daily)", checked.stdout), checked.stdout
    pin = ["-e", f"pin_recovery_point={points[3].point_id}", "-e", "pin_reason='the audit'", "--limit", "flights_db"]
    assert changed(local.play("pin_recovery_point", *here, *pin, capture_output=True)) == 1
    assert changed(local.play("pin_recovery_point", *here, *pin, capture_output=True)) == 0
    assert changed(local.play("expire_backups", *here, capture_output=True)) == 1
    assert set(listed(repository)) == {points[number].point_id for number in (0, 1, 3)}
    assert changed(local.play("expire_backups", *here, capture_output=True)) == 0
    reports = list((tmp_path / "reports").glob("*-expire_backups-*/report.json"))
    assert reports and any("1 expired point removed" in report.read_text(encoding="utf-8") for report in reports)
    bad = local.play("expire_backups", *here, "-e", "component_retention_keep_within=long", capture_output=True)
    assert bad.returncode != 0 and "component_retention_keep_within = long" in bad.stdout
