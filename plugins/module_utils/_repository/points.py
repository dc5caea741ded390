# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery points in a repository: written (manifest last), listed, chosen, and the remains of killed writers removed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import hashlib
import re
import secrets
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    NotPermitted,
    ObjectMissing,
    RepositoryError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.links import chain_head
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import (
    MANIFEST_LIMIT,
    POINT_ID,
    RecoveryPoint,
    StoredObject,
    point_prefix,
    points_prefix,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import (
    DAMAGED,
    at_least,
    list_proofs,
    write_proof,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.restore_guide import restore_guide_document
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import create_signed
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import check_key
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import (
    is_expired,
    tombstone_ids,
    tombstone_key,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


class PointWriter:
    """A recovery point that is being taken. Until :meth:`commit` returns there is none."""

    def __init__(self, repository: Repository, component: str, engine: str, run_id: str | None) -> None:
        self.repository = repository
        self.component = component
        self.engine = engine
        self.run_id = run_id
        self.started = _clock.now()
        self.point_id = f"{self.started.strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(2)}"
        self.prefix = point_prefix(component, self.point_id)
        self.objects: list[StoredObject] = []
        self._began = time.monotonic()

    def object_key(self, name: str) -> str:
        """The key of the object ``name``. Raises :class:`InvalidInput` for a name that no key can hold."""
        return check_key(f"{self.prefix}objects/{name}")

    def add(self, stored: StoredObject) -> None:
        """Note an object that has been stored; several threads may do so."""
        self.objects.append(stored)

    def commit(
        self,
        *,
        engine_version: str,
        consistency_time: datetime.datetime,
        content: dict[str, t.Any],
        restore_guide: str,
        started: datetime.datetime | None = None,
        finished: datetime.datetime | None = None,
        duration_s: float | None = None,
        encryption: dict[str, t.Any] | None = None,
        tool_versions: dict[str, t.Any] | None = None,
    ) -> RecoveryPoint:
        """Make the recovery point exist: ``RESTORE.md``, then the manifest, then the proof that it was taken.

        The place in the component's history is found here: call it while holding the component's lease.

        :arg restore_guide: Markdown that says how to restore by hand, in terms of paths below the point's directory.
        :arg duration_s: seconds that taking it cost; measured since :func:`begin_point` by default.
        """
        objects = sorted(self.objects, key=lambda stored: stored.name)
        before = chain_head(self.repository, self.component, self.point_id)
        now = _clock.now()
        point = RecoveryPoint(
            component=self.component,
            environment=self.repository.environment,
            repository_id=self.repository.id,
            point_id=self.point_id,
            engine=self.engine,
            engine_version=engine_version,
            run_id=self.run_id,
            started=started or self.started,
            consistency_time=consistency_time,
            finished=finished or now,
            duration_s=round(time.monotonic() - self._began if duration_s is None else duration_s, 6),
            objects=objects,
            content=content,
            encryption=encryption or {},
            tool_versions=tool_versions or {},
            sequence=before.sequence + 1 if before else 1,
            previous=before.point_id if before else None,
            previous_sha256=before.sha256 if before else None,
            recorded=now,
        )
        point.objects = [
            *objects,
            self._store_document("RESTORE.md", restore_guide_document(point, restore_guide, self.repository.url)),
        ]
        manifest = point.to_manifest()
        # What could not be read back must not become a recovery point.
        point.manifest_sha256 = RecoveryPoint.from_manifest(manifest).manifest_sha256
        create_signed(self.repository, point.manifest_key, manifest)
        write_proof(self.repository, point, "taken", self.run_id, point.duration_s, _taken(point))
        return point

    def _store_document(self, name: str, text: str) -> StoredObject:
        content = text.encode()
        key = self.prefix + name
        version = self.repository.store.create(key, content)
        digest = hashlib.sha256(content).hexdigest()
        return StoredObject(name, key, len(content), digest, len(content), digest, [], "document", version)


def _taken(point: RecoveryPoint) -> dict[str, t.Any]:
    """What the first proof keeps of the manifest: should it be damaged, this is what it was."""
    return {
        "objects": len(point.objects),
        "sequence": point.sequence,
        "manifest_sha256": point.manifest_sha256,
    }


@dataclass(frozen=True)
class DamagedPoint:
    """A point whose manifest cannot be trusted: listed, never chosen."""

    point_id: str
    reason: str


@dataclass
class PointListing:
    """The points of a component, newest first by the moment that they show; the unusable ones apart."""

    component: str
    points: list[RecoveryPoint] = field(default_factory=list)
    damaged: list[DamagedPoint] = field(default_factory=list)
    #: Ids of points without a manifest: being taken right now, or left by a killed backup.
    incomplete: list[str] = field(default_factory=list)
    #: Ids of points with a tombstone of which something is left: retention removes them, nobody restores them.
    expiring: list[str] = field(default_factory=list)

    def newest(self, minimum_level: str = "taken", before: datetime.datetime | None = None) -> RecoveryPoint | None:
        """The newest undamaged point of at least that level that shows a moment not after ``before``."""
        for point in self.points:
            if at_least(point.level, minimum_level) and (before is None or point.consistency_time <= before):
                return point
        return None


def begin_point(repository: Repository, component: str, engine: str, run_id: str | None) -> PointWriter:
    """Begin a recovery point under a new id; nothing is written yet."""
    return PointWriter(repository, component, engine, run_id)


def list_components(repository: Repository) -> list[str]:
    """The names of the components that have anything in the repository."""
    found: set[str] = set()
    for prefix in ("components/", "control/leases/"):
        found.update(name[:-1] for name in repository.store.children(prefix) if name.endswith("/"))
    return sorted(found)


def list_points(repository: Repository, component: str) -> PointListing:
    """Every point of the component. Reads manifests and the *names* of proofs, never an object."""
    listing = PointListing(component)
    # The points first: one that expires in between is then found in both listings, never in neither.
    names = list(repository.store.children(points_prefix(component)))
    tombstones = tombstone_ids(repository.store, component)
    ids = [name.rstrip("/") for name in names]
    listing.expiring = [point_id for point_id in ids if point_id in tombstones]
    present = [point_id for point_id in ids if point_id not in tombstones]
    for point_id, found in zip(present, _read_points(repository, component, present)):
        if isinstance(found, RecoveryPoint):
            listing.points.append(found)
        elif isinstance(found, ObjectMissing):
            listing.incomplete.append(point_id)
        else:
            listing.damaged.append(DamagedPoint(point_id, str(found)))
    listing.points.sort(key=lambda point: (point.consistency_time, point.point_id), reverse=True)
    return listing


def _read_points(
    repository: Repository, component: str, point_ids: list[str]
) -> t.Iterator[RecoveryPoint | RunbookError]:
    """Each point without its details, or why it could not be read; in the same order."""

    def read(point_id: str) -> RecoveryPoint | RunbookError:
        try:
            point = read_point(repository, component, point_id)
        except (IntegrityError, InvalidInput, RepositoryError) as error:
            return error
        point.forget_details(_reloader(repository, component, point_id))
        return point

    at_once = min(len(point_ids), repository.store.parallel_reads)
    if at_once <= 1:
        yield from map(read, point_ids)
        return
    with concurrent.futures.ThreadPoolExecutor(at_once, "read-points") as threads:
        yield from threads.map(read, point_ids)


def _reloader(repository: Repository, component: str, point_id: str) -> t.Callable[[], RecoveryPoint]:
    return lambda: read_point(repository, component, point_id)


def read_point(repository: Repository, component: str, point_id: str) -> RecoveryPoint:
    """As :func:`load_point`, whether it has a tombstone or not; for retention."""
    prefix = point_prefix(component, point_id)
    key = prefix + "manifest.json"
    content = repository.store.read(key, MANIFEST_LIMIT)
    point = RecoveryPoint.from_manifest(content, key)
    expected = (repository.id, repository.environment, component, point_id)
    found = (point.repository_id, point.environment, point.component, point.point_id)
    if found != expected:
        raise IntegrityError(
            f"{key} is of another recovery point", component, expected=" ".join(expected), found=" ".join(found)
        )
    if repository.trust is not None:
        repository.trust.check(repository.store, key, content)
    required = repository.trust is not None and repository.trust.required
    point.proofs = list_proofs(repository.store, prefix, signed_only=required)
    return point


def load_point(repository: Repository, component: str, point_id: str) -> RecoveryPoint:
    """One point. Raises :class:`ObjectMissing` when there is none, :class:`IntegrityError` when it is damaged."""
    if is_expired(repository.store, component, point_id):
        raise ObjectMissing(
            f"recovery point {point_id} has expired",
            component,
            expected="a point that is kept",
            found=f"its tombstone {tombstone_key(component, point_id)}",
            next_command=_list_command(component),
        )
    try:
        return read_point(repository, component, point_id)
    except ObjectMissing:
        raise ObjectMissing(
            f"there is no recovery point {point_id}",
            component,
            expected=f"one in {repository.url}",
            found="no manifest of it",
            next_command=_list_command(component),
        ) from None


def select_point(
    listing: PointListing,
    selector: str = "newest",
    before: datetime.datetime | None = None,
    minimum_level: str = "taken",
) -> RecoveryPoint:
    """The newest point that fits, or the one with that id if it fits. A damaged one never does.

    :arg before: the latest moment that the point may show.
    :raises ObjectMissing: no point fits.
    :raises IntegrityError: the one asked for is damaged.
    """
    if selector == "newest":
        point = listing.newest(minimum_level, before)
        if point is None:
            raise _nothing_fits(listing, before, minimum_level)
        return point
    if not re.fullmatch(POINT_ID, selector):
        raise InvalidInput(
            "not a recovery point's id",
            listing.component,
            expected="newest, or such as 20261121T051000Z-a1b2",
            found=repr(selector[:100]),
        )
    for point in listing.points:
        if point.point_id == selector:
            return _fitting(point, before, minimum_level)
    for damaged in listing.damaged:
        if damaged.point_id == selector:
            raise _is_damaged(listing.component, selector, damaged.reason)
    raise ObjectMissing(
        f"there is no recovery point {selector}",
        listing.component,
        expected=f"one of {', '.join(point.point_id for point in listing.points[:3])}" if listing.points else None,
        found=_standing(listing, selector),
        next_command=_list_command(listing.component),
    )


def _standing(listing: PointListing, point_id: str) -> str:
    if point_id in listing.expiring:
        return "one that has expired and is being removed"
    return "an incomplete one, never finished" if point_id in listing.incomplete else "none of that id"


def _fitting(point: RecoveryPoint, before: datetime.datetime | None, minimum_level: str) -> RecoveryPoint:
    if point.level == DAMAGED:
        raise _is_damaged(point.component, point.point_id, "its newest verification failed")
    if not at_least(point.level, minimum_level):
        raise ObjectMissing(
            f"recovery point {point.point_id} is not {minimum_level}",
            point.component,
            expected=f"at least {minimum_level}",
            found=point.level,
            next_command=f"ansible-playbook sre.runbooks.drill_restores --limit {point.component}",
        )
    if before is not None and point.consistency_time > before:
        raise InvalidInput(
            f"recovery point {point.point_id} is too new",
            point.component,
            expected=f"one that shows {_clock.format_time(before)} or earlier",
            found=_clock.format_time(point.consistency_time),
        )
    return point


def _is_damaged(component: str, point_id: str, reason: str) -> IntegrityError:
    return IntegrityError(
        f"recovery point {point_id} is damaged", component, found=reason, next_command=_list_command(component)
    )


def _nothing_fits(listing: PointListing, before: datetime.datetime | None, minimum_level: str) -> ObjectMissing:
    wanted = "a recovery point" if minimum_level == "taken" else f"a recovery point that is at least {minimum_level}"
    until = "" if before is None else f" and shows {_clock.format_time(before)} or earlier"
    undamaged = sum(point.level != DAMAGED for point in listing.points)
    damaged = len(listing.points) - undamaged + len(listing.damaged)
    return ObjectMissing(
        "there is no recovery point that fits",
        listing.component,
        expected=wanted + until,
        found=f"{undamaged} others, {damaged} damaged, {len(listing.incomplete)} incomplete",
        next_command=f"ansible-playbook sre.runbooks.back_up_components --limit {listing.component}",
    )


def _list_command(component: str) -> str:
    # It shows each of them with what it shows and why it is kept, and changes nothing.
    return f"ansible-playbook sre.runbooks.expire_backups --limit {component} --check"


def remove_incomplete(repository: Repository, component: str, keep: str | None = None) -> list[str]:
    """Delete what killed backups left; returns the ids. Only call it while holding the component's lease.

    Whoever holds the lease is the only one that can be taking a point, and names its own as ``keep``.
    """
    removed = []
    store = repository.store
    tombstones = tombstone_ids(store, component)  # what retention has begun, it finishes, with rights that we may lack
    for name in store.children(points_prefix(component)):
        point_id = name.rstrip("/")
        if point_id == keep or point_id in tombstones or not re.fullmatch(POINT_ID, point_id):
            continue
        prefix = point_prefix(component, point_id)
        if "manifest.json" in store.children(prefix):
            continue
        try:
            for found in list(store.list(prefix)):
                store.delete(found.key)
        except NotPermitted:  # an identity that may only create; the retention identity removes it
            continue
        removed.append(point_id)
    with contextlib.suppress(NotPermitted):
        store.forget_unfinished(points_prefix(component), None if keep is None else point_prefix(component, keep))
    return removed
