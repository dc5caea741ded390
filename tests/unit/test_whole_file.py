# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files in place whole: the old content or the new one, with their mode, and nothing of a killed writer."""

from __future__ import annotations

import os
import pathlib
import stat
import threading

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import point_to, write_whole


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".key.new").write_text("half a sec")
    write_whole(str(tmp_path / "key"), b"a secret", 0o600)
    assert {path.name for path in tmp_path.iterdir()} == {"key"}
    assert (tmp_path / "key").read_bytes() == b"a secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_a_link_that_somebody_prepared_is_not_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".key.new").symlink_to(tmp_path / "precious")
    write_whole(str(tmp_path / "key"), b"a secret", 0o600)
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_failure_leaves_the_old_content_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(str(tmp_path / "key"), b"old")

    def fails(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space"):
        write_whole(str(tmp_path / "key"), b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"key": b"old"}


def test_a_link_is_turned_in_one_step(tmp_path: pathlib.Path) -> None:
    link = tmp_path / "latest"
    (tmp_path / ".latest.new").symlink_to("killed")
    for target in ("one", "two"):
        point_to(str(link), target)
        assert os.readlink(link) == target
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_of_writers_at_once_each_writes_all_of_its_content(tmp_path: pathlib.Path) -> None:
    contents = [bytes([letter]) * 200_000 for letter in b"abcdef"]
    threads = [threading.Thread(target=write_whole, args=(str(tmp_path / "file"), content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
