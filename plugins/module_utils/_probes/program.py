# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that probes ask: no shell, a small environment, bounded output, and nothing of them left afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Check
from ansible_collections.sre.runbooks.plugins.module_utils._process import last_lines
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
from ansible_collections.sre.runbooks.plugins.module_utils._words import MASK, masked

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: Of what it says, so much is looked at; a program that writes much more is ended.
_READ = 64 * 1024
_WRITTEN = 16 * 1024 * 1024
#: How long one that was killed may take to be gone.
_PATIENCE_S = 2.0
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NotRun(Exception):
    """The program could not be started; the text says why."""


class TooMuch(Exception):
    """The program writes without end."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a program ended. ``code`` is negative for a signal; ``stderr`` is the end of it, on one line."""

    code: int
    stdout: str
    stderr: str
    duration_s: float


class ProgramCheck(Check):
    """A check that asks a program, with few others at a time."""

    def __init__(self, session: Session) -> None:
        self._turnstile = session.turnstile(("program",), places=8)

    async def admit(self) -> None:
        await self._turnstile.enter()

    def dismiss(self) -> None:
        self._turnstile.leave()


async def run(
    argv: t.Sequence[str],
    environment: t.Mapping[str, str] | None = None,
    directory: str | None = None,
    secrets: t.Sequence[str] = (),
) -> Ended:
    """Run a program to its end. Cancelled or not, its whole process group is gone afterwards.

    :arg environment: added to PATH, HOME and the locale, which is all that it gets of ours.
    :arg secrets: what is masked in ``stderr``, the longest first.
    :raises NotRun: when it cannot be started. :raises TooMuch: when its output is too long.
    """
    small = {"PATH": os.environ.get("PATH") or _DEFAULT_PATH, "HOME": os.path.expanduser("~"), "LC_ALL": "C.UTF-8"}
    started = time.perf_counter()
    with tempfile.TemporaryFile(prefix="srb-output-") as output:
        try:
            group = ProcessGroup(
                argv,
                "the probe",
                environment={**small, **(environment or {})},
                stdout=output.fileno(),
                cwd=directory,
                without=set(os.environ),
            )
        except MissingRequirement:
            # Popen says the same of a directory that is not there.
            missing = directory if directory is not None and not os.path.isdir(directory) else argv[0]
            raise NotRun(f"{missing} does not exist on this host") from None
        except OSError as error:
            raise NotRun(f"{argv[0]} cannot be run: {error.strerror}") from None
        try:
            pause = 0.002
            while (code := group.code) is None:
                if os.fstat(output.fileno()).st_size > _WRITTEN:
                    raise TooMuch
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.05)
            complaints, whole = group.complaints(_READ)
        finally:
            await _end(group)
        stdout = os.pread(output.fileno(), _READ, 0).decode("utf-8", "replace")
    # Masked as it was written: of lines that are joined and cut, no secret would be known any more.
    said = complaints.decode("utf-8", "replace")
    stderr = last_lines(masked(said if whole else _begun(said, secrets), secrets).encode())
    return Ended(code, stdout, stderr, time.perf_counter() - started)


async def _end(group: ProcessGroup) -> None:
    """End it without holding the other probes: what waits for a disk that hangs cannot be killed."""
    try:
        group.kill()
        end = time.monotonic() + _PATIENCE_S
        while group.running() and time.monotonic() < end:
            await asyncio.sleep(0.002)
    finally:
        group.close(patience=0.01)


def _begun(words: str, secrets: t.Sequence[str]) -> str:
    """The end of a text, without the rest of a secret that began before it."""
    rests = [
        len(secret) - start for secret in secrets for start in range(1, len(secret)) if words.startswith(secret[start:])
    ]
    return MASK + words[max(rests) :] if rests else words
