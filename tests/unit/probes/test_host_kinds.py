# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds file_age, credential_age and systemd_unit."""

from __future__ import annotations

import datetime
import os
import pathlib
import subprocess
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._probes import file_age
from tests.unit.probes.conftest import Ask

HOUR, DAY = 3600.0, 86400.0


def write(path: pathlib.Path, age: float = 0, content: str = "x") -> pathlib.Path:
    path.write_text(content)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_the_newest_file_counts(ask: Ask, tmp_path: pathlib.Path) -> None:
    write(tmp_path / "a.dump", 30 * HOUR, "x" * 5000)
    newest = write(tmp_path / "b.dump", 2 * HOUR, "x" * 3000)
    (tmp_path / "c.dump").mkdir()
    (tmp_path / "d.dump").symlink_to(tmp_path / "nowhere")
    every = str(tmp_path / "*.dump")
    reading = ask("file_age", path=every, maximum_age="3h", minimum_size=3000).reading
    assert (reading.outcome, reading.values["files"], reading.values["newest"]) == ("ok", 2, str(newest))
    assert reading.values["age_s"] == pytest.approx(2 * HOUR, abs=60)
    assert ask("file_age", path=every, maximum_age="1h").reading.message == "older than 1 h 00 m"
    assert ask("file_age", path=every, minimum_size="4k").reading.message == "smaller than 4.0 KiB"
    assert ask("file_age", path=every, minimum=3).reading.message == "too few files"
    assert ask("file_age", path=every, maximum=1).reading.message == "too many files"
    assert ask("file_age", path=str(tmp_path / "a.dump"), maximum_age="1d").reading.outcome == "failed"


def test_patterns_and_names(ask: Ask, tmp_path: pathlib.Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    write(tmp_path / "x" / "y" / "deep.csv")
    write(tmp_path / "odd[1].csv", 10 * DAY)
    assert ask("file_age", path=str(tmp_path / "**" / "*.csv")).reading.values["files"] == 2
    # A file whose name looks like a pattern is that file.
    assert ask("file_age", path=str(tmp_path / "odd[1].csv"), maximum_age="1d").reading.outcome == "failed"


def test_two_stars_follow_no_link(ask: Ask, tmp_path: pathlib.Path) -> None:
    top, elsewhere = tmp_path / "top", tmp_path / "elsewhere"
    for directory in (top / "a" / "b", top / ".hidden", elsewhere):
        directory.mkdir(parents=True)
        write(directory / "x.csv")
    (top / "a" / "loop").symlink_to(top)
    (top / "a" / "out").symlink_to(elsewhere)
    (top / "y.csv").symlink_to(elsewhere / "x.csv")
    (tmp_path / "current").symlink_to(top)

    def files(*parts: str) -> int:
        return t.cast(int, ask("file_age", path=str(tmp_path.joinpath(*parts)), minimum=0).reading.values["files"])

    assert files("top", "**", "*.csv") == files("top", "**") == 2  # b/x.csv, and y.csv, which is a file somewhere else
    assert files("top", "**", "b", "**") == files("top", "**", "**", "b", "**", "*.csv") == 1
    # What the pattern itself names or matches may be a link, such as a directory that is switched.
    assert files("current", "**", "*.csv") == 2 and files("top", "*", "out", "*.csv") == 1
    assert files("top", ".h*", "*.csv") == 1


def test_the_next_command_finds_something(ask: Ask, tmp_path: pathlib.Path) -> None:
    (tmp_path / "it is" / "here").mkdir(parents=True)
    write(tmp_path / "it is" / "here" / "old.csv", 3 * DAY)
    for path in ("it is/here/*.csv", "it is/**/*.csv", "it is/nowhere/x", "it is/nowhere/*/x", "it is/here/none"):
        reading = ask("file_age", path=f"{tmp_path}/{path}", maximum_age="1d").reading
        assert reading.outcome == "failed" and reading.hint is not None and str(tmp_path / path) in reading.expected
        done = subprocess.run(["sh", "-c", reading.hint], capture_output=True, text=True, check=True)
        assert "old.csv" in done.stdout or "here" in done.stdout, reading.hint
    missing = ask("disk", path=f"{tmp_path}/it is/nowhere").reading
    assert missing.hint is not None and missing.hint.endswith(f"ls -la '{tmp_path}/it is'")
    assert ask("file_age", path=f"{tmp_path}/none", hint="own").reading.hint == "own"
    assert ask("disk", path=f"{tmp_path}/none", hint="own").reading.hint == "own"


def test_files_that_are_missing_or_unwanted(ask: Ask, tmp_path: pathlib.Path) -> None:
    for path in (tmp_path / "none", tmp_path / "*.none", tmp_path / "no" / "where" / "*"):
        reading = ask("file_age", path=str(path)).reading
        assert (reading.outcome, reading.message) == ("failed", "there is no such file")
        assert ask("file_age", path=str(path), minimum=0, maximum=0).reading.outcome == "ok"
    write(tmp_path / "core.1")
    assert ask("file_age", path=str(tmp_path / "core.*"), minimum=0, maximum=0).reading.outcome == "failed"


def test_a_file_of_tomorrow(ask: Ask, tmp_path: pathlib.Path) -> None:
    path = write(tmp_path / "a", -DAY)
    assert ask("file_age", path=str(path), maximum_age="1h").reading.outcome == "unknown"


def test_what_may_not_be_looked_into_is_unknown(
    ask: Ask, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root there is no directory that cannot be read, so the kernel's answers are played.
    (tmp_path / "closed").mkdir()
    monkeypatch.setattr(file_age.os, "access", lambda *_: False)
    reading = ask("file_age", path=str(tmp_path / "closed" / "*")).reading
    assert (reading.outcome, reading.message) == ("unknown", f"{tmp_path}/closed: Permission denied")

    def refuse(path: str) -> t.NoReturn:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(file_age.os, "stat", refuse)
    assert ask("file_age", path=str(tmp_path / "a")).reading.outcome == "unknown"


def test_the_age_of_a_secret_file(ask: Ask, tmp_path: pathlib.Path) -> None:
    secret = "hunter2-of-credentials"
    path = write(tmp_path / "password", 80 * DAY, secret)
    accessed = path.stat().st_atime_ns
    reading = ask("credential_age", path=str(path), maximum_age="90d").reading
    assert (reading.outcome, reading.measured) == ("ok", "changed 80 d 00 h ago")
    assert ask("credential_age", path=str(path), maximum_age="90d", warning_age="75d").reading.outcome == "warning"
    old = ask("credential_age", path=str(path), maximum_age="30d").reading
    assert (old.outcome, old.message) == ("failed", "older than 30 d 00 h")
    assert secret not in repr([reading, old])
    assert path.stat().st_atime_ns == accessed
    assert ask("credential_age", path=str(tmp_path / "none"), maximum_age=1).reading.outcome == "failed"
    assert ask("credential_age", path=str(tmp_path), maximum_age=1).reading.message.endswith("is no file")
    empty = write(tmp_path / "empty", content="")
    assert ask("credential_age", path=str(empty), maximum_age=60).reading.message.endswith("is empty")
    future = write(tmp_path / "future", -DAY)
    assert ask("credential_age", path=str(future), maximum_age=60).reading.outcome == "unknown"


@pytest.mark.parametrize(
    "written", [lambda at: at.isoformat(), lambda at: at, lambda at: at.date(), lambda at: at.date().isoformat()]
)
def test_the_age_of_a_noted_change(ask: Ask, written: t.Callable[[datetime.datetime], t.Any]) -> None:
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=100)
    assert ask("credential_age", changed_at=written(at), maximum_age="102d").reading.outcome == "ok"
    assert ask("credential_age", changed_at=written(at), maximum_age="99d").reading.outcome == "failed"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"path": "/x", "changed_at": "2026-01-01"},
        {"changed_at": "yesterday"},
        {"path": "/x", "warning_age": "100d"},
    ],
)
def test_what_is_refused(ask: Ask, options: dict[str, t.Any]) -> None:
    with pytest.raises(InvalidInput):
        ask("credential_age", maximum_age="90d", **options)


def unit(
    load: str = "loaded", active: str = "active", sub: str = "running", file: str = "enabled", **more: t.Any
) -> str:
    facts = {"LoadState": load, "ActiveState": active, "SubState": sub, "UnitFileState": file, **more}
    return "".join(f"{key}={value}\n" for key, value in facts.items())


@pytest.fixture
def systemctl(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Puts a systemctl first on the path that says something; no systemd can run here."""

    def say(output: str, code: int = 0, complaint: str = "") -> None:
        (tmp_path / "output").write_text(output)
        (tmp_path / "complaint").write_text(complaint)
        program = tmp_path / "systemctl"
        program.write_text(
            f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/output\ncat {tmp_path}/complaint >&2\nexit {code}\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return say


@pytest.mark.parametrize(
    ("said", "options", "outcome", "message"),
    [
        (unit(), {}, "ok", "as expected"),
        (unit(NRestarts=0), {"enabled": True, "maximum_restarts": 0}, "ok", "as expected"),
        (unit(file="disabled"), {"enabled": True}, "failed", "it is disabled"),
        (unit(file=""), {"enabled": True}, "failed", "it is not enabled"),
        (unit(), {"enabled": False}, "failed", "it is enabled"),
        (unit(NRestarts=4), {"maximum_restarts": 3}, "failed", "it was restarted 4 times"),
        (unit(), {"enabled": True}, "ok", "as expected"),
        (
            unit(),
            {"maximum_restarts": 3},
            "unknown",
            "systemd tells no number of restarts",
        ),
        (unit(active="inactive", sub="dead"), {}, "failed", "it is inactive"),
        (unit(active="inactive", sub="dead"), {"state": "inactive"}, "ok", "as expected"),
        (unit(active="inactive", sub="dead"), {"state": "any"}, "ok", "as expected"),
        (unit(), {"state": "inactive"}, "failed", "it is active"),
        (unit(active="activating", sub="start"), {}, "warning", "it is still starting"),
        (unit(active="activating", sub="auto-restart"), {"state": "any"}, "failed", "it ends, and is started again"),
        (unit(active="deactivating", sub="stop"), {}, "failed", "it is deactivating"),
        (
            unit(active="failed", sub="failed", Result="exit-code", ExecMainStatus=203),
            {"state": "any"},
            "failed",
            "failed (exit-code, exit status 203)",
        ),
        (unit("not-found", "inactive", "dead", ""), {}, "failed", "there is no such unit"),
        (unit("masked", "inactive", "dead", "masked"), {"state": "any"}, "failed", "it is masked"),
        ("nonsense\n", {}, "unknown", "systemctl tells no state"),
    ],
)
def test_states_of_a_unit(
    ask: Ask,
    systemctl: t.Callable[..., None],
    tmp_path: pathlib.Path,
    said: str,
    options: dict[str, t.Any],
    outcome: str,
    message: str,
) -> None:
    systemctl(said)
    reading = ask("systemd_unit", unit="shop.service", **options).reading
    assert reading.outcome == outcome, reading
    assert reading.message.startswith(message)
    assert (tmp_path / "asked").read_text().endswith("-- shop.service\n")


def test_a_host_without_systemd(
    ask: Ask, systemctl: t.Callable[..., None], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "System has not been booted with systemd as init system (PID 1). Can't operate."
    systemctl("", 1, text)
    reading = ask("systemd_unit", unit="shop.service").reading
    assert (reading.outcome, reading.message) == ("unknown", text)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    reading = ask("systemd_unit", unit="shop.service").reading
    assert (reading.outcome, reading.message) == (
        "unknown",
        "systemctl does not exist on this host: it is not run by systemd",
    )


def test_names_that_are_no_unit(ask: Ask) -> None:
    for name in ("--force", "a b", "x;y", "../x"):
        with pytest.raises(InvalidInput):
            ask("systemd_unit", unit=name)
