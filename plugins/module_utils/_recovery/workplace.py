# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Working directories that are removed in every case: at the end, or by the next one when their process was killed."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import tempfile
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder, provably_dead
from ansible_collections.sre.runbooks.plugins.module_utils._whole_file import write_whole

_OWNER = "owner.json"
#: Seconds after which nobody is about to sign an empty directory any more.
_UNSIGNED_S = 60.0


@contextlib.contextmanager
def workplace(prefix: str, near: str | None, make: t.Callable[[str, str | None], str] | None = None) -> t.Iterator[str]:
    """A new 0700 directory ``<prefix>…`` below ``near`` (by default, where temporary files are).

    :arg make: makes it of both, where another account than ours has to reach it.
    """
    remove_leftovers(prefix, near)
    directory = _made(prefix, near) if make is None else make(prefix, near)
    try:
        write_whole(os.path.join(directory, _OWNER), json.dumps(describe_holder(None)).encode(), 0o600)
        yield directory
    finally:
        _remove(directory)


def _made(prefix: str, near: str | None) -> str:
    return tempfile.mkdtemp(prefix=prefix, dir=near if near and os.path.isdir(near) else None)


def remove_leftovers(
    prefix: str, near: str | None, before_removal: t.Callable[[str], None] = lambda directory: None
) -> list[str]:
    """Remove directories of killed processes: those that carry our file, are ours, and whose process is gone.

    :arg before_removal: told each one first.
    """
    removed = []
    for parent in dict.fromkeys(filter(None, [near, tempfile.gettempdir(), "/tmp", "/var/tmp"])):
        for directory in glob.glob(os.path.join(glob.escape(parent), prefix + "*")):
            if _is_leftover(directory):
                before_removal(directory)
                _remove(directory)
                removed.append(directory)
    return removed


def _remove(directory: str) -> None:
    """Our file goes last: killed before that, the next one still knows what this is."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif entry.name != _OWNER:
                os.unlink(entry.path)
    shutil.rmtree(directory, ignore_errors=True)


def _is_leftover(directory: str) -> bool:
    path = os.path.join(directory, _OWNER)
    try:
        if os.lstat(path).st_uid != os.geteuid():
            return False
        with open(path, encoding="utf-8") as file:
            owner = json.load(file)
        here = describe_holder(None)
        # Nothing survives a reboot.
        rebooted = owner["host"] == here["host"] and owner["boot_id"] != here["boot_id"]
        return rebooted or provably_dead(owner)
    except FileNotFoundError:
        # Killed between making the directory and signing it, or before the very last step: nothing of value is in it, and
        # it is not of this moment.
        with contextlib.suppress(OSError):
            state = os.stat(directory)
            return (
                set(os.listdir(directory)) <= {f".{_OWNER}.new"}
                and os.geteuid() in (0, state.st_uid)
                and time.time() - state.st_mtime > _UNSIGNED_S
            )
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return False
