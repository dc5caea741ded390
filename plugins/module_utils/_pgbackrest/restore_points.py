# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The named restore points in an archived log, found before anybody replays it, or stops anything for that."""

from __future__ import annotations

import os
import re
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _process
from ansible_collections.sre.runbooks.plugins.module_utils._errors import AssertionFailed, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive import position_of
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_reading import fetch_segment
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import format_lsn

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import Audit
    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Plan

_RECORD = re.compile(rb"desc: RESTORE_POINT (.*)$", re.MULTILINE)
_NAMED = 5


def restore_points(tool: Pgbackrest, found: Audit, bin_dir: str, wanted: str) -> list[str] | None:
    """The names in the usable segments in their order, up to ``wanted``; None where they cannot be looked through.

    Each segment is read with the one behind it, since a record may begin in the one and end in the other.
    """
    program = os.path.join(bin_dir, "pg_waldump")
    if not os.access(program, os.X_OK):
        return None
    names: list[str] = []
    with tempfile.TemporaryDirectory(prefix="srb-wal-") as directory:
        before: str | None = None
        for segment in [*found.usable, None]:
            if segment is not None:
                content = fetch_segment(tool, segment)
                if content is None:
                    return None
                with open(os.path.join(directory, segment.name), "wb") as file:
                    file.write(content)
            if before is not None:
                more = _names_in(program, directory, before, found.segment_size)
                if more is None:
                    return None
                names += more
                os.unlink(os.path.join(directory, before))
                if wanted in more:
                    return names
            before = segment.name if segment is not None else None
    return names


def require_named(tool: Pgbackrest, made: Plan, bin_dir: str) -> bool:
    """Whether the plan's restore point was found; False where nobody can know before the log is replayed.

    :raises AssertionFailed: it is not in the log behind the plan's base.
    """
    wanted = made.target.value
    names = restore_points(tool, made.audit, bin_dir, wanted)
    if names is None:
        return False
    if wanted in names:
        return True
    shown = ", ".join(f"'{name}'" for name in dict.fromkeys(reversed(names[-_NAMED:])))
    raise AssertionFailed(
        f"there is no restore point '{wanted}' in the archived log behind {made.base.point.point_id}; nothing was touched",
        made.base.point.component,
        expected=f"pg_create_restore_point('{wanted}') before position {format_lsn(made.audit.contiguous_end)}",
        found=f"restore points {shown}" if names else "no restore point",
        next_command="name one of those with restore_target_name, or a moment with restore_target_time",
    )


def _names_in(program: str, directory: str, segment: str, size: int) -> list[str] | None:
    """What begins in the segment. It ends with an error behind the newest record: what was printed until then counts."""
    start = position_of(segment, size) * size
    command = [program, f"--path={directory}", f"--timeline={int(segment[:8], 16)}", "--rmgr=XLOG"]
    command += [f"--start={format_lsn(start)}", f"--end={format_lsn(start + size)}"]
    try:
        output = _process.run(
            ["/bin/sh", "-c", '"$0" "$@" || :', *command],
            f"looking through segment {segment}",
            environment={"LC_ALL": "C", "TZ": "UTC"},
            timeout=120,
            cwd="/",
        )
    except RunbookError:
        return None
    return [name.decode("utf-8", "replace") for name in _RECORD.findall(output)]
