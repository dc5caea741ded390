# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recovery_point kind on a repository made by the collection itself."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from tests.unit.probes.conftest import ask_all


class Filled:
    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory / "repository"
        self.url = f"file://{self.directory}"
        made, _ = initialise_repository(self.url, "local", check_mode=False)
        assert made is not None
        self.repository = made

    def point(self, age_s: float, *levels: str) -> RecoveryPoint:
        taken = begin_point(self.repository, "db", "postgresql", None).commit(
            engine_version="15",
            consistency_time=now() - datetime.timedelta(seconds=age_s),
            content={},
            restore_guide="Unpack it.",
        )
        for level in levels:
            self.prove(taken, level)
        return taken

    def prove(self, point: RecoveryPoint, level: str, outcome: str = "ok") -> None:
        write_proof(self.repository, point, level, None, 1.0, {}, outcome)

    def ask(self, **options: t.Any) -> Reading:
        declaration = {"kind": "recovery_point", "component": "db", "rpo": "1h", **options}
        return ask_all([declaration], repository=self.url, environment_name="local")[0].reading


@pytest.fixture
def filled(tmp_path: pathlib.Path) -> Filled:
    return Filled(tmp_path)


def test_no_recovery_point(filled: Filled) -> None:
    reading = filled.ask()
    assert (reading.outcome, reading.measured) == ("failed", "no recovery point")
    assert reading.hint == "ansible-playbook sre.runbooks.back_up_components --limit db"


def test_within_the_rpo(filled: Filled) -> None:
    point = filled.point(1800)
    reading = filled.ask()
    assert reading.outcome == "ok", reading
    assert reading.values["age_s"] == pytest.approx(1800, abs=30)
    assert reading.values["point_id"] == point.point_id


def test_older_than_the_rpo(filled: Filled) -> None:
    filled.point(3700)
    assert filled.ask().message == "the newest recovery point is older than the RPO"
    assert filled.ask(rpo="2h").outcome == "ok"


def test_the_level_counts_not_only_the_age(filled: Filled) -> None:
    filled.point(7200, "verified")
    filled.point(60)
    assert filled.ask().outcome == "ok"
    assert filled.ask(minimum_level="verified").message == "the newest recovery point is older than the RPO"
    assert filled.ask(minimum_level="restored").message == "no recovery point is restored"


def test_damage_is_a_warning_and_never_counts(filled: Filled) -> None:
    good = filled.point(1800, "verified")
    bad = filled.point(60, "verified")
    filled.prove(bad, "verified", "failed")
    reading = filled.ask()
    assert (reading.outcome, reading.values["point_id"]) == ("warning", good.point_id)
    assert bad.point_id in reading.message
    (filled.directory / good.manifest_key).unlink()
    assert filled.ask().outcome == "failed"


def test_a_manifest_that_cannot_be_read(filled: Filled) -> None:
    point = filled.point(60)
    path = filled.directory / point.manifest_key
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"postgresql", b"postgresqx"))
    assert filled.ask().outcome == "failed"


def test_drills(filled: Filled) -> None:
    point = filled.point(60)
    assert filled.ask(drill_interval="1d").message == "no restore was ever proven"
    filled.prove(point, "verified")
    filled.prove(point, "asserted")
    reading = filled.ask(drill_interval="1d")
    assert reading.outcome == "ok"
    assert 0 <= reading.values["drill_age_s"] < 60
    assert filled.ask(drill_interval=0).message == "the last drill is too long ago"
    filled.prove(point, "asserted", "failed")
    reading = filled.ask(drill_interval="1d")
    assert (reading.outcome, reading.message) == ("failed", "the last drill failed")
    assert reading.hint == "ansible-playbook sre.runbooks.drill_restores --limit db"


def test_a_point_from_the_future(filled: Filled) -> None:
    filled.point(-3600)
    assert filled.ask().outcome == "unknown"


def test_repositories_that_cannot_be_asked(filled: Filled, tmp_path: pathlib.Path) -> None:
    assert filled.ask(repository=f"file://{tmp_path}/none").outcome == "unknown"
    assert filled.ask(environment_name="production").outcome == "unknown"
    assert filled.ask(repository="s3://bucket/prefix").outcome == "unknown"
    assert filled.ask(component="Not A Component").outcome == "unknown"
