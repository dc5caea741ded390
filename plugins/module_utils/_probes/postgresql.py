# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The postgresql kind: a connection, the server's role, and a query with its expected result, all read-only."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading, choice
from ansible_collections.sre.runbooks.plugins.module_utils._probes.expectation import shown
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_connection import (
    CONNECTION,
    PostgresqlQuestion,
    place,
)
from ansible_collections.sre.runbooks.plugins.module_utils._probes.query import (
    QUERY,
    ROW_LIMIT,
    check_query,
    problem_of,
    query_in_words,
    value_of,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

_LOOK = "SELECT pg_is_in_recovery()"


class PostgresqlCheck(PostgresqlQuestion):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._query: str | None = options["query"]
        check_query(options)
        wanted = "a connection" if options["role"] == "any" else f"a connection to a {options['role']}"
        self.expected = ", ".join([wanted, *query_in_words(options)])
        # Pasted, what somebody else wrote is as read-only as it was here.
        self.hint = self.psql(self._query, first="BEGIN READ ONLY") if self._query else self.psql(_LOOK)

    async def question(self, connection: t.Any) -> tuple[bool, str, list[list[t.Any]]]:
        """Whether it is a standby, the version, and the rows."""
        cursor = await connection.execute("SELECT pg_is_in_recovery(), current_setting('server_version')")
        standby, version = await cursor.fetchone()
        rows: list[list[t.Any]] = []
        if self._query is not None:
            cursor = await connection.execute(self._query)
            if cursor.description is not None:
                rows = [list(row) for row in await cursor.fetchmany(ROW_LIMIT + 1)]
        return bool(standby), str(version), rows

    def answer(self, found: tuple[bool, str, list[list[t.Any]]], latency: float) -> Reading:
        standby, version, rows = found
        role = "standby" if standby else "primary"
        values: dict[str, t.Any] = {"role": role, "version": version, "latency_s": round(latency, 6)}
        wanted = self._options["role"]
        if wanted != "any" and role != wanted:
            return self.reading("failed", role, f"it is a {role}", **values)
        if self._query is None:
            return self.reading("ok", f"{role}, version {version}", "as expected", **values)
        values["value"] = value_of(rows)
        problem = problem_of(rows, values["value"], self._options)
        return self.reading(
            "ok" if problem is None else "failed", shown(values["value"]), problem or "as expected", **values
        )


POSTGRESQL = Kind(
    name="postgresql",
    options={
        **CONNECTION,
        "role": Option(choice("any", "primary", "standby"), default="any"),
        **QUERY,
    },
    prepare=PostgresqlCheck,
    target=lambda options: f"{place(options)}/{options['database']}",
)
