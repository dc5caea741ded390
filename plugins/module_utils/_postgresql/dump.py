# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One database into a recovery point: dumped, measured in the same snapshot, shipped while the dump runs."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import glob
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock, _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, IntegrityError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import canary, catalog, databases, roles
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.shipping import Shipping
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter

    Session = psycopg.Connection[tuple[t.Any, ...]]

_SCRATCH = "srb-dump-"
_TABLE_DATA = re.compile(rb"(\d+); \d+ \d+ TABLE DATA ")


@dataclass(frozen=True)
class DumpOptions:
    """How to dump. ``lock_timeout_s`` in seconds; without ``canary_schema`` no canary is written."""

    jobs: int = 2
    hash_policy: str = "auto"
    hash_limit: int = catalog.HASH_LIMIT
    canary_schema: str | None = None
    lock_timeout_s: float = 60.0
    scratch_dir: str | None = None
    with_globals: bool = True


class DatabaseDump:
    """Takes one database; :meth:`take` returns its part of the manifest's content.

    :arg directory: the name of its folder among the point's objects, such as ``db-0001``.
    :arg check: called often; raises when the work must stop (a lost lease).
    """

    def __init__(
        self,
        address: PostgresqlAddress,
        tools: Tools,
        writer: PointWriter,
        encoding: Encoding,
        options: DumpOptions,
        progress: Progress,
        check: t.Callable[[], None],
    ) -> None:
        self._address = address
        self._tools = tools
        self._writer = writer
        self._encoding = encoding
        self._options = options
        self._progress = progress
        self._check = check

    def take(self, database: str, directory: str) -> tuple[dict[str, t.Any], list[dict[str, t.Any]]]:
        """Dump ``database``; returns its manifest entry and its settings in full (which may hold secrets)."""
        component = self._writer.component
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            holder = stack.enter_context(contextlib.closing(connect(self._address, database)))
            roles.refuse_unreadable(holder, component)
            bird = None
            if self._options.canary_schema:
                bird = canary.write_canary(holder, self._options.canary_schema, component, self._writer.point_id)
            description = databases.describe_database(holder)
            settings = description["settings"]
            # Asked before the snapshot: whatever was committed by then is in it, so no age is understated.
            moment, lsn = _server_time(holder), databases.position(holder)
            snapshot = _export_snapshot(holder)
            sequences = catalog.measure_sequences(holder)
            scratch = stack.enter_context(scratch_directory(self._options.scratch_dir))
            target = os.path.join(scratch, directory)
            self._progress.step(f"dumping {database}", description["size"])
            group = stack.enter_context(self._start(database, snapshot, target))
            counting = stack.enter_context(self._counting(holder, database, snapshot))
            files = self._ship_all(group, counting, target, directory)
            measured = counting.result()
        entry = {
            **description,
            "settings": databases.without_secrets(settings),
            "directory": directory,
            "consistency_time": _clock.format_time(moment),
            "lsn": lsn,
            "canary": bird,
            "sequences": sequences,
            **measured,
            "files": files,
            "duration_s": round(time.monotonic() - began, 3),
        }
        return entry, settings

    def _start(self, database: str, snapshot: str, target: str) -> ProcessGroup:
        argv = [
            self._tools.pg_dump,
            "--format=directory",
            f"--jobs={self._options.jobs}",
            "--compress=0",
            "--no-sync",
            "--no-password",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={max(1, int(self._options.lock_timeout_s * 1000))}",
            f"--file={target}",
        ]
        return ProcessGroup(
            argv, f"dumping database {database!r}", self._address.environment(database), self._writer.component
        )

    def _counting(self, holder: Session, database: str, snapshot: str) -> _Counting:
        others = []
        try:
            for _ in range(self._options.jobs - 1):
                others.append(connect(self._address, database))
                _begin(others[-1], snapshot)
        except BaseException:
            for other in others:
                other.close()
            raise
        return _Counting(holder, others, self._options)

    def _ship_all(self, group: ProcessGroup, counting: _Counting, target: str, directory: str) -> int:
        def ship(name: str) -> None:
            with open(os.path.join(target, name), "rb", buffering=0) as source:
                self._store(source, f"{directory}/{name}")

        def check() -> None:
            self._check()
            counting.check()

        while group.running() and not os.path.isdir(target):
            time.sleep(0.01)
        if not os.path.isdir(target):
            self._finish(group)
        with Shipping(target, group, ship, last=lambda name: name.endswith("toc") or name == "toc.dat") as shipping:
            shipping.while_running(check)
            self._finish(group)
            expected = _expected_files(self._tools, target)
            found = shipping.the_rest(check)
        missing = sorted(expected - found)
        if missing:
            raise IntegrityError(
                "the dump is not complete although pg_dump says so",
                self._writer.component,
                expected=f"{len(expected)} files of data",
                found=f"{len(missing)} missing, such as {missing[0]}",
            )
        return len(found)

    def _finish(self, group: ProcessGroup) -> None:
        try:
            group.finish()
        except EngineError as error:
            error.next_command = _advice(error.found or "", self._options)
            raise

    def _store(self, source: t.IO[bytes], name: str, kind: str = "data") -> None:
        name += self._encoding.suffix
        stored = store_stream(
            self._writer.repository.store,
            self._writer.object_key(name),
            name,
            t.cast(t.BinaryIO, source),
            self._encoding,
            self._progress,
            kind,
        )
        self._writer.add(stored)


class _Counting:
    """Measures tables and large objects in the held snapshot, in a thread beside the dump."""

    def __init__(self, holder: Session, others: list[Session], options: DumpOptions) -> None:
        self._sessions = [holder, *others]
        self._options = options
        self._measured: dict[str, t.Any] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="counting")
        self._thread.start()

    def __enter__(self) -> _Counting:
        return self

    def __exit__(self, *_details: object) -> None:
        # Does nothing to a session without a statement, so also right after success.
        while self._thread.is_alive():
            for session in self._sessions:
                with contextlib.suppress(Exception):
                    session.cancel()
            self._thread.join(0.5)
        for session in self._sessions[1:]:
            session.close()

    def _work(self) -> None:
        holder, options = self._sessions[0], self._options
        try:
            self._measured["tables"] = catalog.measure_tables(
                holder, options.hash_policy, options.hash_limit, self._sessions[1:]
            )
            self._measured["large_objects"] = catalog.measure_large_objects(
                holder, options.hash_policy, options.hash_limit
            )
        except BaseException as error:
            self._error = error

    def check(self) -> None:
        if self._error is not None:
            if isinstance(self._error, RunbookError):
                raise self._error
            raise EngineError(
                "the rows could not be counted", expected="counts in the dump's snapshot", found=str(self._error)
            ) from None

    def result(self) -> dict[str, t.Any]:
        """Wait for the end of it; the measures."""
        self._thread.join()
        self.check()
        return self._measured


def _server_time(session: Session) -> datetime.datetime:
    row = session.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    if row is None:
        raise EngineError("the server does not tell its time")
    return t.cast(datetime.datetime, row[0]).astimezone(datetime.timezone.utc)


def _begin(session: Session, snapshot: str | None = None) -> None:
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    if snapshot is not None:
        from psycopg import sql

        # A statement that takes no parameters.
        session.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))


def _export_snapshot(session: Session) -> str:
    _begin(session)
    row = session.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
    if row is None:
        raise EngineError("the server exports no snapshot")
    return str(row[0])


def _expected_files(tools: Tools, target: str) -> set[str]:
    """The data files that the dump's table of contents speaks of: what a cut-off dump would lack."""
    toc = os.path.join(target, "toc.dat")
    if not os.path.exists(toc):
        raise IntegrityError("the dump has no table of contents", expected="toc.dat", found="none")
    with tempfile.TemporaryFile() as listing:
        subprocess.run(
            [tools.pg_restore, "--list", target],
            stdout=listing,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            preexec_fn=_process.child_setup(),
            check=True,
        )
        listing.seek(0)
        expected = {f"{int(found[1])}.dat" for found in map(_TABLE_DATA.match, listing) if found}
    for path in glob.glob(os.path.join(glob.escape(target), "blobs*.toc")):
        with open(path, encoding="utf-8") as file:
            expected.update(line.split()[1] for line in file if line.strip())
    return expected


def _advice(found: str, options: DumpOptions) -> str | None:
    if "No space left" in found:
        place = options.scratch_dir or tempfile.gettempdir()
        return f"give scratch_dir a file system with room for the largest tables ({place} has not)"
    if "LOCK TABLE" in found:
        return "find what holds the lock (pg_locks), or raise lock_timeout"
    if "server version mismatch" in found:
        return "set bin_dir to client tools of the server's version"
    return None


@contextlib.contextmanager
def scratch_directory(parent: str | None) -> t.Iterator[str]:
    """A private directory that is gone afterwards; those of killed predecessors are removed first.

    The directory's lock tells a live one from a leftover: the kernel releases it with its process.
    """
    parent = parent or tempfile.gettempdir()
    _sweep(parent)
    try:
        directory, lock = _locked_directory(parent)
    except OSError as error:
        raise EngineError(
            "no scratch directory can be made", expected=f"a writable directory {parent}", found=str(error.strerror)
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _locked_directory(parent: str) -> tuple[str, int]:
    while True:
        directory = tempfile.mkdtemp(prefix=_SCRATCH, dir=parent)
        # Between being made and being locked it looks like a leftover, and somebody may have swept it.
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(directory, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.path.samestat(os.stat(directory), os.fstat(lock)):
                    return directory, lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)


def _sweep(parent: str) -> None:
    for directory in glob.glob(os.path.join(glob.escape(parent), _SCRATCH + "*")):
        try:
            state = os.lstat(directory)
            if state.st_uid != os.geteuid():
                continue
            lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(lock)
