# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Light traffic against the flights API, and the outside world's memory of it.

Every booking that the API acknowledged is appended to the witness file, one JSON object a line, and is on disk before
the next request: after a disaster, the rows that were promised and are lost can be named. ``--burst N`` writes N
bookings and ends; otherwise a few requests a second go on until SIGTERM, or until the lifetime is over.
"""

from __future__ import annotations

import argparse
import fcntl
import http.client
import json
import os
import random
import signal
import threading
import time
import typing as t
import urllib.parse

#: Seconds after which it ends whatever it was asked, so that nothing is left running for days.
LONGEST_LIFETIME = 3600.0
#: Seconds that a burst goes on trying while the API does not answer.
_PATIENCE = 30.0
_READS = ("/health", "/flights?origin=JFK&limit=5", "/airlines", "/flights?carrier=UA&limit=10", "/delays")


class Witness:
    """The file of acknowledged bookings; several processes may write it."""

    def __init__(self, path: str) -> None:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._remove_torn_line()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def add(self, booking: dict[str, t.Any]) -> None:
        """On disk when this returns."""
        line = json.dumps({"id": booking["id"], "written_at": booking["written_at"]}) + "\n"
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            os.write(self._file, line.encode("utf-8"))
            os.fsync(self._file)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _remove_torn_line(self) -> None:
        """Half a line is what a machine leaves that died while writing; a line after it would be unreadable too."""
        size = os.fstat(self._file).st_size
        tail = os.pread(self._file, 4096, max(0, size - 4096))
        if tail and not tail.endswith(b"\n"):
            os.ftruncate(self._file, size - len(tail) + tail.rfind(b"\n") + 1)


class Client:
    """One kept connection to the API."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise SystemExit(f"traffic only goes to this machine's loopback, not to {url}")
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=10)

    def request(self, method: str, path: str, body: dict[str, t.Any] | None = None) -> tuple[int, bytes]:
        """Status and body; status 0 when there was no answer."""
        content = json.dumps(body).encode("utf-8") if body is not None else None
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0, b""

    def book(self, note: str) -> dict[str, t.Any] | None:
        """The acknowledged booking, or None."""
        status, content = self.request("POST", "/bookings", {"note": note})
        return t.cast("dict[str, t.Any]", json.loads(content)) if status == 201 else None


def burst(client: Client, witness: Witness, count: int, stopped: threading.Event) -> None:
    """Write ``count`` acknowledged rows, or end with an error."""
    rows: list[dict[str, t.Any]] = []
    deadline = time.monotonic() + _PATIENCE
    while len(rows) < count:
        booking = client.book(f"burst {len(rows) + 1} of {count}")
        if booking is not None:
            witness.add(booking)
            rows.append(booking)
            deadline = time.monotonic() + _PATIENCE
        elif stopped.wait(0.2) or time.monotonic() > deadline:
            raise SystemExit(f"only {len(rows)} of {count} bookings were acknowledged: the API does not answer")
    print(json.dumps({"written": len(rows), "first": rows[0]["id"], "last": rows[-1]["id"]}))


def traffic(client: Client, witness: Witness, rate: float, lifetime: float, stopped: threading.Event) -> None:
    """A few requests a second, every third a booking, with random pauses; failures are counted and gone on from."""
    counts = {"requests": 0, "bookings": 0, "failures": 0}
    deadline = time.monotonic() + lifetime
    while time.monotonic() < deadline and not stopped.wait(random.expovariate(rate) if rate > 0 else 1.0):
        counts["requests"] += 1
        if counts["requests"] % 3 == 0:
            booking = client.book(f"traffic {counts['requests']}")
            if booking is not None:
                witness.add(booking)
                counts["bookings"] += 1
            else:
                counts["failures"] += 1
        elif client.request("GET", random.choice(_READS))[0] != 200:
            counts["failures"] += 1
    print(json.dumps(counts), flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Light traffic against the flights API on this machine.")
    parser.add_argument("--url", default="http://127.0.0.1:28080")
    parser.add_argument("--witness", required=True, help="file that acknowledged bookings are appended to")
    parser.add_argument("--rate", type=float, default=3.0, help="requests a second, on average")
    parser.add_argument("--lifetime", type=float, default=1800.0, help=f"seconds, at most {LONGEST_LIFETIME:.0f}")
    parser.add_argument("--burst", type=int, default=0, help="write that many bookings and end")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    client, witness = Client(options.url), Witness(options.witness)
    if options.burst > 0:
        burst(client, witness, options.burst, stopped)
    else:
        traffic(client, witness, min(options.rate, 50.0), min(options.lifetime, LONGEST_LIFETIME), stopped)


if __name__ == "__main__":
    main()
