# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.stopping import (
    Position,
    find_stop,
    last_fatal,
    made_tablespace,
    redo_done,
    require_reached,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target

NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)
SECOND = datetime.timedelta(seconds=1)
AT_NOON = Target("time", "2026-11-21T12:00:00.000000Z")
JUST_BEFORE = Target("time", "2026-11-21T12:00:00.000000Z", inclusive=False)


def check(target: Target, line: str, lsn: int | None, last: datetime.datetime | None, all_served: bool = False) -> None:
    require_reached(target, find_stop("LOG:  " + line), Position(lsn, last), all_served, "flights_db")


GOOD = [
    (AT_NOON, "recovery stopping before commit of transaction 741, time 2026-11-21 12:00:00.000001+00", NOON),
    (AT_NOON, "recovery stopping before abort of transaction 741, time 2026-11-21 12:00:01+00", None),
    (AT_NOON, "recovery stopping before commit of prepared transaction 741, time 2026-11-21 12:00:01+00", NOON),
    (JUST_BEFORE, "recovery stopping before commit of transaction 741, time 2026-11-21 12:00:00+00", NOON - SECOND),
    (Target("lsn", "0/3000100"), 'recovery stopping after WAL location (LSN) "0/3000100"', None),
    (Target("lsn", "0/3000100", False), 'recovery stopping before WAL location (LSN) "0/3000128"', None),
    (
        Target("xid", "4294968037"),
        "recovery stopping after commit of transaction 741, time 2026-11-21 12:00:00+00",
        NOON,
    ),
    (Target("name", 'a "b"'), 'recovery stopping at restore point "a "b"", time 2026-11-21 12:00:00+00', NOON),
    (Target("immediate"), "recovery stopping after reaching consistency", None),
]


@pytest.mark.parametrize(("target", "line", "last"), GOOD)
def test_a_server_that_stopped_where_it_was_told(target: Target, line: str, last: datetime.datetime | None) -> None:
    check(target, line, 0x3000128, last)


BAD = [
    # The stopping transaction was still wanted.
    (AT_NOON, "recovery stopping before commit of transaction 741, time 2026-11-21 12:00:00+00", NOON - SECOND),
    # One too many was replayed.
    (AT_NOON, "recovery stopping before commit of transaction 741, time 2026-11-21 12:00:02+00", NOON + SECOND),
    (JUST_BEFORE, "recovery stopping before commit of transaction 741, time 2026-11-21 12:00:02+00", NOON),
    (AT_NOON, "recovery stopping after commit of transaction 741, time 2026-11-21 12:00:02+00", NOON),
    (AT_NOON, "recovery stopping before commit of transaction 741, time 2026-11-21 13:00:02 CET", NOON),
    (AT_NOON, "recovery stopping after reaching consistency", NOON),
    (AT_NOON, "redo done at 0/3018050", NOON),
    (Target("lsn", "0/3000200"), 'recovery stopping after WAL location (LSN) "0/3000100"', None),
    (Target("lsn", "0/3000100"), 'recovery stopping before WAL location (LSN) "0/3000100"', None),
    (Target("lsn", "0/3000100", False), 'recovery stopping after WAL location (LSN) "0/3000100"', None),
    (Target("xid", "742"), "recovery stopping after commit of transaction 741, time 2026-11-21 12:00:00+00", NOON),
    (
        Target("xid", "741", False),
        "recovery stopping after commit of transaction 741, time 2026-11-21 12:00:00+00",
        NOON,
    ),
    (Target("name", "a"), 'recovery stopping at restore point "b", time 2026-11-21 12:00:00+00', NOON),
    (Target("immediate"), 'recovery stopping at restore point "b", time 2026-11-21 12:00:00+00', NOON),
    (Target("newest"), "redo done at 0/3018050", NOON),
]


@pytest.mark.parametrize(("target", "line", "last"), BAD)
def test_a_server_that_stopped_elsewhere_is_refused(target: Target, line: str, last: datetime.datetime | None) -> None:
    with pytest.raises(AssertionFailed, match="did not end at"):
        check(target, line, 0x3000128, last)


def test_the_newest_moment_is_reached_when_the_whole_archive_was_replayed() -> None:
    check(Target("newest"), "redo done at 0/3018050", 0x4000000, NOON, all_served=True)


def test_the_last_words_of_a_server_count() -> None:
    log = "FATAL:  one\nLOG:  redo done at 0/3018050 system usage: CPU\nPANIC:  two\n"
    assert last_fatal(log) == "two"
    assert redo_done(log) == 0x3018050
    assert last_fatal("LOG:  fine") is None


def test_a_tablespace_that_ended_the_replay_is_named() -> None:
    log = (
        'FATAL:  could not create symbolic link "pg_tblspc/16390": Permission denied\n'
        'CONTEXT:  WAL redo at 0/5000060 for Tablespace/CREATE: 16390 "/srv/fast disk"\n'
    )
    assert made_tablespace(log) == ("0/5000060", "/srv/fast disk")
    assert made_tablespace("CONTEXT:  WAL redo at 0/5000060 for Tablespace/DROP: 16390") is None
