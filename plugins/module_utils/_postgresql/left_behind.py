# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a swap leaves with the database that is put aside: slots, subscriptions, schedules. Reported, never moved."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect

if t.TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[t.Any, ...]]

_SLOTS = "SELECT slot_name::text FROM pg_replication_slots WHERE database = %s AND NOT temporary ORDER BY 1"
_SUBSCRIPTIONS = """
SELECT s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %s ORDER BY 1
"""
_PUBLICATIONS = "SELECT pubname::text FROM pg_publication ORDER BY 1"
_SCHEDULES = "SELECT coalesce(jobname, jobid::text) FROM cron.job ORDER BY 1"


def find(session: Session, address: PostgresqlAddress, databases: t.Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Database → ``replication_slots``, ``subscriptions``, ``publications``, ``scheduled_jobs``, where there are any.

    Slots and subscriptions belong to a database by its OID, so they stay with the one that is kept. Publications come
    back with the content, but their subscribers have to begin anew. Schedules (pg_cron) stay where they are.
    """
    import psycopg

    found: dict[str, dict[str, list[str]]] = {}
    for database in databases:
        of_this = {"replication_slots": _names(session, _SLOTS, database)}
        # Only superusers may read subscriptions.
        with contextlib.suppress(psycopg.Error):
            of_this["subscriptions"] = _names(session, _SUBSCRIPTIONS, database)
        with contextlib.suppress(RunbookError, psycopg.Error):
            with contextlib.closing(connect(address, database)) as live:
                of_this["publications"] = _names(live, _PUBLICATIONS)
                if _names(live, "SELECT 'yes' WHERE to_regclass('cron.job') IS NOT NULL"):
                    of_this["scheduled_jobs"] = _names(live, _SCHEDULES)
        of_this = {what: entries for what, entries in of_this.items() if entries}
        if of_this:
            found[database] = of_this
    return found


def _names(session: Session, query: str, *arguments: str) -> list[str]:
    return [name for (name,) in session.execute(query.encode(), arguments or None)]
