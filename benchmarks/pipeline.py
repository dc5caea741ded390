# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our pipeline against the same tools piped in a shell: one object into the repository, and back."""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    open_decoded,
    store_stream,
    verify_stored,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import StoredObject
from benchmarks.data import write_table
from benchmarks.measure import Result, paired

_KEY = "components/bench_db/points/20261121T050000Z-abcd/objects/flights.dat"


class PipelineBench:
    """One table of ``mib`` MiB in a directory of its own."""

    def __init__(self, directory: pathlib.Path, mib: int, runs: int) -> None:
        import pyrage

        self.runs = runs
        self.directory = directory
        self.table = directory / "flights.dat"
        write_table(self.table, mib)
        self.mib = self.table.stat().st_size / (1 << 20)
        (directory / "repository").mkdir()
        self.store = FileStore(str(directory / "repository"))
        identity = pyrage.x25519.Identity.generate()
        self.recipient = str(identity.to_public())
        self.identity_file = directory / "identity"
        self.identity_file.write_text(f"{identity}\n")
        self.identities = Identities(file=str(self.identity_file))

    def results(self) -> list[Result]:
        """Throughput both ways, with and without encryption; the cost of a verification."""
        found = []
        for encrypted in (False, True):
            if encrypted and shutil.which("age") is None:
                print("benchmarks: THE age PROGRAM IS NOT INSTALLED, encryption is not measured", file=sys.stderr)
                continue
            found += self._both_ways(encrypted)
        return found

    def _both_ways(self, encrypted: bool) -> list[Result]:
        tools = "zstd -3 | age" if encrypted else "zstd -3"
        words = "encrypted" if encrypted else "compressed"
        encoding = Encoding(recipients=[self.recipient] if encrypted else [])
        recipient = f" | age -r {self.recipient}" if encrypted else ""
        back = f"age -d -i {shlex.quote(str(self.identity_file))} |" if encrypted else ""
        by_hand = self.directory / "by-hand"
        into = f"cat flights.dat | zstd -3 -q{recipient} | tee by-hand | sha256sum > by-hand.sha256 && sync by-hand"
        # What is stored is compared with its hash, and so is what comes out, as ours does.
        out = f"cat by-hand | tee >(sha256sum > stored.sha256) | {back} zstd -d -q | sha256sum > raw.sha256"
        stored: list[StoredObject] = []

        def store() -> float:
            self.store.delete(_KEY)
            with self.table.open("rb", buffering=0) as source:
                began = time.perf_counter()
                stored[:] = [store_stream(self.store, _KEY, "flights.dat", source, encoding)]
                return self.mib / (time.perf_counter() - began)

        def shell(command: str) -> float:
            began = time.perf_counter()
            subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=self.directory, check=True)
            return self.mib / (time.perf_counter() - began)

        def shell_in() -> float:
            by_hand.unlink(missing_ok=True)
            return shell(into)

        def read() -> float:
            began = time.perf_counter()
            with open_decoded(self.store, stored[0], self.identities) as reader:
                for _chunk in reader:
                    pass
            return self.mib / (time.perf_counter() - began)

        def hash_only() -> float:
            began = time.perf_counter()
            verify_stored(self.store, stored[0])
            return stored[0].length / (1 << 20) / (time.perf_counter() - began)

        def shell_hash() -> float:
            began = time.perf_counter()
            subprocess.run(["sha256sum", str(by_hand)], check=True, stdout=subprocess.DEVNULL)
            return by_hand.stat().st_size / (1 << 20) / (time.perf_counter() - began)

        found = [
            paired(
                f"store_{words}", "MiB/s", f"cat | {tools} | tee file | sha256sum; sync", self.runs, store, shell_in
            ),
            paired(
                f"read_{words}",
                "MiB/s",
                f"tee >(sha256sum) | {'age -d | ' * encrypted}zstd -d | sha256sum",
                self.runs,
                read,
                lambda: shell(out),
            ),
        ]
        if not encrypted:
            found.append(
                paired("verify_stored", "MiB/s of stored bytes", "sha256sum", self.runs, hash_only, shell_hash)
            )
        return found


def memory_results(directory: pathlib.Path, sizes_mib: tuple[int, int], runs: int) -> list[Result]:
    """Peak memory of a process that stores an encrypted object, for a small and a large one: it must not grow."""
    (directory / "repository").mkdir()
    tables = []
    for mib in sizes_mib:
        table = directory / f"table-{mib}.dat"
        write_table(table, mib)
        tables.append(table)

    def peak(table: pathlib.Path) -> float:
        code = "import sys; from benchmarks.pipeline import child; child(*sys.argv[1:])"
        root = pathlib.Path(__file__).resolve().parent.parent
        environment = {**os.environ, "PYTHONPATH": f"{root}:{root}/.local/collections"}
        done = subprocess.run(
            [sys.executable, "-c", code, str(table), str(directory)],
            env=environment, stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
        return float(done.stdout)

    small, large = tables
    name = f"memory_{sizes_mib[1]}_mib_object"
    return [
        paired(
            name,
            "MiB peak",
            f"the same process with {sizes_mib[0]} MiB",
            runs,
            lambda: peak(large),
            lambda: peak(small),
        )
    ]


def child(table: str, directory: str) -> None:
    """Store one table and print this process's peak memory in MiB (its child ``age`` apart)."""
    import pyrage

    store = FileStore(str(pathlib.Path(directory) / "repository"))
    key = f"{_KEY}-{os.getpid()}"
    recipients = [str(pyrage.x25519.Identity.generate().to_public())]
    with pathlib.Path(table).open("rb", buffering=0) as source:
        store_stream(store, key, "flights.dat", source, Encoding(recipients=recipients))
    store.delete(key)
    # Not ru_maxrss: that starts from the parent that forked us.
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
