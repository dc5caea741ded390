# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host knows of a PostgreSQL server that may be down: its processes, its port, its data directory, its log."""

from __future__ import annotations

import glob
import os
import re
import socket
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.host import HEADINGS, all_processes, as_row
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.host_space import listening_sockets
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.log_files import keep_end, newest_first

_MOST_LOGS = 3
_FILE_LIMIT = 1 << 20
_PROGRAMS = ("postgres", "postmaster")
#: Where distributions put logs, where the server's data directory does not tell.
_USUAL_LOGS = (
    "/var/log/postgresql/*.log",
    "/var/lib/pgsql/data/log/*.log",
    "/var/lib/pgsql/*/data/log/*.log",
)
_GRAVE = re.compile(r"\b(?:FATAL|PANIC):")
_LOG_DIRECTORY = re.compile(r"^\s*log_directory\s*=?\s*'((?:[^']|'')*)'", re.M)


def collector(params: t.Mapping[str, t.Any]) -> Collector:
    """:arg params: ``login_host``, ``login_port``, ``login_unix_socket`` and ``data_directory`` of a module."""
    return Collector(
        "postgresql_server",
        "the server's processes, port, data directory and log",
        lambda desk: _look(desk, params),
    )


def _look(desk: Desk, params: t.Mapping[str, t.Any]) -> None:
    address = params["login_host"] or ""
    try:
        here = not address or address.startswith("/") or _is_here(address)
    except OSError as error:
        desk.problem(f"whether the server is on this host is not known: {address}: {error.strerror}")
        return
    if not here:
        desk.text("server.txt", f"the server is at {address}, which is not this host\n")
        return
    _processes(desk)
    _port(desk, params["login_unix_socket"] or (address if address.startswith("/") else ""), params["login_port"])
    directory = params["data_directory"] or ""
    if directory:
        _directory(desk, directory)
    _logs(desk, directory)


def _is_here(address: str) -> bool:
    """Whether it is an address of this host: only those can be bound to. Raises OSError for a name that nobody knows."""
    for family, kind, protocol, _name, place in socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM):
        try:
            with socket.socket(family, kind, protocol) as tried:
                tried.bind(place)
        except OSError:
            continue
        return True
    return False


def _processes(desk: Desk) -> None:
    found = [one for one in all_processes(desk) if one.program.startswith(_PROGRAMS)]
    found.sort(key=lambda one: one.pid)
    desk.table("processes", HEADINGS, [as_row(one) for one in found])
    if not found:
        desk.finding("failure", "no process of a PostgreSQL server runs on this host")


def _port(desk: Desk, directory: str, port: int) -> None:
    listening = [row for row in listening_sockets() if row[0] == port]
    path = f"{directory}/.s.PGSQL.{port}" if directory else ""
    if path and not os.path.exists(path):
        desk.finding("failure", f"there is no socket {path}")
    elif not path and not listening:
        desk.finding("failure", f"nothing listens on port {port} of this host")
    shown = [
        f"{protocol} port {port}, {waiting} waiting to be accepted" for _port, protocol, waiting, _inode in listening
    ]
    desk.text("port.txt", "\n".join(shown or [f"nothing listens on TCP port {port}"]) + "\n")


def _directory(desk: Desk, directory: str) -> None:
    path = os.path.join(directory, "postmaster.pid")
    try:
        os.listdir(directory)
        text = _read(path)
    except FileNotFoundError as error:
        if error.filename == path:
            desk.finding("warning", f"there is no {path}: the server was stopped in order, or has never started")
        else:
            desk.finding("failure", f"the data directory {directory} is not there")
        return
    except OSError as error:
        desk.problem(f"{error.filename or directory}: {error.strerror}")
        return
    desk.text("postmaster.pid", text)
    pid = text.partition("\n")[0].strip().lstrip("-")
    if pid.isdigit() and not _is_server(pid):
        desk.finding("failure", f"{path} names process {pid}, which is no server any more: it crashed or was killed")


def _is_server(pid: str) -> bool:
    try:
        return _read(f"/proc/{pid}/comm").startswith(_PROGRAMS)
    except OSError:
        return False


def _logs(desk: Desk, directory: str) -> None:
    patterns = _patterns(directory) if directory else []
    paths = newest_first(path for pattern in patterns for path in glob.glob(pattern))
    # Those of other servers of this host are of no use where its own are known.
    paths = paths or newest_first(path for pattern in _USUAL_LOGS for path in glob.glob(pattern))
    if not paths:
        desk.problem("the server's log was not found; next: name it in diagnostics_log_files")
    for position, path in enumerate(paths[:_MOST_LOGS]):
        text = keep_end(desk, position, path)
        grave = [line for line in text.splitlines() if _GRAVE.search(line)]
        # Of refused logins a running server's log is full; a server that is down ends with why.
        if grave and position == 0:
            desk.finding("warning", f"{path} says last: {grave[-1]}")


def _patterns(directory: str) -> list[str]:
    """Where a server with this data directory may log."""
    safe = glob.escape(os.path.abspath(directory))
    found = [f"{safe}.log", f"{safe}/log/*", f"{safe}/pg_log/*"]
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        try:
            told = _LOG_DIRECTORY.findall(_read(os.path.join(directory, name)))
        except OSError:
            continue
        found += [
            f"{glob.escape(os.path.join(os.path.abspath(directory), one.replace(chr(39) * 2, chr(39))))}/*"
            for one in told
        ]
    return found


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_FILE_LIMIT)
