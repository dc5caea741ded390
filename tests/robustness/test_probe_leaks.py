# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Round after round of probes at servers that answer, hang, reset and lie: no descriptor and no thread stays, memory is flat."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

from tests.robustness.scale import SOAK
from tests.servers.http import HttpServer, closed_port, silent_listener

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = 200 if SOAK else 8
#: Asks what standard input declares, round after round, as the module does once; one round is interrupted.
_CHILD = """
import contextlib, gc, json, os, signal, sys, threading
from ansible_collections.sre.runbooks.plugins.module_utils._probes import engine
from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import counts, run_probes
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import children

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

catching = engine._signals

@contextlib.contextmanager
def interrupted_soon(loop, stop):
    with catching(loop, stop):
        # Once it is caught, and not into what comes before or after.
        if number == 2:
            loop.call_later(0.2, os.kill, os.getpid(), signal.SIGINT)
        yield

engine._signals = interrupted_soon
probes, rounds = json.load(sys.stdin)
seen = []
for number in range(rounds):
    session = Session()
    results, interrupted = run_probes(declare_all(probes, session), session.close)
    found = counts(results)
    del results, session
    gc.collect()
    names = os.listdir("/proc/self/fd")
    state = {"open": len(names), "children": len(children(os.getpid())), "threads": threading.active_count()}
    seen.append({**state, "resident": resident(), "interrupted": interrupted, **found})
print(json.dumps(seen))
"""


def rounds(probes: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """What is open in the process after each round."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", _CHILD],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".local" / "collections")},
        input=json.dumps([probes, ROUNDS]),
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return t.cast("list[dict[str, t.Any]]", json.loads(done.stdout))


def test_nothing_stays_open_round_after_round() -> None:
    with HttpServer() as server, HttpServer() as calm, silent_listener() as silent:
        paths = (
            "/",
            "/json",
            "/chunked",
            "/until-close",
            "/short",
            "/no-http",
            "/huge",
            "/reset",
            "/empty",
            "/hang",
            "/extra",
        )
        probes: list[dict[str, t.Any]] = [
            {"kind": "http", "url": f"{server.url}{path}", "keep_alive": keep, "timeout": 1.0}
            for path in paths
            for keep in (True, False)
            for _ in range(5)
        ]
        probes += [{"kind": "http", "url": f"https://127.0.0.1:{server.port}/", "timeout": 1.0} for _ in range(5)]
        probes += [
            {"kind": "http", "url": "http://127.0.0.1:9/"},
            {"kind": "http", "url": f"http://127.0.0.1:{silent}/", "timeout": 1.0},
        ]
        probes += [
            {"kind": "tcp", "host": "127.0.0.1", "port": port, "timeout": 1.0} for port in (silent, server.port, 9)
        ]
        # Of these, connections are kept until the end.
        probes += [{"kind": "http", "url": f"{calm.url}/"} for _ in range(5)]
        seen = rounds(probes)
    nothing_stays(seen)


def test_nothing_of_other_kinds_stays_round_after_round(tmp_path: pathlib.Path) -> None:
    """What they wait for, misunderstand, cannot start and must end: sockets, threads, programs and who watches them."""
    plain = tmp_path / "no-program"
    plain.write_text("not to be run\n")
    here = {"host": "127.0.0.1", "timeout": 1.0}
    nowhere = closed_port()
    with HttpServer() as server, silent_listener() as silent:
        ports = (server.port, silent, nowhere)
        probes: list[dict[str, t.Any]] = [{"kind": "tls", **here, "port": port} for port in ports]
        probes += [{"kind": "tls", **here, "port": silent, "starttls": "smtp"}]
        probes += [{"kind": "smtp", **here, "port": port} for port in ports]
        probes += [{"kind": "websocket", "url": f"ws://127.0.0.1:{port}/", "timeout": 1.0} for port in ports]
        probes += [{"kind": "dns", "record": "x.test", "servers": [f"127.0.0.1:{nowhere}"], "timeout": 1.0}]
        # Of kinds that block in a thread: one that is refused, and one that finds what it wants.
        probes += [{"kind": "redis", **here, "port": nowhere, "sample": 0.2}]
        probes += [{"kind": "disk", "path": str(tmp_path), "free_bytes": 0}]
        for argv in (["true"], ["false"], ["sleep", "60"], ["no-such-program-at-all"], [str(plain)], [str(tmp_path)]):
            probes += [{"kind": "command", "argv": argv, "timeout": 1.0} for _ in range(2)]
        seen = rounds(probes)
    assert all(entry["unknown"] for entry in seen)
    nothing_stays(seen)


def nothing_stays(seen: list[dict[str, t.Any]]) -> None:
    """Neither descriptors nor processes nor threads, and memory is flat."""
    assert {entry["children"] for entry in seen} == {0}, seen
    assert {entry["interrupted"] for number, entry in enumerate(seen) if number != 2} == {False}
    whole = [entry for number, entry in enumerate(seen) if number != 2]
    assert all(entry["ok"] and entry["failed"] for entry in whole)
    # Of the first round, what is imported and opened once for all.
    assert {entry["open"] for entry in seen[1:]} == {seen[1]["open"]}, seen
    assert whole[-1]["threads"] <= seen[1]["threads"], seen
    assert whole[-1]["resident"] < seen[1]["resident"] + (16 << 20), seen
