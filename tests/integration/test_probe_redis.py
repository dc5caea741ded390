# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The redis kind on real servers: a primary, a replica, TLS, ACL users, and servers in trouble."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import threading
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from tests.servers.certificates import make_certificates
from tests.servers.deadline import wait_for
from tests.servers.http import HttpServer, closed_port, silent_listener
from tests.servers.redis import RedisServer, follow, redis_server, running_redis
from tests.unit.probes.conftest import ask_all

__all__ = ["redis_server"]


def ask(server: RedisServer, **options: t.Any) -> Reading:
    probe = {"kind": "redis", "port": server.port, "password": server.password, "sample": 0.2}
    reading = ask_all([{**probe, **options}])[0].reading
    assert server.password not in repr(reading)
    return reading


def outcome(server: RedisServer, **options: t.Any) -> tuple[str, str]:
    reading = ask(server, **options)
    return reading.outcome, reading.message


def test_a_server_that_is_well(redis_server: RedisServer, tmp_path: pathlib.Path) -> None:
    reading = ask(redis_server)
    assert (reading.outcome, reading.message) == ("ok", "as expected")
    assert reading.measured.startswith("primary with 0 replicas, ")
    assert reading.values["version"].count(".") == 2
    assert reading.values["maxmemory_bytes"] == 0
    assert reading.values["memory_percent"] is None
    assert outcome(redis_server, role="primary")[0] == "ok"
    assert outcome(redis_server, role="replica") == ("failed", "role: it is a primary")
    assert outcome(redis_server, replicas=1) == ("failed", "replication: 0 replicas are in step, not 1")
    path = tmp_path / "password"
    path.write_text(redis_server.password + "\n")
    by_file: dict[str, t.Any] = {"password": None, "password_file": str(path)}
    assert outcome(redis_server, **by_file)[0] == "ok"
    assert outcome(redis_server, **by_file, socket=redis_server.socket)[0] == "ok"
    assert outcome(redis_server, password=None, password_file=str(tmp_path / "none"))[0] == "unknown"


def test_the_next_command_runs(redis_server: RedisServer, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pass word"
    path.write_text(redis_server.password + "\n")
    hint = ask(redis_server, password=None, password_file=str(path), replicas=1).hint
    assert hint is not None
    done = subprocess.run(hint, shell=True, stdout=subprocess.PIPE, text=True, check=True)
    assert "role:master" in done.stdout
    assert ask(redis_server, replicas=1, hint="see the runbook").hint == "see the runbook"


def test_credentials_and_rights(redis_server: RedisServer) -> None:
    assert "the server refuses the credential" in outcome(redis_server, password="wrong")[1]
    assert outcome(redis_server, password=None) == (
        "failed",
        "the server wants a credential and none is given: set password_file, and user where it has one",
    )
    redis_server.command("ACL", "SETUSER", "looker", "on", ">look-only", "-@all", "+ping", "+info")
    redis_server.command("ACL", "SETUSER", "blind", "on", ">see-nothing", "-@all", "+ping")
    assert outcome(redis_server, user="looker", password="look-only") == ("ok", "as expected")
    blind = outcome(redis_server, user="blind", password="see-nothing")
    assert (blind[0], blind[1].startswith("no right to look: ")) == ("unknown", True)
    assert "see-nothing" not in blind[1]


def test_memory_and_evictions() -> None:
    with running_redis("--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru") as server:
        assert ask(server, memory_warning=80).outcome == "ok"
        with server.client() as client:
            for number in range(40):
                client.set(f"filling:{number}", "x" * 200_000)
            # Nothing is evicted while we look, so what was evicted before is only told.
            reading = ask(server, memory_warning=1, memory_percent=100)
            assert (reading.outcome, reading.message.startswith("memory: ")) == ("warning", True)
            assert reading.values["evicted_keys"] > 0
            assert ask(server, memory_percent=50).outcome == "failed"
            begun, done = threading.Event(), threading.Event()

            def churn() -> None:
                number = 0
                with server.client() as writer:
                    while not done.is_set():
                        number += 1
                        writer.set(f"churning:{number}", "x" * 200_000)
                        begun.set()

            thread = threading.Thread(target=churn)
            thread.start()
            try:
                assert begun.wait(120)
                evicting: dict[str, t.Any] = {"memory_warning": 100, "memory_percent": 100, "sample": 0.5}
                wait_for(lambda: ask(server, **evicting).values["evicted_keys_sampled"] > 0, "evictions")
                reading = ask(server, **{**evicting, "sample": 5})
                assert (reading.outcome, reading.message.startswith("evictions: ")) == ("warning", True)
                assert reading.values["evicted_keys_sampled"] > 0
                assert ask(server, **evicting, evictions=1e9).outcome == "ok"
            finally:
                done.set()
                thread.join()


def test_connections() -> None:
    with running_redis("--maxclients", "10") as server:
        held = [server.client() for _ in range(8)]
        try:
            for client in held:
                client.ping()
            reading = ask(server)
            assert (reading.outcome, reading.message) == ("warning", "connections: 9 of 10 connections are in use")
            assert reading.hint is not None
            assert reading.hint.endswith(" CLIENT LIST")
            assert ask(server, connections_percent=90).outcome == "failed"
            held += [server.client() for _ in range(2)]
            for client in held[8:]:
                client.ping()
            assert "max number of clients reached" in outcome(server)[1]
        finally:
            for client in held:
                client.close()
        wait_for(lambda: ask(server).outcome == "ok", "the connections to be free again")
        assert ask(server).values["rejected_connections"] >= 1


def test_saves() -> None:
    with running_redis() as server:
        server.command("SET", "key", "value")
        assert ask(server, save_age="1h").outcome == "ok"
        wait_for(lambda: "1 change not saved" in outcome(server, save_age="1s")[1], "the change to be old")
        server.command("SAVE")
        assert ask(server, save_age="1s").outcome == "ok"
        # In the place of the file is a directory, which nobody's file replaces.
        dump = pathlib.Path(server.directory, "dump.rdb")
        dump.unlink()
        dump.mkdir()
        (dump / "file").touch()
        server.command("BGSAVE")
        wait_for(lambda: server.client().info()["rdb_last_bgsave_status"] == "err", "the save to fail")
        assert outcome(server) == ("failed", "persistence: the last save failed")


def test_replication() -> None:
    with running_redis("--repl-ping-replica-period", "1") as primary:
        with running_redis() as replica:
            follow(replica, primary)
            wait_for(lambda: outcome(replica, role="replica") == ("ok", "as expected"), "the replica to hear of it")
            wait_for(lambda: ask(primary, replicas=1).outcome == "ok", "the replica to be in step")
            (known,) = ask(primary).values["replicas"]
            assert known["address"] == f"127.0.0.1:{replica.port}"
            # One that takes no part any more, and whose connection is still there.
            os.kill(replica.process.pid, signal.SIGSTOP)
            try:
                wait_for(lambda: " lags " in outcome(primary, lag_limit=1)[1], "the replica to lag")
            finally:
                os.kill(replica.process.pid, signal.SIGCONT)
            os.kill(primary.process.pid, signal.SIGSTOP)
            try:
                found = f"replication: 127.0.0.1:{primary.port} was not heard for "
                wait_for(lambda: outcome(replica, lag_limit=1)[1].startswith(found), "the silence to be noticed")
            finally:
                os.kill(primary.process.pid, signal.SIGCONT)
            primary.process.kill()
            primary.process.wait()
            down = f"replication: the link to 127.0.0.1:{primary.port} is down"
            wait_for(lambda: outcome(replica)[1].startswith(down), "the link to be down")


def test_tls(tmp_path: pathlib.Path) -> None:
    other = make_certificates(str(tmp_path / "other"))
    with running_redis(tls=True) as server:
        assert server.certificates is not None
        assert outcome(server, tls=True, ca_cert=server.certificates.ca)[0] == "ok"
        assert "certificate verify failed" in outcome(server, tls=True, ca_cert=other.ca)[1]
        assert outcome(server, tls=True, validate_certs=False)[0] == "ok"
        assert outcome(server)[0] == "failed"


def test_what_is_no_redis_server() -> None:
    def asked(**options: t.Any) -> Reading:
        return ask_all([{"kind": "redis", "sample": 0, **options}])[0].reading

    assert (asked(port=closed_port()).outcome, asked(port=closed_port()).measured) == ("failed", "no connection")
    with HttpServer() as http:
        assert asked(port=http.port, timeout=2).outcome == "failed"
    with silent_listener() as port:
        descriptors = len(os.listdir("/proc/self/fd"))
        reading = asked(port=port, timeout=0.5)
        assert (reading.outcome, reading.values["timed_out"]) == ("failed", True)
        wait_for(lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "the connection to be closed")


def test_a_sample_that_takes_the_whole_timeout_is_refused() -> None:
    with pytest.raises(Exception, match="sample must be shorter than timeout"):
        ask_all([{"kind": "redis", "sample": "5s", "timeout": 5}])
