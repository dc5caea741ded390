# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small files on this host, put in place whole: their name holds the old content or the new one, never a part.

What a killed writer left lies under one name that the next writer of the same file removes. It may hold a secret.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import typing as t


def write_whole(path: str, content: bytes, mode: int | None = None, user: str | None = None) -> None:
    """Replace ``path``; it has its mode from the first moment. Raises :class:`OSError`.

    :arg mode: whatever the umask; None leaves it to the umask. :arg user: the account that owns it, when we are root.
    """
    with whole_file(path, mode, user) as file:
        file.write(content)


@contextlib.contextmanager
def whole_file(path: str, mode: int | None = None, user: str | None = None) -> t.Iterator[t.BinaryIO]:
    """As :func:`write_whole`, for content that is written piece by piece; an error on the way leaves the old content."""
    directory = os.path.dirname(os.path.abspath(path))
    with _alone_in(directory):
        fresh = _unfinished(path)
        first = 0o666 if mode is None else mode
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, first)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                if user is not None and os.geteuid() == 0:
                    account = pwd.getpwnam(user)
                    # By the open file: the directory may be that account's, and the name something else by now.
                    os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            _discard(fresh)
            raise


def point_to(link: str, target: str) -> None:
    """Let the symbolic link name another target, in one step. Raises :class:`OSError`."""
    with _alone_in(os.path.dirname(os.path.abspath(link))):
        fresh = _unfinished(link)
        os.symlink(target, fresh)
        try:
            os.replace(fresh, link)
        except OSError:
            _discard(fresh)
            raise


def _unfinished(path: str) -> str:
    """Where the new file is written, free of what a killed writer left there."""
    directory, name = os.path.split(os.path.abspath(path))
    fresh = os.path.join(directory, f".{name}.new")
    _discard(fresh)
    return fresh


@contextlib.contextmanager
def _alone_in(directory: str) -> t.Iterator[None]:
    """One writer at a time; also the change of a name is durable afterwards. The lock ends with its holder."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a network file system may not be able to
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
