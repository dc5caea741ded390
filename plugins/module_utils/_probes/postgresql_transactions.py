# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The postgresql_transactions kind: transactions that are open for long, at work, idle or prepared.

Query texts are not read: their literals can be secrets.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, names
from ansible_collections.sre.runbooks.plugins.module_utils._probes.findings import Finding, sum_up, with_hints
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_connection import (
    CLIENTS,
    CONNECTION,
    PostgresqlQuestion,
    place,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_OPEN = """
SELECT pid, coalesce(usename, ''), coalesce(datname, ''), coalesce(application_name, ''), state LIKE 'idle in transaction%',
    extract(epoch FROM clock_timestamp() - xact_start)::float8,
    extract(epoch FROM clock_timestamp() - state_change)::float8
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start LIMIT 1000
"""
_HIDDEN = f"SELECT count(*) FROM pg_stat_activity WHERE {CLIENTS} AND state IS NULL"
_PREPARED = """
SELECT transaction::text, owner, database, extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts ORDER BY prepared LIMIT 1000
"""
_WAITING = """
SELECT blocker, count(*) FROM (
    SELECT unnest(pg_blocking_pids(pid)) AS blocker FROM pg_stat_activity WHERE wait_event_type = 'Lock'
) AS waits GROUP BY 1
"""
_LOOK = (
    "SELECT pid, usename, datname, application_name, state, now() - xact_start AS open_for FROM pg_stat_activity"
    " WHERE xact_start IS NOT NULL ORDER BY xact_start LIMIT 20"
)
_LISTED = 20


@dataclasses.dataclass(frozen=True)
class Transaction:
    """An open one. ``idle``: it waits for its client; ``state_s``: seconds since it began its query, or to wait."""

    pid: int
    user: str
    database: str
    application: str
    idle: bool
    open_s: float
    state_s: float

    @property
    def name(self) -> str:
        """Who it is."""
        return (
            f"pid {self.pid} ({self.application or 'no application name'}, user {self.user}, database {self.database})"
        )


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A transaction that was prepared, and belongs to no session any more."""

    transaction: str
    user: str
    database: str
    open_s: float


@dataclasses.dataclass(frozen=True)
class Found:
    transactions: list[Transaction]
    prepared: list[Prepared]
    #: Number of sessions that each process keeps waiting for a lock.
    waiting: dict[int, int]
    #: Sessions of others whose state we may not see.
    hidden: int


class PostgresqlTransactionsCheck(PostgresqlQuestion):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self.expected = (
            f"no transaction that is open for {format_duration(options['warning_after'])}"
            f" or idle for {format_duration(options['idle_warning_after'])}"
        )
        self.hint = self.psql(_LOOK)

    async def question(self, connection: t.Any) -> Found:
        async def rows(query: str) -> list[tuple[t.Any, ...]]:
            return t.cast("list[tuple[t.Any, ...]]", await (await connection.execute(query)).fetchall())

        transactions = [Transaction(*row) for row in await rows(_OPEN)]
        prepared = [Prepared(*row) for row in await rows(_PREPARED)]
        # Asked only where somebody may be waited for: it takes locks that everybody needs.
        waiting = dict(await rows(_WAITING)) if transactions or prepared else {}
        return Found(transactions, prepared, waiting, int((await rows(_HIDDEN))[0][0]))

    def answer(self, found: Found, latency: float) -> Reading:
        ignored = [one for one in found.transactions if self._ignored(one)]
        looked_at = [one for one in found.transactions if one not in ignored]
        findings = [*self._of_sessions(looked_at, found.waiting), *self._of_prepared(found.prepared)]
        if found.hidden:
            words = f"{counted(found.hidden, 'session')} of others cannot be seen, which needs the role pg_monitor"
            grant = f'GRANT pg_monitor TO "{self._options["user"]}"'
            findings.append(Finding("unknown", "right to look", words, self.psql(grant, user="postgres")))
        idle = sum(one.idle for one in looked_at)
        measured = f"{counted(len(looked_at), 'open transaction')}, {idle} idle"
        if looked_at:
            measured += f", the oldest for {format_duration(max(one.open_s for one in looked_at))}"
        # Other probes, which are asked at the same time, come and go.
        passed = {one.application or "no application name" for one in ignored}
        others = sorted(name for name in passed if not name.startswith("sre.runbooks"))
        if others:
            measured += f"; ignored: {', '.join(others)}"
        if found.prepared:
            measured += f"; {len(found.prepared)} prepared, the oldest for {format_duration(found.prepared[0].open_s)}"
        values = {
            "open": len(looked_at),
            "idle": idle,
            "prepared": len(found.prepared),
            "ignored": len(ignored),
            "hidden": found.hidden,
            "oldest_s": round(max((one.open_s for one in looked_at), default=0.0), 3),
            "transactions": [dataclasses.asdict(one) for one in looked_at[:_LISTED]],
            "latency_s": round(latency, 6),
        }
        return with_hints(sum_up(self, measured, findings, **values), findings, self._options["hint"])

    def _ignored(self, one: Transaction) -> bool:
        return any(fnmatch.fnmatchcase(one.application, pattern) for pattern in self._options["ignore"])

    def _outcome(self, seconds: float, prefix: str = "") -> str | None:
        failed = self._options[f"{prefix}failed_after"]
        if failed is not None and seconds >= failed:
            return "failed"
        return "warning" if seconds >= self._options[f"{prefix}warning_after"] else None

    def _of_sessions(self, transactions: t.Sequence[Transaction], waiting: t.Mapping[int, int]) -> t.Iterator[Finding]:
        for one in transactions:
            outcomes = [self._outcome(one.open_s), self._outcome(one.state_s, "idle_") if one.idle else None]
            outcome = next((outcome for outcome in ("failed", "warning") if outcome in outcomes), None)
            if outcome is None:
                continue
            words = f"open for {format_duration(one.open_s)}"
            if one.idle:
                words += f", idle in it for {format_duration(one.state_s)}"
            if waiting.get(one.pid):
                words += f", {counted(waiting[one.pid], 'session waits', 'sessions wait')} for its locks"
            query = f"SELECT * FROM pg_stat_activity WHERE pid = {one.pid}"
            yield Finding(outcome, one.name, words, self.psql(query))

    def _of_prepared(self, prepared: t.Sequence[Prepared]) -> t.Iterator[Finding]:
        for one in prepared:
            outcome = self._outcome(one.open_s)
            if outcome is not None:
                name = f"prepared transaction {one.transaction} (user {one.user}, database {one.database})"
                words = f"neither committed nor rolled back for {format_duration(one.open_s)}"
                yield Finding(outcome, name, words, self.psql("SELECT * FROM pg_prepared_xacts ORDER BY prepared"))


POSTGRESQL_TRANSACTIONS = Kind(
    name="postgresql_transactions",
    options={
        **CONNECTION,
        "warning_after": Option(parse_duration, default=1800.0),
        "failed_after": Option(parse_duration),
        "idle_warning_after": Option(parse_duration, default=300.0),
        "idle_failed_after": Option(parse_duration),
        "ignore": Option(names, default=("pg_dump", "pg_restore", "sre.runbooks*")),
    },
    prepare=PostgresqlTransactionsCheck,
    target=place,
)
