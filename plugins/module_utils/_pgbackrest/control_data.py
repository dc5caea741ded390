# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a data directory says of itself without a server: identity, state, timeline, and what recovery must not lower."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, RunbookError

#: Settings that a standby needs at least as large as the server had that wrote the log.
_FLOORS = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}


@dataclasses.dataclass(frozen=True)
class ControlData:
    """``state`` in the server's words, such as ``shut down``; ``segment_size`` in bytes."""

    system_identifier: str
    state: str
    timeline: int
    checkpoint: str
    minimum_recovery: str
    segment_size: int
    floors: dict[str, int]

    @property
    def clean(self) -> bool:
        """Whether the server over it was stopped in an orderly way."""
        return self.state in ("shut down", "shut down in recovery")


def parse_control_data(output: str) -> ControlData:
    """Read what ``pg_controldata`` prints in the C locale. Raises :class:`EngineError`."""
    fields = {
        name.strip(): value.strip() for name, _colon, value in (line.partition(":") for line in output.splitlines())
    }
    try:
        return ControlData(
            system_identifier=str(int(fields["Database system identifier"])),
            state=fields["Database cluster state"],
            timeline=int(fields["Latest checkpoint's TimeLineID"]),
            checkpoint=fields["Latest checkpoint location"],
            minimum_recovery=fields["Minimum recovery ending location"],
            segment_size=int(fields["Bytes per WAL segment"]),
            floors={setting: int(fields[name]) for name, setting in _FLOORS.items()},
        )
    except (KeyError, ValueError) as error:
        raise EngineError("what pg_controldata printed cannot be read", found=f"no usable {error}") from None


def read_control_data(bin_dir: str, data_dir: str, user: str | None = None) -> ControlData:
    """Ask ``pg_controldata``. Raises :class:`EngineError` for what is no data directory of that version."""
    output = _process.run(
        [os.path.join(bin_dir, "pg_controldata"), "-D", data_dir],
        f"reading the control data of {data_dir}",
        environment={"LC_ALL": "C", "LANGUAGE": "C"},
        timeout=60,
        user=user,
        cwd="/",
    )
    return parse_control_data(output.decode("utf-8", "replace"))


def try_control_data(bin_dir: str, data_dir: str, user: str | None = None) -> ControlData | None:
    """The control data, or None where they cannot be read: a directory that was lost in part."""
    try:
        return read_control_data(bin_dir, data_dir, user)
    except RunbookError:
        return None


def data_directory_holds(data_dir: str) -> t.Literal["nothing", "data", "something else"]:
    """What lies at a path: nothing (or an empty directory), a data directory, or something that is none."""
    try:
        entries = os.listdir(data_dir)
    except FileNotFoundError:
        return "nothing"
    except NotADirectoryError:
        return "something else"
    if not entries:
        return "nothing"
    return "data" if "PG_VERSION" in entries or "global" in entries else "something else"
