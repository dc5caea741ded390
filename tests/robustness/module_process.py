# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules as processes that start in milliseconds and can be killed before or after any of their side effects.

A server process imports everything once and forks for each call. The child counts its side effects, and at the chosen one
sends itself SIGKILL: nothing is caught, closed or flushed, as when the kernel or an operator ends it.
"""

from __future__ import annotations

import builtins
import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import typing as t
import urllib.parse

from tests.robustness.fault_store import Fault, FaultStore

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: What each process of a call has in its environment, so that survivors can be found.
MARK = "SRE_RUNBOOKS_TEST_CALL"
_QUIET = ("SELECT", "SHOW", "WITH", "FETCH", "SAVEPOINT", "RELEASE")


@dataclasses.dataclass(frozen=True)
class Kill:
    """SIGKILL at side effect number ``at`` (from 0): before it, or ``after``."""

    at: int
    after: bool = False


@dataclasses.dataclass(frozen=True)
class StoreFault:
    """The repository's call number ``at`` (from 0) fails, see ``fault_store``; None only counts the calls."""

    at: int | None
    kind: Fault = "error"


Disturbance: t.TypeAlias = "Kill | StoreFault"


class Outcome:
    """How a call ended: ``killed``, or ``result`` as the module gave it; ``effects`` in order, and what still ran."""

    def __init__(self, answer: dict[str, t.Any]) -> None:
        self.killed: bool = answer["status"] == -signal.SIGKILL
        self.result: dict[str, t.Any] = answer["result"]
        self.effects: list[str] = answer["effects"]
        self.output: str = answer["output"]
        self.mark: str = answer["mark"]

    @property
    def failed(self) -> bool:
        return self.killed or not self.result or bool(self.result.get("failed"))

    def __str__(self) -> str:
        at = f" at {self.effects[-1]}" if self.killed and self.effects else ""
        if self.killed:
            return f"killed{at}"
        return self.result.get("msg", "") or (json.dumps(self.result)[:500] if self.result else self.output)


class ModuleProcess:
    """The server process. A context manager."""

    def __enter__(self) -> ModuleProcess:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.robustness.module_process"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / '.local' / 'collections'}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)

    def call(self, module: str, params: dict[str, t.Any], disturbance: Disturbance | None = None) -> Outcome:
        """Run it to its end, or to where it is killed; ``effects`` of the outcome are what could be disturbed."""
        assert self._server.stdin is not None and self._server.stdout is not None
        mark = secrets.token_hex(8)
        request: dict[str, t.Any] = {"module": module, "params": params, "mark": mark}
        if disturbance is not None:
            request[type(disturbance).__name__] = dataclasses.asdict(disturbance)
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Outcome({**json.loads(self._server.stdout.readline()), "mark": mark})


def survivors(mark: str, patience_s: float = 60.0) -> list[str]:
    """Command lines of the processes of a call that still run after a while."""
    until = time.monotonic() + patience_s
    while True:
        found = []
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and mark.encode() in pathlib.Path("/proc", entry, "environ").read_bytes():
                    command = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                    if command:  # none: a zombie, which nothing but its parent can end
                        found.append(command.replace(b"\0", b" ").decode("utf-8", "replace")[:200])
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.05)


# -- in the server process -----------------------------------------------------------------------------------------------


class _Effects:
    """Counts side effects in a file that survives the kill, and kills."""

    def __init__(self, path: str, kill: Kill | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)
        self._kill = kill
        self._count = 0
        self._lock = threading.Lock()

    def around(self, what: str, work: t.Callable[[], t.Any]) -> t.Any:
        with self._lock:
            number = self._count
            self._count += 1
            os.write(self._file, (" ".join(what.split())[:200] + "\n").encode())
        due = self._kill is not None and number == self._kill.at
        if due and not t.cast(Kill, self._kill).after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = work()
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def count(self, owner: t.Any, name: str, wanted: t.Callable[..., str | None]) -> None:
        """Let ``owner.name`` be counted for arguments of which ``wanted`` gives a description."""
        real = getattr(owner, name)

        def counted(*args: t.Any, **kwargs: t.Any) -> t.Any:
            what = wanted(*args, **kwargs)
            return real(*args, **kwargs) if what is None else self.around(what, lambda: real(*args, **kwargs))

        setattr(owner, name, counted)


def _count_all(effects: _Effects) -> None:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._repository import file_store

    for name in ("link", "unlink", "rename", "replace", "mkdir", "rmdir", "symlink"):
        effects.count(os, name, lambda *args, _name=name, **_kwargs: f"{_name} {args[0]}")
    effects.count(
        builtins, "open", lambda path, mode="r", *_args, **_kwargs: f"open {path}" if set(mode) & set("wax+") else None
    )
    effects.count(os, "open", lambda path, flags, *args, **_kwargs: f"create {path}" if flags & os.O_CREAT else None)
    effects.count(file_store._Writer, "write", lambda _self, data: f"write {len(data)} bytes of an object")
    effects.count(psycopg.Cursor, "execute", _statement)
    effects.count(psycopg.Connection, "commit", lambda _self: "commit")
    if "kubernetes.client" in sys.modules:
        from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster

        effects.count(Cluster, "_once", _api_write)
    real_init = subprocess.Popen.__init__

    def counted_init(self: t.Any, args: t.Any, *rest: t.Any, **kwargs: t.Any) -> None:
        effects.around(
            f"start {args if isinstance(args, str) else args[0]}", lambda: real_init(self, args, *rest, **kwargs)
        )

    subprocess.Popen.__init__ = counted_init  # type: ignore[method-assign,assignment]


def _statement(_cursor: t.Any, query: t.Any, *_args: t.Any, **_kwargs: t.Any) -> str | None:
    text = query if isinstance(query, str) else query.as_string(None) if hasattr(query, "as_string") else str(query)
    return None if text.lstrip().upper().startswith(_QUIET) else text


def _api_write(_cluster: t.Any, method: str, url: str, *_args: t.Any, **_kwargs: t.Any) -> str | None:
    """What changes nothing is none: reading, dry runs, questions in the form of an object."""
    harmless = method == "GET" or "dryRun=All" in url or "selfsubject" in url
    return None if harmless else f"{method} {urllib.parse.urlsplit(url).path}"


def _break_store(path: str, fault: StoreFault) -> None:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository import repository

    open_store = repository.open_store
    log = os.open(path, os.O_WRONLY | os.O_APPEND)

    def open_broken(*args: t.Any, **kwargs: t.Any) -> FaultStore:
        store = open_store(*args, **kwargs)
        return FaultStore(store, fault.at, fault.kind, on_call=lambda what: os.write(log, (what + "\n").encode()))

    repository.open_store = open_broken  # type: ignore[assignment]


def _load(module: str) -> types.ModuleType:
    """With what it only imports when it needs it; each later call is spared that."""
    if module.startswith("kubernetes"):
        import kubernetes.client  # noqa: F401
    return importlib.import_module(f"ansible_collections.sre.runbooks.plugins.modules.{module}")


def _child(request: dict[str, t.Any], output: str, effects_path: str) -> None:
    from ansible.module_utils.testing import patch_module_args

    os.setsid()
    descriptor = os.open(output, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.environ[MARK] = request["mark"]
    module = _load(request["module"])
    if "StoreFault" in request:
        _break_store(effects_path, StoreFault(**request["StoreFault"]))
    else:
        _count_all(_Effects(effects_path, Kill(**request["Kill"]) if "Kill" in request else None))
    with patch_module_args({**request["params"], "_ansible_check_mode": False, "_ansible_diff": True}):
        module.main()


def _serve() -> None:
    import psycopg  # noqa: F401
    import pyrage  # noqa: F401
    import zstandard  # noqa: F401

    from ansible_collections.sre.runbooks.plugins.modules import (  # noqa: F401
        evidence,
        lease,
        postgresql_backup,
        postgresql_restore,
        recovery_point_expire,
        recovery_point_pin,
        recovery_point_rewrap,
        recovery_point_verify,
    )

    for line in sys.stdin:
        _load(json.loads(line)["module"])
        with tempfile.TemporaryDirectory(prefix="srb-call-") as directory:
            output, effects = os.path.join(directory, "output"), os.path.join(directory, "effects")
            for path in (output, effects):
                pathlib.Path(path).touch()
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    _child(json.loads(line), output, effects)
                except SystemExit as ending:
                    code = ending.code if isinstance(ending.code, int) else 0
                except BaseException:
                    import traceback

                    traceback.print_exc()
                finally:
                    sys.stdout.flush()
                    sys.stderr.flush()
                    os._exit(code)
            _pid, status = os.waitpid(pid, 0)
            text = pathlib.Path(output).read_text(encoding="utf-8", errors="replace")
            results = [entry for entry in text.splitlines() if entry.startswith("{")]
            answer = {
                "status": os.waitstatus_to_exitcode(status),
                "result": json.loads(results[-1]) if results else {},
                "effects": pathlib.Path(effects).read_text(encoding="utf-8").splitlines(),
                "output": text[-3000:],
            }
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
