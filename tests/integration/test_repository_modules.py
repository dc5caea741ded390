# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules repository, repository_info, recovery_point_info, recovery_point_verify and lease in real playbooks."""

from __future__ import annotations

import datetime
import io
import os
import pathlib
import re
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import acquire
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from tests.servers.playbook import play

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    return f"file://{tmp_path}/repository"


@pytest.fixture
def repository(url: str) -> Repository:
    made, _created = initialise_repository(url, "local", check_mode=False)
    assert made is not None
    return made


def task(module: str, url: str, **options: t.Any) -> dict[str, t.Any]:
    return {f"sre.runbooks.{module}": {"repository": url, "environment_name": "local", **options}}


def take(repository: Repository, at: datetime.datetime) -> RecoveryPoint:
    writer = begin_point(repository, "flights_db", "postgresql", None)
    for number in range(3):
        name = f"db-0001/{number}.dat.zst"
        source = io.BytesIO(os.urandom(1000) * 10)
        writer.add(store_stream(repository.store, writer.object_key(name), name, source, Encoding()))
    return writer.commit(engine_version="15", consistency_time=at, content={"n": 1}, restore_guide="guide")


def tree(repository: Repository) -> dict[str, tuple[int, int]]:
    found = {}
    for path in pathlib.Path(repository.store.path).rglob("*"):
        status = path.stat()
        found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


@pytest.mark.slice
def test_repository_is_initialised_once_and_check_mode_tells_the_truth(url: str, tmp_path: pathlib.Path) -> None:
    (checked,) = play([task("repository", url)], "--check", "--diff").results
    assert checked["changed"] and checked["repository"]["id"] is None
    assert checked["diff"] == {"before": {}, "after": {"url": url, "environment": "local"}}
    assert not (tmp_path / "repository").exists()
    made, again, other, shared, allowed = play(
        [
            task("repository", url),
            task("repository", url),
            task("repository", url, environment_name="production"),
            task("repository", url, data_paths=[str(tmp_path)]),
            task("repository", url, data_paths=[str(tmp_path)], allow_same_filesystem=True),
        ],
        "--diff",
    ).results
    assert made["changed"] and not again["changed"]
    assert made["repository"]["id"] == again["repository"]["id"]
    assert again["diff"]["before"] == again["diff"]["after"]
    assert other["failed"] and other["error"]["kind"] == "refused" and other["error"]["next_command"]
    assert shared["failed"] and str(tmp_path) in shared["error"]["found"]
    assert allowed["repository"]["same_filesystem"] == [str(tmp_path)]


def test_a_repository_that_is_not_there(url: str) -> None:
    component = {"component": "flights_db"}
    results = play(
        [
            task("repository_info", url),
            task("recovery_point_info", url, **component),
            task("recovery_point_verify", url, **component),
            task("lease", url, run_id="r", **component),
        ]
    ).results
    for result in results:
        assert result["failed"] and result["error"]["kind"] == "repository"
        command = result["error"]["next_command"].rpartition("in the inventory, or make it a repository: ")[2]
        assert re.fullmatch(r"ansible-playbook .*sre\.runbooks\.prepare_repository", command), command


def test_points_are_listed_and_chosen(repository: Repository, url: str) -> None:
    now = _clock.now()
    old, verified, new = (take(repository, now - hours * HOUR) for hours in (30, 3, 1))
    write_proof(repository, verified, "verified", None, 1.0, {})
    write_proof(repository, new, "verified", None, 1.0, {}, outcome="failed")
    damaged = take(repository, now)
    (pathlib.Path(repository.store.path) / damaged.manifest_key).write_bytes(b"{}")
    unfinished = begin_point(repository, "flights_db", "postgresql", None)
    repository.store.create(unfinished.object_key("a"), b"x")
    component = {"component": "flights_db"}
    before = tree(repository)
    every, proven, young, early, one, unknown, whole, info, bad = play(
        [
            task("recovery_point_info", url, **component),
            task("recovery_point_info", url, minimum_level="verified", **component),
            task("recovery_point_info", url, maximum_age="24h", limit=1, **component),
            task("recovery_point_info", url, before=_clock.format_time(now - 2 * HOUR), **component),
            task("recovery_point_info", url, recovery_point=old.point_id, **component),
            task("recovery_point_info", url, recovery_point="20200101T000000Z-0000", **component),
            task("recovery_point_info", url, recovery_point=old.point_id, objects=True, **component),
            task("repository_info", url),
            task("recovery_point_info", url, maximum_age="a while", **component),
        ]
    ).results

    def ids(result: dict[str, t.Any]) -> list[str]:
        return [point["point_id"] for point in result["recovery_points"]]

    assert ids(every) == [new.point_id, verified.point_id, old.point_id]
    assert "objects" not in every["newest"] and every["newest"]["level"] == "damaged"
    assert {point["point_id"] for point in every["damaged"]} == {new.point_id, damaged.point_id}
    assert every["incomplete"] == [unfinished.point_id]
    assert ids(proven) == [verified.point_id]
    assert (ids(young), young["count"], young["total"]) == ([new.point_id], 2, 3)
    assert ids(early) == [verified.point_id, old.point_id]
    assert ids(one) == [old.point_id]
    assert unknown["failed"] and unknown["error"]["kind"] == "object_missing"
    assert len(whole["newest"]["objects"]) == 4 and whole["newest"]["content"] == {"n": 1}
    (seen,) = info["repository"]["components"]
    assert (seen["points"], seen["damaged"], seen["incomplete"]) == (3, 2, 1)
    assert seen["newest"]["taken"]["point_id"] == seen["newest"]["verified"]["point_id"] == verified.point_id
    assert seen["newest"]["asserted"] is None and seen["lease"] is None
    assert info["repository"]["total_bytes"] == sum(point.size for point in (old, verified, new))
    assert bad["failed"] and bad["error"]["kind"] == "invalid_input"
    assert not any(result.get("changed") for result in (every, proven, info))
    assert tree(repository) == before


@pytest.mark.slice
def test_a_point_is_verified_once_and_its_damage_is_named(repository: Repository, url: str) -> None:
    point = take(repository, _clock.now())
    verify = task("recovery_point_verify", url, component="flights_db")
    before = tree(repository)
    (checked,) = play([verify], "--check").results
    assert checked["read"] and not checked["changed"] and tree(repository) == before
    first, second, forced = play(
        [verify, verify, task("recovery_point_verify", url, component="flights_db", force=True)]
    ).results
    assert (first["read"], second["read"], forced["read"]) == (True, False, True)
    assert not (first["changed"] or second["changed"] or forced["changed"])
    assert (first["objects"], first["decoded"], first["bytes"]) == (4, 4, point.size)
    assert second["recovery_point"]["level"] == "verified"
    directory = pathlib.Path(repository.store.path) / point.prefix / "objects" / "db-0001"
    (directory / "0.dat.zst").unlink()
    content = bytearray((directory / "1.dat.zst").read_bytes())
    content[10] ^= 1
    (directory / "1.dat.zst").write_bytes(bytes(content))
    recent, damaged, again, listed = play(
        [
            verify,
            task("recovery_point_verify", url, component="flights_db", reverify_after="0"),
            verify,
            task("recovery_point_info", url, component="flights_db"),
        ]
    ).results
    assert not recent["failed"] and not recent["read"]
    for result in (damaged, again):  # a damaged point stays damaged, and is read again
        assert result["failed"] and result["error"]["kind"] == "integrity"
        assert result["failures_count"] == 2
        assert "0.dat.zst: missing" in result["msg"] and "1.dat.zst" in result["msg"] and "2.dat" not in result["msg"]
        assert result["recovery_point"]["level"] == "damaged"
    assert listed["newest"]["level"] == "damaged"


@pytest.mark.slice
def test_a_lease_is_held_by_the_playbook_and_free_when_it_is_dead(repository: Repository, url: str) -> None:
    held = task("lease", url, component="flights_db", run_id="run-1", lease_ttl="1h")
    other = task("lease", url, component="flights_db", run_id="run-2", lease_ttl="1h")
    first, again, refused, given, taken, info = play(
        [
            held,
            held,
            other,
            task("lease", url, component="flights_db", run_id="run-1", state="released"),
            other,
            task("repository_info", url),
        ]
    ).results
    assert first["lease"] == again["lease"] == {"epoch": 1, "held": True}
    assert not (first["changed"] or given["changed"])
    assert refused["failed"] and refused["error"]["kind"] == "lease_held" and "run-1" in refused["error"]["found"]
    assert given["released"] and not given["lease"]["held"]
    assert taken["lease"]["epoch"] == 2
    assert info["repository"]["components"][0]["lease"]["held"]
    # That playbook has ended without giving the lease back: nobody has to wait for its hour to pass.
    (after,) = play([held]).results
    assert after["lease"] == {"epoch": 3, "held": True}


def test_a_living_holder_s_lease_is_only_broken_on_purpose(repository: Repository, url: str) -> None:
    acquire(repository, "flights_db", "run-1", describe_holder("run-1"), 3600)
    before = tree(repository)
    mine = {"component": "flights_db", "run_id": "run-2"}
    (checked,) = play([task("lease", url, **mine)], "--check").results
    assert checked["failed"] and checked["error"]["kind"] == "lease_held"
    assert tree(repository) == before
    others, wrong, nobody, broken, taken = play(
        [
            task("lease", url, state="released", **mine),
            task("lease", url, state="released", lease_confirm="other_db", **mine),
            task("lease", url, component="flights_db"),
            task("lease", url, component="flights_db", state="released", lease_confirm="flights_db"),
            task("lease", url, **mine),
        ]
    ).results
    assert not others["released"] and others["lease"]["held"]
    assert wrong["failed"] and wrong["error"]["kind"] == "refused"
    assert nobody["failed"] and nobody["error"]["kind"] == "invalid_input"
    assert broken["released"] and not broken["lease"]["held"]
    assert taken["lease"]["epoch"] == 2
