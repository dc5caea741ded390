# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object into a bucket and back: our store against boto3's own transfers, both against the same gateway here."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import MIB, S3Options
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_store import S3Store
from benchmarks.measure import Result, paired
from tests.servers.s3 import Gateway, running_gateway

_KEY = "components/bench_db/points/20261121T050000Z-abcd/objects/flights.dat.zst.age"
_PART, _AT_ONCE = 8 * MIB, 4
_READ = 1 << 19


class S3Bench:
    """Bytes that look encrypted, ``mib`` MiB of them, and a bucket with versions and without a lock."""

    def __init__(self, directory: pathlib.Path, mib: int, runs: int) -> None:
        self.runs = runs
        self.mib = mib
        self.directory = directory
        self.source = directory / "source"
        _write_noise(self.source, mib)

    def results(self) -> list[Result]:
        """Throughput both ways, and the memory of a process that uploads."""
        with running_gateway() as gateway:
            bucket = gateway.make_bucket(lock=False)
            return [*self._both_ways(gateway, bucket), self._memory(gateway, bucket)]

    def _both_ways(self, gateway: Gateway, bucket: str) -> list[Result]:
        from boto3.s3.transfer import TransferConfig

        store = S3Store(f"s3://{bucket}", S3Options.from_params(gateway.options()))
        client = gateway.client("backup", max_pool_connections=10)
        config = TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=_AT_ONCE)
        root = gateway.client()

        def empty() -> None:
            """Both find a free key, and the gateway's disk does not fill."""
            for entry in root.list_object_versions(Bucket=bucket).get("Versions", []):
                root.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])

        def timed(action: t.Callable[[], object]) -> float:
            began = time.perf_counter()
            action()
            return self.mib / (time.perf_counter() - began)

        def ours() -> float:
            empty()
            return timed(lambda: upload(store, self.source))

        def theirs() -> float:
            empty()
            # With the checksum that ours has, end to end.
            extra = {"ChecksumAlgorithm": "SHA256"}
            with self.source.open("rb") as source:
                return timed(lambda: client.upload_fileobj(source, bucket, _KEY, ExtraArgs=extra, Config=config))

        uploading = paired("s3_upload", "MiB/s", "boto3 upload_fileobj, 4 x 8 MiB, SHA-256", self.runs, ours, theirs)
        empty()
        upload(store, self.source)

        def read() -> None:
            with store.open(_KEY) as reader:
                while reader.read(_READ):
                    pass

        def theirs_read() -> float:
            # A file that can seek, as `aws s3 cp` has: for anything else s3transfer keeps a window of parts, in which
            # the thread that schedules the rest can wait for ever.
            with open(os.devnull, "wb") as nowhere:
                return timed(lambda: client.download_fileobj(bucket, _KEY, nowhere, Config=config))

        downloading = paired(
            "s3_download",
            "MiB/s",
            "boto3 download_fileobj, 4 x 8 MiB",
            self.runs,
            lambda: timed(read),
            theirs_read,
        )
        return [uploading, downloading]

    def _memory(self, gateway: Gateway, bucket: str) -> Result:
        """Peak memory must follow parts x concurrency, not the object."""
        small = self.directory / "small"
        _write_noise(small, 64)

        def peak(source: pathlib.Path) -> float:
            root = pathlib.Path(__file__).resolve().parent.parent
            names = {"endpoint_url": "ENDPOINT"}
            options = {
                f"SRE_RUNBOOKS_S3_{names.get(name, name.upper())}": value for name, value in gateway.options().items()
            }
            done = subprocess.run(
                [sys.executable, "-c", "import sys; from benchmarks.s3 import child; child(*sys.argv[1:])",
                 f"s3://{bucket}/{time.monotonic_ns()}", str(source)],
                env={**os.environ, **options, "PYTHONPATH": f"{root}:{root}/.local/collections"},
                stdout=subprocess.PIPE, check=True, text=True,
            )  # fmt: skip
            return float(done.stdout)

        return paired(
            f"s3_memory_{self.mib}_mib_object",
            "MiB peak",
            "the same process with 64 MiB",
            max(3, self.runs // 2),
            lambda: peak(self.source),
            lambda: peak(small),
        )


def upload(store: S3Store, source: pathlib.Path) -> None:
    """As the pipeline's last step does."""
    with source.open("rb", buffering=0) as reader, store.writer(_KEY) as writer:
        while chunk := reader.read(_READ):
            writer.write(chunk)


def child(url: str, source: str) -> None:
    """Upload one file and print this process's peak memory in MiB."""
    upload(S3Store(url, S3Options.from_environment()), pathlib.Path(source))
    # Not ru_maxrss: that starts from the parent that forked us.
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def _write_noise(path: pathlib.Path, mib: int) -> None:
    with path.open("wb") as file:
        for _number in range(mib):
            file.write(os.urandom(MIB))
