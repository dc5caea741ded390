# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private server over a copy: nobody but us reaches it, and nothing of it reaches out.

No TCP, a socket in a private directory, nothing archived, no worker that connects elsewhere. All of it is said on the
command line, above whatever settings the copy brings along, and nothing of it stays in the copy.

Replaying a CREATE TABLESPACE takes the directory that the log names, wherever that is: on the live server's host it would
be the live tablespace, and the copy would write over its files. So the copy's directory of tablespaces is closed while the
server runs, and a replay that comes to such a record ends there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.postmaster import Postmaster, alive

_PORT = 5432
_TARGETS = (
    "recovery_target",
    "recovery_target_time",
    "recovery_target_lsn",
    "recovery_target_xid",
    "recovery_target_name",
)
#: Nothing may reach out; what was ready to be archived stays so, for the server that the copy becomes.
_PRIVATE = {
    "listen_addresses": "",
    "ssl": "off",
    "archive_command": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "max_logical_replication_workers": "0",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "log_min_messages": "warning",
    "lc_messages": "C",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "autovacuum": "off",
    "hot_standby": "on",
    "event_triggers": "off",
    "log_checkpoints": "off",
}
#: Not every major version knows these.
_SINCE = {"event_triggers": 17}


@dataclasses.dataclass
class Place:
    """Where a private server keeps what is not data. All of it belongs to ``user`` and goes with ``directory``.

    :ivar sockets: short, since a socket's path ends at 107 bytes.
    """

    directory: str
    sockets: str
    user: str | None


class PrivateServer:
    """A server over ``data_dir`` that only we can reach. A context manager: leaving it ends the server.

    :arg settings: further settings, such as memory or preloaded libraries.
    :arg archive_mode: ``on`` keeps what the new timeline writes ready for archiving; ``off`` for a copy to throw away.
    :arg role: who we are there; every role may come in through the private socket.
    """

    def __init__(
        self,
        data_dir: str,
        bin_dir: str,
        place: Place,
        component: str,
        settings: t.Mapping[str, t.Any],
        archive_mode: str = "off",
        role: str = "postgres",
        major: int = 15,
    ) -> None:
        self.data_dir = data_dir
        self._bin_dir = bin_dir
        self._place = place
        self._component = component
        self._settings = settings
        self._archive_mode = archive_mode
        self._role = role
        self._major = major
        self._child: subprocess.Popen[bytes] | None = None
        self._tablespaces = os.path.join(data_dir, "pg_tblspc")
        self.log = os.path.join(place.directory, "server.log")

    def __enter__(self) -> PrivateServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGQUIT)

    def address(self, database: str = "postgres") -> PostgresqlAddress:
        return PostgresqlAddress(
            port=_PORT, user=self._role, socket=self._place.sockets, database=database, ssl_mode="disable"
        )

    def start(self, recovery: t.Mapping[str, str] | None = None) -> None:
        """Start it; returns at once. With ``recovery``, settings of the replay, it begins as a recovering server."""
        postmaster = Postmaster(self.data_dir)
        if postmaster.pid is not None:
            raise EngineError(
                f"a server runs over {self.data_dir}",
                self._component,
                expected="nothing over a copy that is being prepared",
                found=f"process {postmaster.pid}",
                next_command="end that process, then: the same command",
            )
        with contextlib.suppress(FileNotFoundError):
            # Left by a private server that was killed; its process number may be somebody else's by now.
            os.unlink(os.path.join(self.data_dir, "postmaster.pid"))
        signal_file = os.path.join(self.data_dir, "recovery.signal")
        if recovery is not None:
            with open(os.open(signal_file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb"):
                pass
            give(signal_file, self._place.user)
        hba = self._write("pg_hba.conf", "local all all trust\n")
        ident = self._write("pg_ident.conf", "")
        config = self._write("postgresql.conf", "# Everything is said on the command line.\n")
        known = {name: value for name, value in _PRIVATE.items() if _SINCE.get(name, 0) <= self._major}
        settings = {
            **known,
            "config_file": config,
            "hba_file": hba,
            "ident_file": ident,
            "port": _PORT,
            "unix_socket_directories": self._place.sockets,
            "archive_mode": self._archive_mode,
            **self._settings,
            # A target that the copy's own settings bring along must not count; empty ones first, then ours.
            **dict.fromkeys(_TARGETS, ""),
        }
        argv = [os.path.join(self._bin_dir, "postgres"), "-D", self.data_dir]
        for name, value in [*settings.items(), *(recovery or {}).items()]:
            argv += ["-c", f"{name}={value}"]
        os.chmod(self._tablespaces, 0o500)
        with open(os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as log:
            give(self.log, self._place.user)
            # SIGQUIT when we die: the server then ends its own children and frees its shared memory.
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                preexec_fn=_process.child_setup(self._place.user, signal.SIGQUIT),
                start_new_session=True,
                cwd="/",
            )

    def _write(self, name: str, text: str) -> str:
        path = os.path.join(self._place.directory, name)
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        give(path, self._place.user)
        return path

    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def ready(self) -> bool:
        """Whether it takes connections: consistent, and perhaps still replaying."""
        postmaster = Postmaster(self.data_dir)
        return self._child is not None and postmaster.recorded_pid == self._child.pid and postmaster.ready

    def log_text(self) -> str:
        with contextlib.suppress(OSError):
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        return ""

    def stop(self, timeout: float = 120.0) -> None:
        """Stop it in an orderly way, so that the copy starts without any recovery. Raises :class:`EngineError`."""
        if not self.end(signal.SIGINT, timeout):
            raise EngineError(
                f"the private server over {self.data_dir} does not stop",
                self._component,
                expected=f"gone within {timeout:g} s",
                found=_process.last_lines(self.log_text().encode()),
            )

    def end(self, number: int, timeout: float = 30.0) -> bool:
        """Signal it and wait; whether it is gone."""
        child = self._child
        if child is None:
            return True
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        deadline = time.monotonic() + timeout
        while child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if child.poll() is None:
            return False
        Postmaster(self.data_dir).free_memory()
        open_tablespaces(self.data_dir)
        return True


def serves(data_dir: str) -> int | None:
    """The number of the server over a data directory; None when none runs."""
    pid = Postmaster(data_dir).pid
    return pid if pid is not None and alive(pid) else None


def _environment() -> dict[str, str]:
    """Nothing of ours that the server, or what it calls, could take for a setting or that could be a secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": "/usr/bin:/bin", **kept, "LC_ALL": "C.UTF-8"}


def open_tablespaces(data_dir: str) -> None:
    """What a private server closed; also one that was killed, whose copy is filled again. Does nothing where none is."""
    with contextlib.suppress(FileNotFoundError):
        os.chmod(os.path.join(data_dir, "pg_tblspc"), 0o700)
