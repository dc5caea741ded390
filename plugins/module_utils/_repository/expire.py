# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries a retention plan out, under the component's lease.

A point goes in this order: its tombstone, its objects, its proofs and pins, its manifest. Killed anywhere, it is either
untouched or has a tombstone, by which the next run finds and finishes it; with its last object nothing is left to find.
What needs another point goes before it, so that at no time a point is listed whose base is gone.
"""

from __future__ import annotations

import datetime
import hashlib
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    ObjectExists,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.expiry_plan import (
    EXPIRE,
    FINISH,
    REMOVE,
    WITHDRAW,
    ExpiryPlan,
    Row,
    removed_late,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import MANIFEST_LIMIT, point_prefix
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import SUFFIX
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import (
    Tombstone,
    read_tombstone,
    tombstone_key,
    write_tombstone,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectVersion

#: Seconds between two looks at the lease while one point's objects go.
_CHECK_EVERY_S = 5.0


@dataclass
class Outcome:
    """What was done: ids, bytes that the removed objects had, and what could not be done, by id, in words."""

    expired: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    extended: list[str] = field(default_factory=list)
    #: Whose data is gone, and whose proofs or manifest the store still keeps locked; a later run ends it.
    waiting: list[str] = field(default_factory=list)
    bytes: int = 0
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        return bool(self.expired or self.finished or self.removed or self.withdrawn)


def predicted(plan: ExpiryPlan) -> Outcome:
    """What would have been done, had it been done."""

    def ids(action: str) -> list[str]:
        return [row.point_id for row in plan.of(action)]

    size = sum(row.size for row in plan.of(EXPIRE, FINISH, REMOVE))
    return Outcome(
        expired=ids(EXPIRE),
        finished=ids(FINISH),
        removed=ids(REMOVE),
        withdrawn=ids(WITHDRAW),
        extended=list(plan.extend_locks),
        bytes=size,
    )


def joined(outcomes: t.Iterable[Outcome]) -> Outcome:
    """What was done by all of them together."""
    together = Outcome()
    for outcome in outcomes:
        for name in ("expired", "finished", "removed", "withdrawn", "extended", "waiting"):
            getattr(together, name).extend(getattr(outcome, name))
        together.bytes += outcome.bytes
        together.failures.update(outcome.failures)
    return together


class Expiry:
    """One execution of a plan.

    :arg check_lease: raises :class:`LeaseLost` when somebody else may act on the component; asked before every step
        that counts.
    """

    def __init__(
        self,
        repository: Repository,
        plan: ExpiryPlan,
        check_lease: t.Callable[[], None],
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.repository = repository
        self.plan = plan
        self.outcome = Outcome()
        self._check_lease = check_lease
        self._checked_at = float("-inf")
        self._run_id = run_id
        self._now = plan.now
        self._progress = progress
        self._needs = {row.point_id: row.needs for row in plan.rows}

    def extend_locks(self, until: datetime.datetime) -> None:
        """Keep the kept points' objects locked until then at least, their manifests last."""
        store = self.repository.store
        for point_id in self.plan.extend_locks:
            self._check()
            manifest = self._prefix(point_id) + "manifest.json"
            found = [version for version in store.versions(self._prefix(point_id)) if not version.deleted]
            for version in sorted(found, key=lambda item: item.key == manifest):
                store.extend_lock(version.key, version.version_id, until)
            self.outcome.extended.append(point_id)

    def run(self) -> Outcome:
        """Do what the plan says. What fails for one point is noted, and the others go on.

        Raises :class:`LeaseLost`.
        """
        plan = self.plan
        for row in plan.of(WITHDRAW):
            self._attempt(row, self._withdraw, self.outcome.withdrawn)
        for row in _dependents_first(plan.of(EXPIRE, FINISH)):
            user = next((failed for failed in self.outcome.failures if row.point_id in self._needs[failed]), None)
            if user is not None:
                self.outcome.failures[row.point_id] = f"stays, because {user} needs it and could not go"
            elif row.action == EXPIRE:
                self._attempt(row, self._expire, self.outcome.expired)
            else:
                self._attempt(row, self._finish, self.outcome.finished)
        for row in plan.of(REMOVE):
            self._attempt(row, self._remove, self.outcome.removed)
        return self.outcome

    def _attempt(self, row: Row, work: t.Callable[[Row], None], done: list[str]) -> None:
        if self._progress is not None:
            self._progress.step(f"{row.action} {row.point_id}", row.size or None)
        try:
            self._check()
            work(row)
        except (RepositoryError, IntegrityError) as error:
            self.outcome.failures[row.point_id] = str(error)
        else:
            done.append(row.point_id)

    def _expire(self, row: Row) -> None:
        tombstone = self._tombstone(row)
        if self.repository.signer is not None:  # one that was killed before its tombstone came
            self.repository.store.purge(tombstone_key(self.plan.component, row.point_id) + SUFFIX)
        try:
            write_tombstone(self.repository, tombstone)
        except ObjectExists as error:
            raise RepositoryError(
                "somebody else is expiring it", found=str(error), next_command="the same command"
            ) from None
        self._remove(row)

    def _finish(self, row: Row) -> None:
        if row.point_id in self.plan.points and not self._tombstone_fits(row.point_id):
            # The next point's link to this one rests on the tombstone: one that says something else is no use.
            self._withdraw(row)
            self._expire(row)
        else:
            self._remove(row)

    def _tombstone_fits(self, point_id: str) -> bool:
        """Whether the tombstone of a point that is still whole is the one that we would write."""
        try:
            found = read_tombstone(self.repository, self.plan.component, point_id)
        except IntegrityError:
            return False
        point = self.plan.points[point_id]
        return (found.manifest_sha256, found.sequence, found.previous_sha256) == (
            point.manifest_sha256,
            point.sequence,
            point.previous_sha256,
        )

    def _withdraw(self, row: Row) -> None:
        key = tombstone_key(self.plan.component, row.point_id)
        self.repository.store.delete(key)
        self.repository.store.delete(key + SUFFIX)

    def _tombstone(self, row: Row) -> Tombstone:
        """Raises :class:`IntegrityError` when the manifest is no longer the one that was decided on."""
        manifest = self.repository.store.read(self._prefix(row.point_id) + "manifest.json", MANIFEST_LIMIT)
        digest = hashlib.sha256(manifest).hexdigest()
        point = self.plan.points.get(row.point_id)
        if point is not None and point.manifest_sha256 not in (None, digest):
            raise IntegrityError(
                f"the manifest of {row.point_id} has changed since it was listed",
                expected=f"sha256 {point.manifest_sha256}",
                found=digest,
            )
        return Tombstone(
            component=self.plan.component,
            point_id=row.point_id,
            expired_at=_clock.now(),
            run_id=self._run_id,
            reason="; ".join(row.reasons)[:2000],
            policy=self.plan.policy.facts(),
            manifest_sha256=digest,
            sequence=None if point is None else point.sequence,
            previous=None if point is None else point.previous,
            previous_sha256=None if point is None else point.previous_sha256,
            consistency_time=None if point is None else point.consistency_time,
            level=row.level,
            size=row.size,
            objects_count=0 if point is None else point.facts()["objects_count"],
        )

    def _remove(self, row: Row) -> None:
        """Everything below the point's prefix, hidden versions included, the manifest last."""
        store, prefix = self.repository.store, self._prefix(row.point_id)
        found: dict[str, list[ObjectVersion]] = {}
        for version in store.versions(prefix):
            found.setdefault(version.key, []).append(version)
        for key in sorted(found, key=lambda key: (removed_late(key[len(prefix) :]), key)):
            late = removed_late(key[len(prefix) :])
            if time.monotonic() - self._checked_at > _CHECK_EVERY_S or key.endswith("/manifest.json"):
                self._check()
            if late and self._is_locked(found[key]):
                # The data is gone; proofs are locked later than it, and the manifest waits for them.
                self.outcome.waiting.append(row.point_id)
                return
            store.purge(key)
            length = sum(version.length for version in found[key])
            self.outcome.bytes += length
            if self._progress is not None:
                self._progress.add(length)
        left = next(iter(store.versions(prefix)), None)
        if left is not None:
            raise RepositoryError(
                f"{row.point_id} is not gone",
                expected=f"nothing below {prefix}",
                found=left.key,
                next_command="find out who still writes there, then: the same command",
            )

    def _is_locked(self, versions: t.Iterable[ObjectVersion]) -> bool:
        store = self.repository.store
        if "locks" not in store.features:
            return False
        locks = [store.locked_until(found.key, found.version_id) for found in versions if not found.deleted]
        return any(until is not None and until > self._now for until in locks)

    def _prefix(self, point_id: str) -> str:
        return point_prefix(self.plan.component, point_id)

    def _check(self) -> None:
        self._check_lease()
        self._checked_at = time.monotonic()


def _dependents_first(rows: t.Sequence[Row]) -> list[Row]:
    """What needs another comes before it; otherwise oldest first."""
    by_id = {row.point_id: row for row in rows}
    users: dict[str, list[Row]] = {}
    for row in rows:
        for need in row.needs:
            users.setdefault(need, []).append(row)
    done: dict[str, Row] = {}
    entered: set[str] = set()
    for first in sorted(rows, key=lambda row: (row.at, row.point_id)):
        stack = [first]
        while stack:
            row = stack[-1]
            waiting = [user for user in users.get(row.point_id, ()) if user.point_id not in entered]
            entered.add(row.point_id)
            if waiting:  # a circle, which only a forged manifest can have, is entered once and ends
                stack.append(waiting[0])
            else:
                stack.pop()
                done.setdefault(row.point_id, by_id[row.point_id])
    return list(done.values())
