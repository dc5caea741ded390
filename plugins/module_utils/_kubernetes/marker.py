# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which environment a namespace or a cluster belongs to, kept in a ConfigMap that backups skip and restores leave alone.

It lies in the namespace itself, and in ``kube-system`` for what belongs to no single one. Beside the name it holds the highest
lease epoch that has written there, per component, because a store cannot fence a cluster.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, LeaseLost, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import Conflict, NotFound

if t.TYPE_CHECKING:
    import datetime

    from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster

#: The ConfigMap's name; whatever has it is never content.
NAME = "sre-runbooks-environment"
#: Where the marker of cluster-scoped components lies.
CLUSTER_NAMESPACE = "kube-system"
_ENVIRONMENT = "environment"
_STAMPED = "stamped"
_FENCE = "fence."
_NOTE = "note."
_ATTEMPTS = 20


@dataclasses.dataclass(frozen=True)
class Marker:
    """The environment's name as the cluster knows it, empty where somebody removed it, and since when."""

    name: str
    stamped: datetime.datetime | None

    def described(self) -> str:
        """For messages."""
        if not self.name:
            return f"a ConfigMap {NAME} that names no environment"
        since = f", marked {_clock.format_time(self.stamped)}" if self.stamped else ""
        return f"environment {self.name}{since}"


def marker_namespace(namespace: str | None) -> str:
    """Where the marker of a component lies that has one namespace, or none, or several."""
    return namespace or CLUSTER_NAMESPACE


def marker_path(namespace: str) -> str:
    """The ConfigMap's place in the API."""
    return f"/api/v1/namespaces/{quoted(namespace)}/configmaps/{NAME}"


def read_marker(cluster: Cluster, namespace: str) -> Marker | None:
    """The marker of a namespace; None where there is none, or no such namespace."""
    return _marker(cluster.find(marker_path(namespace)))


def _marker(document: t.Mapping[str, t.Any] | None) -> Marker | None:
    if document is None:
        return None
    data = document.get("data") or {}
    try:
        stamped = _clock.parse_time(data[_STAMPED])
    except (KeyError, InvalidInput):
        stamped = None
    return Marker(str(data.get(_ENVIRONMENT, "")), stamped)


def stamp(cluster: Cluster, namespace: str, environment: str) -> None:
    """Write the marker; the caller has made sure that it may, and that the namespace is there."""

    def change(data: dict[str, str]) -> bool:
        if data.get(_ENVIRONMENT) == environment:
            return False
        data[_ENVIRONMENT] = environment
        data[_STAMPED] = _clock.format_time(_clock.now())
        return True

    _change(cluster, namespace, change)


def raise_fence(cluster: Cluster, namespace: str, component: str, epoch: int) -> None:
    """From now on nobody with an older lease acts on the component here.

    :raises LeaseLost: somebody with a newer lease has already been here.
    """

    def change(data: dict[str, str]) -> bool:
        held = data.get(_FENCE + component, "0")
        if held.isdigit() and int(held) > epoch:
            raise LeaseLost(
                "somebody with a newer lease has already changed the target; this run stops",
                component,
                expected=f"no epoch above {epoch} in the ConfigMap {NAME} of {namespace}",
                found=held,
                next_command="look at the other run's report, then: the same command",
            )
        data[_FENCE + component] = str(epoch)
        return held != str(epoch)

    _change(cluster, namespace, change)


def read_note(cluster: Cluster, namespace: str, name: str) -> str | None:
    """What :func:`write_note` wrote."""
    document = cluster.find(marker_path(namespace)) or {}
    found = (document.get("data") or {}).get(_NOTE + name)
    return None if found is None else str(found)


def write_note(cluster: Cluster, namespace: str, name: str, text: str | None) -> None:
    """Remember something beside the marker, where a killed run's successor finds it; None forgets it."""

    def change(data: dict[str, str]) -> bool:
        before = data.get(_NOTE + name)
        if text is None:
            data.pop(_NOTE + name, None)
        else:
            data[_NOTE + name] = text
        return before != text

    _change(cluster, namespace, change)


def require_namespace(cluster: Cluster, namespace: str) -> None:
    """Refuse to mark a namespace that is not there: a restore makes it, and marks it."""
    if not cluster.exists(f"/api/v1/namespaces/{quoted(namespace)}"):
        raise Refused(
            f"there is no namespace {namespace} at {cluster.place} to be marked",
            expected=f"the namespace {namespace}",
            found="none of that name",
            next_command="correct component_kubernetes_namespace; a namespace that a restore makes is marked by it",
        )


def refuse_other_environment(
    cluster: Cluster, namespace: str, environment: str, component: str | None = None
) -> Marker | None:
    """The marker; refuses that of another environment. None where there is none: whether that passes is the caller's."""
    marker = read_marker(cluster, namespace)
    if marker is not None and marker.name != environment:
        raise Refused(
            f"the namespace {namespace} of {cluster.place} belongs to another environment; nothing was touched",
            component,
            expected=f"environment {environment}",
            found=marker.described(),
            next_command="correct environment_name, component_kubernetes_context or component_kubernetes_namespace",
        )
    return marker


def refuse_unmarked(
    cluster: Cluster, namespace: str, environment: str, component: str, content: t.Sequence[str]
) -> None:
    """Refuse what holds content and no marker. ``content``: what is there, in words."""
    if not content:
        return
    more = f" and {len(content) - 3} more" if len(content) > 3 else ""
    raise Refused(
        f"the namespace {namespace} of {cluster.place} has content but no environment marker; nothing was touched",
        component,
        expected=f"the marker of environment {environment}, or nothing that would be overwritten",
        found=f"no marker, and {', '.join(content[:3])}{more}",
        next_command="once it is sure that this cluster is meant: ansible-playbook sre.runbooks.adopt_environment"
        f" --limit {component} -e adopt_confirm={environment}",
    )


def _change(cluster: Cluster, namespace: str, change: t.Callable[[dict[str, str]], bool]) -> None:
    """Read, change, write only as it was read; begin again when somebody was faster."""
    for attempt in range(_ATTEMPTS):
        document = cluster.find(marker_path(namespace))
        data = {str(key): str(value) for key, value in ((document or {}).get("data") or {}).items()}
        if not change(data):
            return
        body: dict[str, t.Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}
        try:
            if document is None:
                cluster.create(f"/api/v1/namespaces/{quoted(namespace)}/configmaps", body)
            else:
                body["metadata"] = {**document["metadata"], "managedFields": None}
                cluster.update(marker_path(namespace), body)
            return
        except (Conflict, NotFound):
            # A namespace that is not there stays so; a marker that came or went meanwhile is read again.
            if attempt == _ATTEMPTS - 1 or cluster.find(f"/api/v1/namespaces/{quoted(namespace)}") is None:
                raise
