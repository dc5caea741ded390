# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schemas of docs/schemas against the documents that the collection writes: every kind has one, and it says all there is."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import jsonschema
import pytest

from tests.robustness.small_repository import build, in_this_process, new_keys

SCHEMAS = pathlib.Path(__file__).resolve().parents[3] / "docs" / "schemas"
_POINT = r"components/[^/]+/points/[^/]+"
#: Key → the schema of what lies there.
KINDS = {
    r"repository\.json": "repository",
    rf"{_POINT}/manifest\.json": "manifest",
    rf"{_POINT}/proofs/.+\.json": "proof",
    rf"{_POINT}/pins/[^/]+(?<!-released)\.json": "pin",
    rf"{_POINT}/pins/[^/]+-released\.json": "pin-release",
    rf"{_POINT}/rewraps/[^/]+/rewrap\.json": "rewrap",
    r"components/[^/]+/tombstones/[^/]+\.json": "tombstone",
    r"components/[^/]+/evidence/[^/]+(?<!-state)\.json": "anchor",
    r"components/[^/]+/evidence/[^/]+-state\.json": "anchor-state",
    r"control/leases/[^/]+/\d+/held\.json": "lease",
    r"control/leases/[^/]+/\d+/(renewed-\d{6}|released)\.json": "lease-mark",
    r"control/runs/[^/]+\.json": "run",
    r"runs/[^/]+/run\.json": "run",
    r"runs/[^/]+/closed\.json": "closed",
    r"runs/[^/]+/events/[^/]+\.json": "event",
}
#: Validated where reports are made (tests/unit/runs, tests/integration/test_run_modules.py).
ELSEWHERE = {"report"}

Documents = dict[str, list[tuple[str, dict[str, t.Any]]]]


def schema_of(kind: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Documents:
    """Schema → (key, document) of everything in a repository with one of everything."""
    with in_this_process():
        url = f"file://{tmp_path_factory.mktemp('schemas')}/repository"
        repository = build(url, new_keys(), "schemas", with_signatures=True)
    found: Documents = {}
    for stat in repository.store.list(""):
        if not stat.key.endswith(".json") or re.fullmatch(r"runs/[^/]+/report\.json|.+/objects/.+", stat.key):
            continue
        (kind,) = {kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, stat.key)}
        found.setdefault(kind, []).append((stat.key, json.loads(repository.store.read(stat.key, 1 << 24))))
    return found


def test_every_kind_of_document_has_a_schema_and_every_schema_documents(documents: Documents) -> None:
    assert set(documents) == set(KINDS.values())
    assert {path.name.split(".")[0] for path in SCHEMAS.iterdir()} == set(KINDS.values()) | ELSEWHERE


@pytest.mark.parametrize("kind", sorted(set(KINDS.values())))
def test_real_documents_are_as_their_schema_says(documents: Documents, kind: str) -> None:
    schema = schema_of(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for key, document in documents[kind]:
        validator.validate(document)
        assert set(document) <= set(schema["properties"]), f"{key} has more than its schema says"


@pytest.mark.parametrize("kind", sorted(set(KINDS.values())))
def test_what_is_missing_or_of_another_form_is_none(documents: Documents, kind: str) -> None:
    schema = schema_of(kind)
    validator = jsonschema.Draft202012Validator(schema)
    _key, document = documents[kind][0]
    for name in schema["required"]:
        assert not validator.is_valid({other: value for other, value in document.items() if other != name}), name
        assert not validator.is_valid({**document, name: ["of another form", {}]}), name


def test_the_documentation_names_every_schema() -> None:
    page = (SCHEMAS.parent / "repository.md").read_text(encoding="utf-8")
    named = set(re.findall(r"schemas/([a-z-]+)\.schema\.json", page))
    assert named >= {path.name.split(".")[0] for path in SCHEMAS.iterdir()}
