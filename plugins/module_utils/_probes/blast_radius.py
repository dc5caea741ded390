# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blast_radius kind: whether the repository still says of itself that nothing in it can be destroyed. Tries nothing."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, text
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session


class BlastRadiusCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._repository: str | None = options["repository"] or session.repository
        self._environment: str | None = options["environment_name"] or session.environment_name
        if not self._repository or not self._environment:
            raise ValueError("repository and environment_name are needed, in the probe or in the module")
        self._s3 = session.s3
        self._minimum_lock: float = options["minimum_lock"]
        self._account: str | None = options["production_account"] or None
        self.expected = "a repository with versions and locks, in which nothing expires by itself"
        self.hint = "ansible-playbook sre.runbooks.prepare_repository -e repository_blast_radius=try"

    def look(self) -> Reading:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.blast_radius import (
            FAIL,
            Demands,
            find_blast_radius,
        )
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository

        demands = Demands(datetime.timedelta(seconds=self._minimum_lock), self._account, trying=False)
        try:
            repository = open_repository(t.cast(str, self._repository), t.cast(str, self._environment), self._s3)
            radius = find_blast_radius(repository.store, demands)
        except RepositoryError as error:
            return self.unasked(error)
        values = {"checks": {finding.check: finding.result for finding in radius.findings}}
        passed = sum(result == "pass" for result in values["checks"].values())
        measured = f"{passed} of {counted(len(radius.findings), 'check')} pass"
        failed = [finding for finding in radius.findings if finding.result == FAIL]
        if not failed:
            return self.reading("ok", measured, "as expected", **values)
        worst = next(iter(radius.destroyers), failed[0])
        outcome = "failed" if worst.destroys else "warning"
        return self.reading(outcome, measured, f"{worst.check}: {worst.found}", **values)


BLAST_RADIUS = Kind(
    name="blast_radius",
    options={
        "repository": Option(text),
        "environment_name": Option(text),
        "minimum_lock": Option(parse_duration, default=7 * 86400.0),
        "production_account": Option(text),
    },
    prepare=BlastRadiusCheck,
    target=lambda options: t.cast(str, options["repository"] or "the repository"),
)
