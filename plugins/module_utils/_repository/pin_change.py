# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is pinned to what should be: which pins are released and which is written."""

from __future__ import annotations

import contextlib
import datetime
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, ObjectExists
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import point_prefix
from ansible_collections.sre.runbooks.plugins.module_utils._repository.pins import (
    Pin,
    list_pins,
    release_pin,
    set_holds,
    write_pin,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points, select_point

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository


@dataclass(frozen=True)
class PinWish:
    """What somebody wants: a pin of that kind for that reason, or none (without a reason: none of that kind)."""

    present: bool
    kind: str
    reason: str
    by: str
    expires: datetime.datetime | None = None

    def concerns(self, pin: Pin) -> bool:
        return pin.kind == self.kind and (pin.reason == self.reason or not (self.present or self.reason))


@dataclass
class PinChange:
    """What has to be done to one point; ``after`` is what is in force then, the new one (``added``) last."""

    component: str
    point_id: str
    now: datetime.datetime
    before: list[Pin]
    released: list[Pin]
    added: Pin | None
    #: Whether the store's own hold belongs on the point afterwards; None leaves it as it is.
    hold: bool | None
    store_holds: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.released or self.added)

    @property
    def after(self) -> list[Pin]:
        kept = [pin for pin in self.before if pin not in self.released]
        return kept + ([self.added] if self.added else [])

    def facts(self) -> dict[str, t.Any]:
        return {
            "changed": self.changed,
            "recovery_point": self.point_id,
            "pins": [{**pin.facts(), "name": pin.name or None} for pin in self.after],
            "store_holds": self.store_holds,
            "diff": {"before": _lines(self.before), "after": _lines(self.after)},
        }


def plan_pin(repository: Repository, component: str, selector: str, wish: PinWish, now: datetime.datetime) -> PinChange:
    """What the wish asks for. Raises :class:`ObjectMissing` for a point that is not there or is expiring.

    :arg selector: ``newest``, or the id of a point with a manifest, damaged or not.
    """
    point_id = _point_id(repository, component, selector)
    before = [pin for pin in list_pins(repository.store, point_prefix(component, point_id)) if pin.active(now)]
    if wish.present and wish.expires is not None and wish.expires <= now:
        raise InvalidInput(
            "a pin that is over already",
            component,
            expected=f"expires after {format_time(now)}",
            found=format_time(wish.expires),
        )
    concerned = [pin for pin in before if wish.concerns(pin)]
    satisfied = [pin for pin in concerned if wish.present and pin.expires == wish.expires]
    released = [pin for pin in concerned if pin not in satisfied[-1:]]
    added = Pin("", wish.kind, wish.reason, wish.by, now, wish.expires) if wish.present and not satisfied else None
    change = PinChange(component, point_id, now, before, released, added, None)
    if wish.kind == "hold":
        change.hold = any(pin.kind == "hold" for pin in change.after)
    return change


def apply_pin(repository: Repository, change: PinChange, wish: PinWish) -> None:
    """Do it, under the component's lease. Killed anywhere, the point is rather kept than not, and a rerun finishes."""
    component, point_id = change.component, change.point_id
    if change.added is not None:
        change.added = write_pin(
            repository, component, point_id, wish.kind, wish.reason, wish.by, change.now, wish.expires
        )
    if change.hold is not None and (change.hold or change.released):
        change.store_holds = set_holds(repository, component, point_id, change.hold)
    for pin in change.released:
        with contextlib.suppress(ObjectExists):  # released before, by a document that cannot be read
            release_pin(repository, component, point_id, pin, wish.reason or "released", wish.by, change.now)


def _point_id(repository: Repository, component: str, selector: str) -> str:
    listing = list_points(repository, component)
    if any(damaged.point_id == selector for damaged in listing.damaged):
        return selector
    if any(point.point_id == selector for point in listing.points):
        return selector
    return select_point(listing, selector).point_id


def _lines(pins: t.Sequence[Pin]) -> str:
    return "".join(f"{pin.words()}\n" for pin in pins)
