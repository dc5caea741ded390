# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tool that works with processes of its own (``pg_dump -j``, ``pg_restore -j``): watched, paused, ended as a whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import types
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, MissingRequirement

# The kernel's death signal reaches a tool but not the workers that it forks; those would go on for hours. The watcher
# reads the group's number, then waits: a further line ends it in peace, the end of the pipe means that we are gone.
_WATCHER = 'read -r group && { read -r _ || kill -s KILL -- "-$group"; }'


class ProcessGroup:
    """One tool and everything that it forks. A context manager: leaving it ends what still runs.

    Start it from the main thread, see :func:`_process.child_setup`.

    :arg what: the step in words for errors.
    :arg environment: added to this process's environment; the place for secrets.
    :arg user: the account to run as when we are root.
    :arg without: names of variables that the tool must not see.
    """

    def __init__(
        self,
        argv: t.Sequence[str],
        what: str,
        environment: t.Mapping[str, str] | None = None,
        component: str | None = None,
        stdout: int = subprocess.DEVNULL,
        user: str | None = None,
        cwd: str | None = None,
        without: t.Collection[str] = (),
    ) -> None:
        self._what = what
        self._component = component
        self._paused = False
        # A file, not a pipe: nobody has to empty it for the tool to go on.
        self._errors = tempfile.TemporaryFile(prefix="srb-errors-")  # noqa: SIM115
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        try:
            self._tool = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=self._errors,
                env={name: value for name, value in os.environ.items() if name not in without}
                | dict(environment or {}),
                preexec_fn=_process.child_setup(user),
                start_new_session=True,
                cwd=cwd,
            )
        except BaseException as error:
            self._end_watcher()
            self._errors.close()
            if not isinstance(error, FileNotFoundError):
                raise
            raise MissingRequirement(
                f"{what} needs {argv[0]}, which is not there",
                component,
                next_command="ansible-playbook sre.runbooks.prepare_hosts",
            ) from None
        self._tell_watcher(f"{self._tool.pid}\n".encode())

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self.close()

    @property
    def stdout(self) -> t.IO[bytes]:
        """Only when ``stdout`` was a pipe."""
        if self._tool.stdout is None:
            raise ValueError("standard output is not a pipe")
        return self._tool.stdout

    @property
    def code(self) -> int | None:
        """The tool's exit code, negative for a signal; None while it runs."""
        return self._tool.poll()

    def running(self) -> bool:
        return self._tool.poll() is None

    def pids(self) -> list[int]:
        """The tool and every process below it."""
        found, waiting = [], [self._tool.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting.extend(children(pid))
        return found

    def open_files(self, below: str) -> set[str] | None:
        """Paths below a directory that any of the processes holds open; None when that cannot be seen."""
        held: set[str] = set()
        prefix = os.path.realpath(below) + os.sep
        for pid in self.pids():
            try:
                for number in os.listdir(f"/proc/{pid}/fd"):
                    with contextlib.suppress(FileNotFoundError):
                        target = os.readlink(f"/proc/{pid}/fd/{number}")
                        if target.startswith(prefix):
                            held.add(target)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended, and so closed its files
            except PermissionError:
                return None
        return held

    def pause(self) -> None:
        """Stop all of it until :meth:`resume`."""
        if not self._paused:
            self._signal(signal.SIGSTOP)
            self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def finish(self, timeout: float | None = None) -> None:
        """Wait for the end. Raises :class:`EngineError` with the end of standard error unless the exit code is 0."""
        try:
            code = self._tool.wait(timeout)
        except subprocess.TimeoutExpired:
            raise EngineError(
                f"{self._what} did not end in time",
                self._component,
                expected=f"at most {timeout:g} s",
                found="still running (ended by us)",
            ) from None
        if code != 0:
            raise EngineError(
                f"{self._what} failed",
                self._component,
                expected="exit code 0",
                found=f"exit code {code}: {self.messages()}",
            )

    def messages(self, lines: int = 5, width: int = 1000) -> str:
        """The end of standard error so far, on one line."""
        return _process.last_lines(self.complaints(8000)[0], lines, width)

    def complaints(self, length: int) -> tuple[bytes, bool]:
        """The last bytes of standard error so far, and whether that is all there is."""
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), length, max(0, size - length)), size <= length

    def kill(self) -> None:
        """End all of it at once, and what a tool that has ended left running too."""
        self._signal(signal.SIGKILL)

    def close(self, patience: float | None = None) -> None:
        """End what still runs and give everything back.

        :arg patience: seconds to wait for its end. What the kernel does not let go of by then ends by itself.
        """
        if self.running():
            self._signal(signal.SIGKILL)
        try:
            code: int | None = self._tool.wait(patience)
        except subprocess.TimeoutExpired:
            code = None
            threading.Thread(target=self._tool.wait, name=f"end of {self._what}", daemon=True).start()
        if code != 0:
            # Workers that outlive a tool that died on its own.
            self._signal(signal.SIGKILL)
        if self._tool.stdout is not None:
            self._tool.stdout.close()
        self._tell_watcher(b"\n")
        self._end_watcher()
        self._errors.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._tool.pid, number)

    def _tell_watcher(self, message: bytes) -> None:
        if self._watcher.stdin is not None and not self._watcher.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._watcher.stdin.write(message)
                self._watcher.stdin.flush()

    def _end_watcher(self) -> None:
        if self._watcher.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._watcher.stdin.close()
        self._watcher.wait()


def children(pid: int) -> list[int]:
    """The process numbers of a process's direct children; empty when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found.extend(int(word) for word in file.read().split())
    return found
