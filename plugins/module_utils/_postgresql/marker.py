# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which environment a server belongs to, kept by the server itself outside anything that a restore replaces.

It lives in the schema ``sre_runbooks`` of the maintenance database, beside the lease's fence and the bookkeeping of
restores. A production copy restored in staging thus never says production.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import LeaseHeld, LeaseLost, Refused

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

SCHEMA = "sre_runbooks"
#: Databases that every server has; they are only content when somebody put tables into them.
STANDARD_DATABASES = ("postgres", "template0", "template1")

_TABLES = f"""
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.environment (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  name text NOT NULL,
  stamped timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS {SCHEMA}.fence (
  component text PRIMARY KEY,
  epoch bigint NOT NULL,
  written timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS {SCHEMA}.swapping (
  component text NOT NULL,
  database text NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (component, database));
CREATE TABLE IF NOT EXISTS {SCHEMA}.restored (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  component text NOT NULL,
  database text NOT NULL,
  database_oid oid NOT NULL,
  point text NOT NULL,
  run_id text,
  restored_at timestamptz NOT NULL DEFAULT now(),
  before_name text,
  before_oid oid,
  released_at timestamptz);
"""


@dataclasses.dataclass(frozen=True)
class Marker:
    """The environment's name as the server knows it, and since when."""

    name: str
    stamped: datetime.datetime


def ensure_tables(session: Session) -> None:
    """Create the schema and its tables where they are missing. Two callers at once don't collide."""
    if _exists(session, "restored"):
        return
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("tables"),))
        session.execute(_TABLES)


def read_marker(session: Session) -> Marker | None:
    """The marker in the session's database, or None."""
    if not _exists(session, "environment"):
        return None
    row = session.execute(f"SELECT name, stamped FROM {SCHEMA}.environment").fetchone()
    return Marker(row[0], row[1]) if row else None


def stamp(session: Session, environment: str) -> None:
    """Write the marker; the caller has made sure that it may."""
    ensure_tables(session)
    session.execute(
        f"INSERT INTO {SCHEMA}.environment (name) VALUES (%s)"
        " ON CONFLICT (only_one) DO UPDATE SET name = excluded.name, stamped = now()"
        " WHERE environment.name <> excluded.name",
        (environment,),
    )


def content_found(session: Session, open_database: t.Callable[[str], Session]) -> list[str]:
    """What makes the server not empty, in words: user databases, and user tables in the standard ones.

    :arg open_database: connects to a database of the same server by name.
    """
    names = [
        row[0]
        for row in session.execute("SELECT datname FROM pg_database WHERE datname <> 'template0' ORDER BY datname")
    ]
    maintenance = session.info.dbname
    found = [f"database {name}" for name in names if name not in (*STANDARD_DATABASES, maintenance)]
    for name in names:
        if name == maintenance:
            found += [f"table {table} in database {name}" for table in _user_tables(session)]
        elif name in STANDARD_DATABASES:
            with open_database(name) as other:
                found += [f"table {table} in database {name}" for table in _user_tables(other)]
    return found


def require_environment(
    session: Session, open_database: t.Callable[[str], Session], environment: str, component: str
) -> bool:
    """Refuse a target that is not this environment's. True when the target has no marker and is provably empty."""
    marker = read_marker(session)
    place = f"{session.info.host}:{session.info.port}"
    if marker is not None:
        if marker.name != environment:
            raise Refused(
                f"the server at {place} belongs to another environment; nothing was touched",
                component,
                expected=f"environment {environment}",
                found=f"environment {marker.name}, marked {marker.stamped:%Y-%m-%d %H:%M:%S %Z}".strip(),
                next_command="check the inventory's environment_name and component_login_host",
            )
        return False
    found = content_found(session, open_database)
    if found:
        raise Refused(
            f"the server at {place} has content but no environment marker; nothing was touched",
            component,
            expected=f"the marker of environment {environment}, or an empty server",
            found="no marker, and " + ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else ""),
            next_command="once it is sure that this server is meant: ansible-playbook sre.runbooks.adopt_environment"
            f" --limit {component} -e adopt_confirm={environment}",
        )
    return True


def raise_fence(session: Session, component: str, epoch: int) -> None:
    """Inside the transaction that changes the target: let nobody with an older lease act from now on.

    :raises LeaseLost: somebody with a newer lease has already been here.
    """
    row = session.execute(
        f"INSERT INTO {SCHEMA}.fence AS fence (component, epoch) VALUES (%s, %s)"
        " ON CONFLICT (component) DO UPDATE SET epoch = excluded.epoch, written = now()"
        " WHERE fence.epoch <= excluded.epoch RETURNING epoch",
        (component, epoch),
    ).fetchone()
    if row is None:
        raise LeaseLost(
            "somebody with a newer lease has already changed the target; this run stops",
            component,
            expected=f"no epoch above {epoch} in {SCHEMA}.fence",
            found="a higher one",
            next_command="look at the other run's report, then: the same command",
        )


def hold_advisory_lock(session: Session, component: str, wait_s: float = 5.0) -> None:
    """Take the session's lock on the component: a second operator is seen even where the repository is not shared.

    A killed run's session ends by itself within moments, hence the short wait.

    :raises LeaseHeld: somebody else has it.
    """
    deadline = time.monotonic() + wait_s
    key = lock_key(component)
    while True:
        row = session.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
        if row and row[0]:
            return
        if time.monotonic() >= deadline:
            break
        time.sleep(0.2)
    holder = session.execute(
        "SELECT a.pid, a.usename, a.client_addr::text, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        " AND (l.classid::bigint << 32 | l.objid::bigint) = %s",
        (key,),
    ).fetchone()
    raise LeaseHeld(
        "another session restores this component on the same server",
        component,
        expected="nobody else",
        found=f"backend {holder[0]} of {holder[1]} from {holder[2] or 'the socket'} since {holder[3]:%H:%M:%S %Z}"
        if holder
        else "somebody",
        next_command="wait for it to end, then: the same command",
    )


def lock_key(subject: str) -> int:
    """A number for PostgreSQL's advisory locks that only this collection and subject use."""
    return int.from_bytes(hashlib.sha256(f"sre.runbooks/{subject}".encode()).digest()[:8], "big", signed=True)


def _exists(session: Session, table: str) -> bool:
    row = session.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{SCHEMA}.{table}",)).fetchone()
    return bool(row and row[0])


def _user_tables(session: Session) -> list[str]:
    """Relations that hold data and belong neither to the system, nor to an extension, nor to our bookkeeping."""
    rows = session.execute(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema', %s)"
        " AND n.nspname !~ '^pg_(toast|temp)'"
        " AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid"
        " AND d.deptype = 'e') ORDER BY 1 LIMIT 100",
        (SCHEMA,),
    )
    return [row[0] for row in rows]
