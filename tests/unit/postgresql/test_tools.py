# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The closest version that is not older, wherever it is."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import tools
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools, find_server, find_tools


def fake(path: pathlib.Path, version: str, programs: t.Sequence[str] = tools._CLIENT_PROGRAMS) -> str:
    path.mkdir(parents=True)
    for name in programs:
        (path / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (path / name).chmod(0o755)
    return str(path)


@given(st.lists(st.tuples(st.integers(10, 20), st.integers(0, 30)), max_size=6), st.integers(10, 20))
def test_closest_and_never_older(versions: list[tuple[int, int]], server: int) -> None:
    there = [Tools(f"/{index}", version) for index, version in enumerate(versions)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tools, "installed", lambda *_arguments: there)
        fitting = [version for version in versions if version[0] >= server]
        if not fitting:
            with pytest.raises(MissingRequirement):
                find_tools(server)
        else:
            chosen = find_tools(server).version
            lowest = min(major for major, _minor in fitting)
            assert chosen == max(version for version in fitting if version[0] == lowest)


def test_both_versions_are_named(tmp_path: pathlib.Path) -> None:
    old = fake(tmp_path / "old", "14.9 (Debian 14.9-1.pgdg120+1)")
    with pytest.raises(MissingRequirement) as caught:
        find_tools(16, old)
    assert "16" in str(caught.value.expected) and "14.9" in str(caught.value.found)
    assert find_tools(14, old).version == (14, 9)
    assert find_tools(13, old).pg_dump == f"{old}/pg_dump"


def test_incomplete_or_broken_directories_do_not_count(tmp_path: pathlib.Path) -> None:
    assert not tools.installed("pg_dump", tools._CLIENT_PROGRAMS, fake(tmp_path / "some", "16.1", ["pg_dump", "psql"]))
    broken = fake(tmp_path / "broken", "16.1")
    (tmp_path / "broken" / "pg_dump").write_text("#!/bin/sh\nexit 1\n")
    assert not tools.installed("pg_dump", tools._CLIENT_PROGRAMS, broken)


def test_beta_versions_have_a_major(tmp_path: pathlib.Path) -> None:
    assert find_tools(19, fake(tmp_path / "beta", "19beta2")).version == (19, 0)


def test_server_exactly(tmp_path: pathlib.Path) -> None:
    directory = fake(tmp_path / "server", "17.2", ["postgres", "initdb"])
    assert find_server(16, directory).version == (17, 2)
    with pytest.raises(MissingRequirement):
        find_server(16, directory, exactly=True)


@pytest.mark.parametrize(
    ("tools_major", "server", "loads"), [(15, 15, True), (16, 15, True), (17, 16, False), (18, 17, True)]
)
def test_newer_pg_restore_needs_a_newer_server(tools_major: int, server: int, loads: bool) -> None:
    assert tools.loads_into(tools_major, server) is loads
