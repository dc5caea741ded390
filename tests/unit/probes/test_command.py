# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command kind: exit codes, output, time, environment, secrets, and what it must not leave behind."""

from __future__ import annotations

import json
import os
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._background import kernel
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes import program
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import secrets_of
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import KINDS
from ansible_collections.sre.runbooks.plugins.module_utils._probes.program import _begun
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
from tests.servers.deadline import wait_for
from tests.unit.probes.conftest import Ask, ask_all

SECRET = "hunter2-of-commands"


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


@pytest.mark.parametrize(
    ("script", "options", "outcome", "message"),
    [
        ("echo fine", {}, "ok", "as expected"),
        ("echo broken; exit 2", {}, "failed", "broken"),
        ("echo not this; echo this >&2; exit 2", {}, "failed", "this"),
        ("exit 3", {"exit_codes": [0, 3]}, "ok", "as expected"),
        ("exit 0", {"exit_codes": "2,3"}, "failed", "exit code 0"),
        ("echo DISK WARNING; exit 1", {"warning_codes": 1}, "warning", "DISK WARNING"),
        ("echo no plugin; exit 3", {"unknown_codes": "3"}, "unknown", "no plugin"),
        ("echo depth 42", {"stdout": "42", "stdout_matches": r"depth \d+"}, "ok", "as expected"),
        ("echo depth 42", {"stdout": "43"}, "failed", "the output does not contain '43'"),
        ("echo depth 42", {"stdout_matches": "^42"}, "failed", "the output does not match '^42'"),
        ("kill -9 $$", {}, "failed", "ended by signal 9"),
    ],
)
def test_how_it_ends(ask: Ask, script: str, options: dict[str, t.Any], outcome: str, message: str) -> None:
    reading = ask("command", argv=shell(script), **options).reading
    assert (reading.outcome, reading.message) == (outcome, message)


def test_there_is_no_shell(ask: Ask, tmp_path: pathlib.Path) -> None:
    reading = ask("command", argv=["echo", "$HOME", ";", "touch", str(tmp_path / "touched")]).reading
    assert reading.values["stdout"] == f"$HOME ; touch {tmp_path}/touched\n"
    assert ask("command", argv=["pwd"], directory=str(tmp_path), stdout=str(tmp_path)).reading.outcome == "ok"


@pytest.mark.parametrize("argv", [["no-such-program-at-all"], ["/etc/passwd"], ["/"]])
def test_what_cannot_be_run_is_unknown(ask: Ask, argv: list[str]) -> None:
    reading = ask("command", argv=argv).reading
    assert (reading.outcome, reading.measured) == ("unknown", "nothing"), reading


def test_a_directory_that_is_not_there_is_unknown(ask: Ask, tmp_path: pathlib.Path) -> None:
    reading = ask("command", argv=["true"], directory=str(tmp_path / "none")).reading
    assert (reading.outcome, reading.message) == ("unknown", f"{tmp_path}/none does not exist on this host")


def test_its_environment_is_small(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    program = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    reading = ask("command", argv=program, environment={"MODE": "test"}, secrets={"TOKEN": "abc"}).reading
    seen = json.loads(reading.values["stdout"])
    assert seen.keys() - {"LC_CTYPE"} == {"PATH", "HOME", "LC_ALL", "MODE", "TOKEN"}
    assert SECRET not in repr(reading)


def test_secrets_are_in_no_output(ask: Ask) -> None:
    script = 'echo "token $TOKEN"; echo "sent $TOKEN" >&2; exit 1'
    reading = ask("command", argv=shell(script), secrets={"TOKEN": SECRET}).reading
    assert reading.message == "sent ********"
    assert reading.values["stdout"] == "token ********\n"
    assert SECRET not in repr(reading)
    # A name that does not say so does not make it less secret.
    raw = {
        "kind": "command",
        "argv": ["true"],
        "secrets": {"A": SECRET},
        "environment": {"B": "open", "API_KEY": "shut"},
    }
    assert set(secrets_of([raw], KINDS)) == {SECRET, "shut"}
    with pytest.raises(InvalidInput) as refused:
        ask("command", argv=["curl", "-H", f"Authorization: {SECRET}"], secrets={"TOKEN": SECRET})
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("after", [0, 985, 990, 70_000])
def test_a_secret_is_masked_before_what_was_said_is_cut(ask: Ask, after: int) -> None:
    words = f"import os, sys; sys.exit(os.environ['TOKEN'] + 'x' * {after})"
    reading = ask("command", argv=[sys.executable, "-c", words], secrets={"TOKEN": SECRET}).reading
    assert not any(SECRET[start : start + 4] in repr(reading) for start in range(len(SECRET) - 3)), reading


@pytest.mark.parametrize("length", range(65_536, 65_536 + len(SECRET)))
def test_the_rest_of_a_secret_that_was_not_read_whole_is_masked(length: int) -> None:
    words = (SECRET + "y" * 64 * 1024)[-length:]
    assert SECRET[-4:] not in _begun(words, [SECRET])


def test_a_secret_of_lines_is_masked_line_by_line(ask: Ask) -> None:
    lines = ["first-of-the-key", "second-of-the-key", "end"]
    raw = {
        "kind": "command",
        "argv": shell('echo "$KEY" | tee /dev/stderr; exit 1'),
        "secrets": {"KEY": "\n".join(lines)},
    }
    assert set(lines[:2]) < set(secrets_of([raw], KINDS))
    reading = ask(**raw).reading
    assert reading.message == "********"
    words = 'echo "$KEY" | sed "s/^/  /" | tee /dev/stderr; exit 1'
    reading = ask("command", argv=shell(words), secrets=raw["secrets"]).reading
    assert reading.message == "******** | ******** | end"
    assert "of-the-key" not in repr(reading)


def gone(pid: int) -> bool:
    found = kernel.process(pid)
    return found is None or found.dead


def wait_until_gone(pids: list[int]) -> None:
    wait_for(lambda: all(gone(pid) for pid in pids), "the end of a process that was left behind")


def test_a_program_that_cannot_be_killed_holds_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """As one that waits for a disk that hangs: here nobody sends the signal, until a file tells it to end."""
    monkeypatch.setattr(ProcessGroup, "_signal", lambda _group, _number: None)
    monkeypatch.setattr(program, "_PATIENCE_S", 0.1)
    wait = (
        f"echo $$ > {tmp_path}/pid; n=0; until [ -e {tmp_path}/end ] || [ $n -gt 600 ]; do sleep 0.1; n=$((n+1)); done"
    )
    before = set(os.listdir("/proc/self/fd"))
    (result,) = ask_all([{"kind": "command", "argv": shell(wait), "timeout": 2}])
    noted = tmp_path / "pid"
    wait_for(lambda: noted.exists() and bool(noted.read_text()), "the program")
    pid = int(noted.read_text())
    assert result.reading.outcome == "failed"
    assert not gone(pid), "it was waited for"
    (tmp_path / "end").touch()
    wait_until_gone([pid])
    assert set(os.listdir("/proc/self/fd")) <= before


def family(path: pathlib.Path, last: str) -> list[str]:
    """A program that starts others, notes who they are, and then does something."""
    return shell(f"sleep 300 & echo $! >> {path}; (sleep 300 & echo $! >> {path}; wait) & echo $$ >> {path}; {last}")


@pytest.mark.parametrize(
    ("last", "timeout", "outcome"),
    [
        ("wait", 1, "failed"),
        ("trap '' TERM INT; wait; wait", 1, "failed"),
        ("until [ $(wc -l < PIDS) = 3 ]; do sleep 0.1; done", 60, "ok"),
    ],
)
def test_nothing_of_it_is_left(ask: Ask, tmp_path: pathlib.Path, last: str, timeout: float, outcome: str) -> None:
    pids: list[int] = []
    # On a slow machine it gets time to start all of them.
    while len(pids) < 3:
        noted = tmp_path / f"pids-{timeout:g}"
        noted.touch()
        result = ask("command", argv=family(noted, last.replace("PIDS", str(noted))), timeout=timeout)
        assert result.reading.outcome == outcome, result.reading
        pids = [int(word) for word in noted.read_text().split()]
        wait_until_gone(pids)
        timeout *= 4
        assert len(pids) == 3 or timeout < 300


def test_endless_output_is_ended(ask: Ask) -> None:
    reading = ask("command", argv=["cat", "/dev/zero"], timeout=60).reading
    assert (reading.outcome, reading.message) == ("failed", "it writes more than 16 MiB")


def test_long_and_strange_output(ask: Ask) -> None:
    program = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'\\xff\\x00' * 100000)"]
    reading = ask("command", argv=program).reading
    assert reading.outcome == "ok"
    assert len(json.dumps(reading.values)) < 50_000


def test_many_at_once_leave_nothing_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    results = ask_all([{"kind": "command", "argv": ["echo", "x"], "timeout": 60}] * 40)
    assert {result.reading.outcome for result in results} == {"ok"}
    wait_for(lambda: len(os.listdir("/proc/self/fd")) <= before, "every descriptor to be closed")


@pytest.mark.parametrize(
    "options",
    [
        {"argv": "echo x"},
        {"argv": []},
        {"argv": [["a"]]},
        {"argv": ["a\0b"]},
        {"argv": ["true"], "exit_codes": 256},
        {"argv": ["true"], "exit_codes": "zero"},
        {"argv": ["true"], "environment": {"A=B": "1"}},
        {"argv": ["true"], "secrets": SECRET},
    ],
)
def test_what_is_refused(options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        ask_all([{"kind": "command", **options}])
    assert SECRET not in str(refused.value)
