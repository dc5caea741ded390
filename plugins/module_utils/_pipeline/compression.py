# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""zstd, in this process through the ``zstandard`` library, else through the ``zstd`` program."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    MissingRequirement,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import CHUNK, Reading, closing, through

#: What ``zstd`` itself uses: most of the gain for a small part of the time.
DEFAULT_LEVEL = 3
#: One worker's share in bytes: zstd's own choice of 8 MiB would cost three times the memory and gain 1 % in size.
_JOB = 1 << 20
_MOST_WORKERS = 4
_LARGEST_WINDOW = 1 << 27  # bytes a decoder may have to keep, zstd's own default


def compress(chunks: t.Iterator[bytes], level: int = DEFAULT_LEVEL, workers: int = 0) -> t.Iterator[bytes]:
    """The chunks as one zstd frame with a checksum. Raises :class:`MissingRequirement`.

    :arg workers: threads that compress beside this one; each costs about 5 MiB, and 0 is best for small objects.
    """
    library = zstd_library()
    if library is None:
        # --ultra only matters above 19, where the program wants it.
        return through([_zstd_program(), f"-{level}", "--ultra", "-q", "-c"], chunks, _compression_failed)
    return _compress_here(library, chunks, level, workers)


def useful_workers() -> int:
    """As many as this process has processors, up to 4: then the other stages are the slower ones."""
    processors = len(os.sched_getaffinity(0))
    return min(_MOST_WORKERS, processors) if processors > 1 else 0


def decompress(chunks: t.Iterator[bytes]) -> t.Iterator[bytes]:
    """The content of zstd frames in chunks of bounded size, however much a frame claims to hold.

    Raises :class:`IntegrityError` for what is not zstd. A stream that just stops is for the caller to notice, who
    knows the length.
    """
    library = zstd_library()
    if library is None:
        return through([_zstd_program(), "-d", "-q", "-c"], chunks, _decompression_failed)
    return _decompress_here(library, chunks)


def zstd_library() -> t.Any:
    """The ``zstandard`` module, or None."""
    try:
        import zstandard
    except ImportError:
        return None
    return zstandard


def _zstd_program() -> str:
    program = shutil.which("zstd")
    if program is None:
        raise MissingRequirement(
            "compression needs zstd, which is not there",
            expected="the Python library zstandard, or the program zstd on PATH",
            found="neither",
            next_command="ansible-playbook sre.runbooks.prepare_hosts",
        )
    return program


def _compress_here(library: t.Any, chunks: t.Iterator[bytes], level: int, workers: int) -> t.Iterator[bytes]:
    job = {"threads": workers, "job_size": _JOB} if workers else {}
    parameters = library.ZstdCompressionParameters.from_level(level, write_checksum=True, **job)
    compressor = library.ZstdCompressor(compression_params=parameters).compressobj()
    with closing(chunks):
        for chunk in chunks:
            out = compressor.compress(chunk)
            if out:
                yield out
        yield compressor.flush()


def _decompress_here(library: t.Any, chunks: t.Iterator[bytes]) -> t.Iterator[bytes]:
    decompressor = library.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    reader = decompressor.stream_reader(Reading(chunks), read_size=CHUNK, read_across_frames=True)
    with closing(chunks):
        while True:
            try:
                chunk = reader.read(CHUNK)
            except library.ZstdError as error:
                raise IntegrityError("does not decompress", expected="a zstd frame", found=str(error)) from None
            if not chunk:
                return
            yield chunk


def _compression_failed(code: int, complaint: str) -> Exception:
    return RunbookError("compressing failed", expected="exit code 0 from zstd", found=f"exit code {code}: {complaint}")


def _decompression_failed(code: int, complaint: str) -> Exception:
    return IntegrityError("does not decompress", expected="a zstd frame", found=complaint or f"exit code {code}")
