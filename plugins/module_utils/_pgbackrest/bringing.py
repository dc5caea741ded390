# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A target brought to life in a copy, for a restore and for a drill alike: planned, filled, replayed, proven, asked."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import access, archive_reading, sibling
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import Archive, Audit
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.control_data import try_control_data
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.heartbeat import Heartbeat, newest_heartbeat
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import ENGINE, Base, Plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.private_server import Place, PrivateServer
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.recovery import Recovery
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore_command import RestoreCommand
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import assertions
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import connect
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.marker import STANDARD_DATABASES
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import making_for
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import find_server
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.workplace import workplace
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing

_WORKPLACE = "sre-pitr-"
# The path of a socket has to be short.
_SOCKETS = "srp-"
_DONE = re.compile(r"([0-9A-F]{24})\.done")


@dataclasses.dataclass(frozen=True)
class Access:
    """How the component's generations are opened; the first passphrase is the current one (None: not encrypted)."""

    url: str
    component: str
    passphrases: t.Sequence[str | None]
    s3: t.Mapping[str, t.Any] | None = None


class Archives:
    """The component's archives, opened when they are asked for. A context manager; leaving it closes all of them.

    :arg live_data: the live data directory, whose own notes tell what had been archived; None for a drill.
    """

    def __init__(
        self,
        opening: Access,
        listing: PointListing,
        bin_dir: str | None,
        user: str | None,
        live_data: str | None = None,
    ) -> None:
        self._opening = opening
        self._listing = listing
        self._bin_dir = bin_dir
        self._user = user
        self._live_data = live_data
        self._stack = contextlib.ExitStack()
        self._tools: dict[str, Pgbackrest] = {}
        self._archives: dict[tuple[str, str], Archive] = {}

    def __enter__(self) -> Archives:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def tool(self, generation: str) -> Pgbackrest:
        if generation not in self._tools:
            opening = self._opening
            self._tools[generation], _info = self._stack.enter_context(
                access.opened(
                    opening.url, opening.component, generation, opening.passphrases, opening.s3, user=self._user
                )
            )
        return self._tools[generation]

    def archive(self, base: Base) -> Archive:
        key = (base.generation, base.archive_id)
        if key not in self._archives:
            self._archives[key] = archive_reading.read_archive(self.tool(base.generation), base.archive_id)
        return self._archives[key]

    def last_transaction(self, base: Base, found: Audit) -> archive_reading.Transaction | None:
        return archive_reading.last_transaction(self.tool(base.generation), found.usable, self.bin_dir(base))

    def known_archived(self, base: Base) -> dict[str, str]:
        known = {}
        for point in self._listing.points:
            recorded = point.content.get("pgbackrest") if point.engine == ENGINE else None
            here = (base.generation, base.archive_id)
            if recorded and (recorded.get("generation"), recorded.get("archive_id")) == here:
                known[str(recorded["archive_stop"])] = f"recovery point {point.point_id}"
        if self._live_data is not None:
            control = try_control_data(self.bin_dir(base), self._live_data, self._user)
            if control is not None and control.system_identifier == base.system_identifier:
                for name in _noted_as_archived(self._live_data):
                    known.setdefault(name, "the live server")
        return known

    def bin_dir(self, base: Base) -> str:
        """The server programs of the backup's own major version: no other can replay its log."""
        major = int(base.point.engine_version.split(".")[0])
        return find_server(major, self._bin_dir, exactly=True).bin_dir


def _noted_as_archived(data_dir: str) -> list[str]:
    with contextlib.suppress(OSError):
        names = (_DONE.fullmatch(name) for name in os.listdir(os.path.join(data_dir, "pg_wal", "archive_status")))
        return [match.group(1) for match in names if match]
    return []


@dataclasses.dataclass
class Reached:
    """A private server that stands at the target of ``plan``. ``proof``: how that was shown."""

    plan: Plan
    server: PrivateServer
    recovery: Recovery
    proof: dict[str, t.Any]
    heartbeat: Heartbeat | None
    answers: list[assertions.Answer]

    def details(self) -> dict[str, t.Any]:
        return {
            **self.proof,
            "heartbeat": self.heartbeat.facts() if self.heartbeat else None,
            "assertions": [answer.facts() for answer in self.answers],
        }

    def refuse(self) -> None:
        """Raise :class:`AssertionFailed` for the first assertion that does not hold, or that could not be asked."""
        component = self.plan.base.point.component
        for answer in self.answers:
            if answer.outcome == "skipped":
                raise AssertionFailed(
                    f'"{answer.assertion.name}" asks a database that is not there at {self.plan.target.words()}',
                    component,
                    expected=f"database {answer.assertion.database}",
                    found="none of that name",
                    next_command="correct component_assertions, or choose a later target",
                )
        assertions.refuse_failures(self.answers, component, self.plan.base.point.point_id)


@dataclasses.dataclass
class Bringing:
    """Brings a plan to life in a directory.

    :ivar role: a role of the restored server; every one may come in. :ivar settings: for the private server.
    :ivar archive_mode: see :class:`PrivateServer`. :ivar timeout: seconds for the replay.
    """

    archives: Archives
    phases: Phases
    progress: Progress | None
    user: str | None
    role: str
    login_db: str
    jobs: int
    timeout: float
    asked: t.Sequence[t.Mapping[str, t.Any]]
    archive_mode: str = "off"
    settings: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    near: str | None = None
    check: t.Callable[[], None] = lambda: None

    @contextlib.contextmanager
    def reached(self, plan: Plan, copy: str, tablespaces: str | None = None) -> t.Iterator[Reached]:
        """Fill ``copy``, replay, prove; the server is gone when this is left.

        :raises IntegrityError: backup or log are damaged. :raises AssertionFailed: the target was not reached, or an
            assertion does not hold. :raises EngineError: something did not work.
        """
        base, component = plan.base, plan.base.point.component
        bin_dir, tool = self.archives.bin_dir(base), self.archives.tool(base.generation)
        with self.phases.phase("restore base backup", recovery_point=base.point.point_id, label=base.label) as step:
            sibling.fill(tool, plan, copy, self.jobs, self.user, self.progress, self.check, tablespaces)
            control = sibling.require_identity(plan, bin_dir, copy, self.user)
            step.facts.update(size=base.size)
        with contextlib.ExitStack() as stack:
            own = making_for(self.user)
            directory = stack.enter_context(workplace(_WORKPLACE, self.near, own))
            sockets = stack.enter_context(workplace(_SOCKETS, None, own))
            fetch = RestoreCommand(directory, tool.argv("archive-get", f"--pg1-path={copy}"), plan.audit, self.user)
            server = stack.enter_context(
                PrivateServer(
                    copy,
                    bin_dir,
                    Place(directory, sockets, self.user),
                    component,
                    {**control.floors, **self.settings},
                    self.archive_mode,
                    self.role,
                    int(base.point.engine_version.split(".")[0]),
                )
            )
            recovery = Recovery(server, plan.target, plan.timeline, fetch, component, self.progress, self.check)
            with self.phases.phase("replay", target=plan.target.facts(), segments=len(plan.audit.usable)) as step:
                proof = recovery.reach(self.timeout)
                step.facts.update(proof)
            reached = Reached(plan, server, recovery, proof, self._heartbeat(server, component), [])
            with self.phases.phase("assert") as step:
                reached.answers = self._ask(server)
                step.facts.update(reached.details())
                if any(answer.outcome == "failed" for answer in reached.answers):
                    step.outcome = "failed"
            yield reached

    def _heartbeat(self, server: PrivateServer, component: str) -> Heartbeat | None:
        with contextlib.closing(connect(server.address(), self.maintenance(server))) as session:
            return newest_heartbeat(session, component)

    def maintenance(self, server: PrivateServer) -> str:
        """The database that holds the bookkeeping, where the copy has it."""
        return self.login_db if self.login_db in _databases(server) else "postgres"

    def _ask(self, server: PrivateServer) -> list[assertions.Answer]:
        there = _databases(server)
        content = [name for name in there if name not in (*STANDARD_DATABASES, self.login_db)] or there
        asked = assertions.parse_assertions(self.asked, content)
        return assertions.ask(asked, lambda name: connect(server.address(), name), {name: name for name in there})


def _databases(server: PrivateServer) -> list[str]:
    with contextlib.closing(connect(server.address())) as session:
        rows = session.execute(
            "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
        ).fetchall()
    if not rows:
        raise EngineError("the restored server has no database that takes connections", expected="at least one")
    return [str(name) for (name,) in rows]
