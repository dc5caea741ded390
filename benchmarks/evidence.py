# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verifying all points of a component: from scratch, and when nothing changed since."""

from __future__ import annotations

import io
import os
import pathlib
import time

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import Question, examine
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import initialise_repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retained import Effort, anchor, verify_retained
from benchmarks.measure import Result, paired
from tests.servers.module_call import call_module

POINTS = 20
_OBJECTS = 10


class EvidenceBench:
    """Twenty points of one component that together have four times the given size."""

    def __init__(self, directory: pathlib.Path, mib: int, runs: int) -> None:
        self.runs = runs
        self.url = f"file://{directory}/repository"
        made, _created = initialise_repository(self.url, "bench", check_mode=False)
        assert made is not None
        self.repository = made
        for _ in range(POINTS):
            self._take(4 * mib * 1024 * 1024 // POINTS // _OBJECTS)

    def _take(self, size: int) -> None:
        writer = begin_point(self.repository, "db", "postgresql", None)
        for number in range(_OBJECTS):
            name = f"db-0001/{number}.dat.zst"
            source = io.BytesIO(os.urandom(size))
            writer.add(store_stream(self.repository.store, writer.object_key(name), name, source, Encoding()))
        tables = {f"public.t{number}": {"rows": number, "hash": "0" * 64} for number in range(200)}
        writer.commit(
            engine_version="15",
            consistency_time=_clock.now(),
            content={"databases": [{"name": "d", "tables": tables}]},
            restore_guide="None.",
        )

    def results(self) -> list[Result]:
        """Seconds for all points."""
        self._verify(force=True)
        self._verify(force=False)
        return [
            paired("evidence_unchanged", "s", "a full one", self.runs, self._again, lambda: self._verify(force=True)),
            paired("evidence_module_unchanged", "s", "a full one", self.runs, self._module, self._whole_module),
        ]

    def _again(self) -> float:
        return self._verify(force=False)

    def _verify(self, force: bool) -> float:
        began = time.perf_counter()
        found = examine(self.repository, "db", Question(everything=force))
        done = verify_retained(self.repository, found, Effort(7 * 86400, force), Identities(None, None), None)
        anchor(self.repository, found, done, None)
        took = time.perf_counter() - began
        assert not found.findings and done.ok and len(done.read if force else done.unchanged) == POINTS
        return took

    def _module(self, force: bool = False) -> float:
        began = time.perf_counter()
        done = call_module(
            "evidence", {"repository": self.url, "environment_name": "bench", "component": "db", "force": force}
        )
        took = time.perf_counter() - began
        assert done["intact"] and (len(done["read"]) if force else done["unchanged"]) == POINTS, done
        return took

    def _whole_module(self) -> float:
        return self._module(force=True)
