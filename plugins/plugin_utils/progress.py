# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows the progress of a long module on the screen while it runs.

A module cannot speak before it ends. It writes a small status file (``module_utils/_progress.py``); this polls the file,
directly for a local connection and with ``cat`` over a second use of any other, and prints a line when a task takes
longer than 5 s. Nothing here can fail the task: without a status, the line only says that the work goes on.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shlex
import stat
import threading
import time
import typing as t
import uuid

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.plugin_utils.commands import complete_result

_FIRST_S = 5.0
_LARGEST_STATUS = 64 << 10  # bytes; the file comes from another host and is not trusted

Status = dict[str, t.Any]


def format_bytes(count: float) -> str:
    """``712 B``, ``4.1 MiB``, ``1.2 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def parse_status(text: str | bytes) -> Status | None:
    """The status in a file, or None for what is not one."""
    try:
        status = json.loads(text)
        clean: Status = {
            "what": "".join(character for character in str(status["what"]) if character.isprintable())[:200],
            "done": max(0, int(status["done"])),
            "total": None if status.get("total") is None else max(0, int(status["total"])),
            "step_s": max(0.0, float(status["step_s"])),
        }
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return clean


def describe(status: Status | None, previous: Status | None, elapsed_s: float) -> str:
    """One line for people: what, bytes of bytes, rate, and how long it will still take.

    The rate is that since the previous look when it was at the same step, else the step's average.
    """
    if status is None:
        return f"still running after {format_duration(elapsed_s)}"
    done, total = status["done"], status["total"]
    parts = [status["what"] or "working"]
    if done and total and done <= total:
        parts.append(f"{format_bytes(done)} of {format_bytes(total)} ({100 * done // total} %)")
    elif done:
        parts.append(format_bytes(done))
    since_s, since = status["step_s"], done
    if previous is not None and previous["what"] == status["what"] and previous["done"] <= done:
        since_s, since = status["step_s"] - previous["step_s"], done - previous["done"]
    if done and since_s > 0:
        rate = since / since_s
        parts.append(f"{format_bytes(rate)}/s")
        if total and rate > 0 and done <= total:
            parts.append(f"{format_duration((total - done) / rate)} left")
    parts.append(f"{format_duration(elapsed_s)} so far")
    return " · ".join(parts)


def next_look_s(elapsed_s: float) -> float:
    """Seconds until the next line: often at first, seldom in a task of hours."""
    if elapsed_s < 60:
        return _FIRST_S
    return 10.0 if elapsed_s < 600 else 30.0


class Watcher:
    """Looks at a status from a thread of its own until it is told to stop.

    :arg fetch: returns the file's content, or None when there is none yet.
    :arg show: takes a line.
    """

    def __init__(self, fetch: t.Callable[[], str | bytes | None], show: t.Callable[[str], None]) -> None:
        self._fetch = fetch
        self._show = show
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        #: Whether there ever was a status.
        self.seen = False

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        # A look that hangs (a connection that died) must not hold up the result.
        self._thread.join(timeout=2)

    def _watch(self) -> None:
        began = time.monotonic()
        previous: Status | None = None
        wait_s = _FIRST_S
        while not self._stop.wait(wait_s):
            status = None
            # Whatever goes wrong while looking: the work itself goes on.
            with contextlib.suppress(Exception):
                content = self._fetch()
                status = parse_status(content) if content else None
            if self._stop.is_set():
                return
            self.seen = self.seen or status is not None
            elapsed_s = time.monotonic() - began
            with contextlib.suppress(Exception):
                self._show(describe(status, previous, elapsed_s))
            previous, wait_s = status, next_look_s(elapsed_s)


class ProgressAction(ActionBase):  # type: ignore[misc]
    """Runs the module of the same name and shows its progress."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """As Ansible's own action for modules, plus ``progress_path`` and a watcher."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        arguments = dict(self._task.args)
        # A detached task outlives this process, and check mode writes nothing: neither is watched.
        if wrap_async or self._task.check_mode:
            result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap_async))
        else:
            path, ours = arguments.get("progress_path"), False
            if not path:
                path, ours = self._new_path(), True
                arguments["progress_path"] = path
            with Watcher(lambda: self._fetch(path), self._show(task_vars or {})) as watcher:
                result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
            if ours and (watcher.seen or result.get("failed")):
                self._remove(path)
            if ours:
                result.get("invocation", {}).get("module_args", {}).pop("progress_path", None)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        complete_result(result)
        return result

    def _new_path(self) -> str:
        directories = self.get_shell_option("system_tmpdirs", ["/tmp"]) or ["/tmp"]
        directory = "/tmp" if "/tmp" in directories else directories[0]
        return os.path.join(directory, f".sre-runbooks-{uuid.uuid4().hex}.progress")

    @property
    def _is_local(self) -> bool:
        return bool(self._connection.transport == "local")

    def _fetch(self, path: str) -> str | bytes | None:
        if self._is_local:
            return _read_plain_file(path)
        if getattr(self._connection, "supports_persistence", False):
            return None  # network devices: no shell to speak of
        # A copy, as the module is using the original at this moment.
        connection = copy.copy(self._connection)
        command = f"head -c {_LARGEST_STATUS} {shlex.quote(path)}"
        code, output, _complaint = connection.exec_command(command, in_data=None, sudoable=False)
        return t.cast(bytes, output) if code == 0 else None

    def _remove(self, path: str) -> None:
        """What the module left when it was killed; harmless when it left nothing."""
        with contextlib.suppress(Exception):
            if self._is_local:
                os.unlink(path)
            else:
                self._connection.exec_command(f"rm -f {shlex.quote(path)}", in_data=None, sudoable=False)

    def _show(self, task_vars: dict[str, t.Any]) -> t.Callable[[str], None]:
        host = task_vars.get("inventory_hostname", "")
        display = Display()

        def show(line: str) -> None:
            # Beside the results, so that a callback's JSON on standard output stays JSON.
            display.display(f"  … {host}: {line}", color="bright gray", stderr=True)

        return show


def _read_plain_file(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        return file.read(_LARGEST_STATUS)
