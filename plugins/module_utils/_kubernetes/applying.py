# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan carried out: class after class in their order, the objects of one class side by side.

Objects are applied with server-side apply under our field manager. Where a live object has fields that the point does not
have, which apply would leave, it is then replaced as it was read. What a webhook rejects that itself is only to come back
is tried again at the end.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import threading
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import order, waiting
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Conflict, Invalid
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import CHANGE, CREATE, Change, Extra
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.retries import Patience
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.webhooks import explain_webhook

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.planning import Planner
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress

#: Passing failures are met once more at the end, so that a webhook that is down does not hold up every object.
_HASTY = Patience(retry_s=0.5)
_PAUSE_S = 0.5
_ATTEMPTS = 5
#: What deleting an object would destroy beyond the object itself, so that nothing here deletes one.
HOLDS_DATA = {
    ("", "Namespace"): "everything in it",
    ("", "PersistentVolume"): "its data",
    ("", "PersistentVolumeClaim"): "its data",
    ("apiextensions.k8s.io", "CustomResourceDefinition"): "every object of its kind",
}


@dataclasses.dataclass
class Hooks:
    """``check``: called often; raises when the work must stop. ``before``, ``after``: called with a class's name."""

    check: t.Callable[[], None] = lambda: None
    before: t.Callable[[str], None] = lambda name: None
    after: t.Callable[[str], None] = lambda name: None


class Applier:
    """Carries a plan out.

    :arg planner: knows what each object is to be. :arg force: take fields that others manage.
    :arg timeout_s: for all waiting of one kind: definitions, namespaces, webhooks.
    """

    def __init__(
        self,
        cluster: Cluster,
        planner: Planner,
        force: bool,
        jobs: int,
        timeout_s: float,
        hooks: Hooks,
        progress: Progress | None = None,
    ) -> None:
        self._cluster = cluster
        self._hasty = Cluster(cluster.access, _HASTY)
        self._planner = planner
        self._force = force
        self._jobs = jobs
        self._timeout_s = timeout_s
        self._hooks = hooks
        self._progress = progress
        self._lock = threading.Lock()
        self._later: list[tuple[Change, ApiFailure]] = []

    def apply(self, changes: t.Sequence[Change]) -> None:
        """Make every change. Killed or failed at any moment, a new plan names exactly what is left.

        :raises EngineError: an object could not be applied; the first one, with how many more there are.
        """
        if self._progress is not None:
            self._progress.step("applying objects", len(changes))
        by_rank: dict[int, list[Change]] = {}
        for change in changes:
            by_rank.setdefault(order.rank(change.kind.group, change.kind.kind), []).append(change)
        for rank, name in enumerate(order.CLASS_NAMES):
            self._hooks.check()
            self._hooks.before(name)
            if rank in by_rank:
                self._side_by_side(by_rank[rank])
                self._settle(name, by_rank[rank])
            self._hooks.after(name)
        self._again()

    def _side_by_side(self, changes: t.Sequence[Change]) -> None:
        failed: list[tuple[Change, ApiFailure]] = []
        waiting_changes, stopped = iter(changes), threading.Event()

        def work() -> None:
            try:
                # One failure ends the class: what follows would most likely fail alike, ten thousand times.
                while not failed and not stopped.is_set():
                    with self._lock:
                        change = next(waiting_changes, None)
                    if change is None:
                        return
                    act(change)
            except BaseException:
                stopped.set()
                raise

        def act(change: Change) -> None:
            self._hooks.check()
            try:
                self._apply_one(change)
            except ApiFailure as error:
                with self._lock:
                    (self._later if is_for_later(error) else failed).append((change, error))
            if self._progress is not None:
                self._progress.add(1)

        with concurrent.futures.ThreadPoolExecutor(self._jobs, "apply") as pool:
            # A future each would take more memory than the change.
            for future in [pool.submit(work) for _ in range(min(self._jobs, len(changes)))]:
                future.result()
        if failed:
            raise self._failure(failed)

    def _settle(self, name: str, changes: t.Sequence[Change]) -> None:
        if name == "definitions":
            waiting.await_definitions(
                self._cluster, [change.path for change in changes], self._timeout_s, self._progress
            )
        elif name == "namespaces":
            waiting.await_namespaces(
                self._cluster, [change.path for change in changes], self._timeout_s, self._progress
            )

    def _again(self) -> None:
        """What was to wait for others: as often as needed, as long as there is patience."""
        deadline = time.monotonic() + self._timeout_s
        while self._later:
            if self._progress is not None:
                self._progress.step(f"waiting to apply {self._later[0][0].item.label}", len(self._later))
            self._hooks.check()
            waited, self._later = self._later, []
            waited.sort(key=lambda pair: order.rank(pair[0].kind.group, pair[0].kind.kind))
            self._side_by_side([change for change, _error in waited])
            if self._later and time.monotonic() > deadline:
                raise self._failure(self._later)
            if self._later:
                time.sleep(_PAUSE_S)

    def _failure(self, failed: t.Sequence[tuple[Change, ApiFailure]]) -> EngineError:
        change, error = failed[0]
        more = f" (and {len(failed) - 1} more objects)" if len(failed) > 1 else ""
        explained = explain_webhook(self._cluster, error)
        return EngineError(
            f"{change.item.label} could not be applied{more}",
            expected=explained[0]
            if explained
            else error.expected or "that the server takes the object as it was recorded",
            found=explained[1] if explained else error.api_message or error.found or error.message,
            next_command=explained[2] if explained else error.next_command,
        )

    # -- one object --------------------------------------------------------------------------------------------------

    def _apply_one(self, change: Change) -> None:
        item, kind, path = change.item, change.kind, change.path
        live = json.loads(change.live) if change.live else None
        desired = self._planner.desired(item, kind, live)
        if change.action == CREATE:
            self._patiently(lambda cluster: cluster.apply(path, desired, force=self._force))
            return
        if change.action != CHANGE:
            self._recreate(change, desired)
            return
        result: dict[str, t.Any] | None
        try:
            result = self._patiently(lambda cluster: cluster.apply(path, desired, force=True))
        except Invalid:
            # Merged with what others have set it may be no valid object, although by itself it is.
            result = None
        except ApiFailure as error:
            if not _too_large(error):
                raise
            result = None
        if result is None or self._planner.differences(item, kind, result):
            self._replace(change, result)

    def _replace(self, change: Change, live: dict[str, t.Any] | None) -> None:
        for attempt in range(_ATTEMPTS):
            body = self._planner.replacement(change.item, change.kind, live or self._cluster.get(change.path))
            if attempt:
                # Nothing about who manages what is worth an object that cannot be stored.
                body["metadata"]["managedFields"] = [{}]
            try:
                self._patiently(lambda cluster, body=body: cluster.update(change.path, body))  # type: ignore[misc]
                return
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
            except ApiFailure as error:
                if attempt or not _too_large(error):
                    raise
            live = None

    def _recreate(self, change: Change, desired: dict[str, t.Any]) -> None:
        live = json.loads(change.live or b"{}")
        uid = (live.get("metadata") or {}).get("uid")
        waiting.delete_and_wait(self._cluster, change.path, uid, self._timeout_s, self._progress)
        self._patiently(lambda cluster: cluster.apply(change.path, desired, force=True))

    def _patiently(self, request: t.Callable[[Cluster], dict[str, t.Any]]) -> dict[str, t.Any]:
        try:
            return request(self._hasty)
        except ApiFailure as error:
            if error.status not in (0, 429, 500, 502, 503, 504) or is_for_later(error) or _too_large(error):
                raise
        return request(self._cluster)

    def await_gone(self, changes: t.Sequence[Change]) -> None:
        """Until objects of these names that are being deleted are gone: they could not be changed any more."""
        for change in changes:
            if change.terminating is not None:
                waiting.await_gone(self._cluster, change.path, change.terminating, self._timeout_s, self._progress)

    def prune(self, extras: t.Sequence[Extra]) -> None:
        """Delete live objects that the point does not have."""
        if self._progress is not None:
            self._progress.step("deleting objects", len(extras))
        ordered = sorted(extras, key=lambda extra: order.rank(extra.kind.group, extra.kind.kind), reverse=True)
        for extra in ordered:
            self._hooks.check()
            path = extra.kind.path(extra.name.namespace or None, extra.name.name)
            waiting.delete_and_wait(self._cluster, path, extra.uid, self._timeout_s, self._progress)


def is_for_later(error: ApiFailure) -> bool:
    """Whether the failure may pass once other objects are back: webhooks, conversions, aggregated APIs, accounts."""
    said = error.api_message
    return (
        "failed calling webhook" in said
        or "conversion webhook for" in said
        or "error looking up service account" in said
        or (error.status == 404 and "could not find the requested resource" in said)
    )


def _too_large(error: ApiFailure) -> bool:
    return error.status == 413 or "request is too large" in error.api_message
