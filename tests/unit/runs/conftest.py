# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

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
