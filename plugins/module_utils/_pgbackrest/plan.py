# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From which base, along which timeline, and whether at all: decided from the catalogue and the archive alone."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    AssertionFailed,
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_audit import (
    Archive,
    Audit,
    audit,
    choose_timeline,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.archive_reading import Transaction
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.target import Target
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.wal import SEGMENT, format_lsn, parse_lsn
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import Choice, require_engine
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointListing, select_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import DAMAGED

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint

ENGINE = "postgresql_pitr"
#: What a server is made with unless somebody says otherwise.
_USUAL_SEGMENT = 16 << 20


@dataclasses.dataclass(frozen=True)
class Base:
    """A base backup, as the catalogue has it. Sizes in bytes; ``next_xid``: None when it was not recorded."""

    point: RecoveryPoint
    label: str
    generation: str
    archive_id: str
    archive_start: str
    archive_stop: str
    stop_lsn: int
    timeline: int
    system_identifier: str
    size: int
    segment_size: int
    next_xid: int | None

    def facts(self) -> dict[str, t.Any]:
        return {
            "point_id": self.point.point_id,
            "label": self.label,
            "generation": self.generation,
            "stopped": _clock.format_time(self.point.consistency_time),
            "stop_lsn": format_lsn(self.stop_lsn),
            "timeline": self.timeline,
        }


def base_of(point: RecoveryPoint) -> Base:
    """Read ``content.pgbackrest``. Raises :class:`IntegrityError` for what cannot be one, :class:`InvalidInput`."""
    require_engine(point, ENGINE)
    recorded = point.content.get("pgbackrest")
    try:
        found: dict[str, t.Any] = dict(recorded or {})
        names = (str(found["archive_start"]), str(found["archive_stop"]))
        if not all(SEGMENT.fullmatch(name) for name in names):
            raise ValueError(f"segments {names[0][:40]!r}, {names[1][:40]!r}")
        next_xid = found.get("next_xid")
        return Base(
            point,
            str(found["label"]),
            str(found["generation"]),
            str(found["archive_id"]),
            *names,
            parse_lsn(str(found["stop_lsn"])),
            int(found["timeline"]),
            str(found["system_identifier"]),
            int(found["size"]),
            int(found.get("segment_size") or _USUAL_SEGMENT),
            int(next_xid) if next_xid else None,
        )
    except (KeyError, TypeError, ValueError, InvalidInput) as error:
        raise IntegrityError(
            f"recovery point {point.point_id} does not say what pgBackRest holds of it",
            point.component,
            expected="label, generation, archive and positions in its content",
            found=repr(error)[:200],
        ) from None


def bases_for(listing: PointListing, target: Target, selector: str) -> tuple[list[Base], list[Choice]]:
    """The bases from which the target can lie ahead, newest first, and what was passed over as damaged.

    :arg selector: ``newest``, or a recovery point's id, which is never replaced by another.
    :raises ObjectMissing: there is none; the message names the earliest moment that can be reached.
    """
    if selector != "newest":
        point = select_point(listing, selector)
        base = base_of(point)
        if not _ahead(base, target):
            raise _too_early([base], target, listing.component)
        return [base], []
    usable, passed_over = [], []
    for point in listing.points:
        if point.level == DAMAGED:
            passed_over.append(
                Choice(point.point_id, point.consistency_time, "damaged", "its newest verification failed")
            )
            continue
        usable.append(base_of(point))
    passed_over += [Choice(item.point_id, None, "damaged", item.reason) for item in listing.damaged]
    if not usable:
        select_point(listing)  # raises, and says what there is
    fitting = [base for base in usable if _ahead(base, target)]
    if not fitting:
        raise _too_early(usable, target, listing.component)
    return fitting, passed_over


def _ahead(base: Base, target: Target) -> bool:
    """Whether the target can lie behind the end of the base; True where nobody can know."""
    moment, position = target.moment, target.position
    if moment is not None:
        return base.point.consistency_time <= moment
    if position is not None:
        return base.stop_lsn <= position
    if target.kind == "xid" and base.next_xid is not None:
        wanted = int(target.value)
        # A number as most views show it has 32 bits: which round of them is meant is the nearer one.
        return base.next_xid <= wanted if wanted >= 1 << 32 else (wanted - base.next_xid) % (1 << 32) < 1 << 31
    return True


def _too_early(bases: t.Sequence[Base], target: Target, component: str) -> ObjectMissing:
    oldest = min(bases, key=lambda base: base.point.consistency_time)
    moment = _clock.format_time(oldest.point.consistency_time)
    return ObjectMissing(
        f"{target.words()} lies before the end of every base backup that there is; nothing was touched",
        component,
        expected=f"a target from {moment} on (position {format_lsn(oldest.stop_lsn)}, recovery point"
        f" {oldest.point.point_id})",
        found=target.words(),
        next_command="restore from a logical recovery point, or that oldest moment: ansible-playbook sre.runbooks.restore_components"
        f" --limit {component} -e restore_confirm={component} -e restore_target_time={moment}",
    )


@dataclasses.dataclass
class Plan:
    """How the target is reached. ``last``: the newest transaction that can be, when it is known."""

    target: Target
    base: Base
    timeline: int
    audit: Audit
    last: Transaction | None
    choices: list[Choice]

    def facts(self) -> dict[str, t.Any]:
        return {
            "target": self.target.facts(),
            "base": self.base.facts(),
            "timeline": self.timeline,
            "audit": self.audit.facts(),
            "newest_reachable": self.last.facts() if self.last else None,
        }


class Source(t.Protocol):
    """Where the planner reads archives from; tests bring their own."""

    def archive(self, base: Base) -> Archive:
        """What lies in the archive of the base's generation."""

    def last_transaction(self, base: Base, found: Audit) -> Transaction | None:
        """The newest transaction in the usable segments."""

    def known_archived(self, base: Base) -> dict[str, str]:
        """Segments that must be there, and who says so."""


def plan(bases: t.Sequence[Base], target: Target, source: Source, passed_over: t.Sequence[Choice]) -> Plan:
    """The first base from which the target can be reached. Reads only.

    :raises IntegrityError: a hole, a missing history: the message names it and the newest moment that can be reached.
    :raises AssertionFailed: the archive ends before the target.
    """
    choices, refusal = list(passed_over), None
    for base in bases:
        try:
            made = _plan_from(base, target, source)
        except (IntegrityError, AssertionFailed) as error:
            choices.append(Choice(base.point.point_id, base.point.consistency_time, "unusable", error.message))
            # The newest base's refusal tells most: an older one would meet the same hole.
            refusal = refusal or error
        else:
            made.choices = choices
            return made
    raise refusal or InvalidInput("no base was asked for", expected="at least one recovery point")


def _plan_from(base: Base, target: Target, source: Source) -> Plan:
    component = base.point.component
    archive = source.archive(base)
    timeline = choose_timeline(archive, target.timeline, base.timeline)
    try:
        found = audit(archive, base.archive_start, timeline, base.segment_size, source.known_archived(base))
        _require_own_log(found, base)
    except RunbookError as error:
        error.component = component
        raise
    last = None
    if target.kind == "time" or found.faults:
        last = source.last_transaction(base, found)
    _require_reachable(found, target, last, component)
    return Plan(target, base, timeline, found, last, [])


def _require_own_log(found: Audit, base: Base) -> None:
    """A base without the log of its own time is not consistent, whatever the target."""
    if any(item.name >= base.archive_stop for item in found.usable):
        return
    fault = found.faults[0] if found.faults else None
    raise IntegrityError(
        f"recovery point {base.point.point_id} cannot be used: the log of its own time is not whole",
        expected=f"segments {base.archive_start} to {base.archive_stop}",
        found=f"{fault.segment} {fault.kind} ({fault.detail})" if fault else "an archive that ends before",
        next_command="take a new base backup: "
        f"ansible-playbook sre.runbooks.back_up_components --limit {base.point.component} -e backup_force=true",
    )


def _require_reachable(found: Audit, target: Target, last: Transaction | None, component: str) -> None:
    if target.kind in ("immediate", "xid", "name"):
        # Where a transaction or a name lies is only known when it is met; a hole before it ends the recovery, by name.
        return
    if target.kind == "newest":
        if found.faults:
            raise _hole(found, target, last, component)
        return
    moment, position = target.moment, target.position
    reached = True
    if position is not None:
        reached = position < found.contiguous_end
    elif moment is not None and last is not None:
        # Recovery to a time ends at the first transaction after it: there has to be one.
        reached = last.time > moment or (not target.inclusive and last.time == moment)
    if reached:
        return
    raise _hole(found, target, last, component) if found.faults else _beyond(found, target, last, component)


def _hole(found: Audit, target: Target, last: Transaction | None, component: str) -> IntegrityError:
    fault = found.faults[0]
    more = f" (and {len(found.faults) - 1} more)" if len(found.faults) > 1 else ""
    return IntegrityError(
        f"the archived log has a hole before {target.words()}: segment {fault.segment} is {fault.kind}{more};"
        " nothing was touched",
        component,
        expected=f"every segment from {found.first} to {found.newest}",
        found=f"{fault.segment}: {fault.detail}; {_reachable(found, last)}",
        next_command=f"bring {fault.segment} back into the archive, or restore the newest moment before the hole: "
        + _newest_command(component, last),
    )


def _beyond(found: Audit, target: Target, last: Transaction | None, component: str) -> AssertionFailed:
    return AssertionFailed(
        f"{target.words()} lies beyond the end of the archived log; nothing was touched",
        component,
        expected=f"a target before position {format_lsn(found.contiguous_end)}",
        found=_reachable(found, last),
        next_command="restore the newest moment: ansible-playbook sre.runbooks.restore_components"
        f" --limit {component} -e restore_confirm={component}",
    )


def _reachable(found: Audit, last: Transaction | None) -> str:
    text = f"the log can be replayed up to position {format_lsn(found.contiguous_end)}"
    if last is not None:
        text += f", its last transaction ended at {_clock.format_time(last.time)}"
    return text


def _newest_command(component: str, last: Transaction | None) -> str:
    # The record of the last transaction, replayed too: by time one would stop just before it.
    where = f" -e restore_target_lsn={last.lsn}" if last is not None else " -e restore_target_immediate=true"
    return f"ansible-playbook sre.runbooks.restore_components --limit {component} -e restore_confirm={component}{where}"


def behind_s(target: Target, moment: datetime.datetime | None) -> float | None:
    """Seconds between a target's time and a moment before it; None for targets that are no time."""
    wanted = target.moment
    return None if wanted is None or moment is None else (wanted - moment).total_seconds()
