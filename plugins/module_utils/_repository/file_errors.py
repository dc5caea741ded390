# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operating system says of a repository in a directory, as errors that name the directory and the way out."""

from __future__ import annotations

import errno
import os

from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectExists, ObjectMissing, RepositoryError


def explanation(error: OSError, verb: str, key: str, url: str, path: str) -> RepositoryError:
    """What the operating system said when ``key`` was to be read, written, … in the repository at ``path``."""
    found = f"{os.strerror(error.errno or 0)} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    if error.errno == errno.EEXIST:
        return already_there(key)
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and verb == "read":
        return ObjectMissing(f"{key} is not in the repository", expected=f"an object in {url}", found=found)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RepositoryError(
            f"the repository is full: could not {verb} {key}",
            expected="free space",
            found=f"{found}, {_free(path)} bytes free in {path}",
            next_command=f"df -h {path}; df -i {path}",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return RepositoryError(
            f"the repository cannot be used: may not {verb} {key}",
            expected=f"{path} readable and writable for uid {os.geteuid()}, with hard links",
            found=found,
            next_command=f"ls -ld {path}; findmnt -T {path}",
        )
    return RepositoryError(
        f"could not {verb} {key}",
        expected=f"a working file system with hard links and locks below {path}",
        found=found,
        next_command=f"ls -ld {path}; findmnt -T {path}",
    )


def already_there(key: str) -> ObjectExists:
    return ObjectExists(f"{key} is already in the repository", expected="a new object", found="one of that name")


def _free(path: str) -> int | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
