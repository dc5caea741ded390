# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an API server serves: every kind once, in the version that its group prefers, and what can be no content of ours."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import JSON, Cluster, quoted
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure

_AGGREGATED = ",".join(
    [f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")] + [JSON]
)
#: Served under two names from one place: the second is the first once more.
_TWINS = {("events.k8s.io", "events"): "events"}
#: With none of these an object can't be brought back: it is computed, or belongs to another server.
_WRITING = frozenset(("create", "update", "patch"))


@dataclass(frozen=True)
class Kind:
    """One kind in one version. ``resource``: its plural, as in paths. ``group``: empty for the core."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def label(self) -> str:
        """As kubectl takes it: ``deployments.apps``, ``secrets``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Of an object, or without ``name`` of the collection; without ``namespace`` of all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"/namespaces/{quoted(namespace)}" if namespace and self.namespaced else ""
        return f"{root}{inside}/{self.resource}" + (f"/{quoted(name)}" if name else "")


@dataclass(frozen=True)
class Skipped:
    """A kind that is served and not taken. ``excluded``: somebody wanted it so, although it is content."""

    label: str
    reason: str
    excluded: bool = False


@dataclass
class Discovery:
    """``kinds``: what can be listed and written, in a stable order. ``skipped``: what can't, and why.

    ``served``: (group, kind) → each version, the preferred one first. ``unavailable``: group/version → why its kinds are
    not known, such as an API service that does not answer.
    """

    kinds: list[Kind] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    served: dict[tuple[str, str], list[Kind]] = field(default_factory=dict)
    unavailable: dict[str, str] = field(default_factory=dict)

    def find(self, label: str) -> Kind | None:
        """The kind that kubectl calls so."""
        return next((kind for kind in self.kinds if kind.label == label), None)


def discover(cluster: Cluster) -> Discovery:
    """Ask the server what it serves. Raises :class:`ApiFailure`; what only some groups fail at is ``unavailable``."""
    found = Discovery()
    for root in ("/api", "/apis"):
        document = cluster.request("GET", root, accept=_AGGREGATED).document()
        if not isinstance(document, dict):
            raise _no_discovery(cluster, root)
        if document.get("kind") == "APIGroupDiscoveryList":
            for item in _mappings(document.get("items")):
                _aggregated_group(found, item)
        else:
            for group, versions in _legacy_groups(document):
                for version in versions:
                    _legacy_version(cluster, found, root, group, version)
    _sort_out(found)
    return found


def _aggregated_group(found: Discovery, item: dict[str, t.Any]) -> None:
    group = str((item.get("metadata") or {}).get("name") or "")
    for served in _mappings(item.get("versions")):
        version = str(served.get("version"))
        if served.get("freshness") == "Stale":
            found.unavailable[f"{group}/{version}"] = "the server behind this API service does not answer"
        for resource in _mappings(served.get("resources")):
            if not resource.get("resource"):
                continue
            response = resource.get("responseKind") or {}
            _note(
                found,
                Kind(
                    group,
                    version,
                    str(resource["resource"]),
                    str(response.get("kind") or ""),
                    resource.get("scope") == "Namespaced",
                    frozenset(str(verb) for verb in resource.get("verbs") or []),
                ),
            )


def _legacy_groups(document: dict[str, t.Any]) -> t.Iterator[tuple[str, list[str]]]:
    """Group → its versions, the preferred one first, of a server that does not aggregate."""
    if document.get("kind") == "APIVersions":
        yield "", [str(version) for version in document.get("versions") or []]
    for group in _mappings(document.get("groups")):
        versions = [str(entry.get("version")) for entry in _mappings(group.get("versions"))]
        preferred = str((group.get("preferredVersion") or {}).get("version") or "")
        yield str(group.get("name")), sorted(versions, key=lambda version: version != preferred)


def _legacy_version(cluster: Cluster, found: Discovery, root: str, group: str, version: str) -> None:
    path = f"{root}/{group}/{version}" if group else f"{root}/{version}"
    try:
        document = cluster.get(path)
    except ApiFailure as error:
        if error.status in (0, 401, 403):
            raise
        found.unavailable[f"{group}/{version}"] = error.found or str(error)
        return
    for resource in _mappings(document.get("resources")):
        name = str(resource.get("name") or "")
        if name and "/" not in name:  # with one, a subresource
            verbs = frozenset(str(verb) for verb in resource.get("verbs") or [])
            _note(
                found,
                Kind(group, version, name, str(resource.get("kind") or ""), bool(resource.get("namespaced")), verbs),
            )


def _note(found: Discovery, kind: Kind) -> None:
    found.served.setdefault((kind.group, kind.kind), []).append(kind)


def _sort_out(found: Discovery) -> None:
    """Each resource once, in the first version that has it: a group's older version may be the only one of a kind."""
    first: dict[tuple[str, str], Kind] = {}
    for versions in found.served.values():
        for kind in versions:
            first.setdefault((kind.group, kind.resource), kind)
    for (group, resource), kind in sorted(first.items()):
        if (group, resource) in _TWINS:
            found.skipped.append(Skipped(kind.label, f"the same objects as {_TWINS[group, resource]}"))
        elif "list" not in kind.verbs:
            found.skipped.append(Skipped(kind.label, "cannot be listed: it holds no objects"))
        elif not kind.verbs & _WRITING:
            found.skipped.append(Skipped(kind.label, "cannot be written: it is computed when it is read"))
        else:
            found.kinds.append(kind)


def _mappings(value: t.Any) -> list[dict[str, t.Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _no_discovery(cluster: Cluster, root: str) -> EngineError:
    return EngineError(
        f"{cluster.place} does not say what it serves",
        expected=f"the discovery of an API server at {root}",
        found="something else",
        next_command="correct component_kubernetes_host: kubectl api-resources",
    )
