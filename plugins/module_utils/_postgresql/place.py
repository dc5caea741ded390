# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places for the files of servers that run as another account than ours."""

from __future__ import annotations

import functools
import os
import pwd
import socket
import subprocess
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError


def server_user() -> str | None:
    """The account for servers when we are root (which PostgreSQL refuses to be): ``postgres``, else ``nobody``."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise EngineError("no account for a server", expected="an account postgres or nobody", found="neither")


def free_port() -> int:
    """A TCP port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reachable(path: str, user: str | None, write: bool = False) -> bool:
    """Whether ``user`` can enter (and with ``write`` write to) a directory, found out by trying."""
    flags = ["-a", "-w", path] if write else []
    done = subprocess.run(
        ["test", "-x", path, *flags],
        preexec_fn=_process.child_setup(user),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0


def make_directory(user: str | None, prefix: str = "srb-", near: str | None = None) -> str:
    """A new 0700 directory that belongs to ``user`` and is reachable by it; ``near`` is tried first.

    :raises EngineError: when none of the usual places is.
    """
    tried = []
    for parent in dict.fromkeys([near, tempfile.gettempdir(), "/tmp", "/var/tmp"]):
        if parent is None or not os.path.isdir(parent) or not reachable(parent, user):
            continue
        try:
            path = tempfile.mkdtemp(prefix=prefix, dir=parent)
        except OSError:
            tried.append(parent)
            continue
        give(path, user)
        return path
    raise EngineError(
        "no place for a server's files",
        expected=f"a directory that {user or 'this user'} can reach",
        found=f"none of {', '.join(tried) or tempfile.gettempdir()}",
        next_command="name one with data_dir or scratch_dir",
    )


def making_for(user: str | None) -> t.Callable[[str, str | None], str]:
    """:func:`make_directory` for a :func:`workplace`, of prefix and neighbourhood."""
    return functools.partial(make_directory, user)


def give(path: str, user: str | None) -> None:
    """Make ``user`` the owner when we are root."""
    if user is not None and os.geteuid() == 0:
        account = pwd.getpwnam(user)
        os.chown(path, account.pw_uid, account.pw_gid)
