# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our pipeline against ``restic backup --stdin`` and ``restic dump``: compressed, encrypted, hashed, in a directory."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    open_decoded,
    store_stream,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import StoredObject
from benchmarks.data import write_table
from benchmarks.measure import Result, paired

_KEY = "components/bench_db/points/20261121T050000Z-abcd/objects/flights.dat"


class ResticBench:
    """One table of ``mib`` MiB. Both sides are processes of their own, so that each pays for its start."""

    def __init__(self, directory: pathlib.Path, mib: int, runs: int) -> None:
        import pyrage

        self.runs = runs
        self.directory = directory
        self.table = directory / "flights.dat"
        write_table(self.table, mib)
        self.mib = self.table.stat().st_size / (1 << 20)
        identity = pyrage.x25519.Identity.generate()
        self.recipient = str(identity.to_public())
        (directory / "identity").write_text(f"{identity}\n")

    def results(self) -> list[Result]:
        """Throughput both ways; nothing where restic or age is missing."""
        for program in ("restic", "age"):
            if shutil.which(program) is None:
                print(f"benchmarks: {program} IS NOT INSTALLED, nothing is measured against restic", file=sys.stderr)
                return []
        return [
            paired(
                "restic_store", "MiB/s", "restic backup --stdin, new repository", self.runs, self._store, self._backup
            ),
            paired("restic_read", "MiB/s", "restic dump latest", self.runs, self._read, self._dump),
        ]

    def _ours(self, verb: str) -> float:
        root = pathlib.Path(__file__).resolve().parent.parent
        code = f"import sys; from benchmarks.restic import {verb}; {verb}(*sys.argv[1:])"
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code, str(self.directory), self.recipient],
            env={**os.environ, "PYTHONPATH": f"{root}:{root}/.local/collections"},
            check=True,
        )
        return self.mib / (time.perf_counter() - began)

    def _store(self) -> float:
        shutil.rmtree(self.directory / "repository", ignore_errors=True)
        (self.directory / "repository").mkdir()
        return self._ours("child_store")

    def _read(self) -> float:
        return self._ours("child_read")

    def _restic(self, *arguments: str, **streams: object) -> float:
        environment = {**os.environ, "RESTIC_PASSWORD": "benchmark", "GOMAXPROCS": str(os.cpu_count() or 1)}
        command = ["restic", "--repo", str(self.directory / "restic"), "--no-cache", "--quiet", *arguments]
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True, **streams)  # type: ignore[call-overload]
        return self.mib / (time.perf_counter() - began)

    def _backup(self) -> float:
        # What is there already would not be stored again.
        shutil.rmtree(self.directory / "restic", ignore_errors=True)
        self._restic("init", "--repository-version", "2", stdout=subprocess.DEVNULL)
        with self.table.open("rb") as source:
            return self._restic("backup", "--stdin", "--stdin-filename", "flights.dat", stdin=source)

    def _dump(self) -> float:
        return self._restic("dump", "latest", "/flights.dat", stdout=subprocess.DEVNULL)


def child_store(directory: str, recipient: str) -> None:
    """Store the table, as a backup does with each file; what was stored is noted for :func:`child_read`."""
    place = pathlib.Path(directory)
    with (place / "flights.dat").open("rb", buffering=0) as source:
        store = FileStore(str(place / "repository"))
        stored = store_stream(store, _KEY, "flights.dat", source, Encoding(recipients=[recipient]))
    (place / "stored").write_text(json.dumps(stored.to_dict()))


def child_read(directory: str, recipient: str) -> None:
    """Read it back, both hashes compared, and write it to nowhere."""
    place = pathlib.Path(directory)
    stored = StoredObject(**json.loads((place / "stored").read_text()))
    store, identities = FileStore(str(place / "repository")), Identities(file=str(place / "identity"))
    with open_decoded(store, stored, identities) as reader, open(os.devnull, "wb") as nowhere:
        for chunk in reader:
            nowhere.write(chunk)
