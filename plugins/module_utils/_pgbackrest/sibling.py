# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of a cluster beside the live one, filled from a base backup; never the sole copy, and so it may be altered."""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, IntegrityError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import (
    Pgbackrest,
    PgbackrestError,
    percent_in,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.control_data import (
    ControlData,
    read_control_data,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.private_server import open_tablespaces, serves
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import give
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

#: What lies in the copy from an earlier life and would be taken for the present.
_STALE = ("recovery.signal", "standby.signal", "postmaster.pid")
#: Above the data: the segments that recovery keeps at one time, and what replaying makes larger.
_SPARE = 1 << 30
#: Where a backup's tablespaces would go that must not have any.
_NO_TABLESPACES = ".tablespaces"
#: pgBackRest's codes of a backup that is not what its manifest says, or not there.
_DAMAGED_CODES = frozenset({26, 29, 39, 55, 84, 95})


def require_space(plan: Plan, parent: str) -> int:
    """Refuse a file system without room for the copy. Returns the bytes that are needed."""
    log = min(len(plan.audit.usable) * plan.base.segment_size, _SPARE)
    needed = plan.base.size + log + plan.base.size // 20
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    found = os.statvfs(parent)
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise Refused(
            f"{parent} has no room for a copy beside the live data; nothing was touched",
            plan.base.point.component,
            expected=f"{needed >> 20} MiB free",
            found=f"{free >> 20} MiB free",
            next_command="make room, release what earlier restores kept (-e restore_release=true), or restore on another host",
        )
    return needed


def refuse_tablespaces(plan: Plan) -> None:
    """A tablespace lies at one absolute path: a copy of it cannot take the live one's place by a rename."""
    names = [str(name) for name in plan.base.point.content["pgbackrest"].get("tablespaces") or []]
    if names:
        raise _tablespaces_refused(plan.base.point.component, names)


def _tablespaces_refused(component: str, names: t.Sequence[str]) -> Refused:
    return Refused(
        "the cluster has tablespaces, which cannot be restored beside the live ones",
        component,
        expected="everything below the data directory",
        found=f"tablespace {', '.join(names[:5])}",
        next_command="restore on a new host with pgbackrest restore --tablespace-map (docs/pitr.md), or drill there",
    )


def fill(
    tool: Pgbackrest,
    plan: Plan,
    copy: str,
    jobs: int,
    user: str | None,
    progress: Progress | None = None,
    check: t.Callable[[], None] | None = None,
    tablespaces: str | None = None,
) -> None:
    """Make ``copy`` hold the base backup, whatever a killed run left in it; every file's checksum is compared.

    :arg tablespaces: directory for those, on a scratch copy; elsewhere the backup must not have any.
    :raises IntegrityError: the backup is damaged. :raises EngineError: it cannot be restored.
    :raises Refused: a tablespace where none may be, which the catalogue does not know of.
    """
    component = plan.base.point.component
    if serves(copy) is not None:
        raise Refused(
            f"a server runs over {copy}", component, expected="a copy without a server", found="a running one"
        )
    open_tablespaces(copy)
    delta = os.path.isdir(copy) and bool(os.listdir(copy))
    os.makedirs(copy, 0o700, exist_ok=True)
    give(copy, user)
    options = [f"--set={plan.base.label}", "--type=none", f"--pg1-path={copy}", f"--process-max={jobs}"]
    options.append("--log-level-console=detail")
    if delta:
        for name in _STALE:
            if os.path.lexists(os.path.join(copy, name)):
                os.unlink(os.path.join(copy, name))
        if os.path.exists(os.path.join(copy, "PG_VERSION")):
            options.append("--delta")
        else:
            # Not even pgBackRest knows what this was to become.
            shutil.rmtree(copy)
            os.mkdir(copy, 0o700)
            give(copy, user)
    # Never where they were: on the live server's host that is where they are. Without --delta pgBackRest would refuse a
    # directory that is not empty, with it it would make it the backup's.
    place = tablespaces or f"{copy}{_NO_TABLESPACES}"
    if tablespaces is None:
        shutil.rmtree(place, ignore_errors=True)  # of a run that was killed
    os.makedirs(place, 0o700, exist_ok=True)
    give(place, user)
    options.append(f"--tablespace-map-all={place}")
    if progress is not None:
        progress.step(f"restoring base backup {plan.base.label}", plan.base.size)

    def show(output: bytes) -> None:
        percent = percent_in(output)
        if progress is not None and percent is not None:
            progress.add(max(0, int(plan.base.size * percent / 100) - progress.done))

    try:
        tool.watch("restore", *options, timeout=None, what="restoring the base backup", on_output=show, check=check)
    except PgbackrestError as error:
        if error.code in _DAMAGED_CODES:
            raise IntegrityError(
                f"recovery point {plan.base.point.point_id} is damaged",
                component,
                expected=f"base backup {plan.base.label} as its manifest says",
                found=error.found,
            ) from None
        raise
    finally:
        if tablespaces is None:
            unknown = os.listdir(place)
            shutil.rmtree(place)
    if tablespaces is None and unknown:
        raise _tablespaces_refused(component, unknown)
    for name in _STALE:
        if os.path.lexists(os.path.join(copy, name)):
            os.unlink(os.path.join(copy, name))


def require_identity(plan: Plan, bin_dir: str, copy: str, user: str | None) -> ControlData:
    """The copy's control data, which have to be those of the cluster that the catalogue names."""
    found = read_control_data(bin_dir, copy, user)
    if found.system_identifier != plan.base.system_identifier or found.segment_size != plan.base.segment_size:
        raise EngineError(
            "the restored base backup is of another server than the catalogue says",
            plan.base.point.component,
            expected=f"system identifier {plan.base.system_identifier}, segments of {plan.base.segment_size} bytes",
            found=f"{found.system_identifier}, {found.segment_size} bytes",
            next_command="somebody may have replaced the backup: "
            f"ansible-playbook sre.runbooks.verify_backups --limit {plan.base.point.component} -e verify_force=true",
        )
    return found
