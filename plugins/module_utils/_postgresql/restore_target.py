# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server that a restore is about, looked at before anything is touched: is it the right one, would it work."""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    InvalidInput,
    Refused,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import (
    assertions,
    marker,
    names,
    preflight,
    restored,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    PostgresqlAddress,
    connect,
    refuse_pooler,
    server_major,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.fetch import recorded_databases, total_bytes
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import (
    FIRST_STRICT,
    Tools,
    find_tools,
    loads_into,
)
from ansible_collections.sre.runbooks.plugins.module_utils._recovery import choose
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import RestoreWanted
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

    Session = psycopg.Connection[tuple[t.Any, ...]]

ENGINE = "postgresql"


@dataclasses.dataclass
class RestoreRequest(RestoreWanted):
    """What is wanted of a server; durations in seconds. The names are those of the module's options."""

    databases: t.Sequence[str] = ()
    before: datetime.datetime | None = None
    jobs: int = 4
    target_suffix: str = ""
    assertions: t.Sequence[t.Mapping[str, t.Any]] = ()
    create_roles: bool = False
    restore_globals: str = "never"
    tablespaces: str = "recorded"
    subscriptions: bool = False
    release_after: float | None = None
    scratch_dir: str | None = None
    bin_dir: str | None = None


class RestoreTarget:
    """What a request means on the server at ``address``. Nothing here writes."""

    def __init__(self, request: RestoreRequest, repository: Repository, address: PostgresqlAddress) -> None:
        self._request = request
        self._repository = repository
        self._address = address
        self._component = request.component

    def require(self, session: Session) -> bool:
        refuse_pooler(session, self._address)
        return marker.require_environment(
            session, lambda name: connect(self._address, name), self._repository.environment, self._component
        )

    def points(self) -> tuple[list[RecoveryPoint], list[choose.Choice]]:
        request = self._request
        listing = list_points(self._repository, self._component)
        points, passed_over = choose.candidates(
            listing, request.recovery_point, request.before, request.fallback_points
        )
        for point in points:
            choose.require_engine(point, ENGINE)
        return points, passed_over

    def targets(self, point: RecoveryPoint) -> dict[str, str]:
        """Recorded name → the name that it shall have."""
        recorded = recorded_databases(point)
        wanted = list(self._request.databases) or list(recorded)
        unknown = [name for name in wanted if name not in recorded]
        if unknown:
            raise InvalidInput(
                f"recovery point {point.point_id} has no database {unknown[0]}",
                self._component,
                expected="some of " + ", ".join(sorted(recorded)),
                found=unknown[0],
                next_command="correct component_databases (or restore_databases), or choose another point",
            )
        targets = {name: name + self._request.target_suffix for name in sorted(set(wanted))}
        for name, target in targets.items():
            if len(target.encode()) > names.IDENTIFIER_BYTES:
                raise InvalidInput("the target's name is too long", self._component, expected="63 bytes", found=target)
            if target == self._address.database:
                raise Refused(
                    f"the database {name} is the one from which the restore is directed; it cannot replace itself",
                    self._component,
                    expected="a maintenance database (component_login_db) that is not restored",
                    found=f"component_login_db: {target}",
                    next_command="set component_login_db to another database",
                )
        return targets

    def shows(self, session: Session, point: RecoveryPoint, targets: t.Mapping[str, str]) -> bool:
        shown = restored.shown_points(session, self._component)
        return all(shown.get(target) == point.point_id for target in targets.values())

    def runs(self, session: Session, targets: t.Mapping[str, str]) -> bool:
        """Whether the request is content with databases that are there, and all of them are."""
        return self._request.only_missing and set(self.live(session, targets)) == set(targets.values())

    def require_assertions(self, targets: t.Mapping[str, str]) -> None:
        """Ask the component's assertions of the live databases. Raises :class:`AssertionFailed`."""
        asked = assertions.parse_assertions(self._request.assertions, list(targets))
        for answer in assertions.ask(asked, lambda name: connect(self._address, name), targets):
            if answer.outcome == "failed":
                raise AssertionFailed(
                    f'the database {answer.assertion.database} is there, but "{answer.assertion.name}" does not hold in it',
                    self._component,
                    expected=answer.assertion.expected,
                    found=answer.found,
                    next_command="if a recovery point is to take its place: ansible-playbook sre.runbooks.restore_components"
                    f" --limit {self._component} -e restore_confirm={self._component}",
                )

    def expired(self, session: Session) -> list[restored.Kept]:
        limit = self._request.release_after
        if limit is None:
            return []
        row = session.execute("SELECT now()").fetchone()
        now = row[0] if row else _clock.now()
        return [
            item
            for item in restored.kept_databases(session, self._component)
            if (now - item.since).total_seconds() >= limit
        ]

    def require_confirm(self, session: Session, targets: t.Mapping[str, str]) -> None:
        live = sorted(set(self.live(session, targets)))
        if live and self._request.confirm != self._component:
            raise Refused(
                f"live databases would be replaced ({', '.join(live[:5])}); nothing was touched",
                self._component,
                expected=f"restore_confirm={self._component}",
                found=f"restore_confirm={self._request.confirm}" if self._request.confirm else "no confirmation",
                next_command=f"the same command with --limit {self._component} -e restore_confirm={self._component}",
            )

    def live(self, session: Session, targets: t.Mapping[str, str]) -> list[str]:
        rows = session.execute("SELECT datname FROM pg_database WHERE datname = ANY(%s)", (list(targets.values()),))
        return [name for (name,) in rows]

    def preflight(
        self, session: Session, point: RecoveryPoint, targets: t.Mapping[str, str], empty: bool
    ) -> tuple[list[str], list[str]]:
        """Refuse what would fail; returns differences and what could not be checked, in words."""
        request, component = self._request, self._component
        recorded = {name: entry for name, entry in recorded_databases(point).items() if name in targets}
        preflight.check_version(session, point.engine_version, component)
        self.tools(session, point)
        preflight.check_prepared(session, list(targets.values()), component)
        creating = request.create_roles or request.restore_globals != "never"
        creatable = {role["name"] for role in point.content.get("roles", [])} if creating else set()
        needed = {role for entry in recorded.values() for role in [*entry["roles"], entry["owner"]]}
        preflight.check_roles(session, needed, creatable, component)
        preflight.check_rights(session, {entry["owner"] for entry in recorded.values()}, component)
        if request.tablespaces == "recorded":
            spaces = {space for entry in recorded.values() for space in [*entry["tablespaces"], entry["tablespace"]]}
            preflight.check_tablespaces(
                session, spaces, spaces if empty and request.restore_globals == "all" else (), component
            )
        preflight.check_locales(session, recorded, component)
        differences = preflight.check_extensions(session, recorded, component)
        unchecked = preflight.check_space(
            session,
            self._address,
            sum(entry["size"] for entry in recorded.values()),
            request.scratch_dir or tempfile.gettempdir(),
            total_bytes(point, list(targets)),
            component,
        )
        return differences, unchecked

    def tools(self, session: Session, point: RecoveryPoint) -> Tools:
        """Tools that fit the server, and that are not older than those that wrote the dump."""
        major = server_major(session)
        tools = find_tools(max(major, dumped_by(point)), self._request.bin_dir)
        if not loads_into(tools.version[0], major):
            raise Refused(
                f"pg_restore {tools.version_text} cannot load into a server of version {major}",
                self._component,
                expected=f"pg_restore of a version from {max(major, dumped_by(point))} to {FIRST_STRICT - 1}"
                if dumped_by(point) < FIRST_STRICT
                else f"a server of version {FIRST_STRICT} or newer, as pg_dump {dumped_by(point)} wrote the dump",
                found=f"{tools.version_text} in {tools.bin_dir}, server {major}",
                next_command=f"install postgresql-client-{major}, or name its directory (component_bin_dir in the inventory)",
            )
        return tools


def dumped_by(point: RecoveryPoint) -> int:
    """Major version of the ``pg_dump`` that wrote the point; an older ``pg_restore`` may not read it."""
    return int(str(point.tool_versions.get("pg_dump", point.engine_version)).split(".")[0])
