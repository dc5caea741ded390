# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of the log files that the inventory names."""

from __future__ import annotations

import glob
import os
import stat
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._log_lines import matching
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

_MOST_FILES = 50
#: Read before what is kept, so that a key whose beginning is cut off is known as one.
_BEFORE = 64 << 10


def collector(patterns: list[str]) -> Collector:
    """:arg patterns: of paths, as a shell has them."""
    return Collector("host_logs", "the ends of log files", lambda desk: _logs(desk, patterns))


def _logs(desk: Desk, patterns: list[str]) -> None:
    paths = []
    for pattern in patterns:
        found = glob.glob(pattern)
        if not found:
            desk.problem(f"no file is named {pattern}")
        paths += found
    # The newest are about what happens now.
    paths = newest_first(paths)
    if len(paths) > _MOST_FILES:
        desk.problem(f"of {len(paths)} log files only the newest {_MOST_FILES} are kept")
    for position, path in enumerate(paths[:_MOST_FILES]):
        keep_end(desk, position, path)


def keep_end(desk: Desk, position: int, path: str) -> str:
    """Keep the end of a log, and return it unmasked; empty where it cannot be read, which is a problem."""
    try:
        text, note = _end_of(path, desk.item_limit + _BEFORE)
    except OSError as error:
        desk.problem(f"{path}: {error.strerror}")
        return ""
    desk.text(f"{position:02d}-{path.strip('/').replace('/', '_')}", text, newest_last=True, note=note)
    bad = matching(text)
    if bad:
        desk.finding(
            "note", f"{counted(bad, 'line')} at the end of {path} {'speaks' if bad == 1 else 'speak'} of errors"
        )
    return text


def newest_first(paths: t.Iterable[str]) -> list[str]:
    """Each once."""
    return sorted(set(paths), key=_age)


def _age(path: str) -> float:
    try:
        return -os.stat(path).st_mtime
    except OSError:
        return 0.0


def _end_of(path: str, length: int) -> tuple[str, str]:
    """The last bytes of a file, and what is left out. A pipe that is no file would hold whoever opens it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "not a file")
        start = max(0, found.st_size - length)
        file.seek(start)
        text = file.read(length).decode("utf-8", "replace")
    if start:
        # Half a line may be half a secret, which nobody would know as one.
        text = text.partition("\n")[2] if "\n" in text else text[_BEFORE:]
    return text, f"{start} bytes before it are not looked at" if start else ""
