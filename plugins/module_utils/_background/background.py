# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts a program that outlives the module, and stops what it started, never anything else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import secrets
import signal
import subprocess
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._background import kernel
from ansible_collections.sre.runbooks.plugins.module_utils._background.pid_file import (
    Command,
    Record,
    read_record,
    write_record,
)
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._process import last_lines

#: A program that ends within this many seconds of its start did not start.
_SETTLED_S = 0.3


class Background:
    """One program and its pid file.

    :arg log_file: where its output is appended, or None to throw it away.
    """

    def __init__(self, name: str, pid_file: str, log_file: str | None) -> None:
        self.name = name
        self.pid_file = os.path.abspath(pid_file)
        self.log_file = os.path.abspath(log_file) if log_file else None

    def record(self) -> Record | None:
        """What the pid file says, dead or alive. Raises Refused for a foreign file."""
        return read_record(self.pid_file)

    @contextlib.contextmanager
    def exclusively(self) -> t.Iterator[None]:
        """One module at a time decides in this directory; the lock ends with us however we end."""
        directory = os.path.dirname(self.pid_file)
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InvalidInput(
                f"the directory of the pid file of {self.name} cannot be used",
                expected=f"the directory {directory}",
                found=error.strerror,
                next_command=f"mkdir -p {directory}",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def start(self, command: Command) -> Record:
        """Start it in a session of its own, with its output in the log and no descriptor of ours.

        :raises EngineError: when it ends at once, with the end of its log.
        """
        account = _account(command.user)
        salt = secrets.token_hex(16)

        def become() -> None:
            # In the child, as the module's user: the pid file exists before the program does anything.
            write_record(self.pid_file, command, salt)
            if account is not None:
                os.initgroups(account.pw_name, account.pw_gid)
                os.setgid(account.pw_gid)
                os.setuid(account.pw_uid)

        if not os.access(os.path.dirname(self.pid_file), os.W_OK):
            raise InvalidInput(
                f"the pid file of {self.name} cannot be written",
                expected=f"a writable directory {os.path.dirname(self.pid_file)}",
                found="no permission",
            )
        before = self._log_size()
        output: t.Any = subprocess.DEVNULL
        try:
            if self.log_file is not None:
                output = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            started = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=command.working_directory,
                env={**os.environ, **_home(account), **command.environment},
                start_new_session=True,
                close_fds=True,
                preexec_fn=become,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._forget_dead()
            raise self._no_start(command, error) from None
        finally:
            if output != subprocess.DEVNULL:
                os.close(output)
        deadline = time.monotonic() + _SETTLED_S
        while time.monotonic() < deadline:
            code = started.poll()
            if code is not None:
                self._forget_dead()
                raise EngineError(
                    f"{self.name} ended as soon as it was started",
                    expected="a program that keeps running",
                    found=f"exit code {code}: {self.log_end(before)}",
                    next_command=f"tail -n 50 {self.log_file}" if self.log_file else None,
                )
            time.sleep(0.02)
        started.returncode = 0  # it outlives us on purpose: no warning about that
        return t.cast(Record, self.record())

    def stop(self, record: Record, timeout: float) -> None:
        """SIGTERM to its process group, SIGKILL to what is left after ``timeout`` seconds, then the pid file goes."""
        if record.alive():
            found = t.cast(kernel.Process, kernel.process(record.pid))
            # It leads its own group since its start; what it started belongs to it too.
            alone = found.group != record.pid
            for sign, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 10.0)):
                self._signal(record, alone, sign)
                deadline = time.monotonic() + patience
                while self._left(record, alone) and time.monotonic() < deadline:
                    time.sleep(0.02)
                if not self._left(record, alone):
                    break
            else:
                raise EngineError(
                    f"{self.name} cannot be stopped",
                    expected="no process after SIGKILL",
                    found=f"process {record.pid} in state {found.state}",
                )
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.pid_file)

    def log_end(self, offset: int = 0) -> str:
        """The last lines that were logged after ``offset``, for an error message."""
        if self.log_file is None:
            return "no log_file was given"
        try:
            with open(self.log_file, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(offset, size - 8192))
                return last_lines(file.read()) or "nothing logged"
        except OSError as error:
            return f"the log cannot be read: {error.strerror}"

    def _log_size(self) -> int:
        try:
            return os.stat(self.log_file).st_size if self.log_file else 0
        except OSError:
            return 0

    def _left(self, record: Record, alone: bool) -> bool:
        return record.alive() or (not alone and bool(kernel.members(record.pid)))

    def _signal(self, record: Record, alone: bool, sign: signal.Signals) -> None:
        # While any member lives, the kernel gives the group's number to nobody else.
        with contextlib.suppress(ProcessLookupError):
            if not alone:
                os.killpg(record.pid, sign)
            elif record.alive():
                os.kill(record.pid, sign)

    def _forget_dead(self) -> None:
        record = self.record()
        if record is not None and not record.alive():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.pid_file)

    def _no_start(self, command: Command, error: Exception) -> Exception:
        if isinstance(error, FileNotFoundError) and error.filename in (command.argv[0], None):
            return MissingRequirement(f"{self.name} needs {command.argv[0]}, which is not there")
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return EngineError(f"{self.name} cannot be started", expected="a running program", found=reason)


def _account(user: str | None) -> pwd.struct_passwd | None:
    if user is None:
        return None
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise InvalidInput("no such user", expected="an account of this host", found=repr(user)) from None
    if account.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise InvalidInput(
            "only root can start a program as another user",
            expected=f"become: true, or no user (now {pwd.getpwuid(os.geteuid()).pw_name})",
            found=f"user: {user}",
        )
    return account


def _home(account: pwd.struct_passwd | None) -> dict[str, str]:
    if account is None:
        return {}
    return {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name}
