# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reference service on a real server: the whole data set, the API over it, its traffic and the outside record."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import pytest

from tests.servers.deadline import wait_for
from tests.servers.postgresql import KINDS, Server, running_server
from tools.local_environment import free_port

FILES = pathlib.Path(__file__).resolve().parents[2] / "roles" / "local_environment" / "files"
PASSWORDS = {"app": "Secret-of-the-app-1", "readonly": "Secret-of-readers-2", "backup": "Secret-of-backups-3"}


@dataclasses.dataclass
class Loaded:
    server: Server
    directory: pathlib.Path

    def script(self, name: str, *arguments: str, **extra: t.Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(FILES / name), *arguments], capture_output=True, text=True, timeout=300, **extra
        )

    def load(self) -> subprocess.CompletedProcess[str]:
        return self.script(
            "load_flights.py",
            f"--port={self.server.instance.port}",
            f"--password-file={self.directory}/postgres",
            *(f"--{role}-password-file={self.directory}/{role}" for role in PASSWORDS),
        )

    def rows(self, sql: str) -> list[tuple[t.Any, ...]]:
        return self.server.execute(sql, "flights")


@pytest.fixture(scope="module", params=KINDS)
def loaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[Loaded]:
    with running_server(request.param) as server:
        directory = tmp_path_factory.mktemp("kit")
        for name, password in {**PASSWORDS, "postgres": server.password}.items():
            (directory / name).write_text(password + "\n", encoding="utf-8")
        environment = Loaded(server, directory)
        started = time.monotonic()
        done = environment.load()
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["changed"] is True
        # 3 s when the machine is otherwise idle; this only finds a load that lost its speed altogether.
        assert time.monotonic() - started < 120
        yield environment


class Api:
    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def ask(self, path: str, method: str = "GET", body: str | None = None) -> tuple[int, t.Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            content = response.read().decode("utf-8")
            kind = response.getheader("Content-Type") or ""
        return response.status, json.loads(content) if "json" in kind else content

    def until(self, path: str, status: int, seconds: float = 120) -> float:
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            with contextlib.suppress(OSError):
                if self.ask(path)[0] == status:
                    return time.monotonic() - started
            time.sleep(0.1)
        raise AssertionError(f"{path} never answered {status}")


@pytest.fixture
def api(loaded: Loaded, tmp_path: pathlib.Path) -> collections.abc.Iterator[Api]:
    port = free_port()
    password = loaded.directory / "app"
    command = [
        sys.executable,
        str(FILES / "flights_api.py"),
        f"--port={port}",
        f"--db-port={loaded.server.instance.port}",
        f"--password-file={password}",
    ]
    log = tmp_path / "api.log"
    with open(log, "wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            running = Api(port, process)
            running.until("/health", 200)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert not any(secret in log.read_text() for secret in PASSWORDS.values())


def test_the_whole_data_set_with_everything_that_a_database_can_have(loaded: Loaded) -> None:
    counts = {
        "flights": 336_776,
        "airlines": 16,
        "airports": 1458,
        "planes": 3322,
        "weather": 26_115,
    }
    assert {table: loaded.rows(f"SELECT count(*) FROM {table}")[0][0] for table in counts} == counts
    assert loaded.rows("SELECT count(*) FROM airlines WHERE substr(logo, 2, 3) = 'PNG'")[0][0] == 16
    keys = loaded.rows(
        "SELECT contype, convalidated, count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f') GROUP BY 1, 2"
    )
    assert {(kind, valid): count for kind, valid, count in keys} == {("p", True): 6, ("f", True): 3, ("f", False): 2}
    assert loaded.rows("SELECT count(*) FROM delays")[0][0] == 16
    assert loaded.rows("SELECT flights_between('2013-01-01', '2013-01-01')")[0][0] == 842
    assert loaded.rows("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal")[0][0] == 1
    assert loaded.rows("SELECT obj_description('flights'::regclass)")[0][0].startswith("Every flight")
    assert loaded.rows("SELECT rolbypassrls FROM pg_roles WHERE rolname = 'sre_backup'") == [(True,)]


def test_loading_again_changes_nothing(loaded: Loaded) -> None:
    done = loaded.load()
    assert json.loads(done.stdout)["changed"] is False


def test_a_password_that_was_replaced_in_its_file_is_set(loaded: Loaded) -> None:
    path = loaded.directory / "readonly"
    path.write_text("Another-secret-4\n")
    try:
        assert json.loads(loaded.load().stdout)["changed"] is True
        assert json.loads(loaded.load().stdout)["changed"] is False
    finally:
        path.write_text(PASSWORDS["readonly"] + "\n")
        loaded.load()


def test_the_roles_may_do_what_they_are_for_and_no_more(loaded: Loaded) -> None:
    allowed = """SELECT has_table_privilege('flights_app', 'ledger', 'INSERT'),
        has_table_privilege('flights_app', 'ledger', 'DELETE'), has_table_privilege('flights_app', 'flights', 'UPDATE'),
        has_table_privilege('flights_readonly', 'flights', 'SELECT'), has_table_privilege('flights_readonly', 'ledger', 'INSERT')"""
    assert loaded.rows(allowed) == [(True, False, False, True, False)]


def test_answers_come_from_the_database(api: Api) -> None:
    assert api.ask("/health") == (200, {"database": "ok", "status": "ok"})
    status, content = api.ask("/flights?origin=JFK&limit=3")
    assert status == 200
    assert [flight["origin"] for flight in content["flights"]] == ["JFK"] * 3
    assert len(api.ask("/airlines")[1]["airlines"]) == 16
    assert {row["carrier"] for row in api.ask("/delays")[1]["delays"]} >= {"UA", "AA"}


@pytest.mark.parametrize(
    ("path", "method", "body", "status"),
    [
        ("/flights?origin=j%27--", "GET", None, 400),
        ("/flights?limit=0", "GET", None, 400),
        ("/flights?limit=501", "GET", None, 400),
        ("/flights?colour=red", "GET", None, 400),
        ("/nothing", "GET", None, 404),
        ("/bookings", "GET", None, 405),
        ("/bookings", "POST", "not json", 400),
        ("/bookings", "POST", '{"note": ""}', 400),
        ("/bookings", "POST", '{"note": "a\\u0000b"}', 400),
        ("/bookings", "POST", "x" * 20_000, 413),
    ],
)
def test_bad_requests_are_refused(api: Api, path: str, method: str, body: str | None, status: int) -> None:
    assert api.ask(path, method, body)[0] == status
    assert api.ask("/health")[0] == 200


def test_a_booking_is_a_row_of_the_ledger(api: Api, loaded: Loaded) -> None:
    status, booking = api.ask("/bookings", "POST", json.dumps({"note": "for the test"}))
    assert status == 201
    assert loaded.rows(f"SELECT note FROM ledger WHERE id = '{booking['id']}'") == [("for the test",)]


def test_metrics_are_what_prometheus_reads(api: Api) -> None:
    api.ask("/airlines")
    api.ask("/nothing-at-all")
    text = api.ask("/metrics")[1]
    assert 'http_requests_total{method="GET",path="/airlines",status="200"} 1' in text
    assert 'http_requests_total{method="GET",path="other",status="404"} 1' in text
    assert 'http_request_duration_seconds_bucket{path="/airlines",le="+Inf"} 1' in text
    assert "nothing-at-all" not in text
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) >= 0


def test_503_while_the_database_is_away_and_back_by_itself(api: Api, loaded: Loaded) -> None:
    loaded.server.instance.stop()
    try:
        assert api.ask("/health")[0] == 503
        assert api.ask("/bookings", "POST", '{"note": "lost"}')[0] == 503
        assert api.ask("/metrics")[0] == 200
    finally:
        loaded.server.instance.start(tied=True)
    assert api.until("/health", 200) < 60
    assert 'db_errors_total{kind="connect"}' in api.ask("/metrics")[1]


def test_a_rotated_password_is_taken_from_the_file(api: Api, loaded: Loaded) -> None:
    path = loaded.directory / "app"
    try:
        # The file keeps its time of change, as when both happen in one tick: the refused login alone must be enough.
        before = os.stat(path)
        loaded.server.execute("ALTER ROLE flights_app PASSWORD 'Secret-of-the-app-9'")
        path.write_text("Secret-of-the-app-9\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        time.sleep(5.5)  # the kept connections are too old now
        assert api.ask("/health")[0] == 200
        assert 'db_errors_total{kind="login"} 1' in api.ask("/metrics")[1]
    finally:
        loaded.server.execute(f"ALTER ROLE flights_app PASSWORD '{PASSWORDS['app']}'")
        path.write_text(PASSWORDS["app"] + "\n")


def test_a_burst_is_acknowledged_and_witnessed_row_by_row(api: Api, loaded: Loaded, tmp_path: pathlib.Path) -> None:
    witness = tmp_path / "world" / "witness.jsonl"
    done = loaded.script("traffic.py", f"--url=http://127.0.0.1:{api.port}", f"--witness={witness}", "--burst=25")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in witness.read_text().splitlines()]
    assert len(lines) == 25
    present = {row[0] for row in loaded.rows("SELECT id FROM ledger")}
    assert {line["id"] for line in lines} <= present
    assert json.loads(done.stdout) == {"written": 25, "first": lines[0]["id"], "last": lines[-1]["id"]}


def test_a_torn_line_of_the_witness_is_removed_and_the_rest_kept(
    api: Api, loaded: Loaded, tmp_path: pathlib.Path
) -> None:
    witness = tmp_path / "witness.jsonl"
    witness.write_text('{"id": "a", "written_at": "2026-01-01T00:00:00Z"}\n{"id": "b", "wri')
    loaded.script("traffic.py", f"--url=http://127.0.0.1:{api.port}", f"--witness={witness}", "--burst=1")
    lines = [json.loads(line)["id"] for line in witness.read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0] == "a"


def test_traffic_goes_on_through_an_outage_and_ends_when_told(api: Api, loaded: Loaded, tmp_path: pathlib.Path) -> None:
    witness = tmp_path / "witness.jsonl"
    command = [sys.executable, str(FILES / "traffic.py"), f"--url=http://127.0.0.1:{api.port}", f"--witness={witness}"]

    def booked() -> int:
        return len(witness.read_text().splitlines()) if witness.exists() else 0

    with subprocess.Popen([*command, "--rate=30", "--lifetime=600"], stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: booked() > 0, "a booking before")
        loaded.server.instance.stop()
        lost = 'http_requests_total{method="POST",path="/bookings",status="503"}'
        wait_for(lambda: lost in api.ask("/metrics")[1], "a booking that fails")
        loaded.server.instance.start(tied=True)
        api.until("/health", 200)
        before = booked()
        wait_for(lambda: booked() > before, "a booking afterwards")
        process.terminate()
        output = process.communicate(timeout=60)[0]
    counts = json.loads(output)
    assert counts["bookings"] > 0
    assert counts["failures"] > 0
    witnessed = [json.loads(line)["id"] for line in witness.read_text().splitlines()]
    assert len(witnessed) == counts["bookings"]
    # Everything acknowledged was committed; a row whose answer got lost may be there besides.
    assert set(witnessed) <= {row[0] for row in loaded.rows("SELECT id FROM ledger")}


def test_traffic_ends_by_itself(api: Api, loaded: Loaded, tmp_path: pathlib.Path) -> None:
    done = loaded.script(
        "traffic.py", f"--url=http://127.0.0.1:{api.port}", f"--witness={tmp_path}/w", "--rate=20", "--lifetime=1"
    )
    assert done.returncode == 0


def test_traffic_stays_on_this_machine(loaded: Loaded, tmp_path: pathlib.Path) -> None:
    done = loaded.script("traffic.py", "--url=http://192.0.2.1:80", f"--witness={tmp_path}/w", "--burst=1")
    assert done.returncode != 0
    assert "loopback" in done.stderr
