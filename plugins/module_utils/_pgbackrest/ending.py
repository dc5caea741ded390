# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a server's archiving: its settings and our configuration; what is in the repository stays."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import archiving, configuration
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import alter_settings, look_at_server

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress


def end_archiving(address: PostgresqlAddress, component: str, path: str, check_mode: bool) -> dict[str, t.Any]:
    """The module's result. Somebody else's archiving is left alone.

    :arg path: pgBackRest's configuration of the component.
    """
    facts = look_at_server(address, component)
    command_now = facts.configured["archive_command"]
    wanted: dict[str, str | None] = {}
    if f"--config={path}" in command_now:
        wanted = {"archive_timeout": None, "archive_mode": None, "archive_command": None}
        if facts.archiving:
            wanted["archive_command"] = archiving.DISCARD
    elif command_now == archiving.DISCARD and not facts.archiving:
        wanted = {"archive_command": None}
    text = configuration.read_configuration(path)
    changed = bool(wanted) or text is not None
    if changed and not check_mode:
        if wanted:
            alter_settings(address, component, wanted)
        if text is not None:
            # Last: until the server has let go of it, archive_command still needs it.
            os.unlink(path)
    restart = facts.archiving and (bool(wanted) or command_now == archiving.DISCARD)
    after = {"archive_command": wanted.get("archive_command", command_now)}
    return {
        "changed": changed,
        "message": _message(changed, restart, check_mode),
        "restart_required": restart,
        "archived": None,
        "diff": {
            "before": configuration.described({"archive_command": command_now}, text),
            "after": configuration.described(after, None),
        },
    }


def _message(changed: bool, restart: bool, check_mode: bool) -> str:
    if not changed:
        said = "nothing of this component's archiving is set up in the server"
    elif check_mode:
        said = "the server would no longer archive, and its configuration would be removed"
    else:
        said = "the server no longer archives; what it had archived stays in the repository"
    # With archive_mode on it goes on recycling its log through a command that keeps nothing.
    return said + ("; archive_mode is off after its next restart" if restart else "")
