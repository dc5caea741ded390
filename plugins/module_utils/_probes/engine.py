# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs many probes at once in one event loop, and says what they amount to."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import importlib
import os
import resource
import signal
import threading
import time
import traceback
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import OUTCOMES, Probe, Reading

#: Delays between attempts double up to this many seconds.
_LONGEST_INTERVAL = 30.0


@dataclasses.dataclass
class Result:
    """How one probe ended. ``duration_s`` is that of the last attempt."""

    probe: Probe
    reading: Reading
    duration_s: float
    attempts: int

    def facts(self) -> dict[str, t.Any]:
        return {
            "name": self.probe.name,
            "kind": self.probe.kind,
            "component": self.probe.component,
            "critical": self.probe.critical,
            "outcome": self.reading.outcome,
            "measured": self.reading.measured,
            "expected": self.reading.expected,
            "message": self.reading.message,
            "hint": self.reading.hint,
            "values": self.reading.values,
            "duration_s": round(self.duration_s, 6),
            "attempts": self.attempts,
        }


class DaemonThreads(ThreadPoolExecutor):
    """Threads for what can block for ever (a name server, a dead network disk) without keeping the process alive."""

    def submit(self, fn: t.Callable[..., t.Any], /, *args: t.Any, **kwargs: t.Any) -> Future[t.Any]:
        future: Future[t.Any] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as error:  # handed to whoever waits for it
                    future.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: a thread that hangs ends with the process."""


class Turnstile:
    """Lets a number of probes at one target at a time, and more when those inside hang.

    So a target is not stormed with connections, and some hanging probes do not starve the others.

    :arg most: how many it never lets in at a time, for a target that gives a connection to so many only.
    """

    def __init__(self, places: int = 64, period: float = 0.1, most: int | None = None) -> None:
        self._places = places
        self._most = most
        self._step = places
        self._period = period
        self._inside = 0
        self._passed = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self) -> None:
        if self._inside < self._places:
            self._inside += 1
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if self._timer is None:
            self._timer = loop.call_later(self._period, self._widen)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        self._inside -= 1
        self._passed += 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._inside < self._places:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)

    def _widen(self) -> None:
        self._timer = None
        if self._passed < self._places // 4 and (self._most is None or self._places < self._most):
            self._places += self._step
            self._admit()
        self._passed = 0
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._period, self._widen)


def run_probes(
    probes: t.Sequence[Probe], close: t.Callable[[], None] | None = None, concurrency: int = 1000
) -> tuple[list[Result], bool]:
    """Ask every probe, at most ``concurrency`` at a time.

    SIGINT and SIGTERM end it early: what has not answered by then is "unknown", and the second value is True.

    :arg close: called in the loop at the end, to release what the probes shared.
    :returns: one result for each probe, in their order, and whether it was interrupted.
    """
    return asyncio.run(_run(probes, close, max(1, min(concurrency, _descriptors(concurrency)))))


def verdict(results: t.Sequence[Result]) -> str:
    """ "failed" when nothing was asked or a critical probe failed, "unknown" when a critical one could not be asked."""
    critical = {result.reading.outcome for result in results if result.probe.critical}
    if not results or "failed" in critical:
        return "failed"
    if "unknown" in critical:
        return "unknown"
    return "ok" if all(result.reading.outcome == "ok" for result in results) else "warning"


def counts(results: t.Sequence[Result]) -> dict[str, int]:
    found = collections.Counter(result.reading.outcome for result in results)
    return {outcome: found[outcome] for outcome in OUTCOMES}


async def _run(
    probes: t.Sequence[Probe], close: t.Callable[[], None] | None, concurrency: int
) -> tuple[list[Result], bool]:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonThreads())
    results: list[Result | None] = [None] * len(probes)
    queue = collections.deque(range(len(probes)))

    libraries = dict.fromkeys(name for probe in probes for name in probe.check.libraries)
    loaded = loop.run_in_executor(None, _load, list(libraries)) if libraries else None

    async def work() -> None:
        if loaded is not None:
            await asyncio.shield(loaded)
        while queue:
            place = queue.popleft()
            results[place] = await _ask(probes[place])

    workers = [asyncio.ensure_future(work()) for _ in range(min(concurrency, len(probes)))]
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True
        for worker in workers:
            worker.cancel()

    with _signals(loop, stop):
        try:
            await asyncio.gather(*workers, return_exceptions=True)
        finally:
            if close is not None:
                close()
            # A closed transport gives up its socket in the loop's next turn.
            await asyncio.sleep(0)
    for worker in workers:
        if not worker.cancelled() and worker.exception() is not None:
            raise t.cast(BaseException, worker.exception())
    never = [result or Result(probe, _interrupted(probe), 0.0, 0) for probe, result in zip(probes, results)]
    return never, interrupted


def _load(libraries: t.Sequence[str]) -> None:
    for name in libraries:
        # Whatever keeps it from being loaded does so again where it is needed, and is said there.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


async def _ask(probe: Probe) -> Result:
    interval = probe.interval
    attempt = 0
    while True:
        attempt += 1
        await probe.check.admit()
        started = time.perf_counter()
        try:
            reading = await _within(probe)
        finally:
            probe.check.dismiss()
        duration = time.perf_counter() - started
        if reading.outcome in ("ok", "warning") or attempt >= probe.attempts:
            return Result(probe, reading, duration, attempt)
        await asyncio.sleep(interval)
        interval = min(interval * 2, _LONGEST_INTERVAL)


async def _within(probe: Probe) -> Reading:
    """One attempt, cancelled at the probe's timeout (asyncio.timeout needs Python 3.11)."""
    task = t.cast("asyncio.Task[t.Any]", asyncio.current_task())
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(probe.timeout, expire)
    check = probe.check
    try:
        return await check.ask()
    except asyncio.CancelledError:
        if not expired:
            raise
        if hasattr(task, "uncancel"):
            task.uncancel()
        waited = format_duration(probe.timeout)
        return check.reading("failed", f"no answer after {waited}", f"did not answer within {waited}", timed_out=True)
    except RunbookError as error:
        return check.unasked(error)
    except Exception as error:
        # A probe that breaks must not take the others with it, nor pass; its text could quote anything, so no text.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        return check.reading("unknown", "nothing", f"the probe itself broke: {type(error).__name__} at {place}")
    finally:
        timer.cancel()


def _interrupted(probe: Probe) -> Reading:
    return Reading("unknown", "nothing", probe.check.expected, "interrupted before it answered", probe.check.hint)


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: t.Callable[[], None]) -> t.Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in caught}
    for number in caught:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)


def _descriptors(wanted: int) -> int:
    """How many probes the limit of open files allows, after raising it as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + 128
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted if soft == resource.RLIM_INFINITY else soft - 128
