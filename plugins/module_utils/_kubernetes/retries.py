# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a request may take and how often it is tried again: bounded, with jitter, and only where that is safe."""

from __future__ import annotations

import random
import time
import typing as t
from dataclasses import dataclass

#: Statuses of a server that is busy, restarting or behind something that is.
PASSING = frozenset((429, 500, 502, 503, 504))
_FIRST_S = 0.1
_LONGEST_S = 5.0


@dataclass(frozen=True)
class Patience:
    """Seconds: for a connection, for an answer to begin or go on, and for all attempts of one request together."""

    connect_s: float = 10.0
    read_s: float = 60.0
    retry_s: float = 60.0


class Attempts:
    """The pauses between the attempts of one request."""

    def __init__(
        self,
        patience: Patience,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._deadline = clock() + patience.retry_s
        self._next_s = _FIRST_S
        self.made = 1

    def again(self, retry_after: str | None = None) -> bool:
        """Wait, and say True; False when the next attempt would come too late.

        :arg retry_after: what the server asked for: seconds, as the API server gives them; anything else is left out.
        """
        asked = float(retry_after) if retry_after and retry_after.strip().isdigit() else 0.0
        # Many clients that fail together must not come back together.
        pause = max(asked, 0.0) + self._next_s * random.uniform(0.5, 1.0)
        if self._clock() + pause > self._deadline:
            return False
        self._next_s = min(self._next_s * 2, _LONGEST_S)
        self._sleep(pause)
        self.made += 1
        return True


def may_repeat(method: str, status: int | None, reason: str = "", sent: bool = True, ours: bool = False) -> bool:
    """Whether the same request may be made again after it failed.

    :arg status: of the answer; None when there was none.
    :arg sent: whether the server may have received it.
    :arg ours: whether a ``Conflict`` is only about timing: the request named no resource version and no field of others.
    """
    if status == 429 or (status is None and not sent):
        return True
    if status == 409:
        return ours and reason == "Conflict"
    # A creation that was carried out and not answered would be made twice, or be refused as already there.
    return method != "POST" and (status is None or status in PASSING)
