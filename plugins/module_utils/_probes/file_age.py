# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file_age kind: files that something should have written not long ago, such as a log, an export, a dump."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import shlex
import stat
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import (
    Kind,
    Option,
    Reading,
    integer,
    text,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import in_units, size
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_FILES = 100_000
#: Clocks of file servers may differ by this much.
CLOCK_TOLERANCE_S = 30.0


class FileAgeCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._options = options
        self._path: str = options["path"]
        self._age: float | None = options["maximum_age"]
        self._size: int | None = options["minimum_size"]
        parts = [f"at least {counted(options['minimum'], 'file')} {self._path}"]
        if options["maximum"] is not None:
            parts.append(f"at most {options['maximum']}")
        if self._age is not None:
            parts.append(f"the newest not older than {format_duration(self._age)}")
        if self._size is not None:
            parts.append(f"of at least {in_units(self._size)}")
        self.expected = ", ".join(parts)
        self.hint = options["hint"] or self._look_for()

    def _look_for(self) -> str:
        """The command that shows what is there, from the nearest directory that is."""
        place = os.path.dirname(self._path) or "."
        while glob.has_magic(place) or not os.path.isdir(place):
            above = os.path.dirname(place) or "."
            if above == place:
                break
            place = above
        if place == (os.path.dirname(self._path) or "."):
            return f"ls -lt {shlex.quote(place)} | head"
        if glob.has_magic(self._path):
            return f"find {shlex.quote(place)} -type f -printf '%T+ %s %p\\n' | sort -r | head"
        return f"ls -la {shlex.quote(place)}"

    def look(self) -> Reading:
        if self._options["hint"] is None:
            self.hint = self._look_for()
        found: list[tuple[float, int, str]] = []
        closed = ""
        for path in dict.fromkeys(self._paths()):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue  # it was just removed, or is a link to nothing
            except OSError as error:
                closed = f"{path}: {error.strerror}"
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((status.st_mtime, status.st_size, path))
        if not found:
            closed = closed or self._closed_directory()
        if closed:
            return self.reading("unknown", "nothing", closed)
        return self._judge(found)

    def _paths(self) -> t.Iterator[str]:
        if os.path.lexists(self._path) or not glob.has_magic(self._path):
            return iter([self._path])
        return itertools.islice(_matching("/" if self._path.startswith("/") else "", self._path.split("/")), _FILES)

    def _closed_directory(self) -> str:
        """Why nothing was found, where that may be for want of rights: a pattern passes over what it cannot read."""
        place = self._path
        while glob.has_magic(place) or not os.path.lexists(place):
            place, last = os.path.dirname(place), place
            if place in ("", last):
                return ""
        if os.path.isdir(place) and not os.access(place, os.R_OK | os.X_OK):
            return f"{place}: Permission denied"
        return ""

    def _judge(self, found: list[tuple[float, int, str]]) -> Reading:
        options = self._options
        values: dict[str, t.Any] = {"files": len(found)}
        measured = counted(len(found), "file")
        if not found:
            message = "there is no such file" if options["minimum"] else "as expected"
            return self.reading("failed" if options["minimum"] else "ok", measured, message, **values)
        modified, length, path = max(found)
        age = time.time() - modified
        values.update(newest=path, age_s=round(age, 3), size_bytes=length)
        measured += f", the newest, {path}, {format_duration(max(age, 0.0))} old, {in_units(length)}"
        if len(found) < options["minimum"]:
            return self.reading("failed", measured, "too few files", **values)
        if options["maximum"] is not None and len(found) > options["maximum"]:
            return self.reading("failed", measured, "too many files", **values)
        if age < -CLOCK_TOLERANCE_S:
            return self.reading("unknown", measured, "the newest lies in the future: clocks are apart", **values)
        if self._age is not None and age > self._age:
            return self.reading("failed", measured, f"older than {format_duration(self._age)}", **values)
        if self._size is not None and length < self._size:
            return self.reading("failed", measured, f"smaller than {in_units(self._size)}", **values)
        return self.reading("ok", measured, "as expected", **values)


def _matching(directory: str, parts: t.Sequence[str]) -> t.Iterator[str]:
    """What the parts of a pattern match below a directory, as the module glob has it, except that ``**`` follows no links.

    Links may lead out of the directory, and back into it. Of names that begin with a dot, only a part that does so matches any.
    """
    parts = [part for part in parts if part]
    while parts and not glob.has_magic(parts[0]):
        directory = os.path.join(directory, parts.pop(0))
    if not parts:
        if os.path.lexists(directory):
            yield directory
        return
    part, rest = parts[0], parts[1:]
    while part == "**" and rest[:1] == ["**"]:
        rest.pop(0)
    if part != "**":
        for name in fnmatch.filter(_names(directory), part):
            if part.startswith(".") or not name.startswith("."):
                yield from _matching(os.path.join(directory, name), rest)
        return
    for place, below, files in os.walk(directory or "."):
        below[:] = [name for name in below if not name.startswith(".")]
        if rest:
            yield from _matching(place, rest)
        else:
            yield from (os.path.join(place, name) for name in files if not name.startswith("."))


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory or ".")
    except OSError:
        return []


FILE_AGE = Kind(
    name="file_age",
    options={
        "path": Option(text, required=True),
        "maximum_age": Option(parse_duration),
        "minimum_size": Option(size),
        "minimum": Option(integer(0, _FILES), default=1),
        "maximum": Option(integer(0, _FILES)),
    },
    prepare=FileAgeCheck,
    target=lambda options: t.cast(str, options["path"]),
)
