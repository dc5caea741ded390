# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a killed process left of its working directory goes with the next one; what may be somebody's stays."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import remove_leftovers, workplace

PREFIX = "sre-test-workplace-"


def left(root: pathlib.Path, age_s: float, *files: str) -> pathlib.Path:
    place = root / f"{PREFIX}left"
    place.mkdir()
    for name in files:
        (place / name).write_text("{")
    os.utime(place, (time.time() - age_s, time.time() - age_s))
    return place


@pytest.mark.parametrize("files", [(), (".owner.json.new",)])
def test_what_was_never_signed_goes_after_a_minute(tmp_path: pathlib.Path, files: tuple[str, ...]) -> None:
    place = left(tmp_path, 61, *files)
    assert remove_leftovers(PREFIX, str(tmp_path)) == [str(place)] and not place.exists()


@pytest.mark.parametrize(
    ("age_s", "files"), [(10, ()), (10, (".owner.json.new",)), (61, ("dump",)), (61, (".owner.json.new", "dump"))]
)
def test_what_may_be_somebodys_stays(tmp_path: pathlib.Path, age_s: float, files: tuple[str, ...]) -> None:
    place = left(tmp_path, age_s, *files)
    assert remove_leftovers(PREFIX, str(tmp_path)) == [] and place.exists()


def test_a_living_process_keeps_its_own(tmp_path: pathlib.Path) -> None:
    with workplace(PREFIX, str(tmp_path)) as directory:
        os.utime(directory, (1, 1))
        assert remove_leftovers(PREFIX, str(tmp_path)) == [] and os.path.isdir(directory)
    assert not os.path.exists(directory)
