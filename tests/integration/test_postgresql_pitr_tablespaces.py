# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tablespaces lie at absolute paths, on the live server's host at the live ones: no drill and no restore may write there."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give, server_user
from tests.servers.archived import public_directory
from tests.servers.bank import Bank, bank

COUNT = {"name": "rows", "database": "bank", "query": "SELECT count(*) FROM spaced", "expected": "2000"}


class Spaced:
    """A bank with a base backup without tablespaces, one that holds one, and one more tablespace made afterwards."""

    def __init__(self, opened: Bank, directory: pathlib.Path) -> None:
        self.bank = opened
        self.directory = directory
        opened.pay()
        self.bare = str(opened.back_up()["recovery_point"]["point_id"])
        self.create("early")
        opened.server.execute("CREATE TABLE spaced (n int) TABLESPACE early", "bank")
        self.insert()
        opened.back_up(type="full")
        self.insert()
        self.before_late = opened.pay(2)
        opened.pay()  # recovery to a time ends at the next transaction
        opened.end_segment()
        self.create("late")
        opened.server.execute("CREATE TABLE spaced_late (n int) TABLESPACE late", "bank")
        opened.server.execute("INSERT INTO spaced_late SELECT generate_series(1, 1000)", "bank")
        self.after_late = opened.pay(2)
        # What replay would bring back to the thousand rows of that moment, in the live table's own file.
        opened.server.execute("DELETE FROM spaced_late WHERE n > 10", "bank")
        opened.server.execute("VACUUM spaced_late", "bank")
        opened.pay(2)
        opened.end_segment()

    def create(self, name: str) -> None:
        place = self.directory / name
        place.mkdir(mode=0o700)
        give(str(place), server_user())
        self.bank.server.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")

    def insert(self) -> None:
        self.bank.server.execute("INSERT INTO spaced SELECT generate_series(1, 1000)", "bank")

    def live(self) -> dict[str, t.Any]:
        """Every file and directory of the live tablespaces: what it is, who wrote it when, and what it holds."""
        self.bank.server.execute("CHECKPOINT")
        found = {}
        for path in sorted(self.directory.rglob("*")):
            stat = path.stat()
            content = path.read_bytes() if path.is_file() else b""
            found[str(path)] = (stat.st_ino, stat.st_mtime_ns, stat.st_mode, stat.st_size, content)
        assert len(found) > 6
        return found

    def beside(self) -> list[str]:
        return sorted(os.listdir(os.path.dirname(self.bank.server.instance.data_dir)))


@pytest.fixture(scope="module")
def spaced() -> collections.abc.Iterator[Spaced]:
    with public_directory() as directory, bank() as opened:
        opened.server.execute("ALTER SYSTEM SET autovacuum = off")
        opened.server.execute("SELECT pg_reload_conf()")
        yield Spaced(opened, directory)


def test_a_drill_has_its_own_tablespaces(spaced: Spaced) -> None:
    before = spaced.live()
    done = spaced.bank.drill(target_time=spaced.before_late.time, assertions=[COUNT])
    assert not done.get("failed"), done
    assert done["proof"]["assertions"][0]["outcome"] == "ok"
    assert spaced.live() == before


def test_no_drill_replays_a_new_tablespace_over_the_live_one(spaced: Spaced) -> None:
    before = spaced.live()
    for target in ({"target_time": spaced.after_late.time}, {"target": "newest"}):
        refused = spaced.bank.drill(**target)
        assert spaced.live() == before
        assert refused.get("failed"), refused
        assert "a tablespace was created after the base backup" in refused["msg"]
        assert str(spaced.directory / "late") in refused["msg"]
    # Nothing is said against backup or log.
    points = spaced.bank.component.listing().points
    assert {proof.outcome for point in points for proof in point.proofs} == {"ok"}


def test_no_restore_beside_live_tablespaces(spaced: Spaced) -> None:
    before, beside = spaced.live(), spaced.beside()
    for entry in (spaced.before_late, spaced.after_late):
        refused = spaced.bank.restore(target_lsn=entry.lsn, target_inclusive=False)
        assert refused.get("failed"), refused
        assert "the cluster has tablespaces" in refused["msg"]
        assert (spaced.live(), spaced.beside()) == (before, beside)


def test_no_restore_replays_a_new_tablespace_over_the_live_one(spaced: Spaced) -> None:
    before, rows = spaced.live(), spaced.bank.rows()
    refused = spaced.bank.restore(recovery_point=spaced.bare, target_lsn=spaced.before_late.lsn, target_inclusive=False)
    assert spaced.live() == before
    assert refused.get("failed"), refused
    assert "a tablespace was created after the base backup" in refused["msg"]
    assert str(spaced.directory / "early") in refused["msg"]
    assert spaced.bank.rows() == rows
