# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification of recovery points whose data is pgBackRest's: each generation is read once, however many points it has."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.access import opened
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive import archived_segments
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.catalogue import generation_of, label_of
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import PgbackrestError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import StanzaInfo
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.verify import (
    Verified,
    judge_backup,
    verify_stanza,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import VerifyResult


@dataclasses.dataclass(frozen=True)
class _Reading:
    """A generation, read. ``segments``: archive → names there when reading began."""

    info: StanzaInfo
    segments: dict[str, list[str]]
    verified: Verified


class PgbackrestReader:
    """What :func:`verify_point` calls for the points of this engine.

    :arg passphrases: see :func:`configuration.passphrases`.
    """

    def __init__(
        self,
        repository: Repository,
        passphrases: t.Sequence[str | None],
        s3: t.Mapping[str, t.Any] | None = None,
        jobs: int = 2,
    ) -> None:
        self._repository = repository
        self._passphrases = passphrases
        self._s3 = s3
        self._jobs = jobs
        self._readings: dict[str, _Reading] = {}

    def __call__(self, point: RecoveryPoint, result: VerifyResult, progress: Progress | None) -> None:
        """Add to ``result`` what is so of the point's backup and log.

        Raises :class:`MissingRequirement` when that cannot be told, such as for want of the passphrase.
        """
        generation, label = generation_of(point), label_of(point)
        if generation is None or label is None:
            raise IntegrityError(
                f"{point.point_id} names no backup", point.component, expected="content.pgbackrest", found="none"
            )
        reading = self._read(point.component, generation, progress)
        backup = reading.info.backup(label)
        if backup is None:
            result.failures.append(f"backup {label}: gone from pgBackRest's repository")
            return
        held = point.content["pgbackrest"]
        recorded = {name: held.get(name) for name in ("start_lsn", "stop_lsn", "archive_start", "archive_stop", "type")}
        found = {name: getattr(backup, name) for name in recorded}
        if recorded != found:
            result.failures.append(f"backup {label}: another than was recorded; expected: {recorded}; found: {found}")
        segments = reading.segments.get(reading.info.archive_id(backup.database_id), [])
        verdict = judge_backup(
            reading.verified, reading.info, backup, segments, int(held.get("segment_size") or 0x1000000)
        )
        result.failures += verdict.failures
        result.notes += verdict.elsewhere
        result.objects += verdict.files + verdict.segments
        result.decoded += verdict.files + verdict.segments
        result.bytes += backup.repository_size

    def _read(self, component: str, generation: str, progress: Progress | None) -> _Reading:
        known = self._readings.get(generation)
        if known is not None:
            return known
        url = self._repository.url
        try:
            with opened(url, component, generation, self._passphrases, self._s3) as (tool, info):
                if progress is not None:
                    progress.step(f"reading pgBackRest's generation {generation} back")
                # Listed first: what arrives while we read is not asked for.
                segments = {archive.id: archived_segments(tool, archive.id) for archive in info.archives}
                reading = _Reading(info, segments, verify_stanza(tool, self._jobs))
        except PgbackrestError as error:
            raise MissingRequirement(
                f"pgBackRest's generation {generation} cannot be read, so that nothing can be said of its backups",
                component,
                expected=error.expected,
                found=error.found or error.message,
                next_command=error.next_command,
            ) from None
        self._readings[generation] = reading
        return reading
