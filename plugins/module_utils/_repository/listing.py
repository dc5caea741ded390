# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that lies below a component, from one listing: what each object looks like without being opened.

Where the store keeps versions, the listing also shows what a delete marker hides and what was written over.
"""

from __future__ import annotations

import datetime
import hashlib
import itertools
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import check_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import POINT_ID
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectVersion, Store

#: What may still be added to a finished point. All else of it never changes.
_GROWS = ("proofs/", "pins/", "rewraps/")
_POINT = re.compile(rf"points/({POINT_ID})/(.+)")


@dataclass
class ListedPoint:
    """What lies below one point. Keys are those below the point's own prefix."""

    point_id: str
    #: The point's own objects. Empty where they are those of ``digest`` that the caller knew already.
    rows: dict[str, ObjectVersion] = field(default_factory=dict)
    #: Names of proofs and of the signatures beside them.
    proofs: list[str] = field(default_factory=list)
    #: The sha256 of the point's own objects as the listing shows them: another one says that something was changed.
    digest: str = ""
    #: When the manifest came to be, by the store's clock; None where there is none, or none to be seen.
    modified: datetime.datetime | None = None
    hidden: list[str] = field(default_factory=list)
    overwritten: list[str] = field(default_factory=list)


@dataclass
class ComponentListing:
    """What lies below one component."""

    points: dict[str, ListedPoint] = field(default_factory=dict)
    #: Other objects by their keys below the component's prefix: tombstones and anchors.
    others: dict[str, ObjectVersion] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    overwritten: list[str] = field(default_factory=list)


def component_prefix(component: str) -> str:
    return f"components/{check_component(component)}/"


def list_component(store: Store, component: str, known: t.Mapping[str, str] | None = None) -> ComponentListing:
    """One pass over the names below the component; nothing is read.

    :arg known: digests of points by their ids. The rows of a point that still has that digest are let go of, so that
        a large repository costs no memory for what did not change.
    """
    found = ComponentListing()
    prefix = component_prefix(component)
    versions = ((item.key[len(prefix) :], item) for item in store.versions(prefix))
    for point_id, group in itertools.groupby(versions, key=_point_of):
        by_key = [(key, [item for _key, item in items]) for key, items in itertools.groupby(group, key=_first)]
        if point_id is None:
            for key, items in by_key:
                _sort(key, items, found.others, found.hidden, found.overwritten)
        else:
            point = found.points.setdefault(point_id, ListedPoint(point_id))
            _add(point, by_key, (known or {}).get(point_id))
    return found


def _first(item: tuple[str, ObjectVersion]) -> str:
    return item[0]


def _point_of(item: tuple[str, ObjectVersion]) -> str | None:
    match = _POINT.fullmatch(item[0])
    return match[1] if match else None


def _add(point: ListedPoint, by_key: list[tuple[str, list[ObjectVersion]]], known: str | None) -> None:
    visible: dict[str, ObjectVersion] = {}
    for key, items in by_key:
        _sort(key.split("/", 2)[2], items, visible, point.hidden, point.overwritten)
    point.proofs = [key[len("proofs/") :] for key in visible if key.startswith("proofs/")]
    point.rows = {key: item for key, item in visible.items() if not key.startswith(_GROWS)}
    manifest = point.rows.get("manifest.json")
    point.modified = manifest.modified if manifest else None
    point.digest = rows_digest(point.rows)
    if known == point.digest:  # nothing more will be asked of them
        point.rows = {}


def rows_digest(rows: t.Mapping[str, ObjectVersion]) -> str:
    """The sha256 of names, lengths, versions and times."""
    digest = hashlib.sha256()
    for key, item in rows.items():
        digest.update(f"{key} {item.length} {item.version_id} {format_time(item.modified)}\n".encode())
    return digest.hexdigest()


def _sort(
    key: str, items: list[ObjectVersion], visible: dict[str, ObjectVersion], hidden: list[str], overwritten: list[str]
) -> None:
    """Tell what is to be seen of one key, of which ``items`` are the versions, the newest first."""
    real = [item for item in items if not item.deleted]
    if not items[0].deleted:
        visible[key] = items[0]
    elif real:
        hidden.append(key)
    if len(real) > 1:
        overwritten.append(key)
