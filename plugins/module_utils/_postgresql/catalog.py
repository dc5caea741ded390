# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database holds, measured: rows and content hashes per table, sequences, large objects.

The same code measures inside the snapshot that a dump shows and, after a restore, the restored database, so that the
two can be compared without a doubt about the measure. Hashes do not depend on the order of rows or columns, nor on
the settings of the session, the role or the database.
"""

from __future__ import annotations

import queue
import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

HASH_POLICIES = ("none", "auto", "all")
#: With the policy "auto", tables up to this many bytes are hashed.
HASH_LIMIT = 256 * 1024 * 1024
#: What a row's text depends on.
_TEXT_SETTINGS = {
    "search_path": "pg_catalog",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "row_security": "off",
    "default_tablespace": "",
}
_FIRST_MAJOR_THAT_HASHES = 11

# Whatever pg_dump dumps the rows of: ordinary tables and partitions (their parents hold none), materialised views, and
# of an extension's own tables those that it declares as configuration, with its condition.
_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.relispartition, c.relispopulated, c.relpersistence::text,
       pg_catalog.pg_table_size(c.oid), e.extname, config.condition,
       (SELECT pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) ORDER BY a.attname COLLATE "C")
          FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
  LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
  LEFT JOIN LATERAL (
       SELECT e.extcondition[i] AS condition FROM pg_catalog.generate_subscripts(e.extconfig, 1) i
        WHERE e.extconfig[i] = c.oid) config ON true
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND (e.oid IS NULL OR config.condition IS NOT NULL)
 ORDER BY pg_catalog.pg_table_size(c.oid) DESC, c.oid
"""
_SEQUENCES = """
SELECT n.nspname, c.relname, s.seqincrement
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
 WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1, 2
"""
# Zeros at a page's end are left out: a sparse object comes back dense, with the same content.
_LARGE_OBJECT_HASH = """
SELECT coalesce(sum(pg_catalog.hashtextextended(
           pg_catalog.concat(loid, ':', pageno, ':', pg_catalog.rtrim(pg_catalog.encode(data, 'hex'), '0'))
           COLLATE "C", 0)), 0)::text
  FROM pg_catalog.pg_largeobject WHERE pg_catalog.rtrim(pg_catalog.encode(data, 'hex'), '0') <> ''
"""


@dataclass(frozen=True)
class Table:
    """A relation with rows of its own. ``kind``: table, partition or matview. ``size`` in bytes, without indexes."""

    schema: str
    name: str
    kind: str
    populated: bool
    unlogged: bool
    size: int
    condition: str | None
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"


def quoted(name: str) -> str:
    """An identifier for SQL and for people: quoted whenever that could matter."""
    plain = name.isascii() and name.replace("_", "a").isalnum() and name == name.lower() and not name[0].isdigit()
    return name if plain else '"' + name.replace('"', '""') + '"'


def prepare_session(session: Session) -> None:
    """Give the session the settings under which rows are read; use one of its own for measuring."""
    for name, value in _TEXT_SETTINGS.items():
        session.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))


def list_tables(session: Session) -> list[Table]:
    """Every relation whose rows a dump holds, the largest first."""
    standby = in_recovery(session)
    tables = []
    for row in session.execute(_TABLES).fetchall():
        _oid, schema, name, kind, partition, populated, persistence, size, _extension, condition, columns = row
        table = Table(
            schema,
            name,
            "matview" if kind == "m" else "partition" if partition else "table",
            populated,
            persistence == "u",
            size or 0,
            condition,
            tuple(columns or ()),
        )
        # A standby cannot read what was never logged; pg_dump leaves it out there too.
        if not (standby and table.unlogged):
            tables.append(table)
    return tables


def measure_database(
    session: Session,
    hash_policy: str = "auto",
    hash_limit: int = HASH_LIMIT,
    others: t.Sequence[Session] = (),
) -> dict[str, t.Any]:
    """Rows and hashes of every table, sequences and large objects of the session's database.

    :arg session: one of its own: its settings are changed. Inside a held snapshot, or not.
    :arg hash_policy: ``none``, ``auto`` (tables up to ``hash_limit`` bytes) or ``all``.
    :arg others: further sessions that see the same (the same imported snapshot), to measure in parallel.
    :returns: ``{"tables": {label: {"rows", "hash", "kind", "size"}}, "sequences": {label: {...}},
        "large_objects": {"count", "bytes", "hash"}}``; a hash is None where it was not taken. What a materialised
        view shows depends on its last refresh and is not comparable: it has rows and no hash.
    """
    return {
        "sequences": measure_sequences(session),
        "tables": measure_tables(session, hash_policy, hash_limit, others),
        "large_objects": measure_large_objects(session, hash_policy, hash_limit),
    }


def measure_sequences(session: Session) -> dict[str, dict[str, t.Any]]:
    """Last value of every sequence. They ignore snapshots: a dump that starts afterwards shows these or later ones."""
    from psycopg import sql

    prepare_session(session)
    measured = {}
    for schema, name, increment in session.execute(_SEQUENCES).fetchall():
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(schema, name))
        row = session.execute(query).fetchone()
        if row is not None:
            label = f"{quoted(schema)}.{quoted(name)}"
            measured[label] = {"last_value": row[0], "is_called": row[1], "increment": increment}
    return measured


def measure_tables(
    session: Session, hash_policy: str = "auto", hash_limit: int = HASH_LIMIT, others: t.Sequence[Session] = ()
) -> dict[str, dict[str, t.Any]]:
    """As in :func:`measure_database`. Raises the first error of any session once all have stopped."""
    if hash_policy not in HASH_POLICIES:
        raise InvalidInput("not a hash policy", expected=" or ".join(HASH_POLICIES), found=repr(hash_policy))
    prepare_session(session)
    waiting: queue.SimpleQueue[Table] = queue.SimpleQueue()
    for table in list_tables(session):
        waiting.put(table)
    measured: dict[str, dict[str, t.Any]] = {}
    errors: list[BaseException] = []

    def work(own: Session) -> None:
        try:
            prepare_session(own)
            while not errors:
                table = waiting.get_nowait()
                measured[table.label] = _measure(own, table, hash_policy, hash_limit)
        except queue.Empty:
            return
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(other,), daemon=True) for other in others]
    for thread in threads:
        thread.start()
    work(session)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return dict(sorted(measured.items()))


def _measure(session: Session, table: Table, hash_policy: str, hash_limit: int) -> dict[str, t.Any]:
    import psycopg

    result: dict[str, t.Any] = {"kind": table.kind, "rows": None, "hash": None, "size": table.size}
    if table.kind == "matview" and not table.populated:
        return {**result, "populated": False}
    hashed = table.kind != "matview" and (hash_policy == "all" or (hash_policy == "auto" and table.size <= hash_limit))
    hashed = hashed and session.info.server_version // 10000 >= _FIRST_MAJOR_THAT_HASHES
    row_text = f'(ROW({", ".join(table.columns)})::text) COLLATE "C"'
    wanted = "count(*)" + (f", coalesce(sum(pg_catalog.hashtextextended({row_text}, 0)), 0)::text" if hashed else "")
    try:
        row = session.execute(f"SELECT {wanted} FROM ONLY {table.label} {table.condition or ''}".encode()).fetchone()
    except psycopg.Error as error:
        raise EngineError(
            f"the rows of {table.label} cannot be counted",
            expected="a readable table",
            found=" ".join(str(error).split()),
        ) from None
    if row is not None:
        result["rows"] = row[0]
        result["hash"] = row[1] if hashed else None
    return result


def measure_large_objects(
    session: Session, hash_policy: str = "auto", hash_limit: int = HASH_LIMIT
) -> dict[str, t.Any]:
    """How many large objects, their bytes and a hash; bytes and hash are None where the role may not read them all."""
    row = session.execute("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata").fetchone()
    result: dict[str, t.Any] = {"count": row[0] if row else 0, "bytes": None, "hash": None}
    allowed = session.execute("SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')").fetchone()
    if not allowed or not allowed[0]:
        return result
    row = session.execute(
        "SELECT coalesce(sum(length), 0)::bigint FROM (SELECT max(pageno::bigint * 2048 + pg_catalog.length(data))"
        " AS length FROM pg_catalog.pg_largeobject GROUP BY loid) AS objects"
    ).fetchone()
    result["bytes"] = row[0] if row else 0
    affordable = hash_policy == "all" or (hash_policy == "auto" and result["bytes"] <= hash_limit)
    if affordable and session.info.server_version // 10000 >= _FIRST_MAJOR_THAT_HASHES:
        row = session.execute(_LARGE_OBJECT_HASH.encode()).fetchone()
        result["hash"] = row[0] if row else None
    return result


def in_recovery(session: Session) -> bool:
    """Whether the server is a standby."""
    row = session.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
    return bool(row and row[0])
