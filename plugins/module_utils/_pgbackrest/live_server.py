# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live server, stopped and started as its owner does it: ours as a plain process, another's by its commands."""

from __future__ import annotations

import contextlib
import json
import os
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.private_server import serves
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import MARKER, Instance, read_marker

_STOPPING_S = 30.0


class LiveServer:
    """The server over ``data_dir``.

    :arg start_command: command and arguments; empty for a server of this collection's own.
    :arg timeout: seconds for a start or a stop.
    """

    def __init__(
        self,
        data_dir: str,
        component: str,
        bin_dir: str,
        user: str | None,
        start_command: t.Sequence[str],
        stop_command: t.Sequence[str],
        timeout: float,
    ) -> None:
        self._data_dir = data_dir
        self._component = component
        self._bin_dir = bin_dir
        self._user = user
        self._start = start_command
        self._stop = stop_command
        self._timeout = timeout

    def running(self) -> bool:
        return serves(self._data_dir) is not None

    def require_way(self, copy: str | None = None) -> None:
        """Refuse, before anything is touched, a server that we could not start again.

        :arg copy: a restored copy that may say that the server was ours.
        """
        if (self._start and self._stop) or read_marker(self._data_dir) is not None:
            return
        if copy is not None and _says(copy) == os.path.abspath(self._data_dir):
            return
        if copy is None and not os.path.isdir(self._data_dir):
            return  # what was in it will tell
        raise Refused(
            f"how the server over {self._data_dir} is stopped and started is unknown; nothing was touched",
            self._component,
            expected="component_pitr_stop_command and component_pitr_start_command",
            found="neither, and a server that this collection did not make",
            next_command="set component_pitr_stop_command and component_pitr_start_command in the inventory,"
            " such as [systemctl, stop, postgresql@15-main]",
        )

    def stop(self) -> bool:
        """Stop it; whether it ran. Raises :class:`EngineError` when it still runs afterwards."""
        if not self.running():
            return False
        if self._stop:
            _process.run(
                self._stop,
                "stopping the server",
                timeout=self._timeout,
                component=self._component,
                cwd="/",
            )
            deadline = time.monotonic() + _STOPPING_S
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.2)
        else:
            self._instance().stop(self._timeout)
        if self.running():
            raise EngineError(
                "the live server still runs; nothing was swapped",
                self._component,
                expected=f"no server over {self._data_dir} after: {' '.join(self._stop) or 'the stop'}",
                found=f"process {serves(self._data_dir)}",
                next_command="correct component_pitr_stop_command; it has to stop this very server",
            )
        return True

    def start(self) -> None:
        """Start it. Raises :class:`EngineError`."""
        if self.running():
            return
        if self._start:
            _process.run(
                self._start,
                "starting the server",
                timeout=self._timeout,
                component=self._component,
                cwd="/",
            )
        else:
            self._instance().start(self._timeout)

    def _instance(self) -> Instance:
        known = read_marker(self._data_dir)
        if known is None:
            raise EngineError(
                f"the server over {self._data_dir} is not one of ours",
                self._component,
                expected="component_pitr_stop_command and component_pitr_start_command",
                found="neither",
                next_command="set component_pitr_stop_command and component_pitr_start_command in the inventory",
            )
        return Instance(
            self._data_dir, known["socket_dir"], int(known["port"]), self._bin_dir, self._user, known.get("log")
        )


def _says(copy: str) -> str | None:
    """The place for which this collection made the server that a copy is of."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open(os.path.join(copy, MARKER), encoding="utf-8") as file:
            return str(json.load(file).get("data_dir"))
    return None
