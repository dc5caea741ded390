# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A component with ten thousand recovery points: listing them, planning their retention, removing some."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import pathlib
import shutil
import subprocess
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expire import Expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import plan_expiry
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention import Candidate, decide
from ansible_collections.sre.runbooks.plugins.module_utils._repository.retention_policy import Policy
from benchmarks.measure import Result, paired

POINTS = 10_000
_REMOVED = 200
_HOUR = datetime.timedelta(hours=1)


class ExpireBench:
    """An hourly point for more than a year, each verified, with twenty objects in its manifest."""

    def __init__(self, directory: pathlib.Path, runs: int) -> None:
        self.runs = runs
        self.directory = directory
        self.repository = _repository(directory / "repository")
        self.now = _clock.now()
        self.points = [_write_point(self.repository, self.now, number) for number in range(POINTS)]

    def results(self) -> list[Result]:
        """Seconds for all ten thousand; removal is per point."""
        root = pathlib.Path(self.repository.store.path)

        def shell() -> float:
            # What a script without the collection has to do to know as much: every manifest, every proof's name.
            return _timed(
                lambda: subprocess.run(
                    ["sh", "-c", "find . -name manifest.json -exec sha256sum {} + | wc -l; find . -path '*/proofs/*' | wc -l"],
                    cwd=root, check=True, stdout=subprocess.DEVNULL,
                )
            )  # fmt: skip

        candidates = [
            Candidate(point.point_id, point.consistency_time, "verified", sequence=point.sequence)
            for point in self.points
        ]
        against = f"find and sha256sum over the {POINTS} manifests"
        return [
            paired("list_10000_points", "s", against, self.runs, self._list, shell),
            paired("expire_plan_10000_points", "s", "the listing alone", self.runs, self._plan, self._list),
            paired(
                "decide_10000_points",
                "s",
                "the listing alone",
                self.runs,
                lambda: _timed(lambda: decide(candidates, Policy(), self.now)),
                self._list,
            ),
            paired("expire_point", "ms per point", "rm -rf of each, then sync", self.runs, self._expire, self._rm),
        ]

    def _list(self) -> float:
        return _timed(lambda: list_points(self.repository, "db"))

    def _plan(self) -> float:
        return _timed(lambda: plan_expiry(self.repository, "db", Policy(min_age=0.0), self.now + _HOUR))

    def _few(self) -> Repository:
        """A repository of its own with a few hundred points."""
        place = self.directory / "few"
        shutil.rmtree(place, ignore_errors=True)
        repository = _repository(place)
        for number in range(_REMOVED + 1):
            _write_point(repository, self.now, number, files=True)
        return repository

    def _expire(self) -> float:
        repository = self._few()
        policy = Policy(hourly=0, daily=0, weekly=0, monthly=0, yearly=0, keep_last=1, min_age=0.0)
        plan = plan_expiry(repository, "db", policy, self.now + _HOUR)
        expiry = Expiry(repository, plan, lambda: None)
        taken = _timed(expiry.run)
        if len(expiry.outcome.expired) != _REMOVED or expiry.outcome.failures:
            raise RuntimeError(f"{len(expiry.outcome.expired)} points expired in place of {_REMOVED}")
        return taken * 1000 / _REMOVED

    def _rm(self) -> float:
        points = pathlib.Path(self._few().store.path) / "components" / "db" / "points"
        names = sorted(path.name for path in points.iterdir())[:_REMOVED]

        def remove() -> None:
            for name in names:
                subprocess.run(["rm", "-rf", str(points / name)], check=True)
            subprocess.run(["sync", "-f", str(points)], check=True)

        return _timed(remove) * 1000 / _REMOVED


def _repository(place: pathlib.Path) -> Repository:
    made, _created = initialise_repository(f"file://{place}", "local", check_mode=False)
    assert made is not None
    return made


def _write_point(repository: Repository, now: datetime.datetime, number: int, files: bool = False) -> RecoveryPoint:
    """A verified point ``number`` hours old, written past the store: ten thousand times fsync would take minutes."""
    at = now - number * _HOUR
    point_id = f"{at.strftime('%Y%m%dT%H%M%SZ')}-{number % 65536:04x}"
    digest = hashlib.sha256(point_id.encode()).hexdigest()
    prefix = f"components/db/points/{point_id}/objects/"
    objects = [
        StoredObject(f"{part}.zst", f"{prefix}{part}.zst", 16, digest, 16, digest, ["zstd"]) for part in range(20)
    ]
    point = RecoveryPoint(
        "db", "local", repository.id, point_id, "postgresql", "15.1", None, at, at, at, 1.0, objects,
        {"databases": [{"name": "orders", "tables": 20}]}, {}, {}, sequence=POINTS - number,
    )  # fmt: skip
    root = pathlib.Path(repository.store.path)
    for name in ("taken", "verified"):
        proof = root / point.prefix / "proofs" / f"{name}-{at.strftime('%Y%m%dT%H%M%S.%fZ')}-abcd.json"
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.write_bytes(b"{}")
    manifest = point.to_manifest()
    (root / point.manifest_key).write_bytes(manifest)
    for stored in objects if files else ():
        (root / stored.key).parent.mkdir(exist_ok=True)
        (root / stored.key).write_bytes(b"0123456789abcdef")
    return dataclasses.replace(point, objects=[])


def _timed(work: t.Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
