# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Http probes in one call: how many a second, with hanging ones among them, and in how much memory."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import time
import typing as t
import urllib.parse
import urllib.request

if t.TYPE_CHECKING:
    from benchmarks.measure import Result

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_SEED = 20261121
ADDRESSES = 100
MANY = 10_000
#: Of MANY, that never answer; each is given up after so many seconds.
_HANGING = 500
_TIMEOUT_S = 5
#: All of MANY are to be done in so many seconds.
_BOUND_S = 10.0
#: For the exporter, which is asked more than it can do at once.
_PATIENCE_S = 60
#: How many a loop of tasks asks.
_LOOPED = 20
_EXPORTER = "prometheus-blackbox-exporter"

Declared = list[dict[str, t.Any]]


class ProbesBench:
    """A server on this machine, and what asks it."""

    def __init__(self, directory: pathlib.Path, runs: int) -> None:
        self.directory, self.runs = directory, runs

    def results(self) -> list[Result]:
        """Probes a second; seconds; peak memory."""
        from benchmarks.measure import paired

        with _target() as port, _exporter(self.directory) as exporter:
            url = f"http://127.0.0.1:{port}/"
            kept, new = _same(url, MANY), [{**one, "keep_alive": False} for one in _same(url, MANY)]
            asked = f"{exporter}/probe?module=plain&target={urllib.parse.quote(url, safe='')}"
            through = [
                {"kind": "http", "url": asked, "body": "probe_success 1", "timeout": _PATIENCE_S}
                for _ in range(MANY // 10)
            ]
            many, few = _some_hang(port, MANY), _same(url, MANY // 10)

            def blackbox() -> float:
                return _rate(_ask(through))

            return [
                paired(
                    "probes_keep_alive", "probes/s", "blackbox_exporter", self.runs, lambda: _rate(_ask(kept)), blackbox
                ),
                paired(
                    "probes_new_connections",
                    "probes/s",
                    "blackbox_exporter",
                    self.runs,
                    lambda: _rate(_ask(new)),
                    blackbox,
                ),
                paired("probes_module", "probes/s", "blackbox_exporter", self.runs, lambda: _module(kept), blackbox),
                paired(
                    f"probes_module_{_LOOPED}",
                    "s",
                    "a loop of ansible.builtin.uri",
                    self.runs,
                    lambda: self._play({"sre.runbooks.probe": {"probes": _same(url, _LOOPED)}}),
                    lambda: self._play({"ansible.builtin.uri": {"url": url}, "loop": list(range(_LOOPED))}),
                ),
                paired(
                    f"probes_{MANY}_{_HANGING}_hang",
                    "s",
                    "a bound",
                    self.runs,
                    lambda: _hanging(many),
                    lambda: _BOUND_S,
                ),
                paired(
                    f"probes_memory_{MANY}",
                    "MiB",
                    f"{MANY // 10} probes",
                    self.runs,
                    lambda: _ask(kept)["peak_mib"],
                    lambda: _ask(few)["peak_mib"],
                ),
            ]

    def _play(self, task: dict[str, t.Any]) -> float:
        """Seconds of a playbook of this one task."""
        book = self.directory / "play.yml"
        book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(_ROOT / ".local" / "collections")}
        began = time.perf_counter()
        subprocess.run(
            [
                str(pathlib.Path(sys.executable).with_name("ansible-playbook")),
                "-i",
                "localhost,",
                "-c",
                "local",
                str(book),
            ],
            env={**environment, "ANSIBLE_PYTHON_INTERPRETER": sys.executable},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - began


def _same(url: str, count: int) -> Declared:
    return [{"kind": "http", "url": url} for _ in range(count)]


def _some_hang(port: int, count: int) -> Declared:
    """As many targets, at many addresses; of each address some never answer."""
    hanging = set(random.Random(_SEED).sample(range(count), count * _HANGING // MANY))
    return [
        {
            "kind": "http",
            "url": f"http://127.0.0.{number % ADDRESSES + 1}:{port}/{'hang' if number in hanging else 'fine'}/{number}",
            "timeout": _TIMEOUT_S,
        }
        for number in range(count)
    ]


def _hanging(probes: Declared) -> float:
    done = _ask(probes)
    assert done["counts"]["failed"] == _HANGING, done
    assert done["counts"]["ok"] == len(probes) - _HANGING, done
    return float(done["seconds"])


def _rate(done: dict[str, t.Any]) -> float:
    assert set(done["counts"]) == {"ok"}, done
    return float(done["counts"]["ok"] / done["seconds"])


def _ask(probes: Declared) -> dict[str, t.Any]:
    """What a new process that asks them says of it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.probes"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / '.local' / 'collections'}"},
        input=json.dumps(probes).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["descriptors"][0] == found["descriptors"][1], found
    return t.cast("dict[str, t.Any]", found)


def _module(probes: Declared) -> float:
    """Probes a second of a call of the module, with the start of Python, its arguments and its results."""
    from tests.servers.module_call import call_module

    began = time.perf_counter()
    done = call_module("probe", {"probes": probes})
    assert done["counts"]["ok"] == len(probes), done["message"][:500]
    return len(probes) / (time.perf_counter() - began)


@contextlib.contextmanager
def _target() -> t.Iterator[int]:
    command = [sys.executable, str(_ROOT / "benchmarks" / "http_target.py"), str(ADDRESSES)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


@contextlib.contextmanager
def _exporter(directory: pathlib.Path) -> t.Iterator[str]:
    """The exporter's address. It makes a new connection for each probe, and is asked over kept ones."""
    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import free_port

    program = shutil.which(_EXPORTER)
    assert program, f"{_EXPORTER} is not installed"
    module = {"prober": "http", "timeout": f"{_PATIENCE_S}s", "http": {"preferred_ip_protocol": "ip4"}}
    (directory / "blackbox.yml").write_text(json.dumps({"modules": {"plain": module}}), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={directory / 'blackbox.yml'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://{address}/-/healthy")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _child() -> None:
    """Ask what standard input declares, as the module does, and print the figures."""
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import counts, run_probes
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all

    declared = json.load(sys.stdin)
    before = len(os.listdir("/proc/self/fd"))
    began = time.perf_counter()
    session = Session()
    results, _interrupted = run_probes(declare_all(declared, session), session.close)
    found = {outcome: count for outcome, count in counts(results).items() if count}
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "seconds": seconds,
                "counts": found,
                "descriptors": [before, len(os.listdir("/proc/self/fd"))],
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    _child()
