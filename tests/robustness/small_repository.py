# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small repository with one of everything, written by the code that writes real ones: pipeline, points, proofs, runs."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import io
import random
import typing as t
import unittest.mock

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline import age
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository import leases
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import close_run, start_run

ENVIRONMENT = "testing"
#: Component → number of recipients of its points.
COMPONENTS = {"flights_db": 1, "orders_db": 2, "settings_db": 0}
POINTS = 3
NOON = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.timezone.utc)


@dataclasses.dataclass
class Keys:
    """Age keys: ``identities`` opens everything, ``other`` is a recipient that nobody knows."""

    recipients: list[str]
    identities: Identities
    other: str


def new_keys() -> Keys:
    import pyrage

    pairs = [pyrage.x25519.Identity.generate() for _ in range(3)]
    secrets = "\n".join(str(pair) for pair in pairs[:2])
    return Keys([str(pair.to_public()) for pair in pairs[:2]], Identities(secrets), str(pairs[2].to_public()))


def in_this_process() -> contextlib.AbstractContextManager[t.Any]:
    """Encrypt and decrypt by pyrage, which saves starting a program for each object."""
    return unittest.mock.patch.object(age, "age_program", lambda: None)


def take_point(
    repository: Repository, component: str, encoding: Encoding, content: random.Random, at: datetime.datetime
) -> RecoveryPoint:
    """A point like PostgreSQL's: globals, a table of contents, tables; ``content`` makes the bytes."""
    writer = begin_point(repository, component, "postgresql", None)
    files = {"globals.sql": 300, "db-0001/toc.dat": 900, "db-0001/3051.dat": 6000, "db-0001/3052.dat": 200}
    for name, length in files.items():
        stored_as = name + encoding.suffix
        source = io.BytesIO(content.randbytes(length // 2) + b"a row like another\n" * (length // 38))
        kind = "globals" if name == "globals.sql" else "data"
        stored = store_stream(
            repository.store, writer.object_key(stored_as), stored_as, source, encoding, None, kind=kind
        )
        writer.add(stored)
    return writer.commit(
        engine_version="15.1",
        consistency_time=at,
        content={"databases": [{"name": "flights", "tables": {"public.flights": {"rows": 336776}}}]},
        restore_guide="## Restore\n\nUse the tools.",
        encryption={"recipients": list(encoding.recipients)},
        tool_versions={"pg_dump": "15.1"},
    )


def build(url: str, keys: Keys, seed: str) -> Repository:
    """Three components of three points, with proofs, records of runs and leases."""
    repository, created = initialise_repository(url, ENVIRONMENT, check_mode=False)
    assert repository is not None and created
    content = random.Random(seed)
    for component, recipients in COMPONENTS.items():
        encoding = Encoding(recipients=keys.recipients[:recipients])
        for number in range(POINTS):
            point = take_point(
                repository, component, encoding, content, NOON - datetime.timedelta(hours=POINTS - number)
            )
            write_proof(repository, point, "verified", "a-run", 0.5, {"objects": 5}, "failed" if number == 0 else "ok")
            write_proof(repository, point, "verified", "a-run", 0.5, {"objects": 5})
            write_proof(repository, point, "asserted", "a-run", 9.5, {"rows": 336776})
    _record_runs(repository)
    lease = leases.acquire(repository, "flights_db", "a-run", describe_holder("a-run"), 7 * 86400.0)
    lease.renew()
    return repository


def _record_runs(repository: Repository) -> None:
    """Two closed runs and one that is open."""
    for number in range(3):
        run = start_run(
            repository, "backup", list(COMPONENTS), {**describe_holder(None), "pid": 1}, "2.19", "an operator"
        )
        if number == 2:
            return
        recorder = Recorder(repository, run.run_id, "flights_db")
        for step in ("back up", "verify"):
            with recorder.step(step, why="it is time"):
                pass
        for name in ("report.json", "report.md", "report.html"):
            repository.store.create(f"runs/{run.run_id}/{name}", f"{name} {run.run_id} {_clock.now()}".encode() * 10)
        close_run(repository, run.run_id, "met")
