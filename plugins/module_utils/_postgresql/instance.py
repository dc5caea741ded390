# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL server of our own: a plain process on loopback, made, started, stopped and removed.

The local environment, drills and tests use it; production servers are never touched by this file.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import configuration
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give, reachable
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.postmaster import Postmaster, alive

MARKER = ".sre_runbooks_instance.json"
_SOCKET_LIMIT = 107
_INITIALISING = ".initialising"
_SECRET = ".secret"


class Instance:
    """One data directory and the server over it.

    :arg socket_dir: created when missing; short, as a socket's path ends at 107 bytes.
    :arg bin_dir: where ``initdb`` and ``postgres`` are; reachable by ``user``.
    :arg user: the account of the server when we are root; None runs it as ourselves.
    :arg log: the server's log; by default ``<data_dir>.log``.
    """

    def __init__(
        self,
        data_dir: str,
        socket_dir: str,
        port: int,
        bin_dir: str,
        user: str | None = None,
        log: str | None = None,
    ) -> None:
        self.data_dir = os.path.abspath(data_dir)
        self.socket_dir = os.path.abspath(socket_dir)
        self.port = port
        self.bin_dir = bin_dir
        self.user = user if os.geteuid() == 0 else None
        self.log = os.path.abspath(log) if log else f"{self.data_dir}.log"
        self._child: subprocess.Popen[bytes] | None = None
        longest = os.path.join(self.socket_dir, f".s.PGSQL.{port}.lock")
        if len(os.fsencode(longest)) > _SOCKET_LIMIT:
            raise InvalidInput(
                "the path of the Unix socket is too long",
                expected=f"at most {_SOCKET_LIMIT} bytes",
                found=f"{len(os.fsencode(longest))} bytes: {longest}",
                next_command="choose a short socket_dir, such as one directly below /tmp",
            )

    def address(
        self, user: str = "postgres", password: str | None = None, database: str = "postgres"
    ) -> PostgresqlAddress:
        """The server over its Unix socket, without TLS."""
        return PostgresqlAddress(
            port=self.port,
            user=user,
            password=password,
            socket=self.socket_dir,
            database=database,
            ssl_mode="disable",
        )

    @property
    def exists(self) -> bool:
        return os.path.exists(os.path.join(self.data_dir, "PG_VERSION"))

    @property
    def ours(self) -> bool:
        """Whether this collection made the data directory, here: a copied marker does not count."""
        return read_marker(self.data_dir) is not None

    @property
    def major(self) -> int | None:
        """The major version of the data directory."""
        try:
            with open(os.path.join(self.data_dir, "PG_VERSION"), encoding="ascii") as file:
                return int(file.read().strip().split(".")[0])
        except (OSError, ValueError):
            return None

    def initialise(self, superuser: str = "postgres", password: str | None = None, durable: bool = True) -> str:
        """Make the data directory; returns the superuser's password (a random one when none is given).

        It appears under its name only when complete, so that a killed run leaves nothing that looks usable.

        :arg durable: False skips syncing to disk, for scratch servers.
        """
        if self.exists or (os.path.isdir(self.data_dir) and os.listdir(self.data_dir)):
            raise Refused(
                "the data directory is not empty",
                expected=f"no or an empty directory at {self.data_dir}",
                found="files",
            )
        self._check_reachable(self.bin_dir, "the server's programs")
        password = password if password is not None else secrets.token_urlsafe(24)
        beginning = self.data_dir + _INITIALISING
        shutil.rmtree(beginning, ignore_errors=True)
        os.makedirs(os.path.dirname(beginning), exist_ok=True)
        os.mkdir(beginning, 0o700)
        give(beginning, self.user)
        try:
            self._check_reachable(beginning, "the data directory")
        except EngineError:
            os.rmdir(beginning)
            raise
        # Beside it, under a name that the next run knows: a killed one must not leave a password lying about.
        secret_dir = beginning + _SECRET
        try:
            shutil.rmtree(secret_dir, ignore_errors=True)
            os.mkdir(secret_dir, 0o700)
            give(secret_dir, self.user)
            password_file = os.path.join(secret_dir, "password")
            _write(password_file, password + "\n", self.user)
            argv = [
                os.path.join(self.bin_dir, "initdb"),
                f"--pgdata={beginning}",
                f"--username={superuser}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ]
            if not durable:
                argv.append("--no-sync")
            _process.run(
                argv,
                f"making the data directory {self.data_dir}",
                user=self.user,
                timeout=300,
                cwd="/",
                environment={"LC_ALL": "C.UTF-8", "PGDATA": ""},
            )
            _write(os.path.join(beginning, "pg_hba.conf"), configuration.HBA, self.user)
            _write(os.path.join(beginning, configuration.SETTINGS_FILE), "", self.user)
            with open(os.path.join(beginning, "postgresql.conf"), "a", encoding="utf-8") as file:
                file.write(f"\ninclude '{configuration.SETTINGS_FILE}'\n")
            self._mark(beginning)
            if os.path.isdir(self.data_dir):
                os.rmdir(self.data_dir)
            os.rename(beginning, self.data_dir)
        finally:
            shutil.rmtree(secret_dir, ignore_errors=True)
            shutil.rmtree(beginning, ignore_errors=True)
        return password

    def _mark(self, directory: str) -> None:
        marker = {"data_dir": self.data_dir, "socket_dir": self.socket_dir, "port": self.port, "log": self.log}
        _write(os.path.join(directory, MARKER), json.dumps(marker, sort_keys=True) + "\n", self.user)

    def settings_text(self, settings: t.Mapping[str, t.Any], tcp: bool = True) -> str:
        """The content of our settings file: what is always so, then ``settings``."""
        return configuration.settings_text(self.port, self.socket_dir, settings, tcp)

    def current_settings_text(self) -> str:
        """What our settings file holds now; empty when there is none."""
        try:
            with open(os.path.join(self.data_dir, configuration.SETTINGS_FILE), encoding="utf-8") as file:
                return file.read()
        except OSError:
            return ""

    def configure(self, settings: t.Mapping[str, t.Any], tcp: bool = True) -> bool:
        """Write our settings file; returns whether it differs from before (a restart is then needed)."""
        text = self.settings_text(settings, tcp)
        if text == self.current_settings_text():
            return False
        if self.ours:
            self._mark(self.data_dir)
        _write(os.path.join(self.data_dir, configuration.SETTINGS_FILE), text, self.user)
        return True

    def start(self, timeout: float = 60.0, tied: bool = False) -> int:
        """Start the server and wait until it accepts connections; returns its process number.

        :arg timeout: seconds.
        :arg tied: end the server when the process (and thread) that started it ends, however it ends.
        :raises EngineError: with the end of the server's log.
        """
        running = self.pid()
        if running is not None:
            self._wait_ready(running, timeout)
            return running
        self._check_reachable(self.bin_dir, "the server's programs")
        self._check_reachable(self.data_dir, "the data directory")
        self._prepare_socket_dir()
        Postmaster(self.data_dir).forget_dead(self.socket_dir, self.port)
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        # SIGQUIT, not SIGKILL: the server then ends its own children and frees its shared memory.
        setup = _process.child_setup(self.user, signal.SIGQUIT) if tied else _detached_setup(self.user)
        with open(os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab") as log:
            # Waiting for it or not, the caller stops it by its number; no context manager would fit.
            self._child = subprocess.Popen(
                [os.path.join(self.bin_dir, "postgres"), "-D", self.data_dir],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_server_environment(),
                preexec_fn=setup,
                start_new_session=True,
                cwd="/",
            )
        try:
            self._wait_ready(self._child.pid, timeout)
        except BaseException:
            self._end(self._child.pid, signal.SIGQUIT, 10)
            raise
        return self._child.pid

    def _prepare_socket_dir(self) -> None:
        if not os.path.isdir(self.socket_dir):
            os.makedirs(self.socket_dir, 0o700)
            give(self.socket_dir, self.user)
        owner = os.stat(self.socket_dir).st_uid
        if owner != os.stat(self.data_dir).st_uid:
            raise Refused(
                f"the directory {self.socket_dir} belongs to somebody else",
                expected=f"an owner like that of {self.data_dir}",
                found=f"user number {owner}",
                next_command="choose another socket_dir",
            )

    def stop(self, timeout: float = 60.0, mode: str = "fast") -> bool:
        """Stop the server. Returns whether it ran.

        :arg mode: "fast" ends the sessions and, when that takes too long, goes on as "immediate", which skips the last
            checkpoint; "kill" is a crash, for rehearsing one.
        :raises EngineError: when it is still there after ``timeout`` seconds.
        """
        pid = self.pid()
        if pid is None:
            self._reap()
            return False
        if mode == "kill":
            Postmaster(self.data_dir).kill()
            self._reap()
            return True
        if mode == "fast" and self._end(pid, signal.SIGINT, timeout * 0.75):
            return True
        if not self._end(pid, signal.SIGQUIT, timeout * 0.25):
            raise EngineError(
                f"the server over {self.data_dir} does not stop",
                expected=f"gone within {timeout:g} s",
                found=f"process {pid} still there; {self._log_end()}",
            )
        return True

    def remove(self, mode: str = "fast", check_mode: bool = False) -> bool:
        """Stop the server and delete everything that it had. Returns whether there is (was) anything.

        :raises Refused: for a data directory that this collection did not make.
        """
        beginning = self.data_dir + _INITIALISING
        there = os.path.isdir(self.data_dir) or os.path.isdir(beginning)
        if os.path.isdir(self.data_dir) and os.listdir(self.data_dir) and not self.ours:
            raise Refused(
                f"{self.data_dir} was not made by this collection",
                expected=f"the file {MARKER} in it, naming it",
                found="none that fits",
                next_command="delete it by hand if that is meant",
            )
        if check_mode:
            return there
        self.stop(mode=mode)
        Postmaster(self.data_dir).free_memory()
        # While the marker still says where they are.
        socket = os.path.join(self.socket_dir, f".s.PGSQL.{self.port}")
        for path in (self.log, socket, f"{socket}.lock"):
            if os.path.lexists(path):
                os.unlink(path)
        if os.path.isdir(self.socket_dir) and not os.listdir(self.socket_dir):
            os.rmdir(self.socket_dir)
        # The name first: a removal that is interrupted leaves nothing that could be started.
        if os.path.isdir(self.data_dir):
            shutil.rmtree(beginning, ignore_errors=True)
            os.rename(self.data_dir, beginning)
        for path in (beginning, beginning + _SECRET):
            shutil.rmtree(path, ignore_errors=True)
        return there

    def pid(self) -> int | None:
        """The server's process number when it runs; None otherwise, whatever a stale file says."""
        self._reap()
        return Postmaster(self.data_dir).pid

    def _wait_ready(self, pid: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            postmaster = Postmaster(self.data_dir)
            # A stale file names another process.
            if postmaster.recorded_pid == pid and postmaster.ready:
                return
            self._reap()
            if not alive(pid):
                raise EngineError(
                    f"the server over {self.data_dir} did not start",
                    expected="a server that accepts connections",
                    found=self._log_end(),
                    next_command=f"tail {self.log}",
                )
            if time.monotonic() > deadline:
                raise EngineError(
                    f"the server over {self.data_dir} did not become ready",
                    expected=f"ready within {timeout:g} s",
                    found=self._log_end(),
                    next_command=f"tail {self.log}",
                )
            time.sleep(0.05)

    def _end(self, pid: int, number: int, timeout: float) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        deadline = time.monotonic() + timeout
        while alive(pid):
            self._reap()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        self._reap()
        return True

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()

    def _log_end(self) -> str:
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.path.getsize(self.log) - 4000))
                return f"the log ends: {_process.last_lines(file.read())}"
        except OSError:
            return "no log"

    def _check_reachable(self, path: str, what: str) -> None:
        if self.user is not None and not reachable(path, self.user):
            raise EngineError(
                f"{what} cannot be reached by {self.user}, as whom the server runs",
                expected=f"every directory above {path} open to {self.user}",
                found="a directory that is closed to others",
                next_command=f"choose a place below a directory of {self.user}'s (mode 0700 will do); who may pass which: namei -l {path}",
            )


def read_marker(data_dir: str) -> dict[str, t.Any] | None:
    """``socket_dir``, ``port`` and ``log`` of the server that this collection made in that very place, else None."""
    try:
        with open(os.path.join(data_dir, MARKER), encoding="utf-8") as file:
            marker = json.load(file)
    except (OSError, ValueError):
        return None
    fits = isinstance(marker, dict) and marker.get("data_dir") == os.path.abspath(data_dir)
    return t.cast("dict[str, t.Any]", marker) if fits else None


def _write(path: str, text: str, user: str | None) -> None:
    """Replace a file in one step, 0600 and owned by ``user``."""
    temporary = f"{path}.new"
    with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    give(temporary, user)
    os.replace(temporary, path)


def _server_environment() -> dict[str, str]:
    """Nothing of ours that the server could take for a setting or that could be a secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
    return {"PATH": "/usr/bin:/bin", **kept, "LC_ALL": "C.UTF-8"}


def _detached_setup(user: str | None) -> t.Callable[[], None]:
    """Become ``user`` without being tied to the parent's life."""
    # A death signal of 0 is none.
    return _process.child_setup(user, 0)
