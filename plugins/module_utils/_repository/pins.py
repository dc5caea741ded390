# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who wants a recovery point kept, why, and until when: write-once objects beside it.

A *pin* ends at its time or when it is released, a *hold* only when it is released. ``pins/<time>-<4 hex>.json`` says
it, ``pins/<time>-<4 hex>-released.json`` takes it back. Where the store has locks, a hold is also the store's own legal
hold on every object of the point, so that not even the retention identity deletes them by mistake.
"""

from __future__ import annotations

import datetime
import re
import secrets
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    Fields,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import POINT_ID, point_prefix

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

#: The directory below a point that holds them.
PINS = "pins/"
KINDS = ("pin", "hold")
_UTC = datetime.timezone.utc
_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{4})\.json")


@dataclass(frozen=True)
class Pin:
    """One that was not released. ``expires`` is None for a hold, and for a pin that ends only by release."""

    name: str
    kind: str
    reason: str
    by: str
    at: datetime.datetime
    expires: datetime.datetime | None

    def active(self, now: datetime.datetime) -> bool:
        return self.expires is None or self.expires > now

    def words(self) -> str:
        """For the plan: ``pinned until 2027-01-31T00:00:00Z by ana because the audit wants it``."""
        what = "legal hold" if self.kind == "hold" else "pinned"
        until = "" if self.expires is None else f" until {self.expires.strftime('%Y-%m-%dT%H:%M:%SZ')}"
        return f"{what}{until} by {self.by} because {self.reason}"

    def facts(self) -> dict[str, t.Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "reason": self.reason,
            "by": self.by,
            "at": format_time(self.at),
            "expires": None if self.expires is None else format_time(self.expires),
        }


def list_pins(store: Store, prefix: str) -> list[Pin]:
    """The pins and holds of the point at ``prefix`` that were not released, oldest first, those that are over included.

    One that cannot be read counts as a hold, and a release that cannot be read as none: damage never expires a point.
    """
    names = set(store.children(f"{prefix}{PINS}"))
    return [
        _read_pin(store, f"{prefix}{PINS}", match[1])
        for match in map(_NAME.fullmatch, sorted(names))
        if match and not (f"{match[1]}-released.json" in names and _is_released(store, f"{prefix}{PINS}", match[1]))
    ]


def write_pin(
    repository: Repository,
    component: str,
    point_id: str,
    kind: str,
    reason: str,
    by: str,
    now: datetime.datetime,
    expires: datetime.datetime | None = None,
) -> Pin:
    """Pin the point. Call it while holding the component's lease, so that no retention run overlooks it."""
    if kind not in KINDS or (kind == "hold" and expires is not None) or not reason.strip() or len(reason) > 1000:
        raise InvalidInput(
            "not a pin", component, expected=f"{' or '.join(KINDS)} with a reason; a hold never expires", found=kind
        )
    name = f"{now.astimezone(_UTC).strftime(_TIME)}-{secrets.token_hex(2)}"
    until = None if expires is None else expires.astimezone(_UTC)
    pin = Pin(name, kind, " ".join(reason.split()), " ".join(by.split())[:200], now, until)
    document = {**pin.facts(), "component": component, "point_id": point_id}
    repository.store.create(f"{point_prefix(component, point_id)}{PINS}{name}.json", sealed_json(document))
    return pin


def release_pin(
    repository: Repository, component: str, point_id: str, pin: Pin, reason: str, by: str, now: datetime.datetime
) -> None:
    """Take a pin or hold back. Raises :class:`ObjectExists` when somebody just did."""
    document = {
        # No copy of the pin itself passes for its release.
        "kind": "release",
        "name": pin.name,
        "component": component,
        "point_id": point_id,
        "reason": reason,
        "by": by,
        "at": format_time(now),
    }
    key = f"{point_prefix(component, point_id)}{PINS}{pin.name}-released.json"
    repository.store.create(key, sealed_json(document))


def set_holds(repository: Repository, component: str, point_id: str, on: bool) -> int:
    """Put the store's own legal hold on every object of the point, or take it off; returns how many.

    A store without locks has none: then it is 0, and the document alone keeps the point.
    """
    store = repository.store
    if "locks" not in store.features:
        return 0
    found = [version for version in store.versions(point_prefix(component, point_id)) if not version.deleted]
    for version in found:
        store.set_hold(version.key, version.version_id, on)
    return len(found)


def _read_pin(store: Store, prefix: str, name: str) -> Pin:
    key = f"{prefix}{name}.json"
    try:
        fields = parse_sealed(store.read(key, DOCUMENT_LIMIT), key)
        _check_place(fields, prefix, name)
        expires = None if fields.data.get("expires") is None else fields.time("expires").astimezone(_UTC)
        return Pin(
            name,
            fields.text("kind", "|".join(KINDS)),
            fields.text("reason"),
            fields.text("by"),
            fields.time("at"),
            expires,
        )
    except (IntegrityError, InvalidInput) as error:
        at = datetime.datetime.min.replace(tzinfo=_UTC)
        return Pin(name, "hold", f"what was said here cannot be read any more ({error})"[:1000], "somebody", at, None)


def _is_released(store: Store, prefix: str, name: str) -> bool:
    key = f"{prefix}{name}-released.json"
    try:
        fields = parse_sealed(store.read(key, DOCUMENT_LIMIT), key)
        fields.text("kind", "release")
        _check_place(fields, prefix, name)
    except (IntegrityError, InvalidInput):
        return False
    return True


def _check_place(fields: Fields, prefix: str, name: str) -> None:
    """A pin copied from another point says nothing about this one."""
    said = f"{point_prefix(fields.text('component'), fields.text('point_id', POINT_ID))}{PINS}{fields.text('name')}"
    if said != f"{prefix}{name}":
        raise IntegrityError(f"{fields.what} is damaged", expected="a pin of that place", found=f"that of {said}")
