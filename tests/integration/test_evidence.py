# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules evidence, evidence_info and signing_key on a real repository in a directory."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import shutil
import stat
import subprocess
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, load_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import with_signing
from tests.servers.module_call import call_module


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    return f"file://{tmp_path}/repository"


@pytest.fixture
def repository(url: str) -> Repository:
    made, _created = initialise_repository(url, "local", check_mode=False)
    assert made is not None
    return made


def take(repository: Repository, size: int = 10_000) -> RecoveryPoint:
    writer = begin_point(repository, "flights_db", "postgresql", None)
    for number in range(2):
        name = f"db-0001/{number}.dat.zst"
        writer.add(
            store_stream(repository.store, writer.object_key(name), name, io.BytesIO(os.urandom(size)), Encoding())
        )
    return writer.commit(engine_version="15", consistency_time=_clock.now(), content={}, restore_guide="guide")


def path_of(repository: Repository, key: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / key  # type: ignore[attr-defined]


def asked(url: str, **options: t.Any) -> dict[str, t.Any]:
    return {"repository": url, "environment_name": "local", "component": "flights_db", **options}


def tree(repository: Repository) -> dict[str, tuple[int, int]]:
    root = pathlib.Path(repository.store.path)  # type: ignore[attr-defined]
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def rewrite(path: pathlib.Path, content: bytes) -> None:
    """Change a file and hide it: its times stay."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.slice
def test_points_are_read_once_and_looked_at_always(repository: Repository, url: str) -> None:
    points = [take(repository) for _ in range(3)]
    before = tree(repository)
    checked = call_module("evidence", asked(url), check=True)
    assert sorted(checked["read"]) == [point.point_id for point in sorted(points, key=lambda p: p.point_id)]
    assert checked["anchor"] is None and tree(repository) == before
    first = call_module("evidence", asked(url))
    assert not first["changed"] and len(first["read"]) == 3 and first["unchanged"] == 0 and first["intact"]
    assert first["objects"] == 9 and first["anchor"] and first["history"]["points"] == 3
    assert all(load_point(repository, "flights_db", point.point_id).level == "verified" for point in points)
    again = call_module("evidence", asked(url))
    assert (again["read"], again["unchanged"], again["bytes"]) == ([], 3, 0)
    assert again["head"] == first["head"]
    new = take(repository)
    third = call_module("evidence", asked(url))
    assert third["read"] == [new.point_id] and third["unchanged"] == 3 and third["history"]["anchors"] == 1
    old = call_module("evidence", asked(url, reverify_after="0"))
    assert len(old["read"]) == 4


def test_every_kind_of_damage_to_objects_is_found_at_once_and_named(repository: Repository, url: str) -> None:
    points = [take(repository) for _ in range(6)]
    assert call_module("evidence", asked(url))["intact"]
    keys = [path_of(repository, point.objects[0].key) for point in points]
    keys[0].unlink()
    rewrite(keys[1], keys[1].read_bytes()[:-1])
    rewrite(keys[2], keys[2].read_bytes() + b"x")
    keys[3].with_name("more").write_bytes(b"x")
    flipped = bytearray(keys[4].read_bytes())
    flipped[50] ^= 1
    keys[4].write_bytes(flipped)
    # The listing alone shows all but the flipped bit.
    looked = call_module("evidence", asked(url), check=True)
    assert looked["failed"] and set(looked["damaged"]) == {point.point_id for point in points[:4]}
    assert looked["read"] == [points[4].point_id]
    found = call_module("evidence", asked(url))
    assert found["failed"] and found["error"]["kind"] == "integrity" and found["error"]["next_command"]
    assert set(found["damaged"]) == {point.point_id for point in points[:5]} and found["unchanged"] == 1
    said = [" ".join(found["damaged"][point.point_id]) for point in points[:5]]
    assert "missing" in said[0] and "length" in said[1] and "length" in said[2]
    assert "not in the manifest" in said[3] and keys[4].name in said[4]
    assert load_point(repository, "flights_db", points[0].point_id).level == "damaged"
    # What hides even its time is found when its proof has aged.
    flipped = bytearray(keys[5].read_bytes())
    flipped[50] ^= 1
    rewrite(keys[5], bytes(flipped))
    assert points[5].point_id not in call_module("evidence", asked(url))["damaged"]
    assert points[5].point_id in call_module("evidence", asked(url, reverify_after="0"))["damaged"]


def test_tampering_with_the_history_is_named_and_can_be_accepted(repository: Repository, url: str) -> None:
    points = [take(repository) for _ in range(3)]
    whole = call_module("evidence", asked(url))
    kept = call_module("evidence_info", asked(url))["head"]
    assert kept == whole["head"]
    shutil.rmtree(path_of(repository, points[2].prefix))
    before = tree(repository)
    for anchors in (True, False):
        found = call_module("evidence_info", asked(url, **({} if anchors else {"expected_head": kept})))
        assert not found["changed"] and not found.get("failed") and not found["intact"]
        (finding,) = found["findings"]
        assert (finding["kind"], finding["subject"]) == ("removed", points[2].point_id)
        assert finding["expected"] and finding["found"] and finding["next_command"]
        if anchors:
            assert tree(repository) == before
            failed = call_module("evidence", asked(url))
            assert failed["failed"] and points[2].point_id in failed["msg"] and failed["anchor"] is None
            assert call_module("evidence_info", asked(url, fail_on_findings=True))["failed"]
        shutil.rmtree(path_of(repository, "components/flights_db/evidence"), ignore_errors=True)
    take(repository)
    accepted = [f"removed {points[2].point_id}"]
    passed = call_module("evidence", asked(url, expected_head=kept, accepted_findings=accepted))
    assert not passed.get("failed") and passed["anchor"] and len(passed["accepted"]) == 1


def test_a_manifest_that_was_changed_behind_its_back_is_found_at_the_next_reading(
    repository: Repository, url: str
) -> None:
    point = take(repository)
    assert call_module("evidence", asked(url))["intact"]
    forged = dataclasses.replace(load_point(repository, "flights_db", point.point_id), engine_version="16")
    rewrite(path_of(repository, point.manifest_key), forged.to_manifest())
    assert call_module("evidence_info", asked(url))["findings"][0]["kind"] == "altered"
    assert call_module("evidence", asked(url, force=True))["failed"]
    assert point.point_id in call_module("evidence", asked(url, reverify_after="0"))["damaged"]


def test_a_component_without_recovery_points_does_not_pass(repository: Repository, url: str) -> None:
    found = call_module("evidence", asked(url))
    assert found["failed"] and "back_up_components" in found["error"]["next_command"]
    assert call_module("evidence_info", asked(url))["head"] is None


def test_bad_options_are_refused(repository: Repository, url: str) -> None:
    take(repository)
    for options in (
        {"expected_head": "x"},
        {"clock_bound": "soon"},
        {"signing_public_keys": ["RWx"]},
        {"require_signature": True},
    ):
        result = call_module("evidence_info", asked(url, **options))
        assert result["failed"] and result["error"]["kind"] == "invalid_input" and result["error"]["next_command"]


@pytest.mark.slice
def test_a_signing_key_is_made_once_and_signs_what_minisign_checks(
    repository: Repository, url: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "backup.key"
    predicted = call_module("signing_key", {"path": str(path)}, check=True)
    assert predicted["changed"] and predicted["public_key"] == "" and not path.exists()
    made = call_module("signing_key", {"path": str(path)})
    assert made["changed"] and stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert content.split(b"\n")[1].decode() not in str(made)
    again = call_module("signing_key", {"path": str(path)})
    assert not again["changed"] and again["public_key"] == made["public_key"] and path.read_bytes() == content
    (tmp_path / "backup.pub").unlink()
    assert call_module("signing_key", {"path": str(path)})["changed"]
    other = call_module("signing_key", {"path": str(tmp_path / "prover.key")})["public_key"]
    trusted = {"signing_public_keys": [made["public_key"], other], "require_signature": True}
    point = take(with_signing(repository, {"signing_key_file": str(path)}))
    proven = call_module("evidence", asked(url, signing_key_file=str(tmp_path / "prover.key"), **trusted))
    assert proven["intact"] and proven["read"] == [point.point_id] and proven["history"]["unsigned"] == 0
    for document, key in ((point.manifest_key, made["public_key"]), (proven["anchor"], other)):
        checked = subprocess.run(
            ["minisign", "-V", "-q", "-P", key, "-m", str(path_of(repository, document))],
            capture_output=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr
    assert call_module("evidence", asked(url, **trusted))["unchanged"] == 1
    unsigned = take(repository)
    found = call_module("evidence_info", asked(url, **trusted))
    assert f"unsigned {unsigned.point_id}" in [finding["id"] for finding in found["findings"]]
    path_of(repository, f"{point.manifest_key}.minisig").write_bytes(
        b"untrusted comment: x\nRUQ=\ntrusted comment: \nx\n"
    )
    found = call_module("evidence_info", asked(url, **trusted))
    assert f"forged signature {point.point_id}" in [finding["id"] for finding in found["findings"]]


def test_the_documented_commands_check_the_chain_by_hand(repository: Repository) -> None:
    document = (pathlib.Path(__file__).resolve().parents[2] / "docs/evidence.md").read_text(encoding="utf-8")
    (script,) = [block for block in document.split("```sh\n") if block.startswith("for manifest")]
    points = [take(repository) for _ in range(4)]

    def by_hand() -> list[str]:
        directory = path_of(repository, "components/flights_db/points")
        done = subprocess.run(
            ["sh", "-c", script.partition("```")[0]], cwd=directory, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert [line.split()[:3] for line in by_hand()] == [
        [str(point.sequence), point.point_id, str(point.manifest_sha256)] for point in points
    ]
    path = path_of(repository, points[1].manifest_key)
    path.write_bytes(path.read_bytes().replace(b'"15"', b'"16"'))
    assert f"broken before {points[2].point_id}" in by_hand()
