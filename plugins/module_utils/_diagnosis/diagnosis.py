# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks through a whole server for damage: reads, takes no lock that writers would notice, changes nothing."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.amcheck import amcheck, indexes, tables
from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.catalogue import contradictions, missing_files
from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.finding import Finding, verdict
from ansible_collections.sre.runbooks.plugins.module_utils._diagnosis.readable import CannotTell, unreadable
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

    Session = psycopg.Connection[tuple[t.Any, ...]]

#: ``quick``: checksums, catalogue, files, invalid indexes. ``structure``: B-trees and heaps too. ``full``: every row is
#: read as well.
DEPTHS = ("quick", "structure", "full")
#: A server set like this can damage itself, or hides damage.
_DANGEROUS = {
    "fsync": "off",
    "full_page_writes": "off",
    "zero_damaged_pages": "on",
    "ignore_checksum_failure": "on",
    "ignore_system_indexes": "on",
}
_FIRST_WITH_CHECKSUM_COUNTS = 12


@dataclass
class Diagnosis:
    """What was found, and how much was looked at; ``bytes`` of indexes and tables."""

    databases: list[str]
    checksums: bool = False
    dangerous_settings: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    #: What could not be looked at, and why: a sound verdict reaches only as far as this is empty.
    unchecked: list[str] = field(default_factory=list)
    indexes: int = 0
    tables: int = 0
    bytes: int = 0
    duration_s: float = 0.0

    def facts(self) -> dict[str, t.Any]:
        return {
            "verdict": verdict(self.findings),
            "databases": self.databases,
            "checksums": self.checksums,
            "dangerous_settings": self.dangerous_settings,
            "findings": [finding.facts() for finding in self.findings],
            "unchecked": self.unchecked,
            "indexes_count": self.indexes,
            "tables_count": self.tables,
            "bytes": self.bytes,
            "duration_s": round(self.duration_s, 3),
        }


def diagnose(address: PostgresqlAddress, databases: t.Sequence[str], depth: str, progress: Progress) -> Diagnosis:
    """Look through ``databases``, or all that accept connections.

    Raises :class:`InvalidInput` for a database that is not there, :class:`EngineError` when the server cannot be asked.
    """
    began = time.monotonic()
    with connect(address) as connection:
        result = Diagnosis(_chosen(connection, databases))
        _ask_the_server(connection, result)
    for database in result.databases:
        with connect(address, database) as connection:
            connection.execute("SET row_security = off")  # an error instead of rows left out
            _look_into(connection, database, depth, result, progress)
    result.duration_s = time.monotonic() - began
    return result


def _chosen(connection: Session, wanted: t.Sequence[str]) -> list[str]:
    there = [
        row[0]
        for row in connection.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname")
    ]
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise InvalidInput(
            "not every database is there",
            expected=", ".join(wanted),
            found=f"no {', '.join(missing)}; there are {', '.join(there)}",
        )
    return list(dict.fromkeys(wanted)) or there


def _ask_the_server(connection: Session, result: Diagnosis) -> None:
    settings: dict[str, str] = dict(
        connection.execute(
            "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)",
            (["data_checksums", *_DANGEROUS],),
        ).fetchall()
    )
    result.checksums = settings.get("data_checksums") == "on"
    result.dangerous_settings = [
        f"{name} = {value}" for name, value in _DANGEROUS.items() if settings.get(name) == value
    ]
    if not result.checksums or connection.info.server_version // 10000 < _FIRST_WITH_CHECKSUM_COUNTS:
        return
    rows = connection.execute(
        "SELECT coalesce(datname, 'shared objects'), checksum_failures, checksum_last_failure::text"
        " FROM pg_catalog.pg_stat_database WHERE checksum_failures > 0 AND (datname IS NULL OR datname = ANY(%s))",
        (result.databases,),
    ).fetchall()
    # Not what is damaged now, only that something was read damaged: the checks below say whether it still is.
    result.dangerous_settings += [
        f"{count} checksum failures in {name}, the last at {last}" for name, count, last in rows
    ]


def _look_into(connection: Session, database: str, depth: str, result: Diagnosis, progress: Progress) -> None:
    progress.step(f"looking through the catalogue of {database}")
    result.findings += contradictions(connection, database)
    missing = missing_files(connection, database)
    if missing is None:
        result.unchecked.append(f"{database}: whether files are missing: needs pg_read_server_files or superuser")
    result.findings += missing or []
    gone = {finding.object for finding in missing or []}
    result.findings += _invalid_indexes(connection, database)
    if depth == "quick":
        return
    _check_structure(connection, database, gone, result, progress)
    if depth == "full":
        _read_everything(connection, database, gone, result, progress)


def _invalid_indexes(connection: Session, database: str) -> list[Finding]:
    """Those that no query uses. What a killed REINDEX CONCURRENTLY left has a suffix of its own and is only in the way."""
    return [
        Finding(
            database,
            index.qualified,
            "index",
            "is invalid: no query uses it",
            "drop" if index.name.rstrip("0123456789").endswith(("_ccnew", "_ccold")) else "reindex",
        )
        for index in indexes(connection)
        if not index.valid
    ]


def _check_structure(connection: Session, database: str, gone: set[str], result: Diagnosis, progress: Progress) -> None:
    with amcheck(connection) as checker:
        if checker is None:
            result.unchecked.append(f"{database}: B-trees and heaps: the extension amcheck is not to be had here")
            return
        to_check = [index for index in indexes(connection) if index.valid and index.qualified not in gone]
        others = sorted({index.method for index in to_check} - {"btree"})
        if others:
            result.unchecked.append(f"{database}: indexes of the kinds {', '.join(others)}: amcheck knows B-trees")
        trees = [index for index in to_check if index.method == "btree"]
        progress.step(f"checking the indexes of {database}", sum(index.size for index in trees))
        for index in trees:
            found = checker.check_index(index, database)
            progress.add(index.size)
            result.findings += [found] if found else []
            result.indexes += 1
            result.bytes += index.size
        if not checker.looks_into_tables:
            result.unchecked.append(f"{database}: heaps: amcheck looks into them from PostgreSQL 14 on")
            return
        heaps = [table for table in tables(connection) if table.qualified not in gone]
        progress.step(f"checking the tables of {database}", sum(table.size for table in heaps))
        for table in heaps:
            found = checker.check_table(table, database)
            progress.add(table.size)
            result.findings += [found] if found else []
            result.tables += 1
            result.bytes += table.size


def _read_everything(connection: Session, database: str, gone: set[str], result: Diagnosis, progress: Progress) -> None:
    # A TOAST table is read through the table that points into it.
    to_read = [table for table in tables(connection) if table.kind != "t" and table.qualified not in gone]
    progress.step(f"reading every row of {database}", sum(table.size for table in to_read))
    for table in to_read:
        try:
            found = unreadable(connection, table, database, progress)
        except CannotTell as reason:
            result.unchecked.append(f"{database}: the rows of {table.qualified}: {reason}")
            continue
        result.findings += [found] if found else []
