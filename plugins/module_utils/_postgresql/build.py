# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases built from a fetched recovery point, beside whatever is live, and proven before anybody uses them.

A restore builds on the component's own server, a drill on a scratch one; what they build is built by the same code.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import (
    assertions,
    canary,
    catalog,
    compare,
    load,
    properties,
    server_globals,
)
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.fetch import Fetched, recorded_databases
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import Tools
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.phases import Phases

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint

    Session = psycopg.Connection[tuple[t.Any, ...]]


@dataclasses.dataclass
class Proven:
    """What was found when restored content of ``point`` was compared and asked."""

    point: RecoveryPoint
    differences: list[compare.Difference] = dataclasses.field(default_factory=list)
    answers: list[assertions.Answer] = dataclasses.field(default_factory=list)
    #: Database → its canary found; None where none had been written.
    canaries: dict[str, bool | None] = dataclasses.field(default_factory=dict)
    accounting: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)

    def refuse(self) -> None:
        """Raise :class:`AssertionFailed` for the first thing that does not hold."""
        compare.refuse_differences(self.differences, self.point.component, self.point.point_id)
        assertions.refuse_failures(self.answers, self.point.component, self.point.point_id)

    def details(self) -> dict[str, t.Any]:
        """For the proof and the module's result."""
        return {
            "databases": self.accounting,
            "canaries": self.canaries,
            "differences": [difference.facts() for difference in self.differences[:100]],
            "assertions": [answer.facts() for answer in self.answers],
        }


@dataclasses.dataclass
class Builder:
    """Builds databases of ``point`` on the server at ``address``.

    :arg left_out: kinds of entries that are not restored, see :data:`load.REACHING_OUT`.
    :arg tablespaces: False puts everything into the default one.
    """

    point: RecoveryPoint
    address: PostgresqlAddress
    tools: Tools
    jobs: int
    phases: Phases
    progress: Progress | None = None
    left_out: tuple[str, ...] = ()
    tablespaces: bool = True
    #: Filled while building: database → entries left out on purpose, and settings that the server refused.
    dropped: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    refused_settings: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def component(self) -> str:
        return self.point.component

    @functools.cached_property
    def entries(self) -> dict[str, dict[str, t.Any]]:
        return recorded_databases(self.point)

    def apply_globals(self, session: Session, text: str | None, mode: str) -> server_globals.Applied:
        """``mode``: never, missing (existing roles stay as they are), all."""
        if text is None or mode == "never":
            return server_globals.Applied()
        statements = server_globals.parse_globals(text)
        if mode == "all":
            return server_globals.apply_all(session, statements, self.component)
        return server_globals.create_missing(session, statements, self.component)

    def create_lacking_roles(self, session: Session, databases: t.Iterable[str]) -> list[str]:
        """On a scratch server: stand-ins for roles that the content refers to and the recorded globals do not have."""
        from psycopg import sql

        there = server_globals.existing_roles(session)
        needed = {role for name in databases for role in [*self.entries[name]["roles"], self.entries[name]["owner"]]}
        lacking = sorted(needed - there)
        for role in lacking:
            session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        return lacking

    def build(self, session: Session, fetched: Fetched, beside: t.Mapping[str, str]) -> None:
        """Create, load and analyse every database.

        :arg session: to the maintenance database, in autocommit.
        :arg beside: recorded name → the name to build under; no such database exists.
        """
        size = sum(self.entries[name]["size"] for name in beside)
        if self.progress is not None:
            self.progress.step("loading " + ", ".join(beside), size)
        with load.watching_growth(lambda: connect(self.address), list(beside.values()), self.progress):
            for name, target in beside.items():
                self._build_one(session, fetched, name, target)

    def _build_one(self, session: Session, fetched: Fetched, name: str, target: str) -> None:
        recorded = {**self.entries[name], "settings": fetched.settings.get(name, self.entries[name]["settings"])}
        with self.phases.phase("load", database=name) as step:
            properties.create_database(session, target, recorded, self.component, self.tablespaces)
            self.phases.reached("created")
            self.refused_settings[name] = properties.apply_settings(session, target, recorded)
            archive = load.Archive(self.tools, fetched.directories[name], self.left_out)
            self.dropped[name] = load.load(archive, self.address, target, self.jobs, self.component, self.tablespaces)
            properties.apply_access(session, target, recorded, self.component)
            fetched.discard(name)
            step.facts.update(size=recorded["size"], left_out=self.dropped[name][:20])
        with self.phases.phase("analyze", database=name):
            load.analyze(lambda: connect(self.address, target), self.jobs, self.component)

    def prove(self, beside: t.Mapping[str, str], asked: t.Sequence[assertions.SqlAssertion]) -> Proven:
        """Compare everything that was measured, seek the canaries, ask the component's assertions."""
        proven = Proven(self.point)
        with self.phases.phase("assert") as step:
            for name, target in beside.items():
                self._compare_one(name, target, proven)
            proven.answers = assertions.ask(asked, lambda database: connect(self.address, database), beside)
            step.facts.update(proven.details())
            if proven.differences or any(answer.outcome == "failed" for answer in proven.answers):
                step.outcome = "failed"
        return proven

    def _compare_one(self, name: str, target: str, proven: Proven) -> None:
        recorded = self.entries[name]
        hashed = [table["size"] for table in recorded["tables"].values() if table["hash"] is not None]
        if recorded["large_objects"].get("hash") is not None:
            hashed.append(recorded["large_objects"]["bytes"] or 0)
        # What was hashed then is hashed now, whatever its size has become.
        policy = "all" if hashed else "none"
        if self.progress is not None:
            self.progress.step(f"comparing {name}", None)
        with contextlib.ExitStack() as stack:
            sessions = [
                stack.enter_context(contextlib.closing(connect(self.address, target))) for _ in range(max(1, self.jobs))
            ]
            found = catalog.measure_database(sessions[0], policy, max(hashed, default=0), sessions[1:])
            proven.differences += compare.compare(name, recorded, found)
            proven.accounting[name] = compare.accounting(found)
            bird = recorded.get("canary")
            if bird and bird.get("written_at"):
                there = canary.find_canary(sessions[0], bird, self.component)
                proven.canaries[name] = there
                if not there:
                    proven.differences.append(
                        compare.Difference(f"the canary of {name}", f"row {bird['id']} in {bird['schema']}", "none")
                    )
            else:
                proven.canaries[name] = None
