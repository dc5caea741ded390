# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore has to do about volumes, found out and refused before anything is touched."""

from __future__ import annotations

import dataclasses
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_files import (
    holds_nothing,
    swapping,
    unlike,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import (
    mounted,
    place_of_user,
    refuse_users,
    users_of,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_snapshots import RESTORED_FROM
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volumes import fetch_listing
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

#: What becomes of a claim: filled, as it is gone or empty; its files replaced; as recorded; kept with what it holds; not
#: looked at.
NEW, FILLED, SAME, LEFT, UNSEEN = "new", "filled", "unchanged", "left", "unseen"
#: Which claims' contents are brought back: all, or only those that are gone or hold nothing.
ALL, MISSING = "all", "missing"


@dataclasses.dataclass(frozen=True)
class VolumeChange:
    """One claim of the recovery point. ``differences``: in words, of its files. ``overwrites``: it holds something else."""

    namespace: str
    entry: t.Mapping[str, t.Any]
    action: str
    differences: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    overwrites: bool = False

    @property
    def claim(self) -> str:
        return str(self.entry["claim"])

    @property
    def mode(self) -> str:
        return str(self.entry["mode"])

    @property
    def reads_archive(self) -> bool:
        return self.mode == "files" and self.action in (NEW, FILLED)

    @property
    def label(self) -> str:
        """For people: ``files of claim shop/uploads``."""
        return f"files of claim {self.namespace}/{self.claim}"

    def facts(self) -> dict[str, t.Any]:
        return {
            "claim": self.claim,
            "mode": self.mode,
            "action": self.action,
            "differences": list(self.differences),
            "used_by": list(self.used_by),
        }


class VolumePlanner:
    """Looks at the claims of one namespace for one recovery point.

    :arg wanted: ALL or MISSING. :arg make_pods: whether helper pods may be made for what no pod has; else it is UNSEEN.
    :arg image: of the helper pod.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        wanted: str,
        make_pods: bool,
        store: Store,
        identities: Identities,
        progress: Progress,
        image: str,
    ) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._wanted, self._make_pods = wanted, make_pods
        self._store, self._identities = store, identities
        self._progress, self._image = progress, image

    def plan(self, point: RecoveryPoint, entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[VolumeChange]:
        """One change for each claim whose content the point has.

        :raises EngineError: what a claim holds cannot be looked at.
        """
        taken = [entry for entry in entries if entry["mode"] in ("snapshot", "files")]
        if not taken:
            return []
        path = f"/api/v1/namespaces/{self._namespace}/persistentvolumeclaims"
        live = {str(item["metadata"]["name"]): item for item in self._cluster.get(path).get("items") or []}
        return [self._change(point, entry, live.get(str(entry["claim"]))) for entry in taken]

    def _change(
        self, point: RecoveryPoint, entry: t.Mapping[str, t.Any], claim: t.Mapping[str, t.Any] | None
    ) -> VolumeChange:
        name = str(entry["claim"])
        users = users_of(self._cluster, self._namespace, name) if entry["mode"] == "files" else []
        change = VolumeChange(
            self._namespace, entry, NEW, used_by=tuple(sorted(pod["metadata"]["name"] for pod in users))
        )
        # One that is being deleted is waited for, and made anew.
        if claim is None or claim["metadata"].get("deletionTimestamp"):
            return change
        if entry["mode"] == "snapshot":
            from_it = (claim["metadata"].get("annotations") or {}).get(RESTORED_FROM) == point.point_id
            return dataclasses.replace(change, action=SAME if from_it else LEFT)
        if (claim.get("status") or {}).get("phase") != "Bound":
            return change  # without a volume it holds nothing
        return self._compared(point, change)

    def _compared(self, point: RecoveryPoint, change: VolumeChange) -> VolumeChange:
        self._progress.step(f"comparing the {change.label}", change.entry.get("bytes"))
        if not self._make_pods and place_of_user(self._cluster, self._namespace, change.claim) is None:
            return dataclasses.replace(change, action=UNSEEN)
        with mounted(self._cluster, self._namespace, change.claim, self._image) as place:
            if swapping(place, change.claim):
                return dataclasses.replace(change, action=FILLED, differences=("a swap was begun and not ended",))
            empty = holds_nothing(place, change.claim)
            if self._wanted == MISSING and not empty:
                return dataclasses.replace(change, action=LEFT)
            with tempfile.TemporaryFile() as listing:
                fetch_listing(self._store, point, change.entry, self._identities, listing)
                words = tuple(unlike(place, change.claim, listing))
        action = SAME if not words else NEW if empty else FILLED
        return dataclasses.replace(change, action=action, differences=words, overwrites=action == FILLED)


def refuse_left(changes: t.Iterable[VolumeChange], component: str) -> None:
    """Raise :class:`Refused` for claims whose content cannot be brought back while they live."""
    left = [change for change in changes if change.action == LEFT]
    if left:
        first = left[0]
        raise Refused(
            "claims live that are recorded as snapshots; a snapshot only ever becomes a new claim, and nothing was touched",
            component,
            expected="no such claims, or that they may keep what they hold: restore_volumes=missing",
            found=", ".join(f"claim {change.namespace}/{change.claim}" for change in left),
            next_command="give up what the claim holds now, once nothing uses it"
            f" (kubectl delete pvc -n {first.namespace} {first.claim}), or let it be: "
            "the same command with -e restore_volumes=missing",
        )


def refuse_users_of(cluster: Cluster, changes: t.Iterable[VolumeChange]) -> None:
    """Raise :class:`Refused` while a pod has a claim whose files would be written."""
    for change in changes:
        if change.reads_archive:
            refuse_users(cluster, change.namespace, change.claim)
