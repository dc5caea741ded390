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
from ansible_collections.sre.runbooks.plugins.module_utils._repository import anchors, leases, retained
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import Question, examine
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expire import Expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import plan_expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import KeyRing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import release_pin, write_pin
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewrap import rewrap_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import (
    PublicKey,
    Signer,
    Trust,
    generate_key,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import close_run, start_run

ENVIRONMENT = "testing"
#: Component → number of recipients of its points.
COMPONENTS = {"flights_db": 1, "orders_db": 2, "settings_db": 0}
#: Points of each that are kept, and one more that has expired.
POINTS = 3
_KEEP = Policy(hourly=0, daily=0, weekly=0, monthly=0, yearly=0, keep_last=POINTS, min_age=0.0)


@dataclasses.dataclass
class Keys:
    """Age keys: ``identities`` opens everything, ``other`` is a recipient that nobody knows. And one that signs."""

    recipients: list[str]
    identities: Identities
    other: str
    signer: Signer
    public_key: PublicKey


def new_keys() -> Keys:
    import pyrage

    pairs = [pyrage.x25519.Identity.generate() for _ in range(3)]
    secrets = "\n".join(str(pair) for pair in pairs[:2])
    secret_key, public_key = generate_key()
    recipients = [str(pair.to_public()) for pair in pairs]
    return Keys(recipients[:2], Identities(secrets), recipients[2], Signer(secret_key), public_key)


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


def signed(repository: Repository, keys: Keys) -> Repository:
    """The repository as one sees it who signs, and believes no other signature."""
    return dataclasses.replace(repository, signer=keys.signer, trust=Trust((keys.public_key,), True))


def build(url: str, keys: Keys, seed: str, with_signatures: bool) -> Repository:
    """Three components of three points each, with everything that may lie beside them, records of runs and leases."""
    repository, created = initialise_repository(url, ENVIRONMENT, check_mode=False)
    assert repository is not None and created
    if with_signatures:
        repository = signed(repository, keys)
    content = random.Random(seed)
    begun = _clock.now()
    for component, recipients in COMPONENTS.items():
        encoding = Encoding(recipients=keys.recipients[:recipients])
        for number in range(POINTS + 1):
            at = begun - datetime.timedelta(seconds=POINTS - number)
            point = take_point(repository, component, encoding, content, at)
            write_proof(repository, point, "verified", "a-run", 0.5, {"objects": 5}, "failed" if number == 0 else "ok")
            write_proof(repository, point, "verified", "a-run", 0.5, {"objects": 5})
            write_proof(repository, point, "asserted", "a-run", 9.5, {"rows": 336776})
        Expiry(repository, plan_expiry(repository, component, _KEEP, _clock.now()), lambda: None).run()
        point = list_points(repository, component).points[0]
        write_pin(repository, component, point.point_id, "pin", "a test", "a tester", _clock.now())
        hold = write_pin(repository, component, point.point_id, "hold", "a case", "a tester", _clock.now())
        release_pin(repository, component, point.point_id, hold, "it is closed", "a tester", _clock.now())
        if recipients:
            ring = KeyRing(keys.identities)
            rewrap_point(repository, point, keys.recipients[1:], ring, "headers", "a-run", lambda: None)
        for _ in range(2):
            _anchor(repository, component, keys)
    _record_runs(repository)
    lease = leases.acquire(repository, "flights_db", "a-run", describe_holder("a-run"), 7 * 86400.0)
    lease.renew()
    return repository


def _anchor(repository: Repository, component: str, keys: Keys) -> None:
    """As ``verify_backups`` does when all is well; proofs count at once."""
    found = examine(repository, component, Question())
    assert found.findings == [], found.findings
    at_once = datetime.timedelta(0)
    patch = unittest.mock.patch.object
    with patch(retained, "SETTLED", at_once), patch(anchors, "SETTLED", at_once):
        done = retained.verify_retained(repository, found, retained.Effort(0.0, True), keys.identities, "a-run")
        assert done.ok, done
        retained.anchor(repository, examine(repository, component, Question()), done, "a-run")


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
