# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scheduled_run kind: a runbook was played not long ago and reached what it is there for."""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_duration, parse_duration
from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._probes.blocking import BlockingCheck
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, names, text

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

#: Runs without an end are passed over: the newest may be under way, others were killed. So are runs about a part of it all.
_LOOKED_AT = 50
#: Sorts after the id of every run.
_AFTER_ALL = "~"


class ScheduledRunCheck(BlockingCheck):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(session)
        self._runbook: str = options["runbook"]
        self._within: float = options["within"]
        self._repository: str | None = options["repository"] or session.repository
        self._environment: str | None = options["environment_name"] or session.environment_name
        self._s3 = session.s3
        self._components = frozenset(options["components"] or session.environment_components)
        if not self._repository or not self._environment:
            raise ValueError("repository and environment_name are needed, in the probe or in the module")
        self.expected = f"a run of {self._runbook} within {format_duration(self._within)} that met its objectives"
        self.hint = "see that its schedule is there, and starts it: ansible-playbook sre.runbooks.generate_schedules"

    def look(self) -> Reading:
        # Only now: most calls have no such probe.
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
            DOCUMENT_LIMIT,
            parse_sealed,
        )
        from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
        from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import earlier_runs, left_out, load_run

        repository = open_repository(t.cast(str, self._repository), t.cast(str, self._environment), self._s3)
        partial = ""
        for run_id in itertools.islice(earlier_runs(repository, self._runbook, _AFTER_ALL), _LOOKED_AT):
            key = f"runs/{run_id}/closed.json"
            try:
                closed = parse_sealed(repository.store.read(key, DOCUMENT_LIMIT), key)
                missing = left_out(self._components, load_run(repository, run_id).components)
            except ObjectMissing:
                continue
            if missing:
                # Somebody played it with --limit, which is none of the schedule's runs.
                partial = partial or f"{run_id}, without {', '.join(missing)}"
                continue
            age = (_clock.now() - closed.time("closed")).total_seconds()
            verdict = closed.text("verdict")
            measured = f"{run_id}, {verdict}, ended {format_duration(age)} ago"
            values = {"run_id": run_id, "verdict": verdict, "age_s": round(age, 3)}
            if age > self._within:
                return self.reading("failed", measured, "the newest run is too long ago", **values)
            if verdict != "met":
                return self.reading("failed", measured, f"the newest run ended {verdict}", **values)
            return self.reading("ok", measured, "as expected", **values)
        if partial:
            return self.reading("failed", partial, "it was played for some of the components only", age_s=None)
        return self.reading("failed", "no run that ended", "it was never played to its end", age_s=None)


SCHEDULED_RUN = Kind(
    name="scheduled_run",
    options={
        "repository": Option(text),
        "environment_name": Option(text),
        "runbook": Option(text, required=True),
        "within": Option(parse_duration, required=True),
        "components": Option(names),
    },
    prepare=ScheduledRunCheck,
    target=lambda options: t.cast(str, options["runbook"]),
)
