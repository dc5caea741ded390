# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests: what is written comes back, and nothing that was changed is believed."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import re

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import (
    RecoveryPoint,
    StoredObject,
    point_prefix,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "docs/schemas/manifest.schema.json").read_text())
PREFIX = "components/db/points/20261121T120000Z-a1b2/"
TIMES = st.datetimes(
    min_value=datetime.datetime(2000, 1, 1), max_value=datetime.datetime(2100, 1, 1), timezones=st.just(datetime.UTC)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
HASHES = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
LENGTHS = st.integers(0, 2**60)


@st.composite
def points(draw: st.DrawFn) -> RecoveryPoint:
    names = draw(st.lists(st.text("abc019._-", min_size=1, max_size=6).map("a".__add__), max_size=3, unique=True))
    return RecoveryPoint(
        component="db",
        environment="testing",
        repository_id="00000000-0000-0000-0000-000000000000",
        point_id="20261121T120000Z-a1b2",
        engine="postgresql",
        engine_version=draw(TEXTS),
        run_id=draw(st.none() | TEXTS),
        started=draw(TIMES),
        consistency_time=draw(TIMES),
        finished=draw(TIMES),
        duration_s=draw(st.floats(0, 1e6)),
        objects=[
            StoredObject(
                name,
                f"{PREFIX}objects/{name}",
                draw(LENGTHS),
                draw(HASHES),
                draw(LENGTHS),
                draw(HASHES),
                draw(st.sampled_from([[], ["zstd"], ["zstd", "age"], ["age"]])),
                draw(st.sampled_from(["data", "globals", "document"])),
            )
            for name in names
        ],
        content=draw(st.dictionaries(TEXTS, JSON, max_size=3)),
        encryption=draw(st.dictionaries(TEXTS, JSON, max_size=2)),
        tool_versions=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        **draw(
            st.just({}) | st.just({"sequence": 2, "previous": "20261121T110000Z-0000", "previous_sha256": "0a" * 32})
        ),
        recorded=draw(TIMES),
    )


@settings(max_examples=80, deadline=None)
@given(point=points())
def test_a_manifest_comes_back_and_fits_its_schema(point: RecoveryPoint) -> None:
    manifest = point.to_manifest()
    back = RecoveryPoint.from_manifest(manifest)
    assert back == point
    assert back.to_manifest() == manifest
    jsonschema.validate(json.loads(manifest), SCHEMA)


@settings(max_examples=150, deadline=None)
@given(point=points(), data=st.data())
def test_every_changed_byte_is_noticed(point: RecoveryPoint, data: st.DataObject) -> None:
    manifest = bytearray(point.to_manifest())
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "append"]))
    at = data.draw(st.integers(0, len(manifest) - 1))
    if kind == "flip":
        manifest[at] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del manifest[at:]
    elif kind == "insert":
        manifest[at:at] = b" "
    else:
        manifest += b"\n"
    with pytest.raises(IntegrityError):
        RecoveryPoint.from_manifest(bytes(manifest))


def forged(**changes: object) -> bytes:
    """A manifest with a valid digest and other content: what somebody with write access could put there."""
    import hashlib

    at = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
    point = RecoveryPoint(
        "db", "testing", "id", "20261121T120000Z-a1b2", "postgresql", "15", None, at, at, at, 1.0, [], {}, {}, {}
    )
    document = {**json.loads(point.to_manifest()), **changes, "digest": "0" * 64}
    blank = json.dumps(document).encode()
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def stored(**changes: object) -> dict[str, object]:
    good = {
        "name": "a",
        "key": f"{PREFIX}objects/a",
        "length": 1,
        "sha256": "1" * 64,
        "raw_length": 1,
        "raw_sha256": "1" * 64,
        "encoding": [],
        "kind": "data",
        "version_id": None,
    }
    return {**good, **changes}


def test_the_forger_can_forge() -> None:
    assert RecoveryPoint.from_manifest(forged(objects=[stored()])).size == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"component": "../x"},
        {"point_id": "x"},
        {"started": "yesterday"},
        {"duration_s": -1},
        {"duration_s": "1"},
        {"content": []},
        {"objects": {}},
        {"objects": [1]},
        {"objects": [stored(key="components/other/points/20261121T120000Z-a1b2/objects/a")]},
        {"objects": [stored(key=f"{PREFIX}../../../../../etc/passwd")]},
        {"objects": [stored(key="/etc/passwd")]},
        {"objects": [stored(length=-1)]},
        {"objects": [stored(length=True)]},
        {"objects": [stored(length=2**64)]},
        {"objects": [stored(sha256="x")]},
        {"objects": [stored(encoding=["shell"])]},
        {"objects": [stored(kind="program")]},
        {"objects": [stored(), stored()]},
        {"engine": "x" * 64},
        {"previous": "../x", "previous_sha256": "1" * 64},
        {"previous": "20261121T110000Z-0000"},
        {"previous": "20261121T110000Z-0000", "previous_sha256": "x"},
        {"previous_sha256": "1" * 64},
        {"sequence": 0},
        {"sequence": "1"},
        {"recorded": None},
    ],
)
def test_untrusted_content_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(IntegrityError) as raised:
        RecoveryPoint.from_manifest(forged(**changes), "the manifest")
    assert "the manifest" in str(raised.value)


def test_deep_nesting_is_damage_not_a_crash() -> None:
    with pytest.raises(IntegrityError):
        RecoveryPoint.from_manifest(b'{"a":' * 100_000)


@pytest.mark.parametrize(
    "bad", ["", "x", "../20261121T120000Z-a1b2", "20261121T120000Z-A1B2", "20261121T120000Z-a1b2/"]
)
def test_bad_point_ids(bad: str) -> None:
    with pytest.raises(InvalidInput):
        point_prefix("db", bad)


@settings(max_examples=30, deadline=None)
@given(point=points())
def test_letting_go_of_details_changes_no_answer(point: RecoveryPoint) -> None:
    point.proofs = [Proof("verified", point.finished)]
    whole = dataclasses.replace(point)
    asked = []
    point.forget_details(lambda: asked.append(1) or whole)  # type: ignore[func-returns-value]
    assert point.facts() == whole.facts()
    assert asked == []
    assert point.objects == whole.objects and point.content == whole.content
    assert asked == [1]


def test_facts_stay_small() -> None:
    objects = [StoredObject(f"o{n}", f"{PREFIX}objects/o{n}", 1, "1" * 64, 1, "1" * 64, []) for n in range(10_000)]
    point = RecoveryPoint.from_manifest(forged(objects=[item.to_dict() for item in objects]))
    point.proofs = [Proof("verified", point.finished) for _ in range(1000)]
    facts = point.facts()
    assert facts["objects_count"] == facts["size"] == 10_000
    assert len(json.dumps(facts)) < 4000


def test_the_schema_names_every_key() -> None:
    manifest = json.loads(forged(objects=[stored()]))
    assert set(SCHEMA["properties"]) == set(manifest)
    assert set(SCHEMA["$defs"]["object"]["properties"]) == set(manifest["objects"][0])
    assert re.fullmatch(SCHEMA["properties"]["point_id"]["pattern"], "20261121T120000Z-a1b2")
