# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import pathlib
import re
import subprocess

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import (
    Audit,
    Fault,
    StoredSegment,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore_command import (
    ALTERED,
    LOST,
    RestoreCommand,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import Branch

FIRST, SECOND, HOLE, BEYOND = (f"00000001000000000000000{number}" for number in (1, 2, 3, 4))
#: PostgreSQL takes every exit code up to 128 for the end of the log, but for 126 and 127.
NO_END = 128


class Archive:
    """A directory in place of pgBackRest's archive, and the command over it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.stored = path / "stored with 'quotes'"
        self.stored.mkdir()
        for name in (FIRST, SECOND):
            (self.stored / name).write_text(name)
        usable = [
            StoredSegment(name, hashlib.sha1(name.encode()).hexdigest(), 24, False, name) for name in (FIRST, SECOND)
        ]
        audit = Audit([Branch(1, None)], 16 << 20, FIRST, usable, [Fault("missing", HOLE, "gone", 3)], HOLE)
        program = path / "fetch program"
        # As pgBackRest: 1 for what is not there, another code for what went wrong.
        program.write_text(
            f'#!/bin/sh\nif [ -e "{self.stored}/$1.broken" ]; then exit 29; fi\ncp "{self.stored}/$1" "$2"\n'
        )
        program.chmod(0o700)
        place = path / "private 100%p plàce"
        place.mkdir()
        self.command = RestoreCommand(str(place), [str(program)], audit, None)
        self.wanted = path / "RECOVERY XLOG"

    def ask(self, name: str) -> int:
        """As the server does: by a shell, with the name and the path put in."""
        words = {"%f": name, "%p": str(self.wanted), "%%": "%"}
        text = re.sub("%[fp%]", lambda match: words[match.group()], self.command.setting)
        return subprocess.run(["/bin/sh", "-c", text], stderr=subprocess.DEVNULL, check=False).returncode


@pytest.fixture
def archive(tmp_path: pathlib.Path) -> Archive:
    return Archive(tmp_path)


def test_what_the_audit_saw_is_served_and_its_end_is_the_end(archive: Archive) -> None:
    assert archive.ask(FIRST) == 0 and archive.wanted.read_text() == FIRST
    assert not archive.command.served_all()
    assert archive.ask(SECOND) == 0
    assert not archive.command.served_all()
    assert archive.ask(BEYOND) == 1
    assert archive.command.served_all()
    assert archive.command.trouble() is None


def test_a_hole_is_never_the_end(archive: Archive) -> None:
    assert archive.ask(HOLE) == LOST > NO_END
    assert archive.command.trouble() == ("lost", HOLE)


def test_what_vanished_since_the_audit_is_never_the_end(archive: Archive) -> None:
    (archive.stored / SECOND).unlink()
    assert archive.ask(SECOND) == LOST
    assert archive.command.trouble() == ("lost", SECOND)


def test_another_content_is_never_replayed(archive: Archive) -> None:
    (archive.stored / SECOND).write_text(FIRST)
    assert archive.ask(SECOND) == ALTERED > NO_END
    assert archive.command.trouble() == ("altered", SECOND)


def test_what_the_audit_did_not_see_is_not_replayed(archive: Archive) -> None:
    (archive.stored / BEYOND).write_text(BEYOND)
    assert archive.ask(BEYOND) == 1
    assert not archive.wanted.exists()


def test_a_history_that_is_not_there_is_none_and_one_that_cannot_be_read_is_an_error(archive: Archive) -> None:
    assert archive.ask("00000002.history") == 1
    (archive.stored / "00000002.history").write_text("1\t0/5000098\treason\n")
    assert archive.ask("00000002.history") == 0
    (archive.stored / "00000002.history.broken").touch()
    assert archive.ask("00000002.history") == LOST
