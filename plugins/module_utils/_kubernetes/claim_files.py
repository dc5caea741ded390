# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What claims hold, as part of a restore: which are filled, and what is remembered of it where a killed run's successor looks.

Objects are compared every time; files are not, since nobody can look at them without disturbing who uses them. So what is
begun is noted beside the environment's marker before the first object is changed, and what was put aside until it is released.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import marker, volumes
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import CREATE, Change
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

Entries = t.Sequence[t.Mapping[str, t.Any]]


def files_of(entries: Entries) -> set[str]:
    """The claims of which a recovery point has the files."""
    return {str(entry["claim"]) for entry in entries if entry.get("mode") == "files"}


class ClaimFiles:
    """The claims of one component in one namespace; ``namespace`` None for a component that has none of its own."""

    def __init__(self, cluster: Cluster, component: str, namespace: str | None, image: str) -> None:
        self._cluster = cluster
        self._component = component
        self._namespace = namespace or ""
        self._image = image
        self._begun = f"filling.{component}"
        self._kept = f"kept-files.{component}"

    def to_fill(self, entries: Entries, acting: t.Sequence[Change], everything: bool) -> tuple[set[str], set[str]]:
        """Names of the claims whose files are to be brought back, and of those among them that hold something live.

        :arg entries: of the recovery point. :arg acting: the changes of objects. :arg everything: also claims that are there
            already; otherwise those that are to be created, and those that a killed restore had begun with.
        """
        files = files_of(entries)
        if not files or not self._namespace:
            return set(), set()
        coming = {
            change.item.name.name
            for change in acting
            if change.action == CREATE and (change.kind.group, change.kind.kind) == ("", "PersistentVolumeClaim")
        }
        begun = self._noted(self._begun)
        wanted = files if everything else files & (coming | begun)
        return wanted, wanted - coming - begun

    def note(self, claims: t.Collection[str]) -> None:
        """Remember what is to be filled, in a namespace that is marked; nothing happens before there is one."""
        if claims and self._cluster.exists(f"/api/v1/namespaces/{quoted(self._namespace)}"):
            self._write(self._begun, claims)

    def provide(self, point: RecoveryPoint, entries: Entries) -> None:
        """Before claims are applied: those that come from a snapshot."""
        if self._namespace and entries:
            volumes.provide_claims(self._cluster, self._namespace, point.point_id, entries)

    def fill(
        self,
        point: RecoveryPoint,
        entries: Entries,
        claims: t.Collection[str],
        store: Store,
        identities: Identities,
        progress: Progress | None,
        check: t.Callable[[], None],
    ) -> list[dict[str, t.Any]]:
        """Before workloads are applied: the files of those claims. One entry a claim, as of :func:`volumes.fill_volumes`."""
        former = self._noted(self._kept)
        self._write(self._kept, former | set(claims))
        filled = volumes.fill_volumes(
            self._cluster,
            self._namespace,
            point,
            [entry for entry in entries if entry.get("claim") in claims],
            store,
            identities,
            progress or Progress(None),
            check,
            self._image,
        )
        kept = {str(each["claim"]) for each in filled if each["kept"]}
        # Of what a killed run had begun nobody knows whether it kept something; a release looks.
        self._write(self._kept, former | kept | self._noted(self._begun))
        self._write(self._begun, ())
        return filled

    def kept(self) -> list[str]:
        """The claims in which former restores may have put something aside."""
        return sorted(self._noted(self._kept)) if self._namespace else []

    def release(self) -> list[str]:
        """Remove what former restores put aside; the claims in which there was anything."""
        entries = [{"claim": claim, "mode": "files"} for claim in self.kept() if self._is_there(claim)]
        released = volumes.release_volumes(self._cluster, self._namespace, entries, self._image)
        self._write(self._kept, ())
        return released

    def _is_there(self, claim: str) -> bool:
        path = f"/api/v1/namespaces/{quoted(self._namespace)}/persistentvolumeclaims/{quoted(claim)}"
        return self._cluster.exists(path)

    def _noted(self, name: str) -> set[str]:
        try:
            found = json.loads(marker.read_note(self._cluster, self._namespace, name) or "[]")
        except ValueError:
            return set()  # somebody else's word
        return {claim for claim in found if isinstance(claim, str)} if isinstance(found, list) else set()

    def _write(self, name: str, claims: t.Collection[str]) -> None:
        if self._noted(name) != set(claims):
            text = json.dumps(sorted(claims)) if claims else None
            marker.write_note(self._cluster, self._namespace, name, text)
