# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Field tools as child processes: no shell, no secret in argv, no orphan when the module is killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, MissingRequirement

_PR_SET_PDEATHSIG = 1
#: How long a program that was asked to end may take to put things in order.
_PATIENCE_S = 30.0
_libc = ctypes.CDLL(None, use_errno=True)


def child_setup(user: str | None = None, death_signal: int = signal.SIGKILL) -> t.Callable[[], None]:
    """A ``preexec_fn``: become ``user`` (when root), and die with the parent so that a kill leaves no orphan.

    Start such a child from the main thread: the signal is sent when the *thread* that forked ends.
    """
    account = pwd.getpwnam(user) if user is not None and os.geteuid() == 0 else None

    def setup() -> None:
        if account is not None:
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        # After the change of user, which clears it.
        _libc.prctl(_PR_SET_PDEATHSIG, death_signal)

    return setup


def run(
    argv: t.Sequence[str],
    what: str,
    environment: t.Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    timeout: float | None = None,
    user: str | None = None,
    component: str | None = None,
    cwd: str | None = None,
    told_lines: int = 5,
    death_signal: int = signal.SIGKILL,
) -> bytes:
    """Run a program to its end and return its standard output (for short outputs only).

    :arg what: the step in words for the error, such as ``"dumping the globals"``.
    :arg environment: added to this process's environment; the place for secrets.
    :arg told_lines: how much of standard error the error tells; more for a tool that says first what is wrong.
    :arg death_signal: what it gets when we are killed, or its time is up; another for a tool that would leave a lock behind.
    :raises EngineError: with the end of standard error when the exit code is not 0 or the time is up.
    :raises MissingRequirement: when the program is not there.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            preexec_fn=child_setup(user, death_signal),
            cwd=cwd,
        )
    except FileNotFoundError:
        raise MissingRequirement(
            f"{what} needs {argv[0]}, which is not there",
            component=component,
            next_command="ansible-playbook sre.runbooks.prepare_hosts",
        ) from None
    with process:
        try:
            output, complaints = process.communicate(stdin if stdin is not None else b"", timeout)
        except subprocess.TimeoutExpired:
            _end(process, death_signal)
            raise EngineError(
                f"{what} did not end in time",
                component=component,
                expected=f"at most {timeout:g} s",
                found="still running (ended by us)",
            ) from None
        except BaseException:
            _end(process, death_signal)
            raise
    if process.returncode != 0:
        raise EngineError(
            f"{what} failed",
            component=component,
            expected="exit code 0",
            found=f"exit code {process.returncode}: {last_lines(complaints, told_lines, 200 * told_lines)}",
        )
    return output


def _end(process: subprocess.Popen[bytes], asked_with: int) -> None:
    """Ask it to end, where it was said how, and end it when it does not."""
    if asked_with != signal.SIGKILL:
        process.send_signal(asked_with)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_PATIENCE_S)
            return
    process.kill()
    process.wait()  # without reading: what it started may have its output open still


def last_lines(output: bytes, lines: int = 5, width: int = 1000) -> str:
    """The end of a tool's output on one line, for an error message."""
    text = output.decode("utf-8", "replace").strip().splitlines()
    return " | ".join(line.strip() for line in text[-lines:])[-width:]
