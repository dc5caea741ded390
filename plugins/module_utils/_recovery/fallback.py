# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The newest recovery point that turns out to be good is restored; the next older one where it does not."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    ObjectMissing,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import Choice, describe_choices
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import component_of
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import Prover, failure

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint


def restore_first_good(
    points: t.Sequence[RecoveryPoint],
    passed_over: t.Sequence[Choice],
    restore: t.Callable[[RecoveryPoint], dict[str, t.Any]],
    prover: Prover | None,
    warnings: list[str],
) -> tuple[dict[str, t.Any], list[Choice]]:
    """What ``restore`` returned for the first point that it could restore, and all that was considered.

    A point is called damaged when two attempts found it so: one read that a network or a disk cut short must neither lead
    to an older point nor be noted for good.

    :arg points: in the order in which they are tried; at least one. :arg prover: None in check mode, where nothing is written.
    :arg warnings: told what was passed over.
    :raises RunbookError: the last point's own, with the next command, when none was good. Others than of damage or of
        content that is not what it should be are raised at once.
    """
    choices = list(passed_over)
    for left, point in zip(range(len(points) - 1, -1, -1), points):
        try:
            result = _at_most_twice(point, restore, warnings)
        except (IntegrityError, ObjectMissing) as damage:
            if prover is not None:
                prover.failed(point, "verified", 0.0, failure(damage))
            choices.append(Choice(point.point_id, point.consistency_time, "damaged", damage.message))
            error: RunbookError = damage
        except AssertionFailed as unmet:
            choices.append(Choice(point.point_id, point.consistency_time, "failed", unmet.message))
            error = unmet
        else:
            choices.append(Choice(point.point_id, point.consistency_time, "chosen"))
            return result, choices
        warnings.append(f"recovery point {point.point_id} was passed over: {error}")
        if not left:
            raise last_resort(error, component_of(point.component))
    raise AssertionError("there is always at least one point")


def _at_most_twice(
    point: RecoveryPoint, restore: t.Callable[[RecoveryPoint], dict[str, t.Any]], warnings: list[str]
) -> dict[str, t.Any]:
    try:
        return restore(point)
    except (IntegrityError, ObjectMissing) as damage:
        first = damage
    result = restore(point)
    warnings.append(f"recovery point {point.point_id} was read a second time, and was whole then; at first: {first}")
    return result


def last_resort(error: RunbookError, component: str) -> RunbookError:
    """The error about the last point there was, with what is left to do."""
    error.component = error.component or component
    if not isinstance(error, AssertionFailed):
        error.next_command = (
            "name an older point if there is one (restore_recovery_point); while the live data is whole:"
            f" ansible-playbook sre.runbooks.back_up_components --limit {component}"
        )
    return error


def told(choices: t.Sequence[Choice], now: datetime.datetime) -> dict[str, t.Any]:
    """``choices`` and ``message`` of a module's result."""
    return {
        "choices": [choice.facts(now) for choice in choices],
        "message": "; ".join(describe_choices(choices, now)),
    }
