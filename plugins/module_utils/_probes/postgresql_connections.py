# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The postgresql_connections kind: how many of the connections that a server lets in are in use, by state and by whom."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Kind, Option, Reading
from ansible_collections.sre.runbooks.plugins.module_utils._probes.disk import percentage
from ansible_collections.sre.runbooks.plugins.module_utils._probes.postgresql_connection import (
    CLIENTS,
    CONNECTION,
    PostgresqlQuestion,
    place,
)
from ansible_collections.sre.runbooks.plugins.module_utils._words import counted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session

# What is reserved cannot be had by an application. The second setting came with PostgreSQL 16.
_LIMIT = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(nullif(current_setting('reserved_connections', true), '')::int, 0)
"""
# Who looks without the right to see others still sees that they are there.
_SESSIONS = f"""
SELECT coalesce(state, 'hidden'), coalesce(application_name, ''), coalesce(usename, ''), coalesce(datname, ''), count(*)
FROM pg_stat_activity WHERE {CLIENTS} GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4
"""
_LOOK = (
    "SELECT application_name, usename, datname, state, count(*) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC"
)
_LISTED = 20
#: Sessions of this collection, such as those of the other probes, which are asked at the same time. They hold connections as all
#: others do, but that one is between two of its queries says nothing about the server.
_OWN = "sre.runbooks"


@dataclasses.dataclass(frozen=True)
class Group:
    """Sessions of one application, user and database in the same state."""

    state: str
    application: str
    user: str
    database: str
    count: int


class PostgresqlConnectionsCheck(PostgresqlQuestion):
    def __init__(self, options: dict[str, t.Any], session: Session) -> None:
        super().__init__(options, session)
        self._warning: float = options["warning_percent"]
        self._failed: float = options["failed_percent"]
        self.expected = f"less than {self._warning:g} % of the connections in use"
        self.hint = self.psql(_LOOK)

    async def question(self, connection: t.Any) -> tuple[int, list[Group]]:
        (limit,) = await (await connection.execute(_LIMIT)).fetchone()
        rows = await (await connection.execute(_SESSIONS)).fetchall()
        return int(limit), [Group(*row) for row in rows]

    def answer(self, found: tuple[int, list[Group]], latency: float) -> Reading:
        limit, groups = found
        used = sum(group.count for group in groups)
        percent = 100.0 * used / limit if limit > 0 else 100.0
        states: collections.Counter[str] = collections.Counter()
        for group in groups:
            states[f"of {_OWN}" if group.application.startswith(_OWN) else group.state] += group.count
        measured = f"{used} of {counted(limit, 'connection')} ({percent:.1f} %): "
        measured += ", ".join(f"{count} {state}" for state, count in states.most_common())
        values = {
            "used": used,
            "limit": limit,
            "percent": round(percent, 2),
            "states": dict(states),
            "groups": [dataclasses.asdict(group) for group in groups[:_LISTED]],
            "latency_s": round(latency, 6),
        }
        if percent < self._warning and percent < self._failed:
            return self.reading("ok", measured, "as expected", **values)
        outcome = "failed" if percent >= self._failed else "warning"
        return self.reading(outcome, measured, f"{percent:.1f} % are in use, most by {_most(groups)}", **values)


def _most(groups: t.Sequence[Group]) -> str:
    holders: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for group in groups:
        holders[(group.application, group.user, group.database)] += group.count
    (application, user, database), count = holders.most_common(1)[0]
    return f"{application or 'an application without a name'} (user {user}, database {database}): {count}"


POSTGRESQL_CONNECTIONS = Kind(
    name="postgresql_connections",
    options={
        **CONNECTION,
        "warning_percent": Option(percentage, default=80.0),
        "failed_percent": Option(percentage, default=95.0),
    },
    prepare=PostgresqlConnectionsCheck,
    target=place,
)
