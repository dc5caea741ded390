# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a fresh recovery point comes to be, whatever the engine: is one due, who else is at it, what is left on failure."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._module import (
    ENCRYPTION_OPTIONS,
    LEASE_OPTIONS,
    REPOSITORY_OPTIONS,
    RUN_OPTIONS,
    SIGNING_OPTIONS,
    Caller,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age import check_recipients
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.proving import exclusive
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.openings import unreadable_here
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import (
    PointListing,
    begin_point,
    list_points,
    remove_incomplete,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import open_signed
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import Recorder

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._engines.engine import Engine, Plan
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint

#: When a recovery point is due; documented by the fragment ``sre.runbooks.backup``, as are the next two.
DUE_OPTIONS: dict[str, t.Any] = {
    "component": {"type": "str", "required": True},
    "rpo": {"type": "str", "default": "24h"},
    "interval": {"type": "str"},
    "force": {"type": "bool", "default": False},
}
#: The options of a module that takes recovery points, but for those of its engine.
BACKUP_OPTIONS: dict[str, t.Any] = {
    **REPOSITORY_OPTIONS,
    **SIGNING_OPTIONS,
    **RUN_OPTIONS,
    **LEASE_OPTIONS,
    **ENCRYPTION_OPTIONS,
    **DUE_OPTIONS,
    "compression_level": {"type": "int", "default": 3},
}
_FRESH = "the newest recovery point is fresh enough"


class Need:
    """Whether a recovery point is to be taken, and why."""

    def __init__(self, params: t.Mapping[str, t.Any], recipients: t.Sequence[str]) -> None:
        self._force = bool(params["force"])
        self._encrypted = bool(recipients)
        self.rpo_s = _clock.parse_duration(params["rpo"])
        self.interval_s = _clock.parse_duration(params["interval"]) if params["interval"] else self.rpo_s / 2

    def reason(self, newest: RecoveryPoint | None, plan: Plan, now: datetime.datetime) -> str | None:
        """Why one is to be taken; None when ``newest`` will still be within the RPO when the next run has ended."""
        if self._force:
            return "force was asked for"
        if newest is None:
            return "there was none before"
        lacking = plan.lacking_in(newest)
        if lacking is not None:
            return f"{newest.point_id} {lacking}"
        if self._encrypted and not any("age" in stored.encoding for stored in newest.objects):
            return f"{newest.point_id} is not encrypted"
        # The next run begins after the interval and ends when it has taken as long as this one.
        age_then = newest.age_s(now) + self.interval_s + newest.duration_s
        if age_then > self.rpo_s:
            return (
                f"{newest.point_id} would be {_clock.format_duration(age_then)} old when the next backup has ended,"
                f" more than the RPO of {_clock.format_duration(self.rpo_s)}"
            )
        return None


def keep_fresh(caller: Caller, engine: Engine) -> dict[str, t.Any]:
    """Take a recovery point of the component when one is due; the module's result.

    :arg caller: the module, with :data:`BACKUP_OPTIONS` among its parameters. Whatever is raised, a backup that was
        begun leaves no recovery point.
    """
    params = caller.params
    component = check_component(params["component"])
    recipients = check_recipients(params["encryption_recipients"])
    need, encoding = Need(params, recipients), Encoding(recipients=recipients, level=_level(params))
    unreadable = unreadable_here(
        recipients, Identities(params["encryption_identity"], params["encryption_identity_file"])
    )
    if unreadable is not None:
        caller.warn(f"{component}: {unreadable}")
    repository = _open(caller)
    plan = engine.plan()
    for warning in plan.warnings():
        caller.warn(f"{component}: {warning}")
    before = _listing(caller, repository, component).newest()
    reason = need.reason(before, plan, _clock.now())
    if reason is None:
        return _result(False, _FRESH, plan, before, before)
    if caller.check_mode or repository is None:
        return _result(True, f"would take a recovery point: {reason}", plan, before, before)
    with Progress(params["progress_path"]) as progress, alone(repository, component, params, progress) as lease:
        # Somebody may have taken one while we waited.
        before = list_points(repository, component).newest()
        reason = need.reason(before, plan, _clock.now())
        if reason is None:
            return _result(False, _FRESH, plan, before, before)
        removed = remove_incomplete(repository, component)
        recorder = Recorder(repository, params["run_id"], component)
        try:
            with recorder.step("back up", reason=reason) as step:
                writer = begin_point(repository, component, engine.name, params["run_id"])
                point = engine.take(plan, writer, encoding, progress, recorder, lease.check)
                step.outcome = "changed"
                step.facts.update(recovery_point=point.point_id, size=point.size, duration_s=point.duration_s)
        except BaseException:
            # Space first: a full repository must not stay full of what nobody can use.
            with contextlib.suppress(RunbookError, OSError):
                lease.check()
                remove_incomplete(repository, component)
            raise
    for warning in engine.problems(point):
        caller.warn(f"{component}: {warning}")
    message = f"took recovery point {point.point_id}: {reason}"
    return {**_result(True, message, plan, before, point), "removed_incomplete": removed}


def alone(
    repository: Repository, component: str, params: t.Mapping[str, t.Any], progress: Progress
) -> contextlib.AbstractContextManager[Lease]:
    """The lease on the component, as the options of the fragment ``sre.runbooks.lease`` want it; waiting is shown."""
    ttl, wait = _clock.parse_duration(params["lease_ttl"]), _clock.parse_duration(params["lease_wait"])
    return exclusive(repository, component, params["run_id"], ttl, wait, progress)


def difference(before: RecoveryPoint | None, after: RecoveryPoint | None, predicted: bool = False) -> dict[str, str]:
    """The diff of the newest point.

    :arg predicted: a new one would be taken, of which nothing is known yet.
    """
    expected = "recovery point: a new one\n" if predicted else _described(after)
    return {"before": _described(before), "after": expected}


def _described(point: RecoveryPoint | None) -> str:
    if point is None:
        return "no recovery point\n"
    return f"recovery point: {point.point_id}\nconsistency time: {_clock.format_time(point.consistency_time)}\n"


def _level(params: t.Mapping[str, t.Any]) -> int:
    level: int = params["compression_level"]
    if not 1 <= level <= 19:
        raise InvalidInput("not a level of zstd", expected="1 to 19", found=str(level))
    return level


def _open(caller: Caller) -> Repository | None:
    params = caller.params
    if caller.check_mode:
        # An earlier task of the same check may only have predicted the repository.
        return initialise_repository(params["repository"], params["environment_name"], True, params["s3"])[0]
    return open_signed(params)


def _listing(caller: Caller, repository: Repository | None, component: str) -> PointListing:
    if repository is None:
        return PointListing(component)
    listing = list_points(repository, component)
    for damaged in listing.damaged:
        caller.warn(f"{component}: recovery point {damaged.point_id} is damaged: {damaged.reason}")
    return listing


def _result(
    changed: bool, message: str, plan: Plan, before: RecoveryPoint | None, after: RecoveryPoint | None
) -> dict[str, t.Any]:
    return {
        "changed": changed,
        "message": message,
        "recovery_point": after.facts() if after is not None else None,
        "plan": {**plan.facts(), "estimated_duration_s": before.duration_s if before is not None else None},
        "diff": difference(before, after, changed and after is before),
    }
