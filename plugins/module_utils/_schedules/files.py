# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory that holds exactly the files that are wanted, and whatever is not ours."""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole

_LIMIT = 1024 * 1024


def find_ours(top: str, wanted: t.Collection[str], folders: t.Sequence[str], mark: str) -> dict[str, str]:
    """Name → content of our files that are there.

    :arg wanted: the names of those that have to be.
    :arg folders: the folders of ``top`` in which files of ours that nobody wants are seen as well.
    :arg mark: the first line of a file that is ours.
    :raises Refused: where a file that is not ours, or that cannot be read, is in the way.
    """
    for directory in (top, *(os.path.join(top, folder) for folder in folders)):
        if os.path.lexists(directory) and not os.path.isdir(directory):
            raise Refused(
                "what is no directory is in the way",
                expected="a directory, or nothing",
                found=directory,
                next_command="move it elsewhere, or name another directory with schedules_dir, then: the same command",
            )
    before: dict[str, str] = {}
    names = {os.path.join(folder, name) for folder in folders for name in _names(os.path.join(top, folder))}
    for name in sorted(names | set(wanted)):
        path = os.path.join(top, name)
        try:
            content = _content(path)
        except OSError as error:
            if name not in wanted:
                continue
            raise Refused(
                "a file that cannot be read is in the way",
                expected="no such file, or one that can be seen to be ours",
                found=f"{path}: {error.strerror or error}",
                next_command="move it elsewhere, then: the same command",
            ) from None
        if content is None:
            continue
        if content.startswith(mark + "\n"):
            before[name] = content
        elif name in wanted:
            raise Refused(
                "a file that is not ours is in the way",
                expected="no such file, or one that begins with: " + mark,
                found=path,
                next_command="move it elsewhere, then: the same command",
            )
    return before


def bring_about(top: str, before: t.Mapping[str, str], wanted: t.Mapping[str, str]) -> None:
    """Write what differs, remove what nobody wants. Raises :class:`RunbookError` for what cannot be written."""
    try:
        for name, content in wanted.items():
            if before.get(name) != content:
                path = os.path.join(top, name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write_whole(path, content.encode("utf-8"))
        for name in before:
            if name not in wanted:
                os.unlink(os.path.join(top, name))
    except OSError as error:
        raise RunbookError(
            "the schedules cannot be written",
            expected=f"a directory that can be written: {top}",
            found=f"{error.filename}: {error.strerror}",
            next_command="the same command with -e schedules_dir=/var/tmp/schedules",
        ) from None


def _names(folder: str) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False)]
    except OSError:
        return []


def _content(path: str) -> str | None:
    """Nothing for what is not there. Raises :class:`OSError`: what cannot be read is somebody's all the same."""
    if not os.path.lexists(path):
        return None
    # A pipe whose other end nobody has open would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is no regular file")
        return file.read(_LIMIT)
