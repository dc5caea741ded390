# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random moments of a busy server, each recovered from its archive: no transaction is lost, none is too many.

What has to be there is known twice. The log itself, read by pg_waldump, gives the exact set for every target; the
clients' own record of what was acknowledged, and between which positions, is the witness that does not trust the log.

One copy goes from target to target in rising order: it is stopped, told the next target and started again, so that each
is a recovery of its own from the last restart point. Every so often a target begins anew from the base backup.
"""

from __future__ import annotations

import bisect
import collections.abc
import contextlib
import dataclasses
import datetime
import os
import pathlib
import random
import re
import shutil
import subprocess
import threading
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import archive_reading, sibling
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import Audit
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import Access, Archives
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Base, Plan, bases_for, plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.private_server import Place, PrivateServer
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.recovery import Recovery
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore_command import RestoreCommand
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import format_lsn, parse_lsn
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import client, place
from tests.robustness.scale import SEED, SOAK, counted
from tests.servers.archived import NAME
from tests.servers.bank import DATABASE, Bank, bank

TARGETS = 1000 if SOAK else 4
LOAD_S = 60.0 if SOAK else 2.0
CLIENTS = 4
#: A target in so many begins anew from the base backup.
FRESH = 50
_RECORD = re.compile(
    r"tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+),.*desc: (COMMIT|ABORT).*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}) UTC"
)


@dataclasses.dataclass(frozen=True)
class Acknowledged:
    """A client's own note: its commit's record lies between the two positions."""

    xid: int
    before: int
    after: int


@dataclasses.dataclass(frozen=True)
class End:
    """A transaction's end in the log: where its record starts, and its time."""

    start: int
    xid: int
    time: datetime.datetime
    committed: bool


@dataclasses.dataclass(frozen=True)
class Expected:
    """A target, and after how many of the log's ends the server has to stop."""

    target: Target
    ends: int
    stop: int


class History:
    """All that is known of what the server did."""

    def __init__(
        self, ends: list[End], acknowledged: list[Acknowledged], points: dict[str, int], ledger: set[int]
    ) -> None:
        self.ends = ends
        self.acknowledged = acknowledged
        self.points = points
        self.ledger = ledger
        self._starts = [end.start for end in ends]

    def visible(self, ends: int) -> set[int]:
        return {end.xid for end in self.ends[:ends] if end.committed and end.xid in self.ledger}

    def before(self, position: int) -> int:
        """How many transactions ended in records that start before a position."""
        return bisect.bisect_left(self._starts, position)

    def witness(self, position: int, found: set[int]) -> list[str]:
        """What the clients' notes say against ``found`` at a position; they cannot know about what was under way."""
        lost = [item.xid for item in self.acknowledged if item.after <= position and item.xid not in found]
        extra = [item.xid for item in self.acknowledged if item.before >= position and item.xid in found]
        return [f"lost {xid}" for xid in lost] + [f"extra {xid}" for xid in extra]

    def random_target(self, rng: random.Random, low: int) -> Expected:
        """A target of a random kind behind the position ``low``."""
        first = self.before(low) + 1
        number = rng.randrange(first, len(self.ends) - 1)
        end, following = self.ends[number], self.ends[number + 1]
        kind = rng.choice(["time", "time", "lsn", "lsn", "xid", "name"])
        names = [(name, lsn) for name, lsn in self.points.items() if lsn > low]
        if kind == "name" and names:
            name, lsn = rng.choice(names)
            return Expected(Target("name", name), self.before(lsn), lsn)
        if kind == "xid":
            inclusive = rng.random() < 0.5
            return Expected(Target("xid", str(end.xid), inclusive), number + inclusive, end.start)
        if kind == "lsn":
            if rng.random() < 0.3:
                # Exactly a record of a commit, that one included.
                return Expected(Target("lsn", format_lsn(end.start)), number + 1, end.start)
            position = rng.randrange(end.start + 1, following.start + 1)
            return Expected(Target("lsn", format_lsn(position), False), self.before(position), position)
        inclusive = rng.random() < 0.8
        spread = max(0.0, (following.time - end.time).total_seconds())
        moment = end.time + datetime.timedelta(seconds=rng.uniform(0, spread))
        # Times need not rise with positions: the server stops at the first record that is later.
        stop = next(
            (
                place
                for place, other in enumerate(self.ends)
                if other.start >= low and (other.time > moment if inclusive else other.time >= moment)
            ),
            None,
        )
        if stop is None or stop < first:
            return self.random_target(rng, low)
        text = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return Expected(Target("time", text, inclusive), stop, self.ends[stop].start)


class Load:
    """Clients that commit, and now and then roll back, until they are told to stop."""

    def __init__(self, opened: Bank) -> None:
        self._bank = opened
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]
        self.acknowledged: list[Acknowledged] = []
        self.errors: list[str] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        rng = random.Random(SEED + number)
        try:
            with self._bank.server.connect(DATABASE) as session:
                while not self._stop.is_set():
                    self._transaction(session, rng, number)
        except Exception as error:  # a thread must not end in silence
            self.errors.append(repr(error))

    def _transaction(self, session: t.Any, rng: random.Random, number: int) -> None:
        session.execute("BEGIN")
        (xid,) = session.execute(
            "INSERT INTO payments VALUES (pg_current_xact_id()::text::bigint, %s, %s) RETURNING xid",
            (number, "x" * rng.randrange(200)),
        ).fetchone()
        session.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", (rng.randrange(50),))
        (before,) = session.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        if rng.random() < 0.1:
            session.execute("ROLLBACK")
            return
        session.execute("COMMIT")
        (after,) = session.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        self.acknowledged.append(Acknowledged(xid, parse_lsn(before), parse_lsn(after)))


@dataclasses.dataclass
class Recorded:
    bank: Bank
    history: History


@pytest.fixture(scope="module")
def recorded() -> collections.abc.Iterator[Recorded]:
    with bank() as opened:
        opened.server.execute(
            "CREATE TABLE payments (xid bigint PRIMARY KEY, client int, note text);"
            "CREATE TABLE accounts AS SELECT id, 0 AS balance FROM generate_series(0, 49) id",
            DATABASE,
        )
        opened.back_up()
        rng, points = random.Random(SEED), {}
        with Load(opened) as load:
            for part in range(2):
                deadline = time.monotonic() + LOAD_S / 2
                while time.monotonic() < deadline:
                    time.sleep(rng.uniform(0.2, 1.2) if SOAK else 0.3)
                    name = f"point {len(points)}"
                    ((lsn,),) = opened.server.execute(f"SELECT pg_create_restore_point('{name}')::text")
                    points[name] = parse_lsn(lsn)
                    # Where a copy that is started again begins.
                    opened.server.execute("CHECKPOINT")
                    opened.server.execute("SELECT pg_switch_wal()")
                if part == 0:
                    opened.back_up(type="incremental")
        assert load.errors == []
        ledger = {int(row[0]) for row in opened.server.execute("SELECT xid FROM payments", DATABASE)}
        assert {item.xid for item in load.acknowledged} == ledger
        opened.pay()
        opened.end_segment()
        yield Recorded(opened, History(read_ends(opened), load.acknowledged, points, ledger))


class Known(Archives):
    """Nothing is added to this archive, so that it is looked at once."""

    def __init__(self, *arguments: t.Any) -> None:
        super().__init__(*arguments)
        self._last: dict[str, archive_reading.Transaction | None] = {}

    def last_transaction(self, base: Base, found: Audit) -> archive_reading.Transaction | None:
        if base.label not in self._last:
            self._last[base.label] = super().last_transaction(base, found)
        return self._last[base.label]


@contextlib.contextmanager
def archives_of(opened: Bank) -> collections.abc.Iterator[Known]:
    component = opened.component
    passphrase = component.passphrase.read_text().strip()
    access = Access(component.url, NAME, [passphrase])
    with Known(access, component.listing(), opened.server.bin_dir, place.server_user()) as archives:
        yield archives


def read_ends(opened: Bank) -> list[End]:
    """Every end of a transaction in the archived log, in its order."""
    directory = opened.component.path / "log"
    directory.mkdir()
    with archives_of(opened) as archives:
        bases, _passed_over = bases_for(opened.component.listing(), Target("newest"), "newest")
        made = plan(bases[-1:], Target("newest"), archives, [])
        tool = archives.tool(made.base.generation)
        for segment in made.audit.usable:
            content = archive_reading.fetch_segment(tool, segment)
            assert content is not None
            (directory / segment.name).write_bytes(content)
    first, last = made.audit.usable[0].name, made.audit.usable[-1].name
    done = subprocess.run(
        [os.path.join(opened.server.bin_dir, "pg_waldump"), "--rmgr=Transaction", f"--path={directory}", first, last],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    found = [_RECORD.search(line) for line in done.stdout.splitlines()]
    return [
        End(
            parse_lsn(match.group(2)),
            int(match.group(1)),
            datetime.datetime.fromisoformat(f"{match.group(4)}+00:00"),
            match.group(3) == "COMMIT",
        )
        for match in found
        if match
    ]


class Walker:
    """One copy that goes from target to target."""

    def __init__(self, opened: Bank, archives: Known, directory: pathlib.Path) -> None:
        self._bank = opened
        self._archives = archives
        self._user = place.server_user()
        self._directory = directory
        self._copy = str(directory / "copy")
        self._label = ""
        self._visits = 0
        self._used_up = True

    def visit(self, made: Plan) -> set[int]:
        """Recover to the plan's target; the payments that are there."""
        tool = self._archives.tool(made.base.generation)
        if self._label != made.base.label or self._used_up or self._visits % FRESH == 0:
            sibling.fill(tool, made, self._copy, 2, self._user)
            self._label = made.base.label
        self._visits += 1
        self._used_up = True
        bin_dir = self._archives.bin_dir(made.base)
        control = sibling.require_identity(made, bin_dir, self._copy, self._user)
        fetch = RestoreCommand(
            str(self._directory), tool.argv("archive-get", f"--pg1-path={self._copy}"), made.audit, self._user
        )
        where = Place(str(self._directory), str(self._directory / "s"), self._user)
        settings = {**control.floors, "fsync": "off", "shared_buffers": "32MB"}
        with PrivateServer(self._copy, bin_dir, where, NAME, settings) as server:
            Recovery(server, made.target, made.timeline, fetch, NAME).reach(120)
            with client.connect(server.address(), DATABASE) as session:
                found = {int(row[0]) for row in session.execute("SELECT xid FROM payments")}
                # Just behind the end of the base, a server that is not ready for readers cannot wait: it went on.
                (waiting,) = session.execute("SELECT pg_is_in_recovery()").fetchone() or (False,)
            server.stop()
            self._used_up = not waiting
        return found


def test_no_transaction_is_lost_and_none_is_too_many(recorded: Recorded, results: t.Callable[..., None]) -> None:
    opened, history = recorded.bank, recorded.history
    rng = random.Random(SEED)
    user = place.server_user()
    failures: list[str] = []
    with archives_of(opened) as archives:
        listing = opened.component.listing()
        bases, _passed_over = bases_for(listing, Target("newest"), "newest")
        low = bases[-1].stop_lsn
        wanted = [history.random_target(rng, low) for _ in range(TARGETS)]
        plans = []
        for expected in wanted:
            fitting, _passed_over = bases_for(listing, expected.target, "newest")
            # Where a name or a time of whole seconds lies is not known to the second base: the witness knows.
            fitting = [base for base in fitting if base.stop_lsn < expected.stop]
            plans.append((expected, plan(fitting, expected.target, archives, [])))
        plans.sort(key=lambda pair: (pair[1].base.stop_lsn, pair[0].stop, pair[0].ends))
        directory = pathlib.Path(place.make_directory(user, "srt-w-"))
        try:
            (directory / "s").mkdir(mode=0o700)
            place.give(str(directory / "s"), user)
            walker = Walker(opened, archives, directory)
            for expected, made in counted("point-in-time targets", plans):
                try:
                    found = walker.visit(made)
                except RunbookError as error:
                    failures.append(f"{expected.target}: {error}")
                    continue
                right = history.visible(expected.ends)
                wrong = [f"lost {xid}" for xid in right - found] + [f"extra {xid}" for xid in found - right]
                if expected.target.kind == "lsn" and not expected.target.inclusive:
                    wrong += history.witness(parse_lsn(expected.target.value), found)
                if wrong:
                    failures.append(f"{expected.target}: {wrong[:5]}")
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    results("point-in-time targets", len(plans), len(failures))
    assert not failures, "\n".join(failures[:20])
    assert len(plans) == TARGETS
