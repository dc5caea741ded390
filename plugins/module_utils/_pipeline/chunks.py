# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams as iterators of byte chunks, each stage able to run in a thread or a child process of its own.

A chunk is at most :data:`CHUNK` bytes and at most :data:`AHEAD` of them wait between two stages, which bounds the
memory of a whole pipeline to a few MiB whatever flows through it. Closing the last iterator (or an exception in any
stage) ends all stages before it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import subprocess
import tempfile
import threading
import time
import typing as t

#: The largest chunk in bytes: big enough that Python's cost per chunk disappears, small enough that dozens of them do
#: not count. (1 MiB takes no less processor time and twice the memory.)
CHUNK = 1 << 19
#: Chunks that may wait between two stages.
AHEAD = 2
_PIPE = 1 << 20  # bytes in a pipe to or from a child, the most that is allowed to everybody
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ, only named since Python 3.10


class Source(t.Protocol):
    """What bytes are read from: a file, a pipe, a socket file, a :class:`Reading`."""

    def read(self, size: int = ..., /) -> bytes: ...


class Reading:
    """An iterator of chunks as something with ``read(size)``; never returns more than ``size`` bytes."""

    def __init__(self, chunks: t.Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, fewer only when a chunk ends; empty only at the end. Without a size: everything."""
        if size < 0:
            return bytes(self._rest) + b"".join(self._chunks)
        while not self._rest:
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return b""
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)


def read_chunks(source: Source, size: int = CHUNK) -> t.Iterator[bytes]:
    """The source's bytes to its end."""
    while True:
        chunk = source.read(size)
        if not chunk:
            return
        yield chunk


class Stopped(Exception):
    """Raised in a stage whose consumer has gone away; nobody needs to see it."""


def produced(work: t.Callable[[t.Callable[[bytes], None]], None], depth: int = AHEAD) -> t.Iterator[bytes]:
    """Run ``work(put)`` in a thread and yield what it puts; its exception is raised here, in its place in the stream."""
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(depth + 1)
    gone = threading.Event()

    def put(chunk: bytes) -> None:
        if gone.is_set():
            raise Stopped
        ready.put(chunk)

    def run() -> None:
        end: BaseException | None = None
        try:
            work(put)
        except BaseException as error:  # handed over, whatever it is
            end = error
        ready.put(end)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        gone.set()
        # A stage that waits for room goes on, sees that nobody wants more, and ends. One that is stuck in a read of
        # its source is left to whoever closes that source.
        patience = time.monotonic() + 5
        while thread.is_alive() and time.monotonic() < patience:
            with contextlib.suppress(queue.Empty):
                ready.get(timeout=0.02)


def ahead(chunks: t.Iterator[bytes], depth: int = AHEAD) -> t.Iterator[bytes]:
    """The same chunks, computed in a thread of their own while the consumer works on earlier ones."""

    def work(put: t.Callable[[bytes], None]) -> None:
        with closing(chunks):
            for chunk in chunks:
                put(chunk)

    return produced(work, depth)


@contextlib.contextmanager
def closing(chunks: t.Iterator[bytes]) -> t.Iterator[t.Iterator[bytes]]:
    """Close a generator at the end; other iterators need no closing."""
    try:
        yield chunks
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


def through(
    argv: t.Sequence[str],
    chunks: t.Iterator[bytes],
    failed: t.Callable[[int, str], Exception],
    pass_fds: t.Sequence[int] = (),
) -> t.Iterator[bytes]:
    """Pipe the chunks through a filter program.

    :arg failed: makes the exception to raise from an exit code other than 0 and the end of standard error.

    The child reads from us and writes to us only, so it ends by itself when we are killed; and in a session of its own
    it has no terminal to prompt on.
    """
    with tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            pass_fds=pass_fds,
            start_new_session=True,
            bufsize=0,
        )
        if child.stdin is None or child.stdout is None:  # both are pipes; said for the type checker
            raise AssertionError("no pipes")
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):  # only faster
                fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE)
        stdin, trouble = child.stdin, _Trouble()

        def feed() -> None:
            try:
                with closing(chunks):
                    for chunk in chunks:
                        _write_all(stdin.fileno(), chunk)
            except BrokenPipeError:
                pass  # the child has ended: its exit code and our lengths say whether it should have
            except BaseException as error:
                trouble.error = error
                # It must not take this for the end of its input and finish an object that is not whole.
                child.kill()
            finally:
                with contextlib.suppress(OSError):
                    stdin.close()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        try:
            while True:
                chunk = os.read(child.stdout.fileno(), CHUNK)
                if not chunk:
                    break
                yield chunk
            code = child.wait()
            feeder.join()
            if trouble.error is not None:
                raise trouble.error
            if code != 0:
                complaints.seek(0, os.SEEK_END)
                complaints.seek(max(0, complaints.tell() - 4096))
                raise failed(code, complaints.read().decode("utf-8", "replace").strip())
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            child.stdout.close()
            feeder.join(timeout=5)


class _Trouble:
    """What went wrong in the thread that feeds a child."""

    error: BaseException | None = None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
