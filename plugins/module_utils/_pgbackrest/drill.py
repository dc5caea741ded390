# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill: a random moment of the archived log brought to life in a scratch directory, proven, timed, and removed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import random
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import sibling
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import (
    Access,
    Archives,
    Bringing,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Base, Plan, bases_for, plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.recovery import BrokenLog
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import making_for, server_user
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.scratch import NOT_DURABLE, disk_kind
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.drill import Attempt, Drill, Found
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import DrillWanted
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

_WORKPLACE = "sre-pitr-drill-"


@dataclasses.dataclass
class PitrDrillRequest(DrillWanted):
    """What is wanted of a moment; durations in seconds. The names are those of the module's options.

    :ivar target: None for a random moment. :ivar seed: what makes it random; it is told, so that it can be repeated.
    """

    seed: int = 0
    target: Target | None = None
    jobs: int = 2
    timeout: float = 86400.0
    assertions: t.Sequence[t.Mapping[str, t.Any]] = ()
    settings: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    role: str = "postgres"
    login_db: str = "postgres"
    scratch_dir: str | None = None
    bin_dir: str | None = None


class PitrDrill(Drill):
    """A drill of a moment in the archived log, by default a random one."""

    def __init__(
        self,
        request: PitrDrillRequest,
        repository: Repository,
        access: Access,
        phases: Phases,
        progress: Progress | None = None,
    ) -> None:
        super().__init__(request, repository, phases, progress)
        self.request = request
        self.window: dict[str, t.Any] | None = None
        self._access = access

    @contextlib.contextmanager
    def attempt(self, listing: PointListing) -> t.Iterator[Attempt]:
        with Archives(self._access, listing, self.request.bin_dir, server_user()) as archives:
            with self.phases.phase("audit the log") as step:
                made = self._plan(listing, archives)
                step.facts.update(made.facts())
            sibling.require_space(made, self.request.scratch_dir or tempfile.gettempdir())
            yield _Attempt(self, made, archives)

    def _plan(self, listing: PointListing, archives: Archives) -> Plan:
        selector = self.request.recovery_point
        if self.request.target is not None:
            bases, passed_over = bases_for(listing, self.request.target, selector)
            return plan(bases, self.request.target, archives, passed_over)
        bases, passed_over = bases_for(listing, Target("newest"), selector)
        # The whole log has to be whole for a drill, wherever its random moment lies.
        whole = plan(bases, Target("newest"), archives, passed_over)
        last = archives.last_transaction(whole.base, whole.audit)
        target = self._random_target(bases, None if last is None else last.time)
        if target.kind != "time":
            return whole
        fitting, passed_over = bases_for(listing, target, selector)
        return plan(fitting, target, archives, passed_over)

    def _random_target(self, bases: t.Sequence[Base], last: datetime.datetime | None) -> Target:
        """A moment between the last but one base's end and the last transaction; the newest where there is no room."""
        # pgBackRest counts in whole seconds.
        earliest = bases[min(1, len(bases) - 1)].point.consistency_time + datetime.timedelta(seconds=1)
        if last is None or last <= earliest:
            return Target("newest")
        room = (last - earliest).total_seconds()
        moment = earliest + datetime.timedelta(seconds=random.Random(self.request.seed).uniform(0, room))
        self.window = {"from": _clock.format_time(earliest), "to": _clock.format_time(last)}
        # Strictly before the last transaction, since recovery to a time ends at the first one after it.
        return Target("time", _clock.format_time(min(moment, last - datetime.timedelta(microseconds=1))))


class _Attempt(Attempt):
    def __init__(self, drill: PitrDrill, made: Plan, archives: Archives) -> None:
        subject = f"{made.target.words()} was restored from {made.base.point.point_id}"
        super().__init__(made.base.point, subject)
        self._drill = drill
        self._request = drill.request
        self._made = made
        self._archives = archives

    def prediction(self) -> str:
        return f"would restore {self._made.target.words()} from {self.point.point_id} in a scratch directory"

    def foreseen(self) -> dict[str, t.Any]:
        return {"plan": self._made.facts(), **self._moment()}

    def _moment(self) -> dict[str, t.Any]:
        return {"seed": self._request.seed, "window": self._drill.window}

    @contextlib.contextmanager
    def scratch(self) -> t.Iterator[dict[str, t.Any]]:
        with workplace(_WORKPLACE, self._request.scratch_dir, making_for(server_user())) as self._directory:
            disk = disk_kind(self._directory)
            yield {"hardware": {"disk": disk}, **self._moment(), "not_durable": sorted(NOT_DURABLE)}

    @contextlib.contextmanager
    def restored(self) -> t.Iterator[Found]:
        request = self._request
        bringing = Bringing(
            self._archives,
            self._drill.phases,
            self._drill.progress,
            server_user(),
            request.role,
            request.login_db,
            request.jobs,
            request.timeout,
            request.assertions,
            settings={**NOT_DURABLE, **request.settings},
            near=request.scratch_dir,
        )
        copy, tablespaces = (os.path.join(self._directory, name) for name in ("data", "tablespaces"))
        with bringing.reached(self._made, copy, tablespaces) as reached:
            yield reached

    def is_damage(self, error: RunbookError, _repository: Repository) -> bool:
        # What pgBackRest reads it reads more than once itself.
        return isinstance(error, IntegrityError) and not isinstance(error, BrokenLog)

    def told(self) -> dict[str, t.Any]:
        return {
            "target": self._made.target.facts(),
            **self.foreseen(),
            "server_version": self.point.engine_version,
            "not_durable": sorted(NOT_DURABLE),
        }
