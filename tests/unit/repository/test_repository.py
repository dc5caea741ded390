# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Initialising, opening and refusing repositories."""

from __future__ import annotations

import json
import os
import pathlib
import threading

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    Refused,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import sealed_json
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
    open_repository,
    shared_file_systems,
)


def test_initialised_once(tmp_path: pathlib.Path) -> None:
    url = f"file://{tmp_path}/deep/repository"
    assert initialise_repository(url, "testing", check_mode=True) == (None, True)
    assert os.listdir(tmp_path) == []
    made, created = initialise_repository(url, "testing", check_mode=False)
    again, created_again = initialise_repository(url, "testing", check_mode=False)
    assert made is not None and again is not None
    assert (created, created_again) == (True, False)
    assert made.id == again.id == open_repository(url, "testing").id
    assert os.stat(tmp_path / "deep/repository").st_mode & 0o777 == 0o700


def test_one_of_many_initialises(tmp_path: pathlib.Path) -> None:
    url, results = f"file://{tmp_path}/repository", []
    threads = [
        threading.Thread(target=lambda: results.append(initialise_repository(url, "testing", False))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert sum(created for _made, created in results) == 1
    assert len({made.id for made, _created in results if made}) == 1


def test_another_environment_is_refused(repository: Repository) -> None:
    for call in (open_repository, lambda url, name: initialise_repository(url, name, False)):
        with pytest.raises(Refused) as raised:
            call(repository.url, "production")
        assert "production" in str(raised.value) and "testing" in str(raised.value)


def test_an_uninitialised_place(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RepositoryError) as raised:
            open_repository(f"file://{path}", "testing")
        assert "sre.runbooks.prepare_repository" in (raised.value.next_command or "")


def test_a_place_that_holds_something_else_is_left_alone(tmp_path: pathlib.Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("x")
    with pytest.raises(Refused):
        initialise_repository(f"file://{tmp_path}", "testing", check_mode=False)
    with pytest.raises(Refused):
        initialise_repository(f"file://{tmp_path}/letters/love.txt", "testing", check_mode=False)
    assert os.listdir(tmp_path) == ["letters"]


def test_a_repository_without_its_identity_is_not_made_anew(repository: Repository) -> None:
    repository.store.create("components/db/points/x", b"")
    repository.store.delete("repository.json")
    with pytest.raises(Refused, match=r"repository\.json"):
        initialise_repository(repository.url, "testing", check_mode=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [({"format": 2}, "format"), ({"id": 7}, "id"), ({"environment": None}, "environment")],
)
def test_an_identity_that_is_not_understood(repository: Repository, change: dict[str, object], says: str) -> None:
    path = pathlib.Path(repository.store.path) / "repository.json"
    path.write_bytes(sealed_json({**json.loads(path.read_text()), **change}))
    with pytest.raises(IntegrityError, match=says):
        open_repository(repository.url, "testing")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_a_damaged_identity(repository: Repository, content: bytes) -> None:
    (pathlib.Path(repository.store.path) / "repository.json").write_bytes(content)
    with pytest.raises(IntegrityError):
        open_repository(repository.url, "testing")


@pytest.mark.parametrize(
    "url", ["", "/srv/x", "file:/srv/x", "file://", "file:///", "file://host/srv/x", "http://x/y", "file"]
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(InvalidInput):
        open_repository(url, "testing")


def test_a_place_that_is_none() -> None:
    for url in ("s3://", "s3://UPPER/x", "http://bucket/prefix", "bucket/prefix"):
        with pytest.raises(InvalidInput, match="not a repository's URL") as refused:
            open_repository(url, "testing")
        assert "s3://bucket/prefix" in str(refused.value)


def test_urls_are_percent_decoded(tmp_path: pathlib.Path) -> None:
    made, _created = initialise_repository(f"file://{tmp_path}/with%20space", "testing", check_mode=False)
    assert made is not None
    assert (tmp_path / "with space" / "repository.json").exists()
    assert made.url.endswith("/with%20space")
    assert open_repository(made.url, "testing").id == made.id


@pytest.mark.parametrize("name", ["", ".x", "a b", "a/b", "x" * 64])
def test_bad_environment_names(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        initialise_repository(f"file://{tmp_path}/repository", name, check_mode=False)


def test_sharing_the_data_s_file_system_is_noticed(repository: Repository, tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "not" / "yet")
    assert shared_file_systems(repository.store, [missing, "/proc"]) == [missing]
