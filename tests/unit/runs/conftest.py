from __future__ import annotations

import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    made, created = initialise_repository(f"file://{tmp_path}/repository", "testing", check_mode=False)
    assert made is not None and created
    return made
