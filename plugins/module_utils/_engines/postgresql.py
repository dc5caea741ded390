# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL as an engine: logical copies, every database in a snapshot of its own."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import databases, guide, roles, stored_globals
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import (
    PostgresqlAddress,
    connect,
    refuse_pooler,
    server_major,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.dump import DatabaseDump, DumpOptions
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import (
    FIRST_STRICT,
    Tools,
    find_tools,
    loads_into,
)
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

ENGINE = "postgresql"


@dataclass(frozen=True)
class PostgresqlPlan:
    """``sizes``: database → bytes at the source."""

    server: dict[str, t.Any]
    tools: Tools
    sizes: dict[str, int]

    @property
    def major(self) -> int:
        """Of the server."""
        return int(str(self.server["version"]).split(".")[0])

    @property
    def size(self) -> int:
        return sum(self.sizes.values())

    def lacking_in(self, point: RecoveryPoint) -> str | None:
        held = {entry.get("name") for entry in point.content.get("databases", [])}
        return None if set(self.sizes) <= held else "does not hold every database"

    def warnings(self) -> list[str]:
        if loads_into(self.tools.version[0], self.major):
            return []
        warning = (
            f"pg_dump {self.tools.version_text} of a server {self.major} cannot be restored into that version again,"
            f" only into {FIRST_STRICT} or newer; next: install postgresql-client-{self.major}"
        )
        return [warning]

    def facts(self) -> dict[str, t.Any]:
        return {
            "databases": sorted(self.sizes),
            "size": self.size,
            "server_version": self.server["version"],
            "tool_version": self.tools.version_text,
        }


class PostgresqlEngine:
    """The databases of one server that make a component.

    :arg wanted: names of databases; none means all that hold content, see :func:`databases.select_databases`.
    """

    name = ENGINE

    def __init__(
        self,
        address: PostgresqlAddress,
        component: str,
        options: DumpOptions | None = None,
        wanted: t.Sequence[str] = (),
        excluded: t.Sequence[str] = (),
        bin_dir: str | None = None,
    ) -> None:
        self._address = address
        self._component = component
        self._options = options or DumpOptions()
        self._wanted = wanted
        self._excluded = excluded
        self._bin_dir = bin_dir

    def plan(self) -> PostgresqlPlan:
        """Find server, tools and databases; refuse a pooler, a weak role, and tools older than the server."""
        with contextlib.closing(connect(self._address)) as session:
            refuse_pooler(session, self._address)
            roles.refuse_weak_role(session, self._component)
            tools = find_tools(server_major(session), self._bin_dir)
            selected = databases.select_databases(session, self._address.database, self._wanted, self._excluded)
            if not selected:
                raise Refused(
                    "there is no database to back up",
                    self._component,
                    expected="at least one that is no template, or a maintenance database with tables",
                    found=f"none at {self._address.place}" + (" that is not excluded" if self._excluded else ""),
                    next_command="name them with component_databases in the inventory",
                )
            rows = session.execute(
                "SELECT datname, pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database WHERE datname = ANY(%s)",
                (selected,),
            ).fetchall()
            return PostgresqlPlan(databases.describe_server(session), tools, dict(rows))

    def take(
        self,
        plan: PostgresqlPlan,
        writer: PointWriter,
        encoding: Encoding,
        progress: Progress,
        recorder: Recorder,
        check: t.Callable[[], None],
    ) -> RecoveryPoint:
        """Take every database of the plan. Whatever is raised, no recovery point exists then."""
        options = self._options
        content: dict[str, t.Any] = {"server": plan.server, "hash_policy": options.hash_policy, "globals": None}
        with contextlib.closing(connect(self._address)) as session:
            content["position"] = {"lsn": databases.position(session)}
            content["roles"] = databases.describe_roles(session)
            if options.with_globals:
                with recorder.step("dump globals"):
                    content["globals"] = stored_globals.dump_globals(
                        session, self._address, plan.tools, writer, encoding
                    )
        dump = DatabaseDump(self._address, plan.tools, writer, encoding, options, progress, check)
        entries: list[dict[str, t.Any]] = []
        settings: dict[str, t.Any] = {}
        for number, database in enumerate(sorted(plan.sizes), 1):
            check()
            with recorder.step("dump database", database=database) as step:
                entry, settings[database] = dump.take(database, f"db-{number:04d}")
                rows = sum(table["rows"] or 0 for table in entry["tables"].values())
                step.facts.update(size=entry["size"], tables=len(entry["tables"]), rows=rows, files=entry["files"])
            entries.append(entry)
        content["databases"] = entries
        stored_globals.store_settings(writer, encoding, settings)
        check()
        return writer.commit(
            engine_version=plan.server["version"],
            # Every database is at least as new as the first of them.
            consistency_time=min(_clock.parse_time(entry["consistency_time"]) for entry in entries),
            content=content,
            restore_guide=guide.restore_guide(content, encoding, plan.tools.version_text),
            encryption={"recipients": list(encoding.recipients)},
            tool_versions={"pg_dump": plan.tools.version_text},
        )

    def problems(self, point: RecoveryPoint) -> list[str]:
        stored = point.content.get("globals")
        found = [str(stored["problem"])] if stored and stored["problem"] else []
        for entry in point.content["databases"]:
            canary = entry["canary"]
            if canary and canary["problem"]:
                found.append(f"no canary in {entry['name']!r}: {canary['problem']}")
        return found
