# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The flights API: a small HTTP service over the flights database, as services are in real life.

It reads its credential from a file (again when the file changes and when the server refuses it), keeps connections for
a short time, answers 503 while the database is away and recovers by itself, and tells Prometheus what it does. It
listens on 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import signal
import sys
import threading
import time
import typing as t
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
from psycopg.rows import dict_row

#: How long a connection is kept, in seconds: a rotated credential is in use everywhere after that time.
CONNECTION_LIFETIME = 5.0
_IDLE_LIMIT = 8
_BODY_LIMIT = 16 * 1024
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0)

FLIGHTS = """
SELECT time_hour, carrier, flight, tailnum, origin, dest, dep_delay, arr_delay, distance FROM flights
WHERE (%(origin)s::text IS NULL OR origin = %(origin)s) AND (%(dest)s::text IS NULL OR dest = %(dest)s)
  AND (%(carrier)s::text IS NULL OR carrier = %(carrier)s)
ORDER BY time_hour DESC, carrier, flight LIMIT %(limit)s
"""


class BadRequest(Exception):
    """What the client asked is not valid; the text goes to the client."""


class Credential:
    """The password in a file; read again when the file changes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._password = ""
        self._lock = threading.Lock()

    def current(self) -> tuple[str, bool]:
        """The password, and whether it was read anew. Raises OSError."""
        with self._lock:
            found = os.stat(self._path)
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen:
                return self._password, False
            with open(self._path, encoding="utf-8") as file:
                self._password = file.read().strip()
            self._seen = seen
            return self._password, True

    def forget(self) -> None:
        """Read the file at the next use, whatever its times say."""
        with self._lock:
            self._seen = None


class Metrics:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: collections.Counter[tuple[str, str, int]] = collections.Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = collections.defaultdict(float)
        self._errors: collections.Counter[str] = collections.Counter()
        self._started = time.time()
        self.connections_opened = 0

    def expect(self, method: str, path: str, status: int) -> None:
        """Begin a counter at zero: the first sample of a counter counts nothing, and it may be the first failure."""
        self._requests[(method, path, status)] += 0

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[(method, path, status)] += 1
            buckets = self._buckets.setdefault(path, [0] * (len(_BUCKETS) + 1))
            buckets[next((place for place, limit in enumerate(_BUCKETS) if seconds <= limit), len(_BUCKETS))] += 1
            self._seconds[path] += seconds

    def database_error(self, kind: str) -> None:
        with self._lock:
            self._errors[kind] += 1

    def text(self) -> str:
        with self._lock:
            lines = ["# HELP http_requests_total Requests answered.", "# TYPE http_requests_total counter"]
            for (method, path, status), count in sorted(self._requests.items()):
                lines.append(f'http_requests_total{{method="{method}",path="{path}",status="{status}"}} {count}')
            name = "http_request_duration_seconds"
            lines += [f"# HELP {name} Time to answer.", f"# TYPE {name} histogram"]
            for path, buckets in sorted(self._buckets.items()):
                total = 0
                for limit, count in zip((*map(str, _BUCKETS), "+Inf"), buckets, strict=True):
                    total += count
                    lines.append(f'{name}_bucket{{path="{path}",le="{limit}"}} {total}')
                lines.append(f'{name}_sum{{path="{path}"}} {self._seconds[path]:.6f}')
                lines.append(f'{name}_count{{path="{path}"}} {total}')
            lines += ["# HELP db_errors_total Failed database calls.", "# TYPE db_errors_total counter"]
            lines += [
                f'db_errors_total{{kind="{kind}"}} {self._errors[kind]}' for kind in ("login", "connect", "query")
            ]
            lines += [
                "# HELP db_connections_opened_total Connections opened.",
                "# TYPE db_connections_opened_total counter",
            ]
            lines.append(f"db_connections_opened_total {self.connections_opened}")
            lines += [
                "# HELP process_start_time_seconds Start of the process.",
                "# TYPE process_start_time_seconds gauge",
            ]
            lines.append(f"process_start_time_seconds {self._started:.3f}")
        return "\n".join(lines) + "\n"


Connection = psycopg.Connection[dict[str, t.Any]]


class Database:
    """A few connections, none older than a few seconds."""

    def __init__(self, options: argparse.Namespace, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._credential = Credential(options.password_file)
        self._idle: list[tuple[float, Connection]] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._sweep, daemon=True).start()

    def read(self, query: str, parameters: dict[str, t.Any] | None = None) -> list[dict[str, t.Any]]:
        """Run a query; once more on a new connection when a kept one turns out to be dead."""
        try:
            return self._run(query, parameters, fresh=False)
        except psycopg.OperationalError:
            return self._run(query, parameters, fresh=True)

    def write(self, statement: str, parameters: dict[str, t.Any]) -> list[dict[str, t.Any]]:
        """Run a statement at most once: a kept connection is tried with a harmless query before."""
        self.read("SELECT 1")
        return self._run(statement, parameters, fresh=False)

    def _run(self, query: str, parameters: dict[str, t.Any] | None, fresh: bool) -> list[dict[str, t.Any]]:
        opened, connection = self._take(fresh)
        try:
            with connection.transaction():
                rows = connection.execute(query, parameters).fetchall()
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg.Error):
                self._metrics.database_error("query")
            raise
        self._give(opened, connection)
        return rows

    def _take(self, fresh: bool) -> tuple[float, Connection]:
        password, renewed = self._credential.current()
        if fresh or renewed:
            self._drop(lambda opened: True)
        with self._lock:
            while self._idle:
                opened, connection = self._idle.pop()
                if time.monotonic() - opened < CONNECTION_LIFETIME and not connection.closed:
                    return opened, connection
                connection.close()
        try:
            return time.monotonic(), self._open(password)
        except psycopg.OperationalError as error:
            if "authentication failed" not in str(error):
                self._metrics.database_error("connect")
                raise
            self._metrics.database_error("login")
            # The file may have been replaced within one tick of its clock.
            self._credential.forget()
            return time.monotonic(), self._open(self._credential.current()[0])

    def _open(self, password: str) -> Connection:
        connection = psycopg.connect(
            host=self._options.db_host,
            port=self._options.db_port,
            user=self._options.db_user,
            password=password,
            dbname=self._options.db_name,
            autocommit=True,
            connect_timeout=3,
            options="-c statement_timeout=5000",
            application_name="flights-api",
            row_factory=dict_row,
        )
        self._metrics.connections_opened += 1
        return connection

    def _give(self, opened: float, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < _IDLE_LIMIT and time.monotonic() - opened < CONNECTION_LIFETIME:
                self._idle.append((opened, connection))
                return
        connection.close()

    def _drop(self, wanted: t.Callable[[float], bool]) -> None:
        with self._lock:
            gone = [entry for entry in self._idle if wanted(entry[0])]
            self._idle = [entry for entry in self._idle if not wanted(entry[0])]
        for _, connection in gone:
            connection.close()

    def _sweep(self) -> None:
        while True:
            time.sleep(1)
            self._drop(lambda opened: time.monotonic() - opened >= CONNECTION_LIFETIME)


class Api:
    """The answers: path → (status, content)."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self.metrics = metrics
        self.routes: dict[tuple[str, str], t.Callable[[dict[str, str], bytes], tuple[int, t.Any]]] = {
            ("GET", "/health"): self._health,
            ("GET", "/flights"): self._flights,
            ("GET", "/airlines"): self._airlines,
            ("GET", "/delays"): self._delays,
            ("GET", "/metrics"): self._metrics_text,
            ("POST", "/bookings"): self._book,
        }
        for method, path in self.routes:
            for status in (200 if method == "GET" else 201, 503):
                metrics.expect(method, path, status)

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        route = self.routes.get((method, path))
        if route is None:
            known = any(path == other for _, other in self.routes)
            return (405, {"error": f"{method} is not for {path}"}) if known else (404, {"error": f"no {path} here"})
        try:
            return route(query, body)
        except BadRequest as error:
            return 400, {"error": str(error)}
        except (psycopg.Error, OSError) as error:
            # The database's own words can name things that are nobody's business.
            print(f"{method} {path}: {type(error).__name__}: {str(error).splitlines()[0][:200]}", file=sys.stderr)
            return 503, {"status": "unavailable", "error": "the database does not answer"}

    def _health(self, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        self._database.read("SELECT 1 FROM flights LIMIT 1")
        return 200, {"status": "ok", "database": "ok"}

    def _flights(self, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        unknown = query.keys() - {"origin", "dest", "carrier", "limit"}
        if unknown:
            raise BadRequest(f"unknown parameter {sorted(unknown)[0]}; known: origin, dest, carrier, limit")
        parameters: dict[str, t.Any] = {}
        for name in ("origin", "dest", "carrier"):
            if name in query and not re.fullmatch(r"[A-Z0-9]{2,3}", query[name]):
                raise BadRequest(f"{name} is a code such as JFK or UA")
            parameters[name] = query.get(name)
        limit = query.get("limit", "20")
        if not re.fullmatch(r"\d{1,3}", limit) or not 1 <= int(limit) <= 500:
            raise BadRequest("limit is a number from 1 to 500")
        return 200, {"flights": self._database.read(FLIGHTS, {**parameters, "limit": int(limit)})}

    def _airlines(self, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        return 200, {"airlines": self._database.read("SELECT carrier, name FROM airlines ORDER BY carrier")}

    def _delays(self, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        return 200, {"delays": self._database.read("SELECT * FROM delays ORDER BY mean_departure_delay DESC")}

    def _book(self, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        try:
            note = json.loads(body)["note"]
        except (ValueError, KeyError, TypeError):
            raise BadRequest('the body is a JSON object such as {"note": "..."}') from None
        if not isinstance(note, str) or not 1 <= len(note) <= 1000 or "\0" in note:
            raise BadRequest("note is a text of 1 to 1000 characters")
        rows = self._database.write(
            "INSERT INTO ledger (note) VALUES (%(note)s) RETURNING id, written_at", {"note": note}
        )
        return 201, rows[0]

    def _metrics_text(self, query: dict[str, str], body: bytes) -> tuple[int, t.Any]:
        return 200, self.metrics.text()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Seconds that a silent client keeps a thread.
    timeout = 30
    disable_nagle_algorithm = True
    api: Api

    def do_GET(self) -> None:
        self._answer("GET", b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _BODY_LIMIT:
            self.close_connection = True
            self._send(413 if length.isdecimal() else 411, {"error": f"a body of at most {_BODY_LIMIT} bytes"})
            return
        self._answer("POST", self.rfile.read(int(length)))

    def _answer(self, method: str, body: bytes) -> None:
        started = time.perf_counter()
        url = urllib.parse.urlsplit(self.path)
        status, content = self.api.answer(method, url.path, dict(urllib.parse.parse_qsl(url.query)), body)
        known = any(url.path == path for _, path in self.api.routes)
        self.api.metrics.request(method, url.path if known else "other", status, time.perf_counter() - started)
        self._send(status, content)

    def _send(self, status: int, content: t.Any) -> None:
        if isinstance(content, str):
            kind, data = "text/plain; version=0.0.4; charset=utf-8", content.encode("utf-8")
        else:
            kind, data = "application/json", (json.dumps(content, default=_plain) + "\n").encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: t.Any) -> None:
        """Nothing: requests are counted, failures are printed where they happen."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, TimeoutError)):  # a client that went away is no news
            super().handle_error(request, client_address)


def _plain(value: t.Any) -> t.Any:
    return value.isoformat() if hasattr(value, "isoformat") else float(value)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve the flights database over HTTP on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=28080)
    parser.add_argument("--db-host", default="127.0.0.1", help="address, or directory of the socket")
    parser.add_argument("--db-port", type=int, default=5432)
    parser.add_argument("--db-user", default="flights_app")
    parser.add_argument("--db-name", default="flights")
    parser.add_argument("--password-file", required=True, help="file with the password of that role")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    metrics = Metrics()
    Handler.api = Api(Database(options, metrics), metrics)
    server = Server(("127.0.0.1", options.port), Handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        # From another thread: shutdown() waits for the loop that this handler interrupts.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    print(f"flights API on http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    with server:
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
