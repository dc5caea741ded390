# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operators as threads of which one runs at a time, on a store in memory and a clock that only moves when told.

Every call to the store waits for its turn before and after it acts, so that a seed decides who is how slow where.
"""

from __future__ import annotations

import dataclasses
import datetime
import random
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectExists, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectStat, check_key

START = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


class Over(BaseException):
    """The simulation has ended; no code under test may catch this."""


class Simulation:
    """Give it actors, then :meth:`run`; ``invariant`` is called after every step."""

    def __init__(self, seed: int, pace: float, stalls: float, longest_stall: float) -> None:
        """:arg pace: seconds that a step takes at most. :arg stalls: how often (0 to 1) an actor is stopped for long."""
        self.random = random.Random(seed)
        self.time = 0.0
        self._pace = pace
        self._stalls = stalls
        self._longest_stall = longest_stall
        self._stalled: dict[threading.Thread, float] = {}
        self._over = False
        self._turns: dict[threading.Thread, threading.Semaphore] = {}
        self._waiting: set[threading.Thread] = set()
        self._returned = threading.Semaphore(0)
        self.failures: list[BaseException] = []

    def add(self, work: t.Callable[[], None]) -> None:
        def body() -> None:
            try:
                self.turn()
                work()
            except Over:
                pass
            except BaseException as error:
                self.failures.append(error)
            finally:
                self._waiting.discard(threading.current_thread())
                self._returned.release()

        thread = threading.Thread(target=body, daemon=True)
        self._turns[thread] = threading.Semaphore(0)

    def turn(self) -> None:
        """Wait until this actor may go on; in between the clock moves and others act."""
        me = threading.current_thread()
        if me not in self._turns:
            return
        self._waiting.add(me)
        self._returned.release()
        self._turns[me].acquire()
        if self._over:
            raise Over

    def run(self, steps: int, invariant: t.Callable[[], None]) -> None:
        for thread in self._turns:
            thread.start()
            self._returned.acquire()
        try:
            for _step in range(steps):
                if not self._waiting or self.failures:
                    break
                self.time += self.random.uniform(0, self._pace)
                self._let_go(self._next())
                invariant()
        finally:
            self._over = True
            while self._waiting:
                self._let_go(next(iter(self._waiting)))
        if self.failures:
            raise self.failures[0]

    def _next(self) -> threading.Thread:
        """Any actor that is not stalled; when all are, the clock moves to the end of the first stall."""
        waiting = [thread for thread in self._turns if thread in self._waiting]
        ready = [thread for thread in waiting if self._stalled.get(thread, 0.0) <= self.time]
        if not ready:
            ready = [min(waiting, key=lambda thread: self._stalled[thread])]
            self.time = self._stalled[ready[0]]
        chosen = self.random.choice(ready)
        if self.random.random() < self._stalls:
            self._stalled[chosen] = self.time + self.random.uniform(0, self._longest_stall)
        return chosen

    def _let_go(self, thread: threading.Thread) -> None:
        self._waiting.discard(thread)
        self._turns[thread].release()
        self._returned.acquire()

    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self.time)

    def sleep(self, seconds: float) -> None:
        until = self.time + seconds
        while self.time < until:
            self.turn()


@dataclasses.dataclass
class MemoryStore:
    """A whole store; objects are (content, time of creation)."""

    simulation: Simulation
    url: str = "memory://"
    objects: dict[str, tuple[bytes, datetime.datetime]] = dataclasses.field(default_factory=dict)

    def _slowly(self, work: t.Callable[[], t.Any]) -> t.Any:
        self.simulation.turn()
        try:
            return work()
        finally:
            if not self.simulation._over:
                self.simulation.turn()

    def create(self, key: str, data: bytes) -> None:
        def work() -> None:
            if check_key(key) in self.objects:
                raise ObjectExists(key)
            self.objects[key] = (data, self.simulation.now())

        self._slowly(work)

    def read(self, key: str, limit: int, version: str | None = None) -> bytes:
        def work() -> bytes:
            if key not in self.objects:
                raise ObjectMissing(key)
            return self.objects[key][0]

        return t.cast(bytes, self._slowly(work))

    def list(self, prefix: str) -> t.Iterator[ObjectStat]:
        def work() -> t.Any:
            return [
                ObjectStat(key, len(content), created)
                for key, (content, created) in sorted(self.objects.items())
                if key.startswith(prefix)
            ]

        return iter(self._slowly(work))

    def children(self, prefix: str) -> t.Iterator[str]:
        def work() -> t.Any:
            below = [key[len(prefix) :].partition("/") for key in self.objects if key.startswith(prefix)]
            return sorted({name + slash for name, slash, _rest in below})

        return iter(self._slowly(work))

    def delete(self, key: str) -> None:
        self._slowly(lambda: self.objects.pop(key, None))

    def now(self) -> datetime.datetime:
        return t.cast(datetime.datetime, self._slowly(self.simulation.now))
