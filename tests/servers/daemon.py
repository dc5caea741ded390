# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that serves a test: as the servers' user, with what it says in a file, and gone with the test."""

from __future__ import annotations

import collections.abc
import contextlib
import os
import shutil
import subprocess
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._process import child_setup
from tests.servers.deadline import wait_for


@contextlib.contextmanager
def server_directory(prefix: str) -> collections.abc.Iterator[tuple[str, str | None]]:
    """A directory, and whose it is; deleted at the end."""
    user = place.server_user()
    directory = place.make_directory(user, prefix)
    try:
        yield directory, user
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def serving(
    command: t.Sequence[str], directory: str, user: str | None, log: str = "log"
) -> collections.abc.Iterator[subprocess.Popen[bytes]]:
    """The program's process, which is killed at the end."""
    with open(os.path.join(directory, log), "wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd="/", preexec_fn=child_setup(user)
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until_it(
    answers: t.Callable[[], bool],
    name: str,
    process: subprocess.Popen[bytes],
    directory: str,
    not_yet: tuple[type[Exception], ...],
    seconds: float = 120,
) -> None:
    """Wait, as long as it has not ended.

    :arg not_yet: what ``answers`` raises of a server that is not there yet.
    """

    def there() -> bool:
        try:
            return answers()
        except not_yet:
            if process.poll() is not None:
                with open(os.path.join(directory, "log"), encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"{name} ended: {log.read()[-3000:]}") from None
            return False

    wait_for(there, name, seconds)
