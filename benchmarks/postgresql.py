# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole modules against PostgreSQL's own tools, on a real server with flights in four indexed tables."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import typing as t

import psutil

from benchmarks.data import write_table
from benchmarks.measure import Result, paired
from tests.servers.postgresql import Server, running_server

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_COLUMNS = (
    "year int, month int, day int, dep_time numeric, sched_dep_time int, dep_delay numeric, arr_time numeric,"
    " sched_arr_time int, arr_delay numeric, carrier text, flight int, tailnum text, origin text, dest text,"
    " air_time numeric, distance int, hour int, minute int, time_hour timestamptz"
)
_TABLES = 4
_JOBS = 4


class PostgresqlBench:
    """A server with one database ``bench`` of about ``mib`` MiB of COPY text, and an empty repository."""

    def __init__(self, directory: pathlib.Path, server: Server, mib: int, runs: int) -> None:
        self.directory = directory
        self.server = server
        self.runs = runs
        self.repository = f"file://{directory}/repository"
        self._fill(mib)
        self.module("repository", state="present")

    def results(self) -> list[Result]:
        """Backup and restore against ``pg_dump``/``pg_restore``; the memory of a backup; verification."""
        found = [self._backup(), self._memory(), self._restore()]
        return found + self._verification()

    # The module under test, as Ansible would run it but without Ansible around it.

    def module(self, name: str, **params: t.Any) -> dict[str, t.Any]:
        """Run a module in a process of its own and return its result."""
        process = self._start(name, params)
        return self._result(name, process)

    def _start(self, name: str, params: dict[str, t.Any]) -> subprocess.Popen[str]:
        common = {"environment_name": "bench"}
        if name != "environment_marker":
            common["repository"] = self.repository
        if name not in ("repository", "environment_marker"):
            common["component"] = "bench_db"
        arguments = self.directory / f"{name}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**common, **params}}))
        arguments.chmod(0o600)
        environment = {**os.environ, "PYTHONPATH": str(_ROOT / ".local" / "collections")}
        return subprocess.Popen(
            [sys.executable, "-m", f"ansible_collections.sre.runbooks.plugins.modules.{name}", str(arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _result(name: str, process: subprocess.Popen[str]) -> dict[str, t.Any]:
        output, complaint = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"benchmarks: {name} failed: {output} {complaint}")
        return t.cast(dict[str, t.Any], json.loads(output))

    def _tool(self, name: str, *arguments: str) -> float:
        """Run one of PostgreSQL's programs; seconds."""
        environment = {**os.environ, **self.server.address.environment()}
        began = time.perf_counter()
        subprocess.run(
            [f"{self.server.bin_dir}/{name}", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL
        )
        return time.perf_counter() - began

    def _fill(self, mib: int) -> None:
        self.server.execute("CREATE DATABASE bench")
        table = self.directory / "flights.copy"
        for number in range(_TABLES):
            write_table(table, mib // _TABLES, seed=number)
            name = f"flights_{number}"
            with self.server.connect("bench") as connection, connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE {name} ({_COLUMNS})")
                with cursor.copy(f"COPY {name} FROM STDIN") as copy, table.open("rb") as source:
                    while chunk := source.read(1 << 20):
                        copy.write(chunk)
                cursor.execute(f"ALTER TABLE {name} ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
                cursor.execute(f"CREATE INDEX ON {name} (carrier, flight)")
                cursor.execute(f"CREATE INDEX ON {name} (time_hour)")
        table.unlink()
        self.server.execute("VACUUM ANALYZE", "bench")

    def _dump_by_hand(self) -> float:
        target = self.directory / "by-hand"
        shutil.rmtree(target, ignore_errors=True)
        return self._tool("pg_dump", "-Fd", f"-j{_JOBS}", "-f", str(target), "bench")

    def _back_up(self) -> float:
        began = time.perf_counter()
        self.module(
            "postgresql_backup", **self.server.params(), databases=["bench"], force=True, jobs=_JOBS, hash_policy="none"
        )
        return time.perf_counter() - began

    def _backup(self) -> Result:
        return paired("backup_module", "s", f"pg_dump -Fd -j{_JOBS}", self.runs, self._back_up, self._dump_by_hand)

    def _restore(self) -> Result:
        def ours() -> float:
            began = time.perf_counter()
            self.module(
                "postgresql_restore",
                **self.server.params(),
                databases=["bench"],
                confirm="bench_db",
                jobs=_JOBS,
                force=True,
            )
            taken = time.perf_counter() - began
            self.module(
                "postgresql_restore", **self.server.params(), databases=["bench"], confirm="bench_db", release=True
            )
            return taken

        def theirs() -> float:
            self._tool("dropdb", "--if-exists", "by_hand")
            taken = self._tool("createdb", "by_hand")
            taken += self._tool(
                "pg_restore", f"-j{_JOBS}", "--exit-on-error", "-d", "by_hand", str(self.directory / "by-hand")
            )
            return taken + self._tool("vacuumdb", "--analyze-only", f"-j{_JOBS}", "--quiet", "by_hand")

        self._dump_by_hand()
        self.module("environment_marker", **self.server.params(), confirm="bench")
        return paired(
            "restore_module", "s", f"createdb, pg_restore -j{_JOBS}, vacuumdb --analyze-only", self.runs, ours, theirs
        )

    def _memory(self) -> Result:
        """Memory of the module and its children other than the dump tool, at its highest.

        Shared pages count once in proportion (PSS), as a child that has just been forked shares everything.
        """

        def ours() -> float:
            params = dict(self.server.params(), databases=["bench"], force=True, jobs=_JOBS, hash_policy="none")
            return self._highest(self._start("postgresql_backup", params), "pg_dump")

        budget = 64.0
        return paired(
            "backup_memory_above_dump_tool", "MiB peak", "the bound of 64 MiB", self.runs, ours, lambda: budget
        )

    def _highest(self, process: subprocess.Popen[str], apart: str) -> float:
        highest = 0
        watched = psutil.Process(process.pid)
        ended = threading.Event()

        def watch() -> None:
            nonlocal highest
            while not ended.wait(0.02):
                try:
                    family = [watched, *watched.children(recursive=True)]
                    sizes = [member.memory_full_info().pss for member in family if member.name() != apart]
                except psutil.Error:
                    continue
                highest = max(highest, sum(sizes))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            self._result("postgresql_backup", process)
        finally:
            ended.set()
            thread.join()
        return highest / (1 << 20)

    def _verification(self) -> list[Result]:
        def full() -> float:
            began = time.perf_counter()
            self.module("recovery_point_verify", reverify_after="0")
            return time.perf_counter() - began

        def again() -> float:
            began = time.perf_counter()
            self.module("recovery_point_verify", reverify_after="7d")
            return time.perf_counter() - began

        def by_hand() -> float:
            objects = self.directory / "repository" / "components" / "bench_db" / "points"
            began = time.perf_counter()
            subprocess.run(
                ["bash", "-c", "cd \"$(ls -d */ | tail -1)\" && find objects -type f -exec sha256sum {} + && find objects -name '*.zst' -exec zstd -t -q {} +"],
                cwd=objects, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            return time.perf_counter() - began

        return [
            paired("verify_full", "s", "find | sha256sum, zstd -t", self.runs, full, by_hand),
            paired("verify_unchanged", "s", "a full verification", self.runs, again, full),
        ]


def results(directory: pathlib.Path, mib: int, runs: int) -> list[Result]:
    """Everything measured here, on a server that is gone afterwards."""
    with running_server("wheel", {"max_wal_size": "4GB", "maintenance_work_mem": "64MB"}) as server:
        return PostgresqlBench(directory, server, mib, runs).results()
