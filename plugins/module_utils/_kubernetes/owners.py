# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owner references, which name their owners by uids that no other cluster and no later object has.

An object with a reference to an owner that is not there would be deleted by the garbage collector. So a reference gets
the uid of the owner that is live; is left out for the time being when the owner is still to come; and is dropped, which
is reported, when there is none.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Name
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Discovery, Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.fields import OWNERS, owners_of

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster


@dataclasses.dataclass
class Resolved:
    """``references``: as they are to be, with uids. ``pending``: references to owners still to come, without.

    ``dropped``: reasons, in words.
    """

    references: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    pending: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    dropped: list[str] = dataclasses.field(default_factory=list)

    def note(self, document: dict[str, t.Any]) -> None:
        """Have a recorded form name the owners that it will have, and no others."""
        _without_note(document)
        owners = [*self.references, *self.pending]
        if owners:
            plain = [{name: value for name, value in owner.items() if name != "uid"} for owner in owners]
            text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
            document["metadata"].setdefault("annotations", {})[OWNERS] = text

    def put(self, document: dict[str, t.Any]) -> None:
        """Make of a recorded form what can be applied: references in place of the note."""
        _without_note(document)
        if self.references:
            document["metadata"]["ownerReferences"] = self.references


def without_notes(content: dict[str, t.Any], live: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What of a live object is content, its owners as references and not as a note."""
    _without_note(content)
    references = live["metadata"].get("ownerReferences")
    if references:
        content["metadata"]["ownerReferences"] = references
    return content


def _without_note(document: dict[str, t.Any]) -> None:
    annotations = document["metadata"].get("annotations")
    if annotations and OWNERS in annotations:
        del annotations[OWNERS]
        if not annotations:
            del document["metadata"]["annotations"]


class Owners:
    """Finds owners by kind and name. Threads may share it.

    :arg coming: whether an object (group, kind, name) will be created by this restore.
    """

    def __init__(
        self, cluster: Cluster, discovery: Discovery, coming: t.Callable[[str, str, Name], bool] = lambda *_: False
    ) -> None:
        self._cluster = cluster
        self._discovery = discovery
        self._coming = coming
        self._lock = threading.Lock()
        self._uids: dict[tuple[str, str, Name], str] = {}

    def resolve(self, document: t.Mapping[str, t.Any], namespace: str) -> Resolved:
        """The owners of one recorded object in ``namespace``."""
        found = Resolved()
        for reference in owners_of(document):
            group, slash, _version = str(reference.get("apiVersion", "")).partition("/")
            group = group if slash else ""
            kind, name = str(reference.get("kind", "")), str(reference.get("name", ""))
            described = f"{kind} {name}"
            versions = self._discovery.served.get((group, kind)) or []
            if not versions:
                if self._coming(group, kind, Name(namespace, name)) or self._coming(group, kind, Name("", name)):
                    found.pending.append(dict(reference))
                else:
                    found.dropped.append(f"{described}: the cluster does not serve that kind")
                continue
            as_recorded = [version for version in versions if version.api_version == reference.get("apiVersion")]
            served = (as_recorded or versions)[0]
            place = Name(namespace if served.namespaced else "", name)
            uid = self._uid(served, place)
            if uid is not None:
                found.references.append({**reference, "apiVersion": served.api_version, "uid": uid})
            elif self._coming(group, kind, place):
                found.pending.append(dict(reference))
            else:
                found.dropped.append(f"{described}: there is no such owner")
        return found

    def _uid(self, kind: Kind, name: Name) -> str | None:
        key = (kind.group, kind.kind, name)
        with self._lock:
            if key in self._uids:
                return self._uids[key]
        document = self._cluster.find(kind.path(name.namespace or None, name.name))
        uid = None if document is None else str(document["metadata"]["uid"])
        if uid is not None:
            with self._lock:
                self._uids[key] = uid
        return uid

    def forget(self) -> None:
        """Objects were made anew: ask again."""
        with self._lock:
            self._uids.clear()
