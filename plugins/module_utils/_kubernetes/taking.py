# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kind's objects into a recovery point: what was meant as a JSON stream that kubectl applies, the rest for the record."""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.fields import canonical, desired, recorded
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.helm import Releases
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.listing import Listing, read_consistently
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.ownership import is_marker, left_to
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.side_stream import SideStream
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.chunks import Reading, Source
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding, store_stream
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import StoredObject

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import Scope
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter

_CHUNK = 1 << 18


@dataclass
class Taken:
    """One kind in a point. ``began``: the API server's clock at its list. ``owned``: left to controllers, and recorded."""

    kind: Kind
    began: datetime.datetime
    resource_version: str | None
    count: int
    owned: int
    stored: StoredObject | None
    owned_stored: StoredObject | None

    def facts(self) -> dict[str, t.Any]:
        """Its entry in the manifest. ``sha256``: of the canonical objects, one a line, in the server's order."""
        return {
            "group": self.kind.group,
            "version": self.kind.version,
            "resource": self.kind.resource,
            "kind": self.kind.kind,
            "namespaced": self.kind.namespaced,
            "resource_version": self.resource_version,
            "listed": _clock.format_time(self.began),
            "count": self.count,
            "sha256": None if self.stored is None else self.stored.raw_sha256,
            "object": None if self.stored is None else self.stored.name,
            "owned": self.owned,
            "owned_object": None if self.owned_stored is None else self.owned_stored.name,
        }


class Taking:
    """Takes kinds of one scope into one point; several threads may."""

    def __init__(
        self,
        cluster: Cluster,
        scope: Scope,
        writer: PointWriter,
        encoding: Encoding,
        progress: Progress,
        check: t.Callable[[], None],
    ) -> None:
        self._cluster, self._scope = cluster, scope
        self._writer, self._encoding = writer, encoding
        self._progress, self._check = progress, check
        #: Helm's, among all that was taken.
        self.releases = Releases()

    def take(self, kind: Kind) -> Taken:
        """All objects of the kind, at one moment."""
        taken = read_consistently(
            self._cluster, kind, self._scope.namespace, self._scope.selector, lambda listing: self._pass(kind, listing)
        )
        self._note(taken)
        return taken

    def take_one(self, kind: Kind, obj: dict[str, t.Any]) -> Taken:
        """A single object that was read by itself, as content whoever made it."""
        self._check()
        stored = self._store(kind, "", Reading(iter([canonical(desired(obj))])))
        version = str(obj["metadata"].get("resourceVersion") or "")
        taken = Taken(kind, self._cluster.now(), version, 1, 0, stored, None)
        self._note(taken)
        return taken

    def _note(self, taken: Taken) -> None:
        for stored in (taken.stored, taken.owned_stored):
            if stored is not None:
                self._writer.add(stored)

    def _pass(self, kind: Kind, listing: Listing) -> Taken:
        counts = {"objects": 0, "left": 0}
        with SideStream(lambda source: self._store(kind, "left/", source)) as aside:
            chunks = self._chunks(kind, listing, aside, counts)
            first = next(chunks, None)
            stored = None
            if first is not None:
                stored = self._store(kind, "", Reading(itertools.chain([first], chunks)))
            owned = aside.finish()
        return Taken(
            kind,
            listing.began or self._cluster.now(),
            listing.resource_version,
            counts["objects"],
            counts["left"],
            stored,
            owned,
        )

    def _chunks(self, kind: Kind, listing: Listing, aside: SideStream, counts: dict[str, int]) -> t.Iterator[bytes]:
        content, left = bytearray(), bytearray()
        for obj in listing:
            self._check()
            if is_marker(obj):
                continue
            if kind.kind == "Secret" and not kind.group and not self._encoding.recipients:
                raise secrets_refused()
            if left_to(obj) is None:
                counts["objects"] += 1
                self.releases.note(obj)
                content += canonical(desired(obj))
                if len(content) >= _CHUNK:
                    yield bytes(content)
                    content.clear()
            else:
                counts["left"] += 1
                left += canonical(recorded(obj))
                if len(left) >= _CHUNK:
                    aside.put(bytes(left))
                    left.clear()
        if left:
            aside.put(bytes(left))
        if content:
            yield bytes(content)

    def _store(self, kind: Kind, folder: str, source: Source) -> StoredObject:
        name = f"{folder}{kind.group or 'core'}/{kind.version}/{kind.resource}.jsonl{self._encoding.suffix}"
        key = self._writer.object_key(name)
        return store_stream(self._writer.repository.store, key, name, source, self._encoding, self._progress)


def secrets_refused() -> Refused:
    return Refused(
        "there are Secrets, and the recovery point would not be encrypted",
        expected="age recipients, so that nobody who reads the repository reads the Secrets",
        found="encryption_recipients is empty",
        next_command="set repository_encryption_recipients, or leave Secrets out by component_kubernetes_secrets: exclude",
    )
