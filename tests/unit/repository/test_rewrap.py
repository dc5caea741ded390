# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rewraps: planned, proven, written last, read by everything that restores, and followed by hand."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import types
import typing as t

import jsonschema
import pyrage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    MissingRequirement,
    Refused,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline import age, age_keys
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    WrongIdentity,
    open_decoded,
    store_stream,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository import rotation
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import (
    KeyRing,
    look_into,
    unreadable_here,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewrap import (
    check_possible,
    plan_rewraps,
    rewrap_point,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import (
    list_rewraps,
    rewrap_failures,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rotation import Rotation
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.fault_store import FAULTS, Fault, FaultStore

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
KEYS = [pyrage.x25519.Identity.generate() for _ in range(4)]
RECIPIENTS = [str(key.to_public()) for key in KEYS]
OLD, NEW, OFFLINE, STRANGER = range(4)
CONTENT = {"toc.dat": b"small", "db-0001/1.dat": os.urandom(300) * 1000, "empty": b""}


def who(*numbers: int) -> Identities:
    return Identities("\n".join(str(KEYS[number]) for number in numbers))


def recipients(*numbers: int) -> list[str]:
    return [RECIPIENTS[number] for number in numbers]


def take(
    repository: Repository,
    *numbers: int,
    content: dict[str, bytes] | None = None,
    said: t.Any = None,
    component: str = "db",
) -> RecoveryPoint:
    writer = begin_point(repository, component, "postgresql", None)
    encoding = Encoding(recipients=recipients(*numbers))
    for name, data in (CONTENT if content is None else content).items():
        name += encoding.suffix
        writer.add(store_stream(repository.store, writer.object_key(name), name, io.BytesIO(data), encoding))
    return writer.commit(
        engine_version="15",
        consistency_time=NOON,
        content={},
        restore_guide="guide",
        encryption={"recipients": encoding.recipients if said is None else said},
    )


def rewrap(
    repository: Repository, point: RecoveryPoint, to: t.Sequence[int], by: t.Sequence[int], depth: str = "sample"
):
    return rewrap_point(repository, point, recipients(*to), KeyRing(who(*by)), depth, None, lambda: None)


def read(repository: Repository, point: RecoveryPoint, identities: Identities) -> dict[str, bytes]:
    found = {}
    for stored in point.objects:
        if stored.kind == "data":
            with open_decoded(repository.store, stored, identities) as decoded:
                found[stored.name.split(".zst")[0]] = decoded.read()
    return found


def place(repository: Repository, point: RecoveryPoint) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / point.prefix


@pytest.fixture(params=["age program", "pyrage library"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "pyrage library":
        monkeypatch.setattr(age, "age_program", lambda: None)


@pytest.mark.parametrize("depth", ["headers", "sample", "full"])
def test_a_rewrap_opens_with_the_new_key_alone_and_changes_no_object(
    repository: Repository, implementation: None, depth: str
) -> None:
    point = take(repository, OLD)
    before = {path: path.read_bytes() for path in place(repository, point).rglob("*") if path.is_file()}
    with pytest.raises(WrongIdentity):
        read(repository, point, who(NEW))
    made = rewrap(repository, point, [NEW, OFFLINE], [OLD, NEW], depth)
    assert (made.proven, made.depth, len(made.headers)) == (recipients(NEW), depth, 3)
    for reader in (NEW, OFFLINE, OLD):
        assert read(repository, point, who(reader)) == CONTENT
    with pytest.raises(WrongIdentity) as refused:
        read(repository, point, who(STRANGER))
    assert point.prefix in str(refused.value)
    after = {path: path.read_bytes() for path in place(repository, point).rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} == {"headers.txt", "REWRAP.md", "rewrap.json"}
    schema = json.loads((pathlib.Path(__file__).resolve().parents[3] / "docs/schemas/rewrap.schema.json").read_text())
    (document,) = (data for path, data in after.items() if path.name == "rewrap.json")
    jsonschema.validate(json.loads(document), schema)
    for secret in KEYS:
        assert not any(str(secret).encode() in data for data in after.values())


def test_only_headers_and_first_chunks_are_read(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    point = take(repository, OLD, content={"large": os.urandom(3_000_000)})
    seen = []
    opened = type(repository.store).open

    def counted(self, key, offset=0, length=None, version=None):
        if "/objects/" in key:
            seen.append(length)
        return opened(self, key, offset=offset, length=length, version=version)

    monkeypatch.setattr(type(repository.store), "open", counted)
    look_into(repository, point, KeyRing(who(OLD)))
    assert seen == [4096]
    rewrap(repository, point, [NEW], [OLD, NEW], "headers")
    assert sum(seen) < 80_000


def test_the_plan_says_what_is_missing_and_the_second_is_empty(repository: Repository) -> None:
    wanted = recipients(NEW, OFFLINE)
    ring = KeyRing(who(OLD, NEW))
    points = {
        "old": take(repository, OLD),
        "current": take(repository, NEW, OFFLINE, OLD),
        "plain": take(repository),
        "half": take(repository, NEW),
        "orphan": take(repository, STRANGER),
    }

    def planned() -> dict[str, str]:
        plan = plan_rewraps(repository, points.values(), wanted, ring)
        check_possible("db", plan, wanted, ring, False)
        return dict(zip(points, [each.action for each in plan], strict=True))

    assert planned() == {"old": "rewrap", "current": "none", "plain": "none", "half": "rewrap", "orphan": "impossible"}
    reasons = dict(zip(points, plan_rewraps(repository, points.values(), wanted, ring), strict=True))
    assert RECIPIENTS[OFFLINE] in reasons["half"].reason and RECIPIENTS[NEW] not in reasons["half"].reason
    assert RECIPIENTS[STRANGER] in reasons["orphan"].reason
    for name in ("old", "half"):
        rewrap(repository, points[name], [NEW, OFFLINE], [OLD, NEW])
    assert set(planned().values()) == {"none", "impossible"}
    # The next rotation begins from the rewrap: the first key is gone by now.
    ring, wanted = KeyRing(who(OFFLINE, STRANGER)), recipients(STRANGER)
    assert planned() == {"old": "rewrap", "current": "rewrap", "plain": "none", "half": "rewrap", "orphan": "none"}
    rewrap(repository, points["old"], [STRANGER], [OFFLINE, STRANGER])
    assert read(repository, points["old"], who(STRANGER)) == CONTENT


def test_what_restores_replaced_opens_with_the_new_key_too(repository: Repository) -> None:
    """Once the old key is destroyed nothing else would open it."""
    points = [take(repository, OLD), take(repository, OLD, component="db--before")]

    def looked(*identities: int) -> Rotation:
        ring = KeyRing(who(*identities))
        found = Rotation(repository, "db", recipients(NEW), ring, "sample", False, "db--before")
        found.look()
        return found

    first = looked(OLD, NEW)
    assert [planned.point.point_id for planned in first.wanted] == [point.point_id for point in points]
    record = contextlib.nullcontext(types.SimpleNamespace(outcome="", facts={}))
    first.act(lambda: None, lambda _planned: record, None, Progress(None))
    assert first.error() is None and not looked(NEW).wanted and looked(NEW).error() is None
    assert [read(repository, point, who(NEW)) for point in points] == [CONTENT, CONTENT]


def test_what_is_said_about_recipients_is_not_believed_where_it_can_be_tried(repository: Repository) -> None:
    """A manifest that claims the new recipient must not make anybody destroy the old key."""
    point = take(repository, OLD, said=recipients(OLD, NEW))
    assert [each.action for each in plan_rewraps(repository, [point], recipients(NEW), KeyRing(who(OLD, NEW)))] == [
        "rewrap"
    ]
    # Nor does nonsense in it stop anything.
    point = take(repository, OLD, said={"not": "a list"})
    assert [each.action for each in plan_rewraps(repository, [point], recipients(OLD), KeyRing(who(OLD)))] == ["rewrap"]


def test_refused_when_nobody_here_can_prove_it_or_write_it(repository: Repository) -> None:
    points = [take(repository, OLD), take(repository, OLD)]
    plan = plan_rewraps(repository, points, recipients(NEW), KeyRing(who(OLD)))
    with pytest.raises(Refused, match="2 recovery points") as refused:
        check_possible("db", plan, recipients(NEW), KeyRing(who(OLD)), False)
    assert "rewrap_identity_files" in (refused.value.next_command or "")
    check_possible("db", plan, recipients(NEW), KeyRing(who(OLD)), True)
    made = rewrap(repository, points[0], [NEW], [OLD])
    assert (made.proven, made.depth) == ([], "headers")
    assert read(repository, points[0], who(NEW)) == CONTENT
    with pytest.raises(Refused, match="ssh-ed25519") as refused:
        check_possible("db", plan, ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"], KeyRing(who(OLD)), True)
    assert points[0].point_id in str(refused.value)
    # Where there is nothing to do, nothing is refused.
    check_possible(
        "db", plan_rewraps(repository, points, recipients(OLD), KeyRing(who())), recipients(OLD), KeyRing(who()), False
    )


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(st.integers(0, 3), min_size=1),
    st.lists(st.sets(st.integers(0, 3), min_size=1), min_size=1, max_size=3),
    st.data(),
)
def test_any_sequence_of_rotations_keeps_every_key_it_promised(
    repository: Repository, first: set[int], rotations: list[set[int]], data: st.DataObject
) -> None:
    point = take(repository, *first, content={"a": b"some", "b": b"data"})
    able = set(first)
    for wanted in rotations:
        opener = data.draw(st.sampled_from(sorted(able)))
        rewrap(repository, point, sorted(wanted), [opener, min(wanted)])
        able |= wanted
    for number in range(4):
        if number in able:
            assert read(repository, point, who(number)) == {"a": b"some", "b": b"data"}
        else:
            with pytest.raises(WrongIdentity):
                read(repository, point, who(number))


@pytest.mark.parametrize("left", [["headers.txt"], ["headers.txt", "REWRAP.md"], []])
def test_what_a_killed_run_left_is_ignored_and_superseded(repository: Repository, left: list[str]) -> None:
    point = take(repository, OLD)
    made = rewrap(repository, point, [NEW], [OLD, NEW])
    directory = place(repository, point) / "rewraps" / made.rewrap_id
    for path in directory.iterdir():
        if path.name not in left:
            path.unlink()
    found = list_rewraps(repository.store, point.prefix)
    assert not found.whole and not found.damaged
    assert found.incomplete == ([made.rewrap_id] if left else [])
    with pytest.raises(WrongIdentity):
        read(repository, point, who(NEW))
    assert [each.action for each in plan_rewraps(repository, [point], recipients(NEW), KeyRing(who(OLD, NEW)))] == [
        "rewrap"
    ]
    rewrap(repository, point, [NEW], [OLD, NEW])
    assert read(repository, point, who(NEW)) == CONTENT


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_is_loud_or_harmless_and_the_rerun_converges(repository: Repository, fault: Fault) -> None:
    point = take(repository, OLD, content={"a": b"some", "b": b"data"})
    counting = FaultStore(repository.store)
    plan_and_rewrap(dataclasses.replace(repository, store=counting), point)
    assert counting.calls >= 8
    for position in range(counting.calls):
        point = take(repository, OLD, content={"a": b"some", "b": b"data"})
        faulty = FaultStore(repository.store, position, fault)
        try:
            whole = plan_and_rewrap(dataclasses.replace(repository, store=faulty), point)
        except RunbookError:
            whole = False
        if whole:
            assert read(repository, point, who(NEW)) == {"a": b"some", "b": b"data"}, (position, faulty.failed)
        assert read(repository, point, who(OLD)) == {"a": b"some", "b": b"data"}
        plan_and_rewrap(repository, point)
        assert read(repository, point, who(NEW)) == {"a": b"some", "b": b"data"}
        assert not rewrap_failures(repository.store, point.prefix)


def plan_and_rewrap(repository: Repository, point: RecoveryPoint) -> bool:
    """Whether the point opens with the new key now, by what the plan and the rewrap say."""
    (planned,) = plan_rewraps(repository, [point], recipients(NEW), KeyRing(who(OLD, NEW)))
    if planned.action == "rewrap":
        rewrap(repository, point, [NEW], [OLD, NEW], "headers")
    return planned.action != "impossible"


def damage_json(directory: pathlib.Path, **changes: t.Any) -> None:
    document = json.loads((directory / "rewrap.json").read_bytes())
    document.pop("digest")
    document.update(changes)
    (directory / "rewrap.json").write_bytes(sealed_json(document))


DAMAGES: dict[str, t.Callable[[pathlib.Path], t.Any]] = {
    "a flipped byte in the headers": lambda d: (d / "headers.txt").write_bytes(
        (d / "headers.txt").read_bytes().replace(b"X25519", b"X25518", 1)
    ),
    "headers cut off": lambda d: (d / "headers.txt").write_bytes((d / "headers.txt").read_bytes()[:-1]),
    "no headers": lambda d: (d / "headers.txt").unlink(),
    "a changed description": lambda d: (d / "rewrap.json").write_bytes(
        (d / "rewrap.json").read_bytes().replace(b'"depth": "sample"', b'"depth": "full"', 1)
    ),
    "another point's": lambda d: damage_json(d, point_id="20200101T000000Z-0000"),
    "keys elsewhere": lambda d: damage_json(d, objects=[{"key": "repository.json", "length": 1, "replaces": 1}]),
    "an endless header": lambda d: damage_json(d, objects=[{"key": "x", "length": 1 << 40, "replaces": 1}]),
    "no objects": lambda d: damage_json(d, objects=[]),
    "not JSON": lambda d: (d / "rewrap.json").write_bytes(b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_rewrap_is_named_and_replaced(repository: Repository, damage: str) -> None:
    point = take(repository, OLD)
    made = rewrap(repository, point, [NEW], [OLD, NEW])
    directory = place(repository, point) / "rewraps" / made.rewrap_id
    for path in directory.iterdir():
        path.chmod(0o600)
    DAMAGES[damage](directory)
    (reason,) = rewrap_failures(repository.store, point.prefix)
    assert made.rewrap_id in reason
    (planned,) = plan_rewraps(repository, [point], recipients(NEW), KeyRing(who(OLD, NEW)))
    assert planned.action == "rewrap" and planned.openings.problems
    assert read(repository, point, who(OLD)) == CONTENT
    rewrap(repository, point, [NEW], [OLD, NEW])
    assert read(repository, point, who(NEW)) == CONTENT
    assert not rewrap_failures(repository.store, point.prefix)
    # The guide too is what it was, and nothing lies beside.
    place_of_newest = (
        place(repository, point) / "rewraps" / list_rewraps(repository.store, point.prefix).whole[0].rewrap_id
    )
    (place_of_newest / "REWRAP.md").unlink()
    repository.store.create(f"{point.prefix}rewraps/notes", b"x")
    assert len(rewrap_failures(repository.store, point.prefix)) == 2


def test_verification_reads_through_a_rewrap_and_finds_damage_in_it(repository: Repository) -> None:
    point = take(repository, OLD)
    made = rewrap(repository, point, [NEW], [OLD, NEW])
    result = verify_point(repository, point, who(NEW))
    assert result.ok and result.decoded == len(point.objects)
    path = place(repository, point) / "rewraps" / made.rewrap_id / "headers.txt"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"x")
    (failure,) = verify_point(repository, point, who(OLD)).failures
    assert failure.startswith(f"rewraps/{made.rewrap_id}")


def test_forged_headers_do_not_stand_in_the_way_of_good_ones(repository: Repository) -> None:
    point, other = take(repository, OLD), take(repository, OLD)
    rewrap(repository, point, [NEW], [OLD, NEW])
    # Somebody who may only create puts the headers of another point beside it, well formed and newer.
    forged = rewrap(repository, other, [NEW], [OLD, NEW])
    source = place(repository, other) / "rewraps" / forged.rewrap_id
    target = place(repository, point) / "rewraps" / forged.rewrap_id
    shutil.copytree(source, target)
    for path in target.iterdir():
        path.chmod(0o600)
    text = (target / "rewrap.json").read_text().replace(other.point_id, point.point_id)
    document = json.loads(text)
    damage_json(target, point_id=point.point_id, objects=document["objects"])
    assert list_rewraps(repository.store, point.prefix).whole[0].rewrap_id == forged.rewrap_id
    assert read(repository, point, who(NEW)) == CONTENT


def test_a_damaged_object_is_not_rewrapped(repository: Repository) -> None:
    for cut in (10, 150, -1):
        point = take(repository, OLD)
        path = place(repository, point) / "objects" / "toc.dat.zst.age"
        path.chmod(0o600)
        content = path.read_bytes()
        path.write_bytes(content[:cut])
        with pytest.raises(IntegrityError, match=r"toc\.dat\.zst\.age"):
            rewrap(repository, point, [NEW], [OLD, NEW])
        assert not list_rewraps(repository.store, point.prefix).whole
        path.write_bytes(content[:30] + bytes([content[30] ^ 1]) + content[31:])
        with pytest.raises((IntegrityError, WrongIdentity), match=r"toc\.dat\.zst\.age"):
            rewrap(repository, point, [NEW], [OLD, NEW])
        assert not (place(repository, point) / "rewraps").exists()


def test_the_guide_of_a_rewrap_works_as_written(repository: Repository, tmp_path: pathlib.Path) -> None:
    if not all(shutil.which(program) for program in ("age", "zstd")):
        pytest.skip("needs age and zstd")
    point = take(repository, OLD)
    made = rewrap(repository, point, [NEW], [OLD, NEW])
    copy = tmp_path / "copy"
    shutil.copytree(place(repository, point), copy)
    (tmp_path / "identity").write_text(f"{KEYS[NEW]}\n")
    guide = (copy / "rewraps" / made.rewrap_id / "REWRAP.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", guide, re.M | re.S)
    assert len(blocks) == 2
    environment = {**os.environ, "IDENTITY": str(tmp_path / "identity")}
    # The single object first: the loop changes the copy.
    for block in reversed(blocks):
        done = subprocess.run(["sh", "-eu", "-c", block], cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for name, content in CONTENT.items():
        opened = subprocess.run(
            ["sh", "-c", 'age -d -i "$IDENTITY" "$0" | zstd -d', f"objects/{name}.zst.age"],
            cwd=copy,
            env=environment,
            capture_output=True,
        )
        assert opened.stdout == content, opened.stderr


def test_without_the_library_age_itself_looks_and_a_rotation_says_what_it_needs(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, implementation: None
) -> None:
    mine, other = take(repository, NEW), take(repository, OLD)
    rewrapped = take(repository, OLD)
    rewrap(repository, rewrapped, [NEW], [OLD, NEW])

    def missing() -> t.NoReturn:
        raise MissingRequirement("not there")

    monkeypatch.setattr(age_keys, "x25519", missing)
    ring = KeyRing(who(NEW))
    assert ring and ring.recipients == []
    assert [look_into(repository, point, ring).state for point in (mine, other, rewrapped)] == [
        "opens",
        "orphaned",
        "opens",
    ]
    assert unreadable_here(recipients(OLD), who(NEW)) is None
    monkeypatch.setattr(rotation, "x25519", missing)
    with pytest.raises(MissingRequirement):
        Rotation(repository, "db", recipients(NEW), ring, "sample", True).look()


def test_ssh_identities_are_tried_by_age_itself(repository: Repository, tmp_path: pathlib.Path) -> None:
    if not (shutil.which("ssh-keygen") and shutil.which("age")):
        pytest.skip("needs ssh-keygen and age")
    for name in ("mine", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    public = (tmp_path / "mine.pub").read_text().strip()
    for size in (0, 10, 65536, 300_000):
        writer = begin_point(repository, "db", "postgresql", None)
        encoding = Encoding(compress=False, recipients=[public])
        writer.add(
            store_stream(repository.store, writer.object_key("a.age"), "a.age", io.BytesIO(bytes(size)), encoding)
        )
        point = writer.commit(
            engine_version="15",
            consistency_time=NOON,
            content={},
            restore_guide="guide",
            encryption={"recipients": [public]},
        )
        mine, other = (KeyRing(Identities(file=str(tmp_path / name))) for name in ("mine", "other"))
        assert look_into(repository, point, mine).state == "opens"
        assert look_into(repository, point, other).state == "orphaned"
        (planned,) = plan_rewraps(repository, [point], [public.split(" comment")[0]], mine)
        assert planned.action == "none"
        (planned,) = plan_rewraps(repository, [point], recipients(NEW), mine)
        assert planned.action == "impossible" and "X25519" in planned.reason
