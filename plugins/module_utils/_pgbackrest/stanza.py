# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stanza: pgBackRest's note of which server archives to a place."""

from __future__ import annotations

import dataclasses

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import StanzaInfo, read_info
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import ServerFacts


@dataclasses.dataclass(frozen=True)
class StanzaPlan:
    """What is to be done, pgBackRest's command for it or None, and why."""

    command: str | None
    reason: str


def plan_stanza(info: StanzaInfo | None, facts: ServerFacts, component: str, replace_server: bool) -> StanzaPlan:
    """Compare the place with the server. Refuses another server's place, unless that is meant."""
    current = info.current if info is not None and info.exists else None
    if current is None:
        return StanzaPlan("stanza-create", "there is no archive yet")
    # Since version 10 the number before the point is all of a major version.
    if current.system_id == facts.system_id and int(current.version.split(".")[0]) == facts.major:
        return StanzaPlan(None, "the archive is this server's")
    if not replace_server:
        raise Refused(
            "the archive is another server's",
            component,
            expected=f"system identifier {current.system_id}, version {current.version}",
            found=f"system identifier {facts.system_id}, version {facts.major}",
            next_command="check that this is the right host; after an upgrade or a rebuild set"
            " component_pitr_replace_server: true in the inventory",
        )
    return StanzaPlan("stanza-upgrade", "another server takes the archive over")


def make_stanza(tool: Pgbackrest, plan: StanzaPlan, facts: ServerFacts) -> str:
    """Carry the plan out; returns the name of the server's archive, such as ``15-1``."""
    if plan.command is not None:
        tool.run(plan.command, timeout=180.0, what=f"pgbackrest {plan.command}")
    info = read_info(tool)
    current = info.current
    if current is None or current.system_id != facts.system_id:
        raise EngineError(
            "the archive is not this server's",
            tool.component,
            expected=f"system identifier {facts.system_id}",
            found=str(current.system_id) if current else info.message,
            next_command=f"ansible-playbook sre.runbooks.prepare_archiving --limit {tool.component}",
        )
    return info.archive_id(current.id)
