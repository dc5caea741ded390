# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in a temporary directory, and points in it without an engine."""

from __future__ import annotations

import datetime
import hashlib
import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    made, created = initialise_repository(f"file://{tmp_path}/repository", "testing", check_mode=False)
    assert made is not None and created
    return made


@pytest.fixture
def take(repository: Repository):
    """Takes a point of ``component`` that shows ``at``, with the given objects, without compression."""

    def take(
        at: datetime.datetime = NOON, component: str = "db", objects: dict[str, bytes] | None = None, **fields: object
    ) -> RecoveryPoint:
        writer = begin_point(repository, component, "postgresql", "a-run")
        for name, data in ({"a": b"some", "b/c": b"data"} if objects is None else objects).items():
            key = writer.object_key(name)
            repository.store.create(key, data)
            digest = hashlib.sha256(data).hexdigest()
            writer.add(StoredObject(name, key, len(data), digest, len(data), digest, []))
        details = {
            "engine_version": "15.1",
            "consistency_time": at,
            "content": {"databases": {"d": {"tables": 3}}},
            "restore_guide": "## Restore\n\nUse the tools.",
            **fields,
        }
        return writer.commit(**details)

    return take
