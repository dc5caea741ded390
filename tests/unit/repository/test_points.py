# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery points: there or not, listed, chosen, and what killed backups leave."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import subprocess
import tempfile
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    PointListing,
    begin_point,
    list_components,
    list_points,
    load_point,
    remove_incomplete,
    select_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import (
    LEVELS,
    Proof,
    level_of,
    list_proofs,
    write_proof,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from tests.robustness.fault_store import FAULTS, FaultStore

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)


def path_of(repository: Repository, key: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / key


def test_a_point_is_listed_newest_first(repository: Repository, take) -> None:
    old, new = take(NOON - HOUR), take(NOON)
    listing = list_points(repository, "db")
    assert [point.point_id for point in listing.points] == [new.point_id, old.point_id]
    assert (listing.damaged, listing.incomplete) == ([], [])
    assert listing.points[0].objects == new.objects
    assert listing.points[0].facts() == new.facts() == load_point(repository, "db", new.point_id).facts()
    assert list_points(repository, "other").points == []
    assert list_components(repository) == ["db"]


def test_its_restore_guide_checks_the_objects(repository: Repository, take) -> None:
    point = take()
    directory = path_of(repository, point.prefix)
    guide = (directory / "RESTORE.md").read_text()
    assert "Use the tools." in guide and point.point_id in guide
    command = guide.split("```sh\n")[1].split("```")[0]

    def check() -> int:
        return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=directory, check=False).returncode

    assert check() == 0
    (directory / "objects" / "a").write_bytes(b"s0me")
    assert check() != 0


def test_without_a_manifest_there_is_no_point(repository: Repository, take) -> None:
    whole = take()
    writer = begin_point(repository, "db", "postgresql", None)
    assert list_points(repository, "db").incomplete == []
    repository.store.create(writer.object_key("a"), b"x")
    listing = list_points(repository, "db")
    assert [point.point_id for point in listing.points] == [whole.point_id]
    assert listing.incomplete == [writer.point_id]
    with pytest.raises(ObjectMissing):
        load_point(repository, "db", writer.point_id)
    with pytest.raises(ObjectMissing, match="incomplete"):
        select_point(listing, writer.point_id)


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_fails_while_committing_there_is_a_whole_point_or_none(
    repository: Repository, fault: str, tmp_path: pathlib.Path
) -> None:
    def commit(faulty: FaultStore) -> None:
        through = Repository(faulty, repository.id, repository.environment)
        writer = begin_point(through, "db", "postgresql", None)
        through.store.create(writer.object_key("a"), b"x")
        writer.commit(engine_version="15", consistency_time=NOON, content={}, restore_guide="guide")

    clean = FaultStore(repository.store)
    commit(clean)
    assert clean.calls >= 4
    for number in range(clean.calls):
        try:
            commit(FaultStore(repository.store, number, fault))
        except RunbookError:
            pass
    listing = list_points(repository, "db")
    assert listing.damaged == []
    assert listing.points
    for point in listing.points:
        for stored in point.objects:
            assert repository.store.stat(stored.key).length == stored.length
    removed = remove_incomplete(repository, "db")
    assert sorted(removed) == sorted(listing.incomplete)
    after = list_points(repository, "db")
    assert after.incomplete == [] and len(after.points) == len(listing.points)


def test_remains_are_removed_and_nothing_else(repository: Repository, take) -> None:
    whole, damaged = take(), take()
    path_of(repository, damaged.manifest_key).write_bytes(b"{}")
    left, mine = (begin_point(repository, "db", "postgresql", None) for _ in range(2))
    other = begin_point(repository, "other", "postgresql", None)
    for writer in (left, mine, other):
        repository.store.create(writer.object_key("deep/er/a"), b"x")
    assert remove_incomplete(repository, "db", keep=mine.point_id) == [left.point_id]
    assert list_points(repository, "db").incomplete == [mine.point_id]
    assert list_points(repository, "other").incomplete == [other.point_id]
    assert {point.point_id for point in list_points(repository, "db").points} == {whole.point_id}
    assert [found.point_id for found in list_points(repository, "db").damaged] == [damaged.point_id]
    assert not path_of(repository, left.prefix).exists()


@pytest.mark.parametrize("how", ["flip", "empty", "of another point", "of another repository", "not a point"])
def test_a_damaged_manifest_is_listed_as_such_and_never_chosen(repository: Repository, take, how: str) -> None:
    good, bad = take(NOON - HOUR), take(NOON)
    path = path_of(repository, bad.manifest_key)
    name = bad.point_id
    if how == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "of another point":
        path.write_bytes(path_of(repository, good.manifest_key).read_bytes())
    elif how == "of another repository":
        bad.repository_id = "another"
        path.write_bytes(bad.to_manifest())
    else:
        name = "holiday-pictures"
        os.rename(path.parent, path.parent.parent / name)
    listing = list_points(repository, "db")
    assert [point.point_id for point in listing.points] == [good.point_id]
    assert [found.point_id for found in listing.damaged] == [name]
    assert select_point(listing).point_id == good.point_id
    with pytest.raises((IntegrityError, InvalidInput)):
        select_point(listing, name)
    with pytest.raises((IntegrityError, InvalidInput)):
        load_point(repository, "db", name)


def test_unknown_points(repository: Repository, take) -> None:
    listing = list_points(repository, "db")
    with pytest.raises(ObjectMissing) as raised:
        select_point(listing)
    assert raised.value.component == "db" and "back_up" in (raised.value.next_command or "")
    point = take()
    listing = list_points(repository, "db")
    with pytest.raises(ObjectMissing, match=point.point_id):
        select_point(listing, "20200101T000000Z-0000")
    with pytest.raises(InvalidInput):
        select_point(listing, "latest")
    with pytest.raises(InvalidInput):
        select_point(listing, point.point_id, before=NOON - HOUR)
    with pytest.raises(ObjectMissing, match="verified"):
        select_point(listing, point.point_id, minimum_level="verified")


def test_a_name_that_no_key_can_hold(repository: Repository) -> None:
    writer = begin_point(repository, "db", "postgresql", None)
    for name in ("../x", "a b", "/x", ""):
        with pytest.raises(InvalidInput):
            writer.object_key(name)
    with pytest.raises(InvalidInput):
        begin_point(repository, "../db", "postgresql", None)


PROOFS = st.lists(
    st.tuples(st.sampled_from(LEVELS[1:]), st.sampled_from(["ok", "ok", "failed"]), st.integers(0, 20)), max_size=5
)


def slow_level(proofs: list[Proof]) -> str:
    """The rule in words: begin at taken; go through time."""
    level = "taken"
    for proof in sorted(proofs, key=lambda p: (p.at, p.outcome == "failed", LEVELS.index(p.level))):
        if proof.outcome == "ok":
            level = proof.level if level == "damaged" or LEVELS.index(proof.level) > LEVELS.index(level) else level
        elif proof.level == "verified":
            level = "damaged"
        elif level in LEVELS and LEVELS.index(level) >= LEVELS.index(proof.level):
            level = {"restored": "verified", "asserted": "restored"}[proof.level]
    return level


@settings(max_examples=200, deadline=None)
@given(
    spec=st.lists(st.tuples(st.integers(0, 8), PROOFS), max_size=8),
    before=st.none() | st.integers(0, 9),
    minimum=st.sampled_from(LEVELS),
    shuffle=st.randoms(use_true_random=False),
)
def test_selection_is_what_a_slow_model_says(spec, before, minimum, shuffle) -> None:
    points = []
    for number, (hours, proofs) in enumerate(spec):
        at = NOON + hours * HOUR
        point = RecoveryPoint(
            "db",
            "testing",
            "id",
            f"20261121T120000Z-{number:04x}",
            "postgresql",
            "15",
            None,
            at,
            at,
            at,
            1.0,
            [],
            {},
            {},
            {},
        )
        point.proofs = [Proof(level, NOON + minute * HOUR, outcome=outcome) for level, outcome, minute in proofs]
        points.append(point)
    listing = PointListing("db", sorted(points, key=lambda p: (p.consistency_time, p.point_id), reverse=True))
    limit = None if before is None else NOON + before * HOUR
    fitting = [
        (point.consistency_time, point.point_id)
        for point in points
        if slow_level(point.proofs) != "damaged"
        and LEVELS.index(slow_level(point.proofs)) >= LEVELS.index(minimum)
        and (limit is None or point.consistency_time <= limit)
    ]
    expected = max(fitting)[1] if fitting else None
    found = listing.newest(minimum, limit)
    assert (found and found.point_id) == expected
    if expected is None:
        with pytest.raises(ObjectMissing):
            select_point(listing, "newest", limit, minimum)
    else:
        assert select_point(listing, "newest", limit, minimum).point_id == expected
    fit = {point_id for _at, point_id in fitting}
    for point in points:
        try:
            assert select_point(listing, point.point_id, limit, minimum).point_id in fit
        except (ObjectMissing, IntegrityError, InvalidInput):
            assert point.point_id not in fit
    for point in points:
        shuffle.shuffle(point.proofs)
        assert level_of(point.proofs) == slow_level(point.proofs)


def test_proofs_are_told_from_their_names_and_read_when_asked(repository: Repository, take, monkeypatch) -> None:
    point = take()
    write_proof(repository, point, "verified", "run", 1.5, {"objects": 3})
    write_proof(repository, point, "asserted", "run", 60.0, {"why": "counts"}, outcome="failed")
    for odd in ("x.json", "verified-20261145T000000.000000Z-0000.json", "damaged-20261121T000000.000000Z-0000.json"):
        repository.store.create(f"{point.prefix}proofs/{odd}", b"{}")
    read = []
    real = repository.store.read
    monkeypatch.setattr(repository.store, "read", lambda key, limit: read.append(key) or real(key, limit))
    proofs = list_proofs(repository.store, point.prefix)
    assert [(proof.level, proof.outcome) for proof in proofs] == [
        ("taken", "ok"),
        ("verified", "ok"),
        ("asserted", "failed"),
    ]
    assert read == []
    assert (proofs[1].duration_s, proofs[1].run_id, proofs[1].details) == (1.5, "run", {"objects": 3})
    assert len(read) == 1
    assert [proof.at for proof in proofs] == [proof.at for proof in point.proofs]


def test_a_proof_of_another_name_is_not_believed(repository: Repository, take) -> None:
    point = take()
    write_proof(repository, point, "verified", None, 1.0, {}, outcome="failed")
    directory = path_of(repository, f"{point.prefix}proofs")
    (failed,) = directory.glob("verified-failed-*")
    os.rename(failed, directory / failed.name.replace("-failed", ""))
    with pytest.raises(IntegrityError):
        _ = list_proofs(repository.store, point.prefix)[-1].details


def test_a_failed_verification_sets_a_point_aside_until_it_verifies_again(repository: Repository, take) -> None:
    older, point = take(NOON - HOUR), take(NOON)
    write_proof(repository, point, "verified", None, 1.0, {})
    assert select_point(list_points(repository, "db")).point_id == point.point_id
    write_proof(repository, point, "verified", None, 1.0, {}, outcome="failed")
    assert select_point(list_points(repository, "db")).point_id == older.point_id
    with pytest.raises(IntegrityError):
        select_point(list_points(repository, "db"), point.point_id)
    write_proof(repository, point, "verified", None, 1.0, {})
    assert select_point(list_points(repository, "db")).level == "verified"


def test_listing_reads_manifests_and_nothing_else() -> None:
    with tempfile.TemporaryDirectory() as directory:
        repository, _created = initialise_repository(f"file://{directory}/r", "testing", check_mode=False)
        assert repository is not None
        writer = begin_point(repository, "db", "postgresql", None)
        repository.store.create(writer.object_key("a"), b"x")
        template = writer.commit(engine_version="15", consistency_time=NOON, content={}, restore_guide="")
        count = 500
        for number in range(count):
            template.point_id = f"20261122T000000Z-{number:04x}"
            template.objects = []
            for key, content in (
                ("manifest.json", template.to_manifest()),
                ("objects/a", b"x"),
                ("proofs/verified-20261122T000000.000000Z-0000.json", b"{}"),
            ):
                path = path_of(repository, template.prefix + key)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        counting = FaultStore(repository.store)
        began = time.process_time()
        listing = list_points(Repository(counting, repository.id, "testing"), "db")
        took = time.process_time() - began
        assert len(listing.points) == count + 1
        assert sum(point.level == "verified" for point in listing.points) == count
        assert counting.calls <= 2 * (count + 1) + 2  # two listings of names, then manifest and proofs
        assert took < count * 0.003, f"{took:.2f} s of processor time"


def test_a_manifest_is_small_enough_or_refused(repository: Repository, take, monkeypatch) -> None:
    point = take()
    monkeypatch.setattr("ansible_collections.sre.runbooks.plugins.module_utils._repository.points.MANIFEST_LIMIT", 100)
    assert [found.point_id for found in list_points(repository, "db").damaged] == [point.point_id]


def test_an_unreadable_repository_is_an_error_and_not_an_empty_list(repository: Repository, take) -> None:
    take()
    faulty = FaultStore(repository.store, 0, "error")
    with pytest.raises(RepositoryError):
        list_points(Repository(faulty, repository.id, repository.environment), "db")


def test_proof_documents_fit_their_schema(repository: Repository, take) -> None:
    import jsonschema

    schemas = pathlib.Path(__file__).resolve().parents[3] / "docs/schemas"
    point = take()
    write_proof(repository, point, "verified", None, 1.5, {"objects": 3}, outcome="failed")
    schema = json.loads((schemas / "proof.schema.json").read_text())
    for path in path_of(repository, f"{point.prefix}proofs").iterdir():
        jsonschema.validate(json.loads(path.read_text()), schema)
    identity = json.loads((schemas / "repository.schema.json").read_text())
    jsonschema.validate(json.loads(path_of(repository, "repository.json").read_text()), identity)
