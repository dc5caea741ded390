# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore would meet, looked for before consumers are stopped: files of the backup, the name of the target."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore_points import require_named
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.stored_backup import require_stored
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import Choice

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.bringing import Archives
    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Base, Plan


def foresee(
    bases: t.Sequence[Base],
    passed_over: t.Sequence[Choice],
    archives: Archives,
    planned: t.Callable[[t.Sequence[Base], t.Sequence[Choice]], Plan],
    fallback_points: int,
) -> tuple[Plan, str]:
    """The first plan that nothing speaks against which can be known without the data; and what cannot be known, in words.

    :arg planned: makes a plan from the first base that has the log for it.
    :raises IntegrityError, AssertionFailed: the newest base's own refusal, when no other base would do either.
    """
    rest, choices = list(bases), list(passed_over)
    refusal: RunbookError | None = None
    for _ in range(fallback_points + 1):
        try:
            made = planned(rest, choices)
        except RunbookError as error:
            raise refusal or error from None
        point = made.base.point
        try:
            tool = archives.tool(made.base.generation)
            require_stored(tool, made.base.label, point.point_id)
            found = made.target.kind == "name" and require_named(tool, made, archives.bin_dir(made.base))
        except (IntegrityError, AssertionFailed) as error:
            refusal = refusal or error
            outcome = "damaged" if isinstance(error, IntegrityError) else "unusable"
            choices.append(Choice(point.point_id, point.consistency_time, outcome, error.message))
            rest = rest[rest.index(made.base) + 1 :]
            if not rest:
                break
        else:
            return made, _unknown(made, found)
    raise refusal or AssertionError("there is always at least one base")


def _unknown(made: Plan, found: bool) -> str:
    if made.target.kind not in ("xid", "name") or found:
        return ""
    return f"; whether the log leads to {made.target.words()} shows only when it is replayed"
