# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module has in its hands while it restores or drills, and how it tells what it was warned of."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._module import Caller
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

#: Documented by the fragment ``sre.runbooks.assertions``.
ASSERTION_OPTIONS: dict[str, t.Any] = {
    "assertions": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "database": {"type": "str"},
            "query": {"type": "str", "required": True},
            "expected": {"type": "str", "required": True},
        },
    }
}


@dataclasses.dataclass(frozen=True)
class Means:
    """The repository, opened and signing; ``identities`` as the module's options name them, if it has such."""

    repository: Repository
    identities: Identities
    phases: Phases
    progress: Progress


class Worker(t.Protocol):
    """A restore or a drill. ``warnings``: sentences without the component's name."""

    warnings: list[str]


W = t.TypeVar("W", bound=Worker)


def act(
    caller: Caller,
    component: str,
    make: t.Callable[[Means], W],
    work: t.Callable[[W], dict[str, t.Any]],
) -> dict[str, t.Any]:
    """What ``work`` returns of the worker that ``make`` made; nothing is recorded in check mode."""
    params = caller.params
    repository = open_signed(params)
    recorder = Recorder(repository, None if caller.check_mode else params["run_id"], component)
    identities = Identities(params.get("encryption_identity"), params.get("encryption_identity_file"))
    with Progress(None if caller.check_mode else params["progress_path"]) as progress:
        worker = make(Means(repository, identities, Phases(recorder), progress))
        try:
            return work(worker)
        finally:
            for warning in worker.warnings:
                caller.warn(f"{component}: {warning}")


def require_jobs(jobs: int) -> int:
    """``jobs``, when that many can be. Raises :class:`InvalidInput`."""
    if not 1 <= jobs <= 64:
        raise InvalidInput("not a number of jobs", expected="1 to 64", found=str(jobs))
    return jobs
