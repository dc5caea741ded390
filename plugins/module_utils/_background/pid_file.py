# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pid file of a background process: enough to know the very process again, and what it was started with.

It is JSON, written by the process itself before it becomes the program, so that a kill of the module never leaves a
process that nobody knows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._background import kernel
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused

_LIMIT = 1 << 20


@dataclasses.dataclass(frozen=True)
class Command:
    """What is to run. ``environment`` may hold secrets: only a keyed digest of it is ever stored."""

    argv: list[str]
    environment: dict[str, str]
    working_directory: str
    user: str | None

    def digest(self, salt: str) -> str:
        content = json.dumps(dataclasses.asdict(self), sort_keys=True).encode("utf-8")
        return hmac.new(salt.encode("ascii"), content, hashlib.sha256).hexdigest()

    def shown(self, salt: str) -> dict[str, t.Any]:
        """For a diff: values of the environment only as something that changes when they do."""
        return {
            "argv": self.argv,
            "working_directory": self.working_directory,
            "user": self.user,
            "environment": {
                name: hmac.new(salt.encode("ascii"), value.encode("utf-8"), hashlib.sha256).hexdigest()[:12]
                for name, value in sorted(self.environment.items())
            },
        }


@dataclasses.dataclass(frozen=True)
class Record:
    """The content of a pid file."""

    pid: int
    started: int
    boot_id: str
    salt: str
    digest: str
    command: dict[str, t.Any]

    def alive(self) -> bool:
        """Whether the very process that was started then still runs."""
        found = kernel.process(self.pid)
        return (
            found is not None and not found.dead and found.started == self.started and self.boot_id == kernel.boot_id()
        )


def read_record(path: str) -> Record | None:
    """None when there is no file. Raises :class:`Refused` for a file that is not one of ours."""
    try:
        data = _load(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _foreign(path, error.strerror if isinstance(error, OSError) else "no JSON") from None
    fields: dict[str, t.Any] = {"pid": int, "started": int, "boot_id": str, "salt": str, "digest": str, "command": dict}
    if not isinstance(data, dict) or any(type(data.get(name)) is not kind for name, kind in fields.items()):
        raise _foreign(path, "other content")
    if data["pid"] < 2:
        raise _foreign(path, f"pid {data['pid']}")
    return Record(**{name: data[name] for name in fields})


def write_record(path: str, command: Command, salt: str) -> None:
    """Write the record of the calling process, all or nothing."""
    ourselves = t.cast(kernel.Process, kernel.process(os.getpid()))
    record = Record(ourselves.pid, ourselves.started, kernel.boot_id(), salt, command.digest(salt), command.shown(salt))
    content = json.dumps(dataclasses.asdict(record), sort_keys=True) + "\n"
    # Not for everybody to read: a short secret could be guessed from the digests.
    hidden = f"{path}.{ourselves.pid}.new"
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    os.rename(hidden, path)


def read_any_pid(path: str) -> tuple[int, int | None, str | None]:
    """The pid, its start time and boot id (where known) from one of our pid files or a common one.

    Raises OSError, or ValueError when there is no pid.
    """
    try:
        data = _load(path)
    except ValueError:
        with open(path, encoding="utf-8", errors="replace") as file:
            word = file.readline(64).strip()  # postmaster.pid and others go on with more lines
        if not word.isdecimal():
            raise ValueError("it holds no pid") from None
        return int(word), None, None
    if isinstance(data, int) and data > 0:
        return data, None, None
    if isinstance(data, dict) and isinstance(data.get("pid"), int):
        started, boot_id = data.get("started"), data.get("boot_id")
        return data["pid"], started if isinstance(started, int) else None, boot_id if isinstance(boot_id, str) else None
    raise ValueError("it holds no pid")


def _load(path: str) -> t.Any:
    with open(path, "rb") as file:
        return json.loads(file.read(_LIMIT))


def _foreign(path: str, found: str | None) -> Refused:
    return Refused(
        f"{path} is not a pid file that this module wrote, so the process is not ours to touch",
        expected="a pid file of background_process, or none",
        found=found,
        next_command=f"cat {path}",
    )
