# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pathlib
import signal

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, IntegrityError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.directories import Directories, identity

RECORD = {"target": "position 0/3000148", "timeline": 2}
MOMENTS = ("before the first rename", "between the renames", "after the renames")


def make(path: pathlib.Path, content: str) -> pathlib.Path:
    path.mkdir()
    (path / "PG_VERSION").write_text(content)
    return path


def prepared(tmp_path: pathlib.Path) -> Directories:
    make(tmp_path / "data", "old")
    make(tmp_path / "data__restoring", "new")
    return Directories(str(tmp_path / "data"), "ledger_db", None)


def content(path: str | pathlib.Path) -> str:
    return (pathlib.Path(path) / "PG_VERSION").read_text()


def test_the_copy_takes_the_place_and_the_former_data_are_kept(tmp_path: pathlib.Path) -> None:
    directories = prepared(tmp_path)
    before = directories.swap(RECORD)
    assert before is not None and content(before) == "old"
    assert content(directories.data) == "new"
    restored = directories.restored()
    assert restored is not None and restored["timeline"] == 2
    assert [item["path"] for item in directories.kept()] == [before]
    # Somebody puts another directory there: it is not what was restored.
    os.rename(directories.data, tmp_path / "elsewhere")
    make(tmp_path / "data", "third")
    assert directories.restored() is None


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("there", [True, False])
def test_a_swap_that_was_killed_is_finished(tmp_path: pathlib.Path, moment: str, there: bool) -> None:
    directories = prepared(tmp_path)
    if not there:
        os.rename(directories.data, tmp_path / "lost")
    pid = os.fork()
    if pid == 0:

        def reached(name: str) -> None:
            if name == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        Directories(directories.data, "ledger_db", None, reached).swap(RECORD)
        os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    reaches = there or moment == "after the renames"
    assert os.WIFSIGNALED(status) == reaches
    finished = directories.finish_interrupted()
    assert finished == (reaches and moment != "before the first rename")
    if not finished and reaches:
        assert content(directories.data) == "old" and directories.state()["swap"] is None
        directories.swap(RECORD)
    assert content(directories.data) == "new"
    assert directories.restored() is not None
    assert not directories.finish_interrupted()
    assert not os.path.exists(directories.copy)
    kept = directories.kept()
    assert [content(item["path"]) for item in kept] == (["old"] if there else [])


def test_the_former_data_come_back(tmp_path: pathlib.Path) -> None:
    directories = prepared(tmp_path)
    before = directories.swap(RECORD)
    assert before is not None
    directories.undo(before)
    assert content(directories.data) == "old" and content(directories.copy) == "new"
    assert directories.restored() is None and directories.kept() == []
    # What was proven is not to be proven again.
    assert directories.prepared() is not None


def test_nothing_is_released_but_what_a_restore_kept(tmp_path: pathlib.Path) -> None:
    directories = prepared(tmp_path)
    stranger = make(tmp_path / "data__before_20200101T000000Z", "somebody's")
    before = directories.swap(RECORD)
    assert before is not None
    kept = directories.kept()
    # Its name was taken by another directory in the meantime.
    os.rename(before, tmp_path / "moved")
    make(pathlib.Path(before), "another")
    directories.release(kept)
    assert content(before) == "another" and content(stranger) == "somebody's"
    assert directories.kept() == []


def test_what_cannot_change_places_is_refused(tmp_path: pathlib.Path) -> None:
    make(tmp_path / "data", "old")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(Refused, match="symbolic link"):
        Directories(str(tmp_path / "link"), "ledger_db", None)
    with pytest.raises(Refused, match="mount point"):
        Directories("/", "ledger_db", None)
    directories = Directories(str(tmp_path / "data"), "ledger_db", None)
    directories.write(kept=[])
    with pytest.raises(Refused, match="another component"):
        Directories(str(tmp_path / "data"), "other_db", None).state()
    (tmp_path / "data.pitr.json").write_text("{")
    with pytest.raises(IntegrityError, match="cannot be read"):
        directories.state()


def test_a_directory_that_appeared_in_between_is_not_overwritten(tmp_path: pathlib.Path) -> None:
    directories = prepared(tmp_path)

    def reached(name: str) -> None:
        if name == "between the renames":
            make(tmp_path / "data", "of somebody")

    with pytest.raises(EngineError, match="neither the former data nor the restored copy"):
        Directories(directories.data, "ledger_db", None, reached).swap(RECORD)
    assert content(directories.data) == "of somebody" and content(directories.copy) == "new"
    assert identity(directories.copy) is not None
