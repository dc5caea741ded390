# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pgBackRest's backups and our recovery points, held against each other.

A backup that a killed run left without a recovery point is adopted; one whose recovery point was expired waits for
retention; a recovery point whose backup is gone is named and no longer chosen. The link is an annotation of the backup,
written before the point: what it names and is not there was never finished.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import Backup, StanzaInfo
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED, write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.tombstones import tombstone_ids

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

ENGINE = "postgresql_pitr"
#: The annotation of a pgBackRest backup that names its recovery point.
ANNOTATION = "sre-runbooks-point"


@dataclasses.dataclass
class Comparison:
    """One generation: each list by its label.

    :ivar known: backup → its point. :ivar unknown: backups without one, oldest first, so that what others need comes first.
    :ivar expired: backups whose point was expired. :ivar gone: points without a backup.
    """

    known: dict[str, RecoveryPoint] = dataclasses.field(default_factory=dict)
    unknown: list[Backup] = dataclasses.field(default_factory=list)
    expired: list[Backup] = dataclasses.field(default_factory=list)
    gone: list[RecoveryPoint] = dataclasses.field(default_factory=list)


def label_of(point: RecoveryPoint) -> str | None:
    """The label of the pgBackRest backup that the point stands for."""
    label = point.content.get("pgbackrest", {}).get("label")
    return label if isinstance(label, str) else None


def generation_of(point: RecoveryPoint) -> str | None:
    """The generation that its backup is in."""
    generation = point.content.get("pgbackrest", {}).get("generation")
    return generation if isinstance(generation, str) else None


def compare(repository: Repository, listing: PointListing, info: StanzaInfo, generation: str) -> Comparison:
    """Hold a generation's backups against the component's points."""
    result = Comparison()
    points = {
        label_of(point): point
        for point in listing.points
        if point.engine == ENGINE and generation_of(point) == generation
    }
    tombstones = tombstone_ids(repository.store, listing.component)
    damaged = {damaged.point_id for damaged in listing.damaged}
    for backup in info.backups:
        point, annotated = points.get(backup.label), backup.annotations.get(ANNOTATION)
        if point is not None:
            result.known[backup.label] = point
        elif annotated in tombstones:
            result.expired.append(backup)
        elif annotated not in damaged:
            result.unknown.append(backup)
    labels = {backup.label for backup in info.backups}
    result.gone = [point for label, point in points.items() if label not in labels]
    return result


def needs_of(backup: Backup, known: t.Mapping[str, RecoveryPoint]) -> list[str]:
    """Ids of the points whose backups hold files that this one needs."""
    return [known[label].point_id for label in backup.references if label in known]


def annotate(tool: Pgbackrest, label: str, point_id: str) -> None:
    """Name a backup's recovery point."""
    tool.run(
        "annotate",
        f"--set={label}",
        f"--annotation={ANNOTATION}={point_id}",
        what=f"naming the point of backup {label}",
    )


def mark_gone(repository: Repository, points: t.Sequence[RecoveryPoint], run_id: str | None) -> list[str]:
    """Write of points without a backup that they are damaged; returns a sentence for each."""
    sentences = []
    for point in points:
        sentence = f"{point.point_id}: its backup {label_of(point)} is gone from pgBackRest's repository"
        if point.level != DAMAGED:
            details = {"failures": [sentence], "failures_count": 1}
            # The backup identity may not be allowed to; the prover then finds it out, and nobody chooses the point here.
            with contextlib.suppress(RepositoryError):
                write_proof(repository, point, "verified", run_id, 0.0, details, "failed")
        sentences.append(sentence)
    return sentences
