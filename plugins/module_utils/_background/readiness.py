# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits until a background process answers, or says why it does not."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._background.background import Background
from ansible_collections.sre.runbooks.plugins.module_utils._background.pid_file import Record
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import run_probes
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all

_PAUSE_S = 0.1


class Readiness:
    """:arg ready: ``url`` or ``tcp``, and ``timeout``; or None for nothing to wait for.

    :raises InvalidInput: for an address that cannot be one.
    """

    def __init__(self, background: Background, ready: dict[str, t.Any] | None) -> None:
        self._background = background
        self._declaration: dict[str, t.Any] | None = None
        if ready is None:
            return
        self._timeout = parse_duration(ready["timeout"])
        self._target = ready["url"] or ready["tcp"]
        if ready["url"]:
            self._declaration = {"kind": "http", "url": ready["url"], "keep_alive": False}
        else:
            host, _, port = ready["tcp"].rpartition(":")
            if not host or not port.isdecimal():
                raise InvalidInput("not an address", expected="host:port", found=repr(ready["tcp"]))
            self._declaration = {"kind": "tcp", "host": host.strip("[]"), "port": port}
        declare_all([self._declaration], Session())

    def refuse_another(self) -> None:
        """Call it while the process does not run: whoever answers then would be taken for it.

        :raises Refused: when somebody answers.
        """
        if self._declaration is not None and self._ask(1.0).outcome == "ok":
            raise Refused(
                f"{self._background.name} was not started, since another program already answers in its place",
                expected=f"nobody at {self._target}",
                found="an answer",
                next_command="stop the other program or choose another port",
            )

    def wait(self, record: Record) -> None:
        """:raises EngineError: when the process ends, or the time is up; with the end of its log."""
        if self._declaration is None:
            return
        deadline = time.monotonic() + self._timeout
        while True:
            reading = self._ask(max(0.1, min(5.0, deadline - time.monotonic())))
            if reading.outcome == "ok":
                return
            if not record.alive():
                raise self._failure("ended before it was ready", reading.message)
            if time.monotonic() >= deadline:
                raise self._failure(f"is not ready after {format_duration(self._timeout)}", reading.message)
            time.sleep(_PAUSE_S)

    def _ask(self, timeout: float) -> t.Any:
        session = Session()
        probes = declare_all([{**t.cast("dict[str, t.Any]", self._declaration), "timeout": timeout}], session)
        results, interrupted = run_probes(probes, session.close)
        if interrupted:
            raise KeyboardInterrupt
        return results[0].reading

    def _failure(self, what: str, problem: str) -> EngineError:
        log = self._background.log_file
        return EngineError(
            f"{self._background.name} {what}",
            expected=f"an answer from {self._target}",
            found=f"{problem}; its log ends with: {self._background.log_end()}",
            next_command=f"tail -n 50 {log}" if log else None,
        )
