# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The phases of a restore or drill: timed, recorded, and told to who wants to know where one is."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder, Step


class Phases:
    """Times what is done, records it in the run, and tells where one is (tests end the process there)."""

    def __init__(self, recorder: Recorder, reached: t.Callable[[str], None] = lambda name: None) -> None:
        self.durations: dict[str, float] = {}
        self.reached = reached
        self._recorder = recorder

    @contextlib.contextmanager
    def phase(self, name: str, /, **facts: t.Any) -> t.Iterator[Step]:
        """One step of the timeline; its seconds add up under ``name``."""
        self.reached(name)
        began = time.monotonic()
        try:
            with self._recorder.step(name, **facts) as step:
                yield step
        finally:
            self.durations[name] = self.durations.get(name, 0.0) + time.monotonic() - began
        self.reached(f"after {name}")

    def facts(self) -> dict[str, float]:
        return {name: round(seconds, 3) for name, seconds in self.durations.items()}
