# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which part of a cluster is a component: a namespace, what carries certain labels, or what belongs to no namespace."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster, quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Forbidden

SCOPES = ("namespace", "selection", "cluster")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INVENTORY = "correct component_kubernetes_scope, component_kubernetes_namespace and component_kubernetes_selector"


@dataclass(frozen=True)
class Scope:
    """``kind``: of :data:`SCOPES`. ``selector``: of labels, as kubectl takes it."""

    kind: str
    namespace: str | None = None
    selector: str | None = None

    @property
    def words(self) -> str:
        """For messages."""
        where = f"namespace {self.namespace}" if self.namespace else "all namespaces"
        if self.kind == "selection":
            return f"what carries {self.selector} in {where}"
        return where if self.kind == "namespace" else "what belongs to no namespace"

    def holds(self, kind: Kind) -> bool:
        """Whether objects of that kind can be in it; the namespace's own object is read apart."""
        if self.kind == "cluster":
            return not kind.namespaced
        return kind.namespaced or (self.kind == "selection" and not self.namespace)

    def facts(self) -> dict[str, t.Any]:
        return {"scope": self.kind, "namespace": self.namespace, "selector": self.selector}


def scope_from(kind: str, namespace: str | None, selector: str | None) -> Scope:
    """The scope of those options. Raises :class:`InvalidInput` where they contradict each other."""
    namespace, selector = namespace or None, (selector or "").strip() or None
    if namespace and not _NAME.fullmatch(namespace):
        raise _wrong("a namespace's name: at most 63 of a-z, 0-9 and -", repr(namespace[:100]))
    if kind == "namespace" and not namespace:
        raise _wrong("the namespace that makes the component", "scope namespace, and none given")
    if kind != "selection" and selector:
        raise _wrong(f"no selector with scope {kind}", repr(selector[:100]))
    if kind == "selection" and not selector:
        raise _wrong("a selector of labels, such as app=shop", "scope selection, and none given")
    if kind == "cluster" and namespace:
        raise _wrong("no namespace with scope cluster", repr(namespace))
    return Scope(kind, namespace, selector)


def _wrong(expected: str, found: str) -> InvalidInput:
    return InvalidInput("the component's scope is not usable", expected=expected, found=found, next_command=_INVENTORY)


def nothing_there(scope: Scope) -> Refused:
    """The refusal of a recovery point that would hold no object: whoever mistypes labels would have backups of nothing."""
    return Refused(
        f"there is nothing to back up: no object is content of {scope.words}",
        expected="one at least",
        found="none, or only what controllers make",
        next_command=_INVENTORY,
    )


class Home:
    """The namespace of a component: that it is there and stays there while it is read."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self.obj = self._standing()
        self._uid = self.obj["metadata"].get("uid")

    def _standing(self) -> dict[str, t.Any]:
        try:
            found = self._cluster.find(f"/api/v1/namespaces/{quoted(self._namespace)}")
        except Forbidden as error:
            raise Refused(
                f"there is no namespace {self._namespace}, or this identity may not see it",
                expected=f"the namespace at {self._cluster.place}, and rights in it",
                found=error.api_message or error.reason,
                next_command="correct component_kubernetes_namespace, or let the identities work there:"
                f" kubectl apply --namespace {self._namespace} -f extensions/kubernetes/rbac-namespace.yml",
            ) from None
        if found is None:
            raise Refused(
                f"there is no namespace {self._namespace}",
                expected=f"the namespace at {self._cluster.place}",
                found="none of that name",
                next_command="correct component_kubernetes_namespace, or bring it back:"
                " ansible-playbook sre.runbooks.restore_components",
            )
        found.setdefault("apiVersion", "v1")
        found.setdefault("kind", "Namespace")
        if found["metadata"].get("deletionTimestamp") or (found.get("status") or {}).get("phase") == "Terminating":
            raise Refused(
                f"namespace {self._namespace} is being deleted",
                expected="a namespace that stays: of this one, some objects are gone already",
                found=_what_holds_it(found),
                next_command=f"see what it waits for: kubectl get namespace {self._namespace} --output yaml",
            )
        return found

    def refuse_change(self) -> None:
        """Raise :class:`EngineError` unless it is still the same, so that what was read is all that there was."""
        try:
            now = self._standing()
        except Refused as error:
            raise EngineError(
                f"namespace {self._namespace} went while it was read",
                expected="one that stays until all of it is taken",
                found=error.message,
                next_command=error.next_command,
            ) from None
        if now["metadata"].get("uid") != self._uid:
            raise EngineError(
                f"namespace {self._namespace} was made anew while it was read",
                expected=f"uid {self._uid}",
                found=f"uid {now['metadata'].get('uid')}",
                next_command="the same command",
            )


def _what_holds_it(namespace: t.Mapping[str, t.Any]) -> str:
    conditions = (namespace.get("status") or {}).get("conditions") or []
    reasons = [
        str(entry.get("message")) for entry in conditions if entry.get("status") == "True" and entry.get("message")
    ]
    return "; ".join(reasons)[:500] or "phase Terminating"
