# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Background processes as Ansible starts and stops them."""

from __future__ import annotations

import collections.abc
import contextlib
import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._background import kernel
from tests.servers.deadline import wait_for
from tests.servers.playbook import Played, play
from tools.local_environment import free_port

SECRET = "hunter2-of-the-test"
SHORT_SECRET = "k3y!"
PROGRAM = textwrap.dedent(
    """
    import http.server, os, signal, subprocess, sys, time
    def stay(*_):
        while True:
            time.sleep(0.1)
            print("still here", flush=True)
    def go_slowly(*_):
        time.sleep(1)
        print("ended well", flush=True)
        os._exit(0)
    if "deaf" in sys.argv:
        signal.signal(signal.SIGTERM, stay)
    if "slow" in sys.argv:
        signal.signal(signal.SIGTERM, go_slowly)
    if "child" in sys.argv:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
    if "late" in sys.argv:
        time.sleep(1)
    print("hello from", os.getcwd(), flush=True)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
    """
)


class Place:
    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.pid_file = directory / "program.pid"
        self.log_file = directory / "program.log"

    def started(self, *words: str, **options: t.Any) -> dict[str, t.Any]:
        module = {
            "name": "program",
            "argv": [sys.executable, "-c", PROGRAM, str(self.port), *words],
            "pid_file": str(self.pid_file),
            "log_file": str(self.log_file),
            "ready": {"url": f"http://127.0.0.1:{self.port}/", "timeout": "2m"},
            **options,
        }
        return {"sre.runbooks.background_process": {key: value for key, value in module.items() if value is not None}}

    def stopped(self, **options: t.Any) -> dict[str, t.Any]:
        module = {"state": "stopped", "name": "program", "pid_file": str(self.pid_file), **options}
        return {"sre.runbooks.background_process": module}

    def pid(self) -> int:
        return t.cast(int, json.loads(self.pid_file.read_text())["pid"])

    def running(self) -> list[int]:
        """Every process that has our port in its command line."""
        return [pid for pid in kernel.pids() if str(self.port) in kernel.arguments(pid) and not dead(pid)]


def dead(pid: int) -> bool:
    found = kernel.process(pid)
    return found is None or found.dead


@pytest.fixture
def here(tmp_path: pathlib.Path) -> collections.abc.Iterator[Place]:
    made = Place(tmp_path)
    yield made
    for pid in made.running():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def changes(played: Played) -> list[bool]:
    assert not any(result.get("failed") for result in played.results), played.output
    return [result["changed"] for result in played.results]


def test_check_start_again_stop_again(here: Place) -> None:
    environment = {"A": "1", "TOKEN": SECRET, "PIN": SHORT_SECRET}
    task = here.started(environment=environment, working_directory=str(here.directory))
    checked = play([task], "--check", "--diff", "-vvvv")
    assert changes(checked) == [True]
    assert list(here.directory.iterdir()) == []

    first = play([task, task], "--diff", "-vvvv")
    assert changes(first) == [True, False]
    assert here.running() == [here.pid()] == [first.results[1]["pid"]]
    assert f"hello from {here.directory}" in here.log_file.read_text()
    # The child's environment has it, and nothing else does.
    assert f"TOKEN={SECRET}" in pathlib.Path(f"/proc/{here.pid()}/environ").read_text()
    for text in (checked.output, first.output, here.pid_file.read_text(), json.dumps(first.results)):
        assert SECRET not in text
        assert SHORT_SECRET not in text
    assert here.pid_file.stat().st_mode & 0o077 == 0

    assert changes(play([task, here.stopped()], "--check")) == [False, True]
    assert len(here.running()) == 1
    assert changes(play([here.stopped(), here.stopped()])) == [True, False]
    assert here.running() == []
    assert not here.pid_file.exists()


def test_it_has_nothing_of_ansibles(here: Place) -> None:
    play([here.started()])
    pid = here.pid()
    assert os.getsid(pid) == pid
    assert os.getpgid(pid) == pid

    def targets() -> set[str]:
        found = set()
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
        return found

    # It may still close the connection over which it was asked whether it is ready.
    wait_for(lambda: len([name for name in targets() if name.startswith("socket:")]) == 1, "its own listener alone")
    assert {name for name in targets() if not name.startswith("socket:")} <= {"/dev/null", str(here.log_file)}


@pytest.mark.parametrize(
    "changed",
    [{"environment": {"TOKEN": "another"}}, {"working_directory": "/tmp"}, {"argv": None}],
    ids=["environment", "directory", "argv"],
)
def test_another_command_restarts_it(here: Place, changed: dict[str, t.Any]) -> None:
    before = here.started(environment={"TOKEN": SECRET})
    if "argv" in changed:
        after = here.started("another word", environment={"TOKEN": SECRET})
    else:
        after = here.started(**{"environment": {"TOKEN": SECRET}, **changed})
    played = play([before, after, after], "--diff")
    assert changes(played) == [True, True, False]
    assert played.results[0]["pid"] != played.results[1]["pid"]
    assert dead(played.results[0]["pid"])
    assert len(here.running()) == 1
    difference = played.results[1]["diff"]
    assert difference["before"] != difference["after"]


def test_a_killed_one_is_started_again(here: Place) -> None:
    first = play([here.started()]).results[0]["pid"]
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: dead(first), "its end")
    assert changes(play([here.started(), here.started()])) == [True, False]
    assert here.pid() != first


def test_a_deaf_one_and_its_children_are_killed(here: Place) -> None:
    play([here.started("deaf", "child")])
    assert len(here.running()) == 2
    assert changes(play([here.stopped(stop_timeout="1")])) == [True]
    assert here.running() == []
    # Tenths of a second that it slept after SIGTERM: ten, and not the hundred of the default.
    assert here.log_file.read_text().count("still here") < 80


def test_one_that_ends_slowly_is_waited_for(here: Place) -> None:
    play([here.started("slow")])
    assert changes(play([here.stopped(stop_timeout="2m")])) == [True]
    assert "ended well" in here.log_file.read_text()


def test_a_process_with_the_same_number_is_not_touched(here: Place) -> None:
    play([here.started()])
    record = json.loads(here.pid_file.read_text())
    with subprocess.Popen(["sleep", "600"]) as innocent:
        here.pid_file.write_text(json.dumps({**record, "pid": innocent.pid}))
        assert changes(play([here.stopped()])) == [True]  # the stale pid file went
        assert innocent.poll() is None
        here.pid_file.write_text(json.dumps({**record, "boot_id": "the boot before"}))
        assert changes(play([here.stopped()])) == [True]
        assert not dead(record["pid"])
        innocent.kill()


def test_a_foreign_pid_file_is_refused(here: Place) -> None:
    with subprocess.Popen(["sleep", "600"]) as innocent:
        contents = [f"{innocent.pid}\n", f'{{"pid": {innocent.pid}}}', "[]", "", "\0\0", '{"pid": -1}']
        paths = [here.directory / f"foreign-{number}.pid" for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_text(content)
        tasks = [
            task for path in paths for task in (here.started(pid_file=str(path)), here.stopped(pid_file=str(path)))
        ]
        for result in play(tasks).results:
            assert "is not a pid file that this module wrote" in result["msg"]
            assert result["error"]["kind"] == "refused"
        assert innocent.poll() is None
        innocent.kill()
    assert here.running() == []
    assert [path.read_text() for path in paths] == contents


def test_what_cannot_start_says_why(here: Place) -> None:
    cases: list[tuple[dict[str, t.Any], str]] = [
        ({"argv": ["/no/such/program"]}, "needs /no/such/program, which is not there"),
        ({"argv": ["sh", "-c", "echo out of luck; exit 3"]}, "exit code 3: out of luck"),
        ({"argv": ["sleep", "1"], "ready": {"tcp": "127.0.0.1:1", "timeout": "120"}}, "ended before it was ready"),
        ({"ready": {"tcp": "no address"}}, "not an address"),
        ({"ready": {"url": "gopher://x"}}, "url must be"),
        ({"ready": {"timeout": "5"}}, "one of the following is required"),
        ({"working_directory": "/no/such/directory"}, "/no/such/directory"),
        ({"pid_file": "/no/such/directory/x.pid"}, "expected: the directory /no/such/directory"),
        ({"user": "no-such-user"}, "no such user"),
        ({"argv": None}, "argv"),
        ({"argv": ["sleep", "600"], "ready": {"tcp": "127.0.0.1:1", "timeout": "1"}}, "is not ready after 1.0 s"),
    ]
    played = play([here.started(**options) for options, _ in cases] + [here.stopped()])
    for result, (_, message) in zip(played.results, cases, strict=False):
        assert result["failed"] is True
        assert message in result["msg"]
    # Only the last one ran (and goes on, to be looked at) when its module ended.
    assert played.results[-1]["changed"] is True
    assert not here.pid_file.exists()


def test_two_starts_at_once_give_one_process(here: Place) -> None:
    results: list[Played] = []
    threads = [threading.Thread(target=lambda: results.append(play([here.started("late")]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.results[0]["failed"] for result in results] == [False, False]
    assert len(here.running()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_another_user(here: Place) -> None:
    # Not Python: a user's own interpreter is often where nobody else may look.
    task = here.started(user="nobody", argv=["sh", "-c", "sleep 600; :", str(here.port)], ready=None)
    assert changes(play([task, task])) == [True, False]
    assert os.stat(f"/proc/{here.pid()}").st_uid == pwd.getpwnam("nobody").pw_uid
    assert changes(play([here.stopped()])) == [True]


def test_a_module_killed_while_it_waits_leaves_a_known_process(here: Place) -> None:
    """The pid file exists as soon as the process does, so the next run finds it."""
    task = here.started(ready={"tcp": f"127.0.0.1:{free_port()}", "timeout": "600"})
    ours = {"SRE_RUNBOOKS_TEST": str(here.pid_file)}
    waiting = subprocess.Popen(
        [sys.executable, "-c", _PLAY, json.dumps(task)], start_new_session=True, env={**os.environ, **ours}
    )
    wait_for(lambda: here.pid_file.exists() and bool(here.running()), "the process")
    os.killpg(waiting.pid, signal.SIGKILL)
    waiting.wait()
    program = here.running()
    for pid in kernel.pids():  # the module has a session of its own below ansible-playbook
        with contextlib.suppress(OSError):
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
            if f"SRE_RUNBOOKS_TEST={here.pid_file}".encode() in environment.split(b"\0") and pid not in program:
                os.kill(pid, signal.SIGKILL)
    assert len(here.running()) == 1
    assert changes(play([here.stopped()])) == [True]
    assert here.running() == []


_PLAY = """
import json, sys
sys.path.insert(0, "ROOT")
from tests.servers.playbook import play
play([json.loads(sys.argv[1])])
""".replace("ROOT", str(pathlib.Path(__file__).resolve().parents[2]))


def test_the_port_is_free_after_stopping(here: Place) -> None:
    play([here.started(), here.stopped()])
    with socket.create_server(("127.0.0.1", here.port)):
        pass


def test_another_program_that_answers_is_not_taken_for_it(here: Place, tmp_path: pathlib.Path) -> None:
    other = Place(tmp_path)
    other.port, other.pid_file = here.port, tmp_path / "other.pid"
    assert changes(play([other.started()])) == [True]
    played = play([here.started(), other.stopped()])
    assert "another program already answers" in played.results[0]["msg"]
    assert not here.pid_file.exists()
