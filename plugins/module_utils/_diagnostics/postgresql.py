# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a PostgreSQL server says of itself: who does what, who waits for whom, what is slow, large, behind and unusual."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import speaks_of_a_secret
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import address_from, connect
from ansible_collections.sre.runbooks.plugins.module_utils._words import MASK, counted

#: A server that has no connections left is looked at as well: its reserved ones are three.
_SESSIONS = 2
_STATEMENT_TIMEOUT_MS = 10_000
_LOCK_TIMEOUT_MS = 1_000
_LONG_TRANSACTION_S = 300
_SHARE_OF_CONNECTIONS = 0.8
_MOST_DATABASES = 10
_WRAPAROUND = 1_000_000_000
_HIDDEN = "<insufficient privilege>"

_ACTIVITY = """
SELECT pid, datname, usename, application_name, coalesce(host(client_addr), 'socket') AS client, backend_type, state,
       wait_event_type || ':' || wait_event AS waits_for, (now() - xact_start)::text AS transaction_for,
       (clock_timestamp() - query_start)::text AS query_for, pg_blocking_pids(pid)::text AS blocked_by, query
FROM pg_stat_activity WHERE pid <> pg_backend_pid()
ORDER BY (state = 'active') DESC NULLS LAST, xact_start NULLS LAST, query_start LIMIT 500"""
_STATES = """
SELECT coalesce(datname, '-') AS database, coalesce(usename, '-') AS role, coalesce(state, backend_type) AS state,
       coalesce(wait_event_type, '-') AS waits_for, count(*) AS sessions
FROM pg_stat_activity GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 200"""
_CONNECTIONS = """
SELECT count(*) FILTER (WHERE backend_type = 'client backend'), current_setting('max_connections')::int,
       count(*) FILTER (WHERE state = 'idle in transaction' AND now() - xact_start > make_interval(secs => %s)),
       count(*) FILTER (WHERE state = 'active' AND backend_type = 'client backend' AND now() - query_start > make_interval(secs => %s)),
       coalesce(bool_or(query = %s), false), pg_is_in_recovery(), current_setting('server_version'),
       (now() - pg_postmaster_start_time())::text
FROM pg_stat_activity WHERE pid <> pg_backend_pid()"""
_BLOCKED = """
SELECT waiting.pid, waiting.usename, (clock_timestamp() - waiting.query_start)::text AS waits_for, holding.pid AS blocked_by,
       holding.usename AS its_user, holding.application_name AS its_application, holding.state AS its_state,
       (now() - holding.xact_start)::text AS its_transaction_for, waiting.query, holding.query AS its_query
FROM pg_stat_activity AS waiting
CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocker (pid)
LEFT JOIN pg_stat_activity AS holding ON holding.pid = blocker.pid
ORDER BY waiting.query_start LIMIT 500"""
_LOCKS = """
SELECT lock.pid, database.datname AS database, lock.locktype, coalesce(lock.relation::regclass::text, lock.transactionid::text,
       lock.virtualxid) AS what, lock.mode, lock.granted, lock.fastpath
FROM pg_locks AS lock LEFT JOIN pg_database AS database ON database.oid = lock.database
WHERE lock.pid <> pg_backend_pid() ORDER BY lock.granted, lock.pid LIMIT 2000"""
_STATEMENTS = """
SELECT database.datname AS database, role.rolname AS role, statement.calls, round(statement.{total}::numeric, 1) AS total_ms,
       round((statement.{total} / greatest(statement.calls, 1))::numeric, 2) AS mean_ms, statement.rows,
       statement.shared_blks_read AS blocks_read, statement.temp_blks_written AS temporary_blocks, statement.query
FROM {view} AS statement LEFT JOIN pg_database AS database ON database.oid = statement.dbid
LEFT JOIN pg_roles AS role ON role.oid = statement.userid ORDER BY statement.{order} DESC LIMIT 50"""
_WHERE_STATEMENTS = """
SELECT quote_ident(space.nspname) || '.pg_stat_statements',
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = view.oid AND attname = 'total_exec_time')
FROM pg_class AS view JOIN pg_namespace AS space ON space.oid = view.relnamespace
WHERE view.relname = 'pg_stat_statements' AND view.relkind = 'v' LIMIT 1"""
_DATABASES = """
SELECT database.datname AS database, pg_size_pretty(pg_database_size(database.oid)) AS size, numbackends AS sessions,
       xact_commit AS commits, xact_rollback AS rollbacks, deadlocks, conflicts, temp_files, pg_size_pretty(temp_bytes) AS temporary,
       round(100.0 * blks_hit / nullif(blks_hit + blks_read, 0), 1) AS cached_percent, age(datfrozenxid) AS oldest_transaction
FROM pg_database AS database LEFT JOIN pg_stat_database AS seen ON seen.datid = database.oid
WHERE has_database_privilege(database.oid, 'CONNECT') ORDER BY pg_database_size(database.oid) DESC LIMIT 200"""
_RELATIONS = """
SELECT schemaname || '.' || relname AS relation, pg_size_pretty(pg_total_relation_size(relid)) AS with_indexes,
       pg_size_pretty(pg_table_size(relid)) AS alone, n_live_tup AS rows, n_dead_tup AS dead_rows, seq_scan AS whole_scans, idx_scan AS index_scans,
       last_autovacuum::text, last_autoanalyze::text
FROM pg_stat_all_tables WHERE schemaname NOT LIKE 'pg\\_toast%' ORDER BY pg_total_relation_size(relid) DESC LIMIT 50"""
_LARGEST = """
SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND has_database_privilege(oid, 'CONNECT')
ORDER BY pg_database_size(oid) DESC LIMIT %s"""
_PROGRESS = """
SELECT pid, datname AS database, relid::regclass::text AS relation, phase, heap_blks_scanned AS scanned, heap_blks_total AS blocks
FROM pg_stat_progress_vacuum LIMIT 100"""
_STANDBYS = """
SELECT application_name AS standby, coalesce(host(client_addr), 'socket') AS client, state, sync_state, sent_lsn::text, replay_lsn::text,
       write_lag::text, replay_lag::text FROM pg_stat_replication LIMIT 100"""
_SLOTS = """
SELECT slot_name AS slot, slot_type AS type, database, active, wal_status,
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END AS bytes_behind
FROM pg_replication_slots LIMIT 100"""
_RECEIVER = """
SELECT status, sender_host, sender_port, slot_name AS slot, latest_end_lsn::text, latest_end_time::text,
       (now() - pg_last_xact_replay_timestamp())::text AS behind FROM pg_stat_wal_receiver"""
_ARCHIVER = """
SELECT archived_count AS archived, last_archived_wal, last_archived_time::text, failed_count AS failed, last_failed_wal,
       last_failed_time::text, coalesce(last_failed_time > last_archived_time OR (failed_count > 0 AND last_archived_time IS NULL), false)
FROM pg_stat_archiver"""
_SETTINGS = """
SELECT name, setting || coalesce(' ' || unit, '') AS value, boot_val AS default, source, pending_restart AS waits_for_restart
FROM pg_settings WHERE source NOT IN ('default', 'override', 'client', 'session') OR pending_restart ORDER BY name"""
_OF_ROLES = """
SELECT coalesce(database.datname, 'every database') AS database, coalesce(role.rolname, 'every role') AS role, setting
FROM pg_db_role_setting AS own CROSS JOIN unnest(setconfig) AS setting
LEFT JOIN pg_database AS database ON database.oid = own.setdatabase LEFT JOIN pg_roles AS role ON role.oid = own.setrole"""


class Server:
    """One server for all its collectors. :arg params: options as in the fragment ``sre.runbooks.postgresql``."""

    def __init__(self, params: t.Mapping[str, t.Any]) -> None:
        self._params = params
        self._places = threading.BoundedSemaphore(_SESSIONS)
        self._lock = threading.Lock()
        self._address: t.Any = None

    def collectors(self) -> list[Collector]:
        """What can be asked of it."""
        return [
            Collector("postgresql_activity", "sessions, what they do and wait for", self._collect(_activity)),
            Collector("postgresql_locks", "who waits for whom, and every lock", self._collect(_locks)),
            Collector("postgresql_statements", "statements that took most of the time", self._statements),
            Collector("postgresql_sizes", "databases, largest tables, dead rows", self._sizes),
            Collector("postgresql_replication", "standbys, slots, archiving", self._collect(_replication)),
            Collector("postgresql_settings", "settings that differ from their default", self._collect(_settings)),
        ]

    def _collect(self, look: t.Callable[[Desk, t.Any], None]) -> t.Callable[[Desk], None]:
        def collect(desk: Desk) -> None:
            with self._session() as session:
                look(desk, session)

        return collect

    def _statements(self, desk: Desk) -> None:
        with self._session() as session:
            names = _databases(session)
        for name in names:
            with self._session(name) as session:
                if _statements(desk, session):
                    return
        desk.text("statements.txt", f"pg_stat_statements is installed in none of the databases {', '.join(names)}\n")
        desk.finding("note", "slow statements are unknown: pg_stat_statements is not installed")

    def _sizes(self, desk: Desk) -> None:
        with self._session() as session:
            _sizes(desk, session)
            names = _databases(session)
        for name in names:
            with self._session(name) as session:
                _table(desk, session, f"largest_tables_of_{name}", _RELATIONS)

    @contextlib.contextmanager
    def _session(self, database: str | None = None) -> t.Iterator[t.Any]:
        with self._places:
            with self._lock:
                if self._address is None:
                    self._address = address_from(self._params)
            session = connect(self._address, database)
            try:
                session.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
                session.execute(f"SET lock_timeout = {_LOCK_TIMEOUT_MS}")
                session.execute("SET default_transaction_read_only = on")
                yield session
            finally:
                session.close()


def _table(desk: Desk, session: t.Any, name: str, query: str) -> list[tuple[t.Any, ...]]:
    """Keep what a query gives. One that fails is a problem, and what follows is asked all the same."""
    import psycopg

    try:
        cursor = session.execute(query)
        rows: list[tuple[t.Any, ...]] = cursor.fetchall()
        headings = [column.name for column in cursor.description]
    except psycopg.Error as error:
        if session.closed:
            raise
        desk.problem(f"{name}: {error}")
        return []
    desk.table(name, headings, rows)
    return rows


def _activity(desk: Desk, session: t.Any) -> None:
    used, most, idle, long, hidden, standby, version, up = session.execute(
        _CONNECTIONS, (_LONG_TRANSACTION_S, _LONG_TRANSACTION_S, _HIDDEN)
    ).fetchone()
    desk.document(
        "server",
        {"version": version, "role": "standby" if standby else "primary", "up": up, "connections": used, "of": most},
    )
    if used >= most * _SHARE_OF_CONNECTIONS:
        desk.finding("warning", f"{used} of {most} connections of PostgreSQL are in use")
    if idle:
        desk.finding(
            "warning", f"{counted(idle, 'session')} idle in a transaction for more than {_LONG_TRANSACTION_S} s"
        )
    if long:
        verb = "runs" if long == 1 else "run"
        desk.finding("warning", f"{counted(long, 'query', 'queries')} {verb} for more than {_LONG_TRANSACTION_S} s")
    if hidden:
        desk.problem("what other roles run is hidden from this one; next: GRANT pg_read_all_stats to it")
    _table(desk, session, "activity", _ACTIVITY)
    _table(desk, session, "sessions", _STATES)


def _locks(desk: Desk, session: t.Any) -> None:
    blocked = _table(desk, session, "blocked", _BLOCKED)
    if blocked:
        waiting = {row[0] for row in blocked}
        holding = {row[3] for row in blocked} - waiting
        names = ", ".join(f"process {pid}" for pid in sorted(holding)[:5]) or "one another"
        desk.finding("failure", f"{counted(len(waiting), 'blocked session')} of PostgreSQL, held up by {names}")
    _table(desk, session, "locks", _LOCKS)


def _databases(session: t.Any) -> list[str]:
    """The largest ones that can be looked into."""
    return [row[0] for row in session.execute(_LARGEST, (_MOST_DATABASES,)).fetchall()]


def _statements(desk: Desk, session: t.Any) -> bool:
    """Whether this database has the extension's view, which shows those of every database."""
    where = session.execute(_WHERE_STATEMENTS).fetchone()
    if where is None:
        return False
    view, modern = where
    total = "total_exec_time" if modern else "total_time"
    for name, order in (("by_total_time", total), ("by_mean_time", f"{total} / greatest(statement.calls, 1)")):
        _table(desk, session, name, _STATEMENTS.format(view=view, total=total, order=order))
    return True


def _sizes(desk: Desk, session: t.Any) -> None:
    for row in _table(desk, session, "databases", _DATABASES):
        if row[-1] is not None and row[-1] > _WRAPAROUND:
            desk.finding("warning", f"database {row[0]} has not been frozen for {row[-1]} transactions")
    _table(desk, session, "vacuum_progress", _PROGRESS)


def _replication(desk: Desk, session: t.Any) -> None:
    _table(desk, session, "standbys", _STANDBYS)
    for row in _table(desk, session, "slots", _SLOTS):
        if not row[3]:
            desk.finding(
                "warning", f"nobody reads from replication slot {row[0]}, which keeps {row[5] or 0} bytes of log"
            )
    _table(desk, session, "receiver", _RECEIVER)
    for row in _table(desk, session, "archiver", _ARCHIVER):
        if row[-1]:
            desk.finding("failure", f"PostgreSQL cannot archive its log: {row[4]} failed at {row[5]}")


def _settings(desk: Desk, session: t.Any) -> None:
    cursor = session.execute(_SETTINGS)
    rows = [
        (name, MASK, MASK, *more) if speaks_of_a_secret(name) else (name, value, default, *more)
        for name, value, default, *more in cursor.fetchall()
    ]
    desk.table("settings", [column.name for column in cursor.description], rows)
    for row in rows:
        if row[-1]:
            desk.finding("note", f"setting {row[0]} was changed and waits for a restart of PostgreSQL")
    _table(desk, session, "settings_of_databases_and_roles", _OF_ROLES)
