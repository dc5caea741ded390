# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A claim's size: raised where its class allows that, waited for until the file system has it, never lowered."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden, NotFound
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.quantity import parse_quantity
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_pod import users_of
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

_AT_WORK = ("Resizing", "FileSystemResizePending")
_FAILED = ("ControllerResizeError", "NodeResizeError")
_INFEASIBLE = "Infeasible"


@dataclasses.dataclass(frozen=True)
class Size:
    """A claim's, as quantities; ``capacity`` is what it has, ``request`` what it asks for.

    ``pending``: the volume has grown, and its file system grows when a pod next has it.
    """

    claim: str
    request: str
    capacity: str
    pending: bool = False

    def facts(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


class Expansion:
    """One claim that is to have at least ``size``.

    :raises InvalidInput: no quantity of bytes, or there is no such claim.
    """

    def __init__(self, cluster: Cluster, namespace: str, claim: str, size: str) -> None:
        self._cluster = cluster
        self._name = f"{namespace}/{claim}"
        self._namespace, self._claim, self._size = namespace, claim, size
        self._path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"
        try:
            self._wanted = parse_quantity(size)
        except ValueError as error:
            raise InvalidInput("not a size", expected="a quantity such as 20Gi", found=str(error)) from None
        self._look()
        self.before = self._described()

    @property
    def needed(self) -> bool:
        """Whether the claim asks for another size than it should, so that something is to be written."""
        return parse_quantity(self.before.request) != self._wanted

    def require_possible(self) -> None:
        """Raise :class:`Refused` for what would shrink, and for what its class or its state does not allow."""
        if not self.needed:
            return
        if self._wanted < parse_quantity(self.before.capacity):
            raise Refused(
                f"claim {self._name} is larger than that; a volume never shrinks",
                expected=f"at least {self.before.capacity}, which it has",
                found=self._size,
                next_command="name a larger size; for a smaller volume, restore the claim's files into a new claim",
            )
        phase = (self._item.get("status") or {}).get("phase")
        if phase != "Bound":
            raise Refused(
                f"claim {self._name} has no volume to expand",
                expected="a claim that is Bound",
                found=str(phase or "no phase"),
                next_command=f"kubectl describe pvc -n {self._namespace} {self._claim}",
            )
        self._require_expandable()

    def _require_expandable(self) -> None:
        name = self._item["spec"].get("storageClassName")
        try:
            item = self._cluster.find(f"/apis/storage.k8s.io/v1/storageclasses/{name}") if name else None
        except Forbidden:
            return  # who may change the claim need not see classes; the API server refuses then
        if item is None or not item.get("allowVolumeExpansion"):
            raise Refused(
                f"the storage class of claim {self._name} does not let volumes grow",
                expected="allowVolumeExpansion: true",
                found=f"class {name} without it" if item else f"no class {name!r}",
                next_command="if its driver can, allow it: kubectl patch storageclass "
                f"{name} -p '{{\"allowVolumeExpansion\": true}}'",
            )

    def ask(self) -> None:
        """Ask for the size. The API server refuses what a quota does not allow."""
        self._item = self._cluster.patch(self._path, {"spec": {"resources": {"requests": {"storage": self._size}}}})

    def wait(self, timeout_s: float, progress: Progress) -> Size:
        """Wait until the claim has the size, and its file system too if a pod has the claim; what it is then.

        :raises EngineError: the driver or the node failed, or the time is up; asking again goes on waiting.
        """
        deadline = time.monotonic() + timeout_s
        shown = ""
        while True:
            self._look()
            state = self._described()
            if parse_quantity(state.capacity) >= self._wanted and not self._conditions(_AT_WORK):
                return state
            if state.pending and not users_of(self._cluster, self._namespace, self._claim):
                return state
            words = self._words()
            failed = self._failure()
            if failed or time.monotonic() > deadline:
                raise EngineError(
                    f"claim {self._name} did not become {self._size} large",
                    expected=f"capacity {self._size} within {timeout_s:.0f} s",
                    found=f"capacity {state.capacity}: {failed or words}",
                    next_command=f"kubectl describe pvc -n {self._namespace} {self._claim}",
                )
            if words != shown:
                shown = words
                progress.step(f"claim {self._name}: {words}")
            time.sleep(0.5)

    def predicted(self) -> Size:
        """As :meth:`wait` would return it."""
        capacity = self._size if self.needed else self.before.capacity
        return dataclasses.replace(self.before, request=self._size, capacity=capacity)

    def _look(self) -> None:
        try:
            self._item = self._cluster.get(self._path)
        except NotFound:
            raise InvalidInput(
                "there is no such claim",
                expected=f"a PersistentVolumeClaim {self._name}",
                found="none",
                next_command=f"kubectl get pvc -n {self._namespace}",
            ) from None

    def _described(self) -> Size:
        status = self._item.get("status") or {}
        request = (self._item["spec"].get("resources") or {}).get("requests") or {}
        capacity = (status.get("capacity") or {}).get("storage") or "0"
        pending = bool(self._conditions(("FileSystemResizePending",)))
        return Size(self._claim, str(request.get("storage") or "0"), str(capacity), pending)

    def _conditions(self, kinds: t.Container[str]) -> list[dict[str, t.Any]]:
        found = (self._item.get("status") or {}).get("conditions") or []
        return [entry for entry in found if entry.get("type") in kinds and entry.get("status") == "True"]

    def _failure(self) -> str:
        for entry in self._conditions(_FAILED):
            return f"{entry['type']}: {entry.get('message') or 'no message'}"[:400]
        state = ((self._item.get("status") or {}).get("allocatedResourceStatuses") or {}).get("storage") or ""
        return str(state) if str(state).endswith(_INFEASIBLE) else ""

    def _words(self) -> str:
        entries = self._conditions(_AT_WORK)
        if not entries:
            return "waiting for the driver"
        return "; ".join(f"{entry['type']} {entry.get('message') or ''}".strip()[:200] for entry in entries)
