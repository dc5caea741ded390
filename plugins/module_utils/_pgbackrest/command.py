# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pgBackRest as a child process: one configuration, no secret in argv, bounded time, its errors in our words."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, MissingRequirement, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup

PROGRAM = "pgbackrest"
#: The first release that knows annotations, by which a backup is found again.
MINIMUM = (2, 41)
#: The first release for each major version of the server that the oldest supported one does not know.
_FIRST_FOR_MAJOR = {15: (2, 41), 16: (2, 47), 17: (2, 53), 18: (2, 56)}
_VERSION = re.compile(r"(\d+)\.(\d+)")
_CODE = re.compile(r"ERROR: \[(\d{3})\]: (.*)", re.DOTALL)
#: A line of ``backup`` and ``restore`` at the level "detail": a file, and how much of all is done by then.
_PERCENT = re.compile(rb"\((?:bundle [^,]*, )?[0-9.]+[KMGTP]?B, ([0-9.]+)%\)")
_QUOTED = re.compile(r"(outside of section at line \d+):.*?(?=HINT:|$)", re.DOTALL)
#: pgBackRest's codes that say more than themselves: what gets further.
_ADVICE = {
    28: "check that the server is the one that the component's archiving was prepared for: ansible-playbook sre.runbooks.prepare_archiving",
    29: "check the passphrase (component_pitr_cipher_pass_file) and whether the repository is whole",
    41: "check owner and mode of the repository's directory for the server's account",
    47: "check owner and mode of the repository's directory for the server's account",
    49: "check host and port of the S3 endpoint, the network, and its certificate (ca_bundle)",
    50: "wait for the other pgBackRest process of this component, or find out why it hangs",
    55: "prepare archiving: ansible-playbook sre.runbooks.prepare_archiving",
    56: "check that the server runs and that the role may connect from its own host",
    82: "look at the server's log and at pg_stat_archiver for the reason why archiving fails",
    95: "check the passphrase (component_pitr_cipher_pass_file)",
    103: "check that the repository is reachable from the server's host",
}


class PgbackrestError(EngineError):
    """pgBackRest said no; ``code`` is its own number (None when it told none)."""

    kind = "engine"
    code: int | None = None


class Pgbackrest:
    """Calls for one component and one configuration.

    :arg config_path: see ``configuration.py``.
    :arg user: the account to run as when we are root: the server's.
    :arg environment: for libpq (``PGPASSWORD``); never pgBackRest's own options.
    """

    def __init__(
        self,
        config_path: str,
        stanza: str,
        component: str,
        user: str | None = None,
        environment: t.Mapping[str, str] | None = None,
        program: str | None = None,
    ) -> None:
        self.config_path = config_path
        self.stanza = stanza
        self.component = component
        self.user = user
        self.program = program or find_program(component)
        self._environment = dict(environment or {})

    def argv(self, command: str, *arguments: str) -> list[str]:
        return [self.program, f"--config={self.config_path}", f"--stanza={self.stanza}", *arguments, command]

    def run(
        self, command: str, *arguments: str, timeout: float = 120.0, what: str | None = None, operand: str | None = None
    ) -> bytes:
        """Run a short command to its end; its standard output.

        :arg arguments: options, such as ``--output=json``. :arg operand: what follows the command, a path.
        :arg timeout: seconds.
        :raises PgbackrestError: with pgBackRest's own error, what it means and the next command.
        """
        chunks: list[bytes] = []
        self.watch(command, *arguments, timeout=timeout, what=what, operand=operand, on_output=chunks.append)
        return b"".join(chunks)

    def watch(
        self,
        command: str,
        *arguments: str,
        timeout: float | None,
        what: str | None = None,
        operand: str | None = None,
        on_output: t.Callable[[bytes], object] | None = None,
        check: t.Callable[[], None] | None = None,
    ) -> str:
        """Run a command while its output is read; returns the end of standard error (warnings) in one line.

        :arg on_output: gets pieces of standard output as they come.
        :arg check: called at least every second; what it raises ends the command.
        """
        what = what or f"pgbackrest {command}"
        argv = self.argv(command, *arguments) + ([operand] if operand is not None else [])
        deadline = None if timeout is None else time.monotonic() + timeout
        with ProcessGroup(
            argv, what, self._environment, self.component, subprocess.PIPE, user=self.user, cwd="/", without=_foreign()
        ) as group:
            descriptor = group.stdout.fileno()
            while True:
                if check is not None:
                    check()
                if deadline is not None and time.monotonic() > deadline:
                    raise self._too_long(what, t.cast(float, timeout), group.messages())
                if select.select([descriptor], [], [], 1.0)[0]:
                    piece = os.read(descriptor, 65536)
                    if not piece:
                        break
                    if on_output is not None:
                        on_output(piece)
            try:
                group.finish(None if deadline is None else max(1.0, deadline - time.monotonic()))
            except MissingRequirement:
                raise
            except RunbookError:
                raise self._failure(what, group.messages(40, 6000)) from None
            return group.messages()

    def _failure(self, what: str, messages: str) -> PgbackrestError:
        found = _CODE.search(messages)
        code = int(found.group(1)) if found else None
        text = printable(found.group(2) if found else messages)
        error = PgbackrestError(
            f"{what} failed",
            self.component,
            expected="exit code 0",
            found=f"pgBackRest's error {code}: {text}" if code is not None else text,
            next_command=advice(code, text),
        )
        error.code = code
        return error

    def _too_long(self, what: str, timeout: float, messages: str) -> PgbackrestError:
        text = printable(messages)
        return PgbackrestError(
            f"{what} did not end in time",
            self.component,
            expected=f"at most {timeout:g} s",
            found="still running (ended by us)" + (f": {text}" if text else ""),
            next_command=advice(None, text) or "check that the repository is reachable from the server's host",
        )


def advice(code: int | None, text: str) -> str | None:
    """The next command for one of pgBackRest's errors; None when nothing is known of it."""
    if "unable to get address" in text or "HostConnectError" in text or "unable to connect to" in text:
        return _ADVICE[49]
    if about_certificate(text):
        return (
            "name the endpoint as its certificate does (pgBackRest compares names, not addresses), and give the authority"
            " that signed it as ca_bundle in repository_s3 in the inventory, readable for the server's account"
        )
    return _ADVICE.get(code) if code is not None else None


def about_certificate(text: str) -> bool:
    """Whether it was TLS that failed, which has the same code as a wrong passphrase."""
    return "certificate" in text or "TLS" in text


def _foreign() -> list[str]:
    """Variables of our environment that pgBackRest would take for options."""
    return [name for name in os.environ if name.startswith("PGBACKREST_")]


def printable(text: str) -> str:
    """A message for people: what it quotes of something that it could not decrypt is left out."""
    cut = _QUOTED.sub(r"\1 ", text)
    return "".join(character if character.isprintable() else " " for character in cut)[:1000].strip()


def percent_in(output: bytes) -> float | None:
    """How much is done, by the last file that ``backup`` or ``restore`` named; None when none was named."""
    found = _PERCENT.findall(output)
    return float(found[-1]) if found else None


def find_program(component: str | None = None) -> str:
    """The path of pgBackRest. Raises :class:`MissingRequirement`."""
    path = shutil.which(PROGRAM) or shutil.which(PROGRAM, path="/usr/bin:/usr/local/bin:/bin")
    if path is None:
        raise MissingRequirement(
            "pgbackrest is not installed",
            component,
            expected="the program pgbackrest on the server's host",
            found="none on PATH",
            next_command="apt-get install pgbackrest (or dnf install pgbackrest) on the server's host",
        )
    return path


def version(component: str | None = None, program: str | None = None) -> tuple[int, int]:
    """(2, 45). Raises :class:`MissingRequirement` when it is not there or too old for what we need."""
    program = program or find_program(component)
    output = _process.run([program, "version"], "asking pgbackrest for its version", timeout=60, cwd="/").decode()
    match = _VERSION.search(output)
    found = (int(match.group(1)), int(match.group(2))) if match else (0, 0)
    if found < MINIMUM:
        raise MissingRequirement(
            "pgbackrest is too old",
            component,
            expected=f"{MINIMUM[0]}.{MINIMUM[1]} or newer",
            found=output.strip(),
            next_command="install a newer pgbackrest (apt.postgresql.org has them)",
        )
    return found


def check_server(found: tuple[int, int], major: int, component: str | None = None) -> None:
    """Raise :class:`MissingRequirement` when that pgBackRest does not know the server's major version."""
    newest = max(_FIRST_FOR_MAJOR)
    needed = _FIRST_FOR_MAJOR.get(min(major, newest), MINIMUM)
    if found < needed:
        raise MissingRequirement(
            f"pgbackrest {found[0]}.{found[1]} does not know PostgreSQL {major}",
            component,
            expected=f"pgbackrest {needed[0]}.{needed[1]} or newer",
            found=f"{found[0]}.{found[1]}",
            next_command="install a newer pgbackrest (apt.postgresql.org has them)",
        )
