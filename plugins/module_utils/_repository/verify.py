# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a recovery point back: every byte, against what its manifest says."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    MissingRequirement,
    ObjectMissing,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Identities,
    open_decoded,
    verify_stored,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import PINS
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import require_presence
from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import rewrap_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import SUFFIX
from ansible_collections.sre.runbooks.plugins.module_utils._repository.stored import stat_stored

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclass
class VerifyResult:
    """What was read: objects and stored bytes; how many objects could also be decoded; what is wrong, in words."""

    objects: int = 0
    bytes: int = 0
    decoded: int = 0
    failures: list[str] = field(default_factory=list)
    #: What does not concern the point itself but somebody should know.
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.failures

    def details(self) -> dict[str, t.Any]:
        """For the proof; ``decoded`` below ``objects`` says that an identity was missing."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "decoded": self.decoded,
            "failures": self.failures[:100],
            "failures_count": len(self.failures),
            **({"notes": self.notes[:100]} if self.notes else {}),
        }


#: Reads what an engine keeps outside of the point's own objects, and adds to the result.
Elsewhere = t.Callable[["RecoveryPoint", VerifyResult, "Progress | None"], None]
#: Engines whose points are nothing without that.
_KEPT_ELSEWHERE = ("postgresql_pitr",)


def verify_point(
    repository: Repository,
    point: RecoveryPoint,
    identities: Identities,
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> VerifyResult:
    """Read, hash, decrypt (where an identity is given) and decompress every object of ``point``.

    Damage, absence and objects that the manifest does not know are ``failures``; ``progress`` counts raw bytes, or
    stored ones of what cannot be decrypted. Raises :class:`WrongIdentity` when the identities given fit no recipient,
    :class:`RepositoryError` when the repository is away, and :class:`MissingRequirement`: none says anything about the
    point.
    """
    result = VerifyResult()
    readable = [stored for stored in point.objects if "age" not in stored.encoding or identities]
    if progress is not None:
        unreadable = sum(stored.length for stored in point.objects if "age" in stored.encoding and not identities)
        progress.step(f"verifying {point.point_id}", sum(stored.raw_length for stored in readable) + unreadable)
    for stored in point.objects:
        try:
            _verify_object(repository, stored, identities, progress, result)
        except IntegrityError as error:
            result.failures.append(f"{stored.name}: {error}")
        except RepositoryError as error:
            require_presence(repository)
            missing = isinstance(error, ObjectMissing)
            result.failures.append(f"{stored.name}: {'missing' if missing else error}")
    result.failures += rewrap_failures(repository.store, point.prefix)
    result.failures += _unknown_objects(repository, point)
    if point.engine in _KEPT_ELSEWHERE:
        if elsewhere is None:
            raise MissingRequirement(
                f"the data of {point.point_id} is not in its own objects, and nobody was given to read it",
                point.component,
                expected="what reads the backups of its engine",
                found="nothing",
                next_command=f"ansible-playbook sre.runbooks.verify_backups --limit {point.component}",
            )
        elsewhere(point, result, progress)
    return result


def _verify_object(
    repository: Repository,
    stored: StoredObject,
    identities: Identities,
    progress: Progress | None,
    result: VerifyResult,
) -> None:
    length = stat_stored(repository.store, stored).length
    if length != stored.length:  # said before reading what may be a very long wrong object
        raise IntegrityError("its length is another", expected=f"{stored.length} bytes", found=f"{length} bytes")
    if "age" in stored.encoding and not identities:
        verify_stored(repository.store, stored, progress)
    else:
        with open_decoded(repository.store, stored, identities, progress):
            pass
        result.decoded += 1
    result.objects += 1
    result.bytes += stored.length


def _unknown_objects(repository: Repository, point: RecoveryPoint) -> list[str]:
    known = {stored.key for stored in point.objects} | {point.manifest_key, point.manifest_key + SUFFIX}
    apart = tuple(point.prefix + name for name in ("proofs/", "rewraps/", PINS))
    return [
        f"{found.key[len(point.prefix) :]}: not in the manifest"
        for found in repository.store.list(point.prefix)
        if found.key not in known and not found.key.startswith(apart)
    ]
