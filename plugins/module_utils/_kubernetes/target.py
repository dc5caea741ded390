# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a restore goes: that it may, that it is the environment that is meant, and that nobody with a newer lease was there."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import marker
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.applying import HOLDS_DATA
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.claim_owners import (
    deletes_claims,
    owners_of_claims,
)
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.content import Item, Name, Recorded, recorded
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.plan import CREATE, Change, Extra, Plan
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.rename import renamed
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import Scope
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volume_planning import ALL, VolumeChange
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.volumes import HELPER_IMAGE
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import Choice, candidates
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import list_for
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.wanted import RestoreWanted

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

Content = dict[Kind, dict[Name, Item]]

REFUSE, SKIP, RECREATE = "refuse", "skip", "recreate"


@dataclasses.dataclass
class RestoreRequest(RestoreWanted):
    """What is wanted; durations in seconds. The names are those of the module's options.

    :ivar scope: of the component, as the inventory has it. :ivar target_namespace: None for the recorded one.
    :ivar conflicts: refuse, skip or recreate what cannot be changed. :ivar recipients: for what is overwritten.
    :ivar volumes: all, or missing for the content of claims that are gone or empty. :ivar check_mode_pods: whether check
        mode, too, makes helper pods to look into claims.
    """

    scope: Scope = dataclasses.field(default_factory=lambda: Scope("cluster"))
    before: datetime.datetime | None = None
    target_namespace: str | None = None
    conflicts: str = REFUSE
    prune: bool = False
    jobs: int = 8
    timeout: float = 120.0
    recipients: t.Sequence[str] = ()
    helper_image: str = HELPER_IMAGE
    volumes: str = ALL
    check_mode_pods: bool = False


class Target:
    """The questions that are asked before anything is changed."""

    def __init__(self, request: RestoreRequest, repository: Repository, cluster: Cluster) -> None:
        self._request = request
        self._repository = repository
        self._cluster = cluster
        self._component = request.component

    @property
    def namespace(self) -> str | None:
        """Where the objects go; None for several namespaces, or none."""
        return self._request.target_namespace or self._request.scope.namespace

    @property
    def beside(self) -> bool:
        """Whether they go to another place than they came from."""
        return self._request.target_namespace not in (None, self._request.scope.namespace)

    @property
    def marker_namespace(self) -> str:
        return marker.marker_namespace(self.namespace)

    def points(self) -> tuple[list[RecoveryPoint], list[Choice]]:
        """What to try in turn. A point by its id may also be one that an earlier restore kept."""
        request = self._request
        listing = list_for(self._repository, self._component, request.recovery_point)
        return candidates(listing, request.recovery_point, request.before, request.fallback_points)

    def require_same_scope(self, point: RecoveryPoint) -> Recorded:
        """The manifest's content; refuses a point of another namespace or selection than the inventory's."""
        found, scope = recorded(point), self._request.scope
        there = Scope(found.scope, found.namespace, found.selector)
        if there != scope:
            raise InvalidInput(
                f"recovery point {point.point_id} is of another scope",
                self._component,
                expected=scope.words,
                found=there.words,
                next_command="correct component_kubernetes_scope, component_kubernetes_namespace or"
                " component_kubernetes_selector; to restore into another namespace: restore_target_namespace",
            )
        return found

    def placed(self, content: Content) -> Content:
        """The content as it is to be at its target."""
        if not self.beside:
            return content
        old, new = str(self._request.scope.namespace), str(self._request.target_namespace)
        placed: Content = {}
        for kind, items in content.items():
            if kind.namespaced or kind.kind == "Namespace":
                placed[kind] = rewritten(items.values(), lambda document: renamed(document, old, new))
        return placed

    def refuse_other_environment(self) -> bool:
        """Whether the target is marked as this environment's; refuses another's mark."""
        found = marker.refuse_other_environment(
            self._cluster, self.marker_namespace, self._repository.environment, self._component
        )
        return found is not None

    def refuse_unmarked(
        self, acting: t.Sequence[Change], extras: t.Sequence[Extra], replaced: t.Sequence[VolumeChange] = ()
    ) -> None:
        """A target without a mark passes only when nothing live would be overwritten, and its namespace holds nothing else."""
        there = [change.item.label for change in acting if change.action != CREATE]
        there += [change.label for change in replaced]
        if self.namespace:
            there += [extra.label for extra in extras]
        marker.refuse_unmarked(
            self._cluster, self.marker_namespace, self._repository.environment, self._component, there
        )

    def mark(self, epoch: int) -> None:
        """The target is this environment's, and ours alone. Does nothing while its namespace is still to come."""
        namespace = self.marker_namespace
        if not self._cluster.exists(f"/api/v1/namespaces/{quoted(namespace)}"):
            return
        marker.stamp(self._cluster, namespace, self._repository.environment)
        marker.raise_fence(self._cluster, namespace, self._component, epoch)

    def ensure_namespace(self) -> None:
        """For points without the namespace's own object."""
        namespace = self.namespace
        if namespace and not self._cluster.exists(f"/api/v1/namespaces/{quoted(namespace)}"):
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            self._cluster.create("/api/v1/namespaces", body)

    # -- what may be done --------------------------------------------------------------------------------------------

    def destroyed_with(self, kind: Kind, live: bytes) -> str | None:
        """What deleting a live object, given as JSON, would destroy beyond it, in words."""
        kept = HOLDS_DATA.get((kind.group, kind.kind))
        if kept is not None:
            return kept
        document = json.loads(live)
        goes_along = deletes_claims(document) or (document.get("metadata") or {}).get("uid") in self._owners_of_claims
        return "the claims that go with it, with their data" if goes_along else None

    @functools.cached_property
    def _owners_of_claims(self) -> set[str]:
        return owners_of_claims(self._cluster, self.namespace)

    def refuse_what_cannot_be(self, plan: Plan) -> None:
        """Kinds that are not served, and fields that cannot be changed, unless it was said what to do with them."""
        if plan.unserved and self._request.conflicts != SKIP:
            raise Refused(
                "the cluster does not serve everything that was recorded; nothing was touched",
                self._component,
                expected="every recorded kind",
                found="; ".join(plan.unserved),
                next_command="install what defines them, or leave them out: the same command"
                " with -e restore_conflicts=skip",
            )
        conflicts = [change for change in plan.touches_live if change.conflicts]
        if conflicts and self._request.conflicts == REFUSE and not self._request.only_missing:
            raise self._conflicting(
                conflicts, "the same command with -e restore_conflicts=skip, or -e restore_conflicts=recreate"
            )
        if self._request.conflicts != RECREATE:
            return
        kept = {change.item.label: self.destroyed_with(change.kind, change.live or b"{}") for change in conflicts}
        lasting = [change for change in conflicts if kept[change.item.label]]
        if lasting:
            raise self._conflicting(
                lasting,
                f"deleting it would destroy {kept[lasting[0].item.label]};"
                " the same command with -e restore_conflicts=skip",
            )

    def _conflicting(self, conflicts: t.Sequence[Change], next_command: str) -> Refused:
        named = [
            f"{change.item.label}: " + ", ".join(f"{each.path} ({each.message})" for each in change.conflicts[:3])
            for change in conflicts[:5]
        ]
        more = f"; and {len(conflicts) - 5} more objects" if len(conflicts) > 5 else ""
        return Refused(
            f"{len(conflicts)} objects cannot be changed to what was recorded; nothing was touched",
            self._component,
            expected="fields that the server lets be changed",
            found="; ".join(named) + more,
            next_command=next_command,
        )

    def require_confirm(
        self, touched: t.Sequence[Change], pruned: t.Sequence[Extra], replaced: t.Sequence[VolumeChange] = ()
    ) -> None:
        """What is live, files in claims too, is only overwritten or deleted for who names the component."""
        if not (touched or pruned or replaced) or self._request.confirm == self._component:
            return
        labels = [change.item.label for change in touched] + [f"{extra.label} (deleted)" for extra in pruned]
        labels += [change.label for change in replaced]
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        raise Refused(
            f"{len(labels)} live objects would be overwritten",
            self._component,
            expected=f"restore_confirm={self._component}",
            found=f"{self._request.confirm or 'nothing'}; live: {', '.join(labels[:3])}{more}",
            next_command=f"the same command with --limit {self._component} -e restore_confirm={self._component}",
        )


def rewritten(items: t.Iterable[Item], change: t.Callable[[dict[str, t.Any]], dict[str, t.Any]]) -> dict[Name, Item]:
    """The items with another form of their objects, under the names that these have."""
    found = {}
    for item in items:
        document = change(item.document())
        name = Name(document["metadata"].get("namespace") or "", document["metadata"]["name"])
        found[name] = Item.of(item.kind, name, document)
    return found
