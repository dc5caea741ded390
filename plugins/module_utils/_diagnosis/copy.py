# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of a server's files as they are, damage included, made before anybody tries to repair anything.

A running server is copied with ``pg_basebackup``, told not to stop at broken checksums; a stopped one, file by file.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils import _clock, _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    ConnectionFailed,
    PostgresqlAddress,
    connect,
    server_major,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.postmaster import Postmaster
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import find_tools
from ansible_collections.sre.runbooks.plugins.module_utils._process_group import ProcessGroup
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

#: Lies in a whole copy, written last; without it a copy is none.
RECORD = "sre_runbooks_copy.json"
#: Where a copy has its tablespaces, by their oids; the links that the server follows point there.
TABLESPACES = "sre_runbooks_tablespaces"
#: What else has to fit beside the files, for the log that is written while they are copied.
_ROOM = 1.05


@dataclass(frozen=True)
class Plan:
    """How the copy would be made: ``online`` or ``offline``; ``size`` in bytes. ``tablespaces``: oid → directory."""

    method: str
    size: int
    tool: str | None = None
    tablespaces: t.Mapping[str, str] = field(default_factory=dict)


def existing(dest: str) -> dict[str, t.Any] | None:
    """The record of a whole copy at ``dest``. Raises :class:`Refused` when something else is there."""
    try:
        with open(os.path.join(dest, RECORD), encoding="utf-8") as file:
            return t.cast("dict[str, t.Any]", json.load(file))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise Refused(f"the record in {dest} cannot be read", expected=RECORD, found=str(error)[:200]) from None
    if os.path.lexists(dest) and not (os.path.isdir(dest) and not os.listdir(dest)):
        raise Refused(
            f"{dest} is not a copy of ours",
            expected="nothing, an empty directory, or a copy made by this module",
            found="something else",
            next_command="name another directory",
        )
    return None


def plan(address: PostgresqlAddress, data_dir: str | None, bin_dir: str | None) -> Plan:
    """A server that answers is copied through itself; one that does not, from ``data_dir``.

    Raises :class:`EngineError`, :class:`InvalidInput`, :class:`Refused`.
    """
    try:
        with connect(address) as connection:
            row = connection.execute(
                "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_database_size(oid)), 0) FROM pg_catalog.pg_database"
            ).fetchone()
            spaces = connection.execute(
                "SELECT oid::text, pg_catalog.pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace"
                " WHERE spcname NOT IN ('pg_default', 'pg_global')"
            ).fetchall()
            tools = find_tools(server_major(connection), bin_dir)
            tool = os.path.join(tools.bin_dir, "pg_basebackup")
            return Plan("online", int(row[0]) if row else 0, tool, dict(spaces))
    except ConnectionFailed as error:
        if address.way is not None:
            raise  # no directory of this host is that of a server in a pod
        if data_dir is None:
            error.next_command = (
                "set component_data_path in the inventory, so that a stopped server's files can be copied"
            )
            raise
    if not os.path.isfile(os.path.join(data_dir, "PG_VERSION")):
        raise InvalidInput(f"{data_dir} is no data directory", expected="a directory with PG_VERSION", found="none")
    if Postmaster(data_dir).pid is not None:
        raise Refused(
            f"a server runs over {data_dir} but does not answer",
            expected="a stopped server, or one that answers",
            found=f"process {Postmaster(data_dir).pid}",
            next_command="stop it, then: the same command",
        )
    return Plan("offline", _size(data_dir))


def make(
    chosen: Plan, address: PostgresqlAddress, data_dir: str | None, dest: str, progress: Progress
) -> dict[str, t.Any]:
    """Make the copy beside ``dest`` and give it its name when it is whole; returns its record."""
    parent = os.path.dirname(os.path.abspath(dest))
    _refuse_without_room(parent, chosen.size)
    partial = f"{dest}.part"
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    os.mkdir(partial, 0o700)
    progress.step(f"copying the server's files to {dest}", chosen.size)
    if chosen.method == "online":
        _through_the_server(chosen, address, partial, progress)
        _link_tablespaces(chosen, partial, dest)
    else:
        _copy_files(t.cast(str, data_dir), partial, progress)
    record = {"taken": _clock.format_time(_clock.now()), "method": chosen.method, "size": _size(partial)}
    with open(os.path.join(partial, RECORD), "w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    if os.path.isdir(dest):
        os.rmdir(dest)
    os.rename(partial, dest)
    return record


def _refuse_without_room(parent: str, size: int) -> None:
    if not os.path.isdir(parent):
        raise InvalidInput("no place for the copy", expected=f"a directory {parent}", found="none")
    found = os.statvfs(parent)
    free = found.f_bavail * found.f_frsize
    if free < size * _ROOM:
        raise Refused(
            "the copy does not fit",
            expected=f"{int(size * _ROOM)} bytes free in {parent}",
            found=f"{free} bytes",
            next_command="name a directory of another file system",
        )


def _through_the_server(chosen: Plan, address: PostgresqlAddress, partial: str, progress: Progress) -> None:
    argv = [t.cast(str, chosen.tool), "--pgdata", partial, "--format=plain", "--wal-method=stream", "--checkpoint=fast"]
    for oid, directory in chosen.tablespaces.items():
        # Left to itself it would put them where they are: over the live ones, were those not in the way.
        copied = os.path.join(os.path.abspath(partial), TABLESPACES, oid)
        argv.append("--tablespace-mapping=" + "=".join(path.replace("=", "\\=") for path in (directory, copied)))
    argv += ["--no-verify-checksums", "--no-password", "--label=sre.runbooks"]
    with ProcessGroup(argv, "copying the server's files", address.environment()) as group:
        seen = 0
        while group.running():
            time.sleep(0.2)
            size = _size(partial)
            progress.add(max(0, size - seen))
            seen = max(seen, size)
        try:
            group.finish()
        except EngineError as error:
            error.next_command = "give the role REPLICATION and an entry in pg_hba.conf, or stop the server and set component_data_path in the inventory"
            raise


def _link_tablespaces(chosen: Plan, partial: str, dest: str) -> None:
    """Let the copy's links name the copied tablespaces, where they will be once the copy has its name."""
    for oid in chosen.tablespaces:
        link = os.path.join(partial, "pg_tblspc", oid)
        os.unlink(link)
        os.symlink(os.path.join(os.path.abspath(dest), TABLESPACES, oid), link)


def _copy_files(data_dir: str, partial: str, progress: Progress) -> None:
    # Clones blocks where the file system can, keeps owners, times and holes; links to tablespaces are followed.
    _process.run(["cp", "-a", "-L", "--reflink=auto", "--sparse=auto", f"{data_dir}/.", partial], "copying the files")
    progress.add(_size(partial))


def _size(directory: str) -> int:
    """Bytes of all files below; what vanishes meanwhile counts nothing."""
    total = 0
    for place, _directories, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total
