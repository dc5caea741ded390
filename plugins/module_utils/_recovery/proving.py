# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proofs written by those who restore, and the exclusive right under which they do."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease, holding, shown_in
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


class Prover:
    """Writes what was shown of recovery points.

    :arg warnings: where a proof that could not be written is complained of: a restore from a repository that has become
        read-only must go on. :arg strict: raise instead when it was a success, as a drill is for nothing else.
    """

    def __init__(self, repository: Repository, run_id: str | None, warnings: list[str], strict: bool = False) -> None:
        self._repository = repository
        self._run_id = run_id
        self._warnings = warnings
        self._strict = strict

    def succeeded(self, point: RecoveryPoint, level: str, duration_s: float, details: dict[str, t.Any]) -> None:
        try:
            write_proof(self._repository, point, level, self._run_id, duration_s, details)
        except (RepositoryError, OSError) as error:
            if self._strict:
                raise
            self._complain(level, error)

    def failed(self, point: RecoveryPoint, level: str, duration_s: float, details: dict[str, t.Any]) -> None:
        """Never masks the failure itself."""
        try:
            write_proof(self._repository, point, level, self._run_id, duration_s, details, "failed")
        except (RepositoryError, OSError) as error:
            self._complain(level, error)

    def _complain(self, level: str, error: Exception) -> None:
        self._warnings.append(f"the proof {level} could not be written: {error}")


def failure(error: Exception) -> dict[str, t.Any]:
    """A proof's details of what was found, as a verification writes them."""
    return {"failures": [str(error)], "failures_count": 1}


def exclusive(
    repository: Repository,
    component: str,
    run_id: str | None,
    ttl_s: float,
    wait_s: float,
    progress: Progress | None = None,
) -> contextlib.AbstractContextManager[Lease]:
    """The lease on the component; for whom is waited is shown in ``progress``."""
    waiting = None if progress is None else shown_in(progress, wait_s)
    return holding(repository, component, run_id, describe_holder(run_id), ttl_s, wait_s, waiting)
