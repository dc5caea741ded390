# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archived server that writes a ledger, and somebody outside who knows what was committed when and where."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import pathlib
import typing as t

from tests.servers.archived import NAME, ArchivedComponent, archived_component
from tests.servers.deadline import wait_for
from tests.servers.module_call import call_module

DATABASE = "bank"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A committed row: its number, its transaction, the position behind its commit, and a time after it."""

    number: int
    xid: str
    lsn: str
    time: str


class Bank:
    """The component, and its ledger as the outside knows it."""

    def __init__(self, component: ArchivedComponent) -> None:
        self.component = component
        self.server = component.server
        self.entries: list[Entry] = []

    def open(self) -> None:
        self.server.execute(f"CREATE DATABASE {DATABASE}")
        self.server.execute("CREATE TABLE ledger (number int PRIMARY KEY, note text)", DATABASE)
        call_module("environment_marker", {"environment_name": "local", "confirm": "local", **self.server.params()})
        assert self.component.archive().get("failed") is None

    def pay(self, count: int = 1) -> Entry:
        """Commit that many rows, one transaction each; the last one."""
        with self.server.connect(DATABASE) as session:
            for _ in range(count):
                with session.transaction():
                    number = len(self.entries)
                    row = session.execute(
                        "INSERT INTO ledger VALUES (%s, 'x') RETURNING pg_current_xact_id()::text", (number,)
                    ).fetchone()
                # The insert position: what is written asynchronously lags behind.
                told = session.execute("SELECT pg_current_wal_insert_lsn()::text, clock_timestamp()::text").fetchone()
                self.entries.append(Entry(number, row[0], *told))
        return self.entries[-1]

    def end_segment(self) -> str:
        """End the segment and wait until it is archived; its name."""
        ((segment,),) = self.server.execute("SELECT pg_walfile_name(pg_switch_wal())")
        wait_for(lambda: bool(self.segment_files(segment)), f"{segment} in the archive")
        return str(segment)

    def segment_files(self, name: str) -> list[pathlib.Path]:
        return sorted(self.archive_dir.glob(f"{name[:16]}/{name}-*"))

    @property
    def archive_dir(self) -> pathlib.Path:
        (found,) = (self.component.generation_dir() / "archive" / NAME).glob("*-1")
        return found

    def back_up(self, **params: t.Any) -> dict[str, t.Any]:
        done = self.component.back_up(force=True, **params)
        assert not done.get("failed"), done
        return done

    def rows(self) -> list[int]:
        return [row[0] for row in self.server.execute("SELECT number FROM ledger ORDER BY 1", DATABASE)]

    def restore(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        """Confirmed, unless said otherwise."""
        given = {"confirm": NAME, "cipher_pass_file": str(self.component.passphrase), **self.server.params(), **params}
        return self.component.call("postgresql_pitr_restore", check, **given)

    def drill(self, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
        given = {"cipher_pass_file": str(self.component.passphrase), "drill_interval": "0", **params}
        return self.component.call("postgresql_pitr_drill", check, **given)


@contextlib.contextmanager
def bank() -> collections.abc.Iterator[Bank]:
    """A new one, archiving, without a base backup."""
    with archived_component() as component:
        opened = Bank(component)
        opened.open()
        yield opened
