# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process kind: processes of a pid file, or with a given command line, run on this host."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._background import kernel
from ansible_collections.sre.runbooks.plugins.module_utils._background.pid_file import read_any_pid
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    integer,
    pattern,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class ProcessCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._pid_file: str | None = options["pid_file"]
        self._pattern: re.Pattern[str] | None = options["pattern"]
        self._user: str | None = options["user"]
        self._minimum: int = options["minimum"]
        self._maximum: int | None = options["maximum"]
        if (self._pid_file is None) == (self._pattern is None):
            raise ValueError("give either pid_file or pattern")
        if self._pid_file is not None:
            self.expected = f"the process of {self._pid_file} runs"
            self.hint = f"cat {shlex.quote(self._pid_file)}"
        else:
            self.expected = f"at least {self._minimum} process(es) matching {self._pattern.pattern!r}"
            if self._maximum is not None:
                self.expected += f", at most {self._maximum}"
            self.hint = f"pgrep -af {shlex.quote(self._pattern.pattern)}"

    def look(self) -> Reading:
        return self._look_at_file(self._pid_file) if self._pid_file is not None else self._search()

    def _look_at_file(self, path: str) -> Reading:
        try:
            pid, started, boot_id = read_any_pid(path)
        except FileNotFoundError:
            return self.reading("failed", "no pid file", f"{path} does not exist")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return self.reading("unknown", "nothing", f"{path}: {reason}")
        found = kernel.process(pid)
        if found is None or found.dead or (boot_id is not None and boot_id != kernel.boot_id()):
            return self.reading("failed", f"process {pid} does not run", "the process of the pid file has ended")
        if started is not None and found.started != started:
            return self.reading("failed", f"process {pid} is another one", "the process of the pid file has ended")
        if self._user is not None and _owner(pid) != self._user:
            return self.reading("failed", f"process {pid} of {_owner(pid)}", "it runs as another user", pid=pid)
        return self.reading("ok", f"process {pid}", "as expected", pid=pid)

    def _search(self) -> Reading:
        wanted = t.cast("re.Pattern[str]", self._pattern)
        # Not ourselves, nor the shell that started us: their command lines may quote the pattern.
        ours = set(kernel.ancestors(os.getpid()))
        pids = []
        for pid in kernel.pids():
            found = kernel.process(pid) if pid not in ours else None
            if found is None or found.dead:
                continue
            line = " ".join(kernel.arguments(pid))
            if line and wanted.search(line) and (self._user is None or _owner(pid) == self._user):
                pids.append(pid)
        measured = counted(len(pids), "process", "processes")
        values = {"count": len(pids), "pids": pids[:20]}
        if len(pids) < self._minimum:
            return self.reading("failed", measured, "too few processes", **values)
        if self._maximum is not None and len(pids) > self._maximum:
            return self.reading("failed", measured, "too many processes", **values)
        return self.reading("ok", measured, "as expected", **values)


def _owner(pid: int) -> str:
    try:
        number = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return "nobody any more"
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


PROCESS = Kind(
    name="process",
    options={
        "pid_file": Option(text),
        "pattern": Option(pattern),
        "user": Option(text),
        "minimum": Option(integer(1, 1_000_000), default=1),
        "maximum": Option(integer(1, 1_000_000)),
    },
    prepare=ProcessCheck,
    target=lambda options: options["pid_file"] or options["pattern"].pattern,
)
