# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loading a dump's directory into an empty database with the server's own ``pg_restore``, and analysing it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import re
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

    Session = psycopg.Connection[tuple[t.Any, ...]]

#: What would act on the outside world as soon as it exists; each is a kind of entry in the archive's list.
REACHING_OUT = ("SUBSCRIPTION", "USER MAPPING", "EVENT TRIGGER")
_ENTRY = re.compile(r"(\d+); \d+ \d+ (.+)")
#: The database's and the role's own settings must not cut a load short.
_OPTIONS = "-c default_transaction_read_only=off -c row_security=off -c synchronous_commit=off"
_RELATIONS = """
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema'
   AND n.nspname !~ '^pg_(toast|temp)' AND (c.relkind <> 'm' OR c.relispopulated)
 ORDER BY c.relkind = 'p', pg_catalog.pg_table_size(c.oid) DESC
"""


@dataclasses.dataclass(frozen=True)
class Archive:
    """A dump's directory, decoded. ``left_out`` are the kinds of entries that are not restored."""

    tools: Tools
    directory: str
    left_out: tuple[str, ...] = ()

    def list_entries(self) -> list[str]:
        """The lines of ``pg_restore --list``."""
        output = _process.run([self.tools.pg_restore, "--list", self.directory], "listing the dump's entries")
        return output.decode("utf-8", "replace").splitlines()


def entries_kept(lines: t.Iterable[str], left_out: t.Collection[str]) -> tuple[list[str], list[str]]:
    """The list without entries of the kinds ``left_out`` (and what is said about them), and those entries."""
    kept, dropped = [], []
    for line in lines:
        match = _ENTRY.match(line)
        kind = match.group(2) if match else ""
        about = re.match(r"(?:COMMENT|ACL|SECURITY LABEL) \S+ (.+)", kind)
        # "123; 2613 16500 SUBSCRIPTION - name owner", "124; 0 0 COMMENT - SUBSCRIPTION name owner"
        words = about.group(1) if about else kind
        if match and any(words.startswith(f"{name} ") for name in left_out):
            dropped.append(words)
        else:
            kept.append(line)
    return kept, dropped


def load(
    archive: Archive,
    address: PostgresqlAddress,
    database: str,
    jobs: int,
    component: str,
    tablespaces: bool = True,
) -> list[str]:
    """Load everything into ``database``; the first error ends it. Returns the entries left out on purpose.

    :raises EngineError: with the end of what ``pg_restore`` said.
    """
    argv = [archive.tools.pg_restore, "--format=directory", f"--jobs={jobs}", "--exit-on-error", "--no-password"]
    dropped: list[str] = []
    if archive.left_out:
        kept, dropped = entries_kept(archive.list_entries(), archive.left_out)
        if dropped:
            path = f"{archive.directory}.list"
            with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write("\n".join(kept) + "\n")
            argv.append(f"--use-list={path}")
    if not tablespaces:
        argv.append("--no-tablespaces")
    # A connection string, since a name with an equals sign would be taken for one.
    argv += [f"--dbname=dbname={conninfo_value(database)}", archive.directory]
    environment = address.environment(database)
    # Beside those of every connection, which lift timeouts: one of milliseconds would end a worker's first statement.
    environment["PGOPTIONS"] += f" {_OPTIONS} -c maintenance_work_mem={_index_memory(address, database, jobs)}kB"
    with ProcessGroup(argv, f"loading {database}", environment, component) as group:
        group.finish()
    return dropped


def _index_memory(address: PostgresqlAddress, database: str, jobs: int) -> int:
    """Kilobytes for building each index: together at most half of what the server has for its buffers."""
    with contextlib.closing(connect(address, database)) as session:
        rows = session.execute(
            "SELECT name, setting::bigint FROM pg_settings WHERE name IN ('maintenance_work_mem', 'shared_buffers')"
        )
        settings: dict[str, int] = dict(rows.fetchall())
    share = settings["shared_buffers"] * 8 // (2 * jobs)  # counted in pages of 8 kB
    return max(settings["maintenance_work_mem"], min(share, 2 << 20))


def conninfo_value(text: str) -> str:
    """A value inside a connection string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def analyze(open_session: t.Callable[[], Session], jobs: int, component: str) -> int:
    """ANALYZE every table, the largest first, in ``jobs`` sessions; returns how many.

    :raises EngineError: the first error, once all sessions have stopped.
    """
    import psycopg

    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    errors: list[BaseException] = []

    def work(session: Session) -> None:
        try:
            while not errors:
                session.execute(f"ANALYZE {waiting.get_nowait()}".encode())
        except queue.Empty:
            return
        except BaseException as error:
            errors.append(error)

    with contextlib.ExitStack() as stack:
        first = stack.enter_context(open_session())
        labels = [label for (label,) in first.execute(_RELATIONS.encode())]
        for label in labels:
            waiting.put(label)
        sessions = [stack.enter_context(open_session()) for _ in range(min(jobs, len(labels)) - 1)]
        threads = [threading.Thread(target=work, args=(session,), daemon=True) for session in sessions]
        for thread in threads:
            thread.start()
        work(first)
        for thread in threads:
            thread.join()
    if errors:
        if isinstance(errors[0], psycopg.Error):
            raise EngineError(
                "collecting statistics failed",
                component,
                expected="ANALYZE of every table",
                found=" ".join(str(errors[0]).split()),
            ) from None
        raise errors[0]
    return len(labels)


@contextlib.contextmanager
def watching_growth(
    open_session: t.Callable[[], Session],
    databases: t.Sequence[str],
    progress: Progress | None,
    interval_s: float = 1.0,
) -> t.Iterator[None]:
    """While the context lasts, tell ``progress`` how many bytes the databases have; a problem here is no problem."""
    if progress is None:
        yield
        return
    ended = threading.Event()

    def watch(progress: Progress) -> None:
        import psycopg

        seen = 0
        with contextlib.suppress(RunbookError, psycopg.Error):
            with open_session() as session:
                while not ended.wait(interval_s):
                    row = session.execute(
                        "SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database WHERE datname = ANY(%s)",
                        (list(databases),),
                    ).fetchone()
                    size = row[0] if row else seen
                    progress.add(max(0, size - seen))
                    seen = max(seen, size)

    thread = threading.Thread(target=watch, args=(progress,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
