# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All collectors at once, each in a thread of its own, until they are ready or the time is up.

One that fails or hangs takes no other with it: what it has put down by then is kept, and it is named.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk, Finding, Item, TimeIsUp
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.table import cell
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError

#: How a collector ended, the best first: all of it, some of it, nothing because of an error, not within the time.
COLLECTED, PARTLY, FAILED, LATE = OUTCOMES = ("collected", "partly", "failed", "late")

_LOOK_S = 1.0


@dataclasses.dataclass(frozen=True)
class Collector:
    """:ivar name: such as ``postgresql_locks``. :ivar title: what it looks at, in words. :ivar collect: does it."""

    name: str
    title: str
    collect: t.Callable[[Desk], None]


@dataclasses.dataclass
class Gathered:
    """What became of one collector. ``why``: what is missing; ``duration_s``: until it ended or the time was up."""

    name: str
    title: str
    outcome: str
    duration_s: float
    why: str = ""
    items: list[Item] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def length(self) -> int:
        """Bytes that are kept."""
        return sum(len(item.content) for item in self.items)


class _Work:
    def __init__(self, collector: Collector, desk: Desk) -> None:
        self.collector, self.desk = collector, desk
        self.error: str | None = None
        self.ended: float | None = None
        # A thread that nobody waits for must not keep the process.
        self.thread = threading.Thread(target=self._run, name=collector.name, daemon=True)

    def _run(self) -> None:
        try:
            self.collector.collect(self.desk)
        except TimeIsUp:
            return
        except BaseException as error:  # whatever it is, the others go on
            self.error = _words(error, self.desk.masker)
        self.ended = time.monotonic()


def gather(
    collectors: t.Sequence[Collector],
    masker: Masker,
    time_limit_s: float,
    item_limit: int,
    total_limit: int,
    show: t.Callable[[str], None] = lambda _text: None,
) -> list[Gathered]:
    """What the collectors found, in their order; at most ``total_limit`` bytes, those of the first collectors first.

    :arg show: told now and then who is waited for.
    """
    began = time.monotonic()
    deadline = began + time_limit_s
    works = [_Work(collector, Desk(masker, item_limit, deadline)) for collector in collectors]
    for work in works:
        work.thread.start()
    while (left_s := deadline - time.monotonic()) > 0:
        busy = [work for work in works if work.thread.is_alive()]
        if not busy:
            break
        show(f"{len(works) - len(busy)} of {len(works)} collectors are ready, waiting for {busy[0].collector.name}")
        busy[0].thread.join(min(left_s, _LOOK_S))
    return fit([_outcome(work, began, time_limit_s) for work in works], total_limit)


def fit(found: list[Gathered], total_limit: int) -> list[Gathered]:
    """The same without the items that do not fit into ``total_limit`` bytes; those of the first collectors stay."""
    left = total_limit
    for one in found:
        left = _share(one, left, total_limit)
    return found


def _outcome(work: _Work, began: float, time_limit_s: float) -> Gathered:
    # The end first: what is put down after the desk was closed is lost, and its collector late.
    ended, error = work.ended, work.error
    items, findings, problems = work.desk.close()
    name, title = work.collector.name, work.collector.title
    if ended is None:
        why = f"not ready after {time_limit_s:g} s" + ("; what there was by then is kept" if items else "")
        return Gathered(name, title, LATE, time_limit_s, "; ".join([why, *problems]), items, findings)
    if error is not None:
        problems = [error, *problems]
    nothing = not items and not findings
    outcome = COLLECTED if not problems else FAILED if nothing or (error is not None and not items) else PARTLY
    return Gathered(name, title, outcome, ended - began, "; ".join(problems), items, findings)


def _share(one: Gathered, left: int, total_limit: int) -> int:
    """Take what does not fit any more out of one collector's items; the bytes that are left."""
    dropped = []
    kept = []
    for item in one.items:
        if len(item.content) <= left:
            left -= len(item.content)
            kept.append(item)
        else:
            dropped.append(item.name)
    if dropped:
        names = ", ".join(dropped[:5]) + (f" and {len(dropped) - 5} more" if len(dropped) > 5 else "")
        why = f"left out for the total limit of {total_limit} bytes: {names}"
        one.items, one.outcome = kept, PARTLY if one.outcome == COLLECTED else one.outcome
        one.why = "; ".join(part for part in (one.why, why) if part)
    return left


def _words(error: BaseException, masker: Masker) -> str:
    # Masked as it is: of what is cut, or one line, a secret would not be known any more.
    text = cell(masker.text(str(error)))
    return text[:1000] if isinstance(error, RunbookError) else f"{type(error).__name__}: {text}"[:500]
