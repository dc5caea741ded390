# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A point's objects are read whole or not at all: what is missing, twice, or of another kind is found."""

from __future__ import annotations

import io
import json
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.before import require_encryption
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import (
    ENGINE,
    Name,
    read_content,
    recorded,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)

Object = dict[str, t.Any]


def config(name: str, **metadata: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop", **metadata}}


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    found, _created = initialise_repository(f"file://{tmp_path}/repository", "local", check_mode=False)
    assert found is not None
    return found


def point(repository: Repository, lines: list[Object], count: int | None = None, **kind: t.Any) -> RecoveryPoint:
    """With ConfigMaps, that many by its manifest."""
    writer = begin_point(repository, "shop", ENGINE, None)
    name, content = "core/v1/configmaps.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()
    writer.add(store_stream(repository.store, writer.object_key(name), name, io.BytesIO(content), Encoding()))
    entry = {
        "group": "", "version": "v1", "resource": "configmaps", "kind": "ConfigMap", "namespaced": True,
        "count": len(lines) if count is None else count, "object": name, **kind,
    }  # fmt: skip
    facts = {"scope": "namespace", "namespace": "shop", "kinds": [entry]}
    return writer.commit(
        engine_version="1.35", consistency_time=_clock.now(), content={"kubernetes": facts}, restore_guide=""
    )


def test_what_was_stored_is_read(repository: Repository) -> None:
    found = read_content(repository, point(repository, [config("a"), config("b")]), Identities())
    ((kind, items),) = found.items()
    assert kind.label == "configmaps" and set(items) == {Name("shop", "a"), Name("shop", "b")}


LINES: dict[str, tuple[list[Object], int | None, str]] = {
    "one too few": ([config("a")], 2, "does not hold what its manifest counts"),
    "one twice": ([config("a"), config("a")], None, "is no ConfigMap"),
    "of another kind": ([{**config("a"), "kind": "Secret"}], None, "is no ConfigMap"),
    "of another version": ([{**config("a"), "apiVersion": "v2"}], None, "is no ConfigMap"),
    "in no namespace": ([config("a", namespace="")], None, "is no ConfigMap"),
    "without a name": ([config("")], None, "is no ConfigMap"),
}


@pytest.mark.parametrize(("lines", "count", "said"), LINES.values(), ids=list(LINES))
def test_what_does_not_fit_is_found(repository: Repository, lines: list[Object], count: int | None, said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        read_content(repository, point(repository, lines, count), Identities())


@pytest.mark.parametrize("kind", [{"count": -1}, {"count": True}, {"kind": 7}, {"object": None}, {"namespaced": "yes"}])
def test_a_manifest_that_is_none(repository: Repository, kind: Object) -> None:
    with pytest.raises(IntegrityError):
        recorded(point(repository, [config("a")], **kind))


def test_another_engine_s_point(repository: Repository) -> None:
    writer = begin_point(repository, "shop", "postgresql", None)
    other = writer.commit(
        engine_version="15", consistency_time=_clock.now(), content={"databases": []}, restore_guide=""
    )
    with pytest.raises(InvalidInput):
        recorded(other)


def test_secrets_are_only_kept_encrypted() -> None:
    require_encryption(["ConfigMap"], [], "shop")
    require_encryption(["Secret"], ["age1…"], "shop")
    with pytest.raises(Refused, match="plain text"):
        require_encryption(["ConfigMap", "Secret"], [], "shop")


@pytest.mark.parametrize(
    ("modes", "everything"), [([], True), (["snapshot", "none"], True), (["none", "files"], False)]
)
def test_who_has_read_the_objects_has_not_read_the_files_of_claims(
    repository: Repository, modes: list[str], everything: bool
) -> None:
    """Only who has read every byte may say that a point is verified."""
    taken = point(repository, [config("a")])
    taken.content["kubernetes"]["volumes"] = [{"claim": "data", "mode": mode} for mode in modes]
    assert recorded(taken).is_all == everything
