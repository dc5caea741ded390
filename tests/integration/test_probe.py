# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The probe module as Ansible runs it, and the postgresql kind on real servers."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import typing as t

from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port
from tests.servers.playbook import ROOT, play
from tests.servers.postgresql import Server, postgresql_server, postgresql_system, postgresql_wheel, running_server
from tests.unit.probes.conftest import ask_all

__all__ = ["postgresql_server", "postgresql_system", "postgresql_wheel"]

SECRET = "hunter2-of-the-probes"


def task(probes: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
    return {"sre.runbooks.probe": {"probes": probes, **options}}


def test_verdicts_in_a_play_and_in_check_mode() -> None:
    with HttpServer() as server:
        good = {"kind": "http", "url": server.url, "name": "front door", "component": "api", "timeout": 60}
        bad = {"kind": "tcp", "host": "127.0.0.1", "port": closed_port(), "component": "db"}
        tasks = [
            task([good, {"kind": "disk", "path": "/", "free_percent": 0}]),
            task([good, {**bad, "critical": False}]),
            task([good, bad]),
            task([good, bad], fail=False),
            task([]),
            task([], fail=False),
            task([{**good, "stauts": 200}]),
            task([{"kind": "recovery_point", "component": "db", "rpo": "1h"}], repository="file:///nowhere"),
        ]
        played, checked = play(tasks), play(tasks, "--check", "--diff")
    for run in (played, checked):
        assert [result["failed"] for result in run.results] == [False, False, True, False, True, False, True, True]
        assert not any(result["changed"] for result in run.results)
        assert [result.get("verdict") for result in run.results[:6]] == [
            "ok",
            "warning",
            "failed",
            "failed",
            "failed",
            "failed",
        ]
    failure = played.results[2]
    assert failure["counts"] == {"ok": 1, "warning": 0, "failed": 1, "unknown": 0}
    assert failure["msg"].startswith("1 of 2 probes are not ok: db: tcp 127.0.0.1:")
    assert "found: no connection, next: nc -vz" in failure["msg"]
    assert failure["error"]["found"] == "verdict failed"
    assert "no probe ran" in played.results[4]["msg"]
    assert "unknown key 'stauts', did you mean 'status'?" in played.results[6]["msg"]
    assert "environment_name" in played.results[7]["msg"]
    assert played.results[0]["message"] == "all 2 probes are ok"


def test_secrets_are_in_no_output(tmp_path: pathlib.Path) -> None:
    (tmp_path / "password").write_text(SECRET + "-file\n")
    with HttpServer() as server:
        probes: list[dict[str, t.Any]] = [
            {"kind": "postgresql", "port": closed_port(), "password": SECRET},
            {"kind": "postgresql", "port": closed_port(), "password_file": str(tmp_path / "password")},
            {"kind": "http", "url": server.url + "/echo", "user": "u", "password": SECRET, "body": "not there"},
            {"kind": "http", "url": server.url + "/", "headers": {"X-Token": SECRET}, "status": 500, "timeout": 60},
            {
                "kind": "http",
                "url": server.url + "/to/302/%2Fecho",
                "follow_redirects": 1,
                "password": SECRET,
                "user": "u",
            },
            {"kind": "smtp", "host": "127.0.0.1", "port": server.port, "user": "u", "password": SECRET, "timeout": 1},
            {"kind": "websocket", "url": server.url + "/echo", "headers": {"Authorization": SECRET}},
        ]
        played = play([task(probes), task([{**probes[0], "nonsense": 1}])], "-vvvv")
        assert any(f"X-Token: {SECRET}".encode() in request for request in server.requests)
    assert [result["failed"] for result in played.results] == [True, True]
    # What is no secret stays readable.
    assert "http" in played.results[0]["results"][2]["kind"]
    assert SECRET not in json.dumps(played.results)
    # ansible-playbook prints its own input, the play, at no level; what it prints of ours is what counts.
    assert SECRET not in played.output


def test_interrupted_it_reports_what_ran(tmp_path: pathlib.Path) -> None:
    with HttpServer() as server:
        probes = [
            {"kind": "http", "url": server.url, "timeout": 60},
            {"kind": "http", "url": server.url + "/hang", "timeout": 600},
        ]
        program = (
            "import sys, json; from ansible.module_utils import basic\n"
            f"basic._ANSIBLE_ARGS = json.dumps({{'ANSIBLE_MODULE_ARGS': {{'concurrency': 1, 'probes': json.loads({json.dumps(json.dumps(probes))})}}}}).encode()\n"
            "basic._ANSIBLE_PROFILE = 'legacy'\n"
            "from ansible_collections.sre.runbooks.plugins.modules import probe; probe.main()\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".local" / "collections")}
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
            # One after the other: the first has been answered by then.
            wait_for(lambda: server.hanging == 1, "the second probe")
            process.send_signal(signal.SIGINT)
            output = process.communicate(timeout=60)[0]
    result = json.loads(output)
    assert result["failed"] is True
    assert result["interrupted"] is True
    assert [probe["outcome"] for probe in result["results"]] == ["ok", "unknown"]


def connection(server: Server, **options: t.Any) -> dict[str, t.Any]:
    return {"kind": "postgresql", "port": server.instance.port, "password": server.password, **options}


def outcome(server: Server, **options: t.Any) -> tuple[str, str]:
    reading = ask_all([connection(server, **options)])[0].reading
    assert server.password not in repr(reading)
    return reading.outcome, reading.message


def test_postgresql_queries(postgresql_server: Server, tmp_path: pathlib.Path) -> None:
    server = postgresql_server
    assert outcome(server) == ("ok", "as expected")
    assert outcome(server, role="primary") == ("ok", "as expected")
    assert outcome(server, role="standby") == ("failed", "it is a primary")
    assert outcome(server, query="SELECT 1", expect="1")[0] == "ok"
    assert outcome(server, query="SELECT 2", expect=1) == ("failed", "the query gives 2")
    assert outcome(server, query="SELECT 1.50::numeric", expect=1.5)[0] == "ok"
    assert outcome(server, query="VALUES (1, 'a'), (2, NULL)", expect=[[1, "a"], [2, None]])[0] == "ok"
    assert outcome(server, query="SELECT 5", minimum=5, maximum=5)[0] == "ok"
    assert outcome(server, query="SELECT 5", maximum=4) == ("failed", "5 is more than 4")
    assert outcome(server, query="SELECT 'NaN'::float", minimum=0)[1] == "the query gives nan, which is no number"
    assert outcome(server, query="SELECT 1 WHERE false") == ("failed", "the query gives no row")
    assert outcome(server, query="SELECT generate_series(1, 2000)")[1] == "the query gives more than 1000 rows"
    assert "syntax error" in outcome(server, query="SELEKT 1")[1]
    assert "read-only transaction" in outcome(server, query="CREATE TABLE probed (a int)")[1]
    assert outcome(server, database="no such database")[0] == "failed"
    assert "password authentication failed" in outcome(server, password="wrong")[1]
    assert outcome(server, query="SELECT pg_sleep(30)", timeout=0.5)[0] == "failed"
    password_file = tmp_path / "password"
    password_file.write_text(server.password + "\n")
    by_socket = {"socket": server.instance.socket_dir, "password": None, "password_file": str(password_file)}
    assert outcome(server, **by_socket) == ("ok", "as expected")


def test_many_postgresql_probes_at_once(postgresql_system: Server) -> None:
    # More than the server has connections.
    results = ask_all([connection(postgresql_system, query="SELECT 1", timeout=20)] * 200)
    assert {result.reading.outcome for result in results} == {"ok"}


def test_a_server_that_stops_answering_is_given_up_in_time() -> None:
    with running_server("system") as server:
        children = subprocess.run(
            ["pgrep", "-f", server.instance.data_dir], stdout=subprocess.PIPE, text=True, check=True
        )
        pids = [int(line) for line in children.stdout.split()]
        descriptors = len(os.listdir("/proc/self/fd"))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            results = ask_all([connection(server, timeout=1)] * 60)
            assert time.monotonic() - started < 40
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        assert {result.reading.values.get("timed_out") for result in results} == {True}
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the connections to be closed")


def test_a_session_that_stops_answering_is_given_up_in_time() -> None:
    """The query has begun when its server process stops: the very case in which asking it to cancel would hang."""
    with running_server("system") as server:
        pid_file = server.instance.data_dir + "/postmaster.pid"
        postmaster = int(pathlib.Path(pid_file).read_text().split()[0])
        # On a slow machine it gets time to begin.
        for timeout in (2, 10, 50):
            stopped: list[int] = []
            ended = threading.Event()

            def stop(stopped: list[int], ended: threading.Event) -> None:
                with server.connect() as session:
                    while not stopped and not ended.is_set():
                        rows = session.execute(
                            "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT pg_sleep'"
                        ).fetchall()
                        for pid in [*(row[0] for row in rows), *([postmaster] if rows else [])]:
                            os.kill(pid, signal.SIGSTOP)
                            stopped.append(pid)

            stopping = threading.Thread(target=stop, args=(stopped, ended))
            stopping.start()
            started = time.monotonic()
            try:
                probe = connection(server, query="SELECT pg_sleep(600), 1", timeout=timeout)
                reading = ask_all([probe])[0].reading
                took = time.monotonic() - started
            finally:
                ended.set()
                stopping.join()
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            if stopped:
                break
        assert len(stopped) == 2
        assert (reading.outcome, reading.values.get("timed_out")) == ("failed", True)
        assert took < timeout + 30


def test_a_server_that_is_down(postgresql_system: Server) -> None:
    found = outcome(postgresql_system, port=closed_port())
    assert found[0] == "failed"
    assert "refused" in found[1]
