# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restarting a server, once, when archiving needs it and somebody allowed it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import ServerFacts
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import Instance, read_marker
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import server_user
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import find_server

_TIMEOUT_S = 120.0


def restart_server(facts: ServerFacts, argv: t.Sequence[str], bin_dir: str | None, component: str) -> None:
    """Restart it as it was started: by the command given, or as a server of this collection's own.

    :raises Refused: it is neither.
    """
    if argv:
        _process.run(argv, "restarting the server", timeout=_TIMEOUT_S, component=component, cwd="/")
        return
    marker = read_marker(facts.data_dir)
    if marker is None:
        raise Refused(
            "nobody said how the server is restarted",
            component,
            expected="restart_command (component_pitr_restart_command in the inventory)",
            found="none, and a server that this collection did not start",
            next_command="set it, such as [systemctl, restart, postgresql@15-main], or restart the server by hand",
        )
    programs = find_server(facts.major, bin_dir, exactly=True)
    data_dir = os.path.abspath(facts.data_dir)
    instance = Instance(
        data_dir, marker["socket_dir"], marker["port"], programs.bin_dir, server_user(), marker.get("log")
    )
    instance.stop(_TIMEOUT_S)
    instance.start(_TIMEOUT_S)
