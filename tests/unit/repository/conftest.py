# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in a temporary directory, and points in it without an engine."""

from __future__ import annotations

import datetime
import pathlib

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from tests.unit.repository.taking import stored_point

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> Repository:
    made, created = initialise_repository(f"file://{tmp_path}/repository", "testing", check_mode=False)
    assert made is not None and created
    return made


@pytest.fixture
def take(repository: Repository):
    """Takes points in ``repository``; see :func:`stored_point`."""

    def take(at: datetime.datetime = NOON, component: str = "db", **fields: object) -> RecoveryPoint:
        return stored_point(repository, at, component, **fields)

    return take
