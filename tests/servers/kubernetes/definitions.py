# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Custom resources that clusters often have, with as much of their schemas as the tests need."""

from __future__ import annotations

import collections.abc
import typing as t

from tests.servers.kubernetes.api import Api, ApiFault, Object, wait

SNAPSHOTS = "snapshot.storage.k8s.io"
CERTIFICATES = "cert-manager.io"
EXAMPLES = "example.test"
_DEFINITIONS = "apiextensions.k8s.io/v1"
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def definition(
    group: str,
    kind: str,
    versions: collections.abc.Mapping[str, Object] | None = None,
    storage: str = "",
    namespaced: bool = True,
    not_served: collections.abc.Container[str] = (),
    status: bool = True,
) -> Object:
    """A CustomResourceDefinition.

    :arg versions: by name the schema of ``spec``; without any, ``v1`` that keeps whatever it is given.
    :arg storage: the version in which they are kept, the last one unless given.
    """
    versions = versions or {"v1": anything()}
    plural = f"{kind.lower()}s" if not kind.lower().endswith("s") else f"{kind.lower()}es"
    storage = storage or list(versions)[-1]
    found = [
        {
            "name": name,
            "served": name not in not_served,
            "storage": name == storage,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema, "status": anything()}}},
            **({"subresources": {"status": {}}} if status else {}),
        }
        for name, schema in versions.items()
    ]
    metadata: Object = {"name": f"{plural}.{group}"}
    if group.endswith(".k8s.io"):
        # Without it, the server takes no definition of a group that belongs to the project.
        metadata["annotations"] = {"api-approved.kubernetes.io": "unapproved, for tests"}
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    scope = "Namespaced" if namespaced else "Cluster"
    spec = {"group": group, "names": names, "scope": scope, "versions": found, "conversion": {"strategy": "None"}}
    return {"apiVersion": _DEFINITIONS, "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def anything() -> Object:
    return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def widget_definition(storage: str = "v1", not_served: collections.abc.Container[str] = ()) -> Object:
    """``Widget`` of example.test in v1beta1 and v1; ``size`` is defaulted, ``colour`` only v1 knows."""
    size = {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1}
    parts = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
    old = {"type": "object", "properties": {"size": size, "parts": parts}}
    new = {"type": "object", "properties": {"size": size, "parts": parts, "colour": {"type": "string"}}}
    return definition(EXAMPLES, "Widget", {"v1beta1": old, "v1": new}, storage, not_served=not_served)


def snapshot_definitions() -> list[Object]:
    """VolumeSnapshot, its contents and its classes; what makes them is the simulated storage."""
    # A class has its fields at the top, without a spec.
    class_definition = definition(SNAPSHOTS, "VolumeSnapshotClass", namespaced=False, status=False)
    for version in class_definition["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = {
            "type": "object",
            "required": ["deletionPolicy", "driver"],
            "properties": {
                "deletionPolicy": {"type": "string", "enum": ["Delete", "Retain"]},
                "driver": {"type": "string"},
                "parameters": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
    return [
        definition(SNAPSHOTS, "VolumeSnapshot"),
        definition(SNAPSHOTS, "VolumeSnapshotContent", namespaced=False),
        class_definition,
    ]


def certificate_definitions() -> list[Object]:
    """cert-manager's Certificate and Issuer; their status is what a test writes."""
    return [definition(CERTIFICATES, "Certificate"), definition(CERTIFICATES, "Issuer")]


def define(api: Api, *definitions: Object) -> None:
    """Create them, or bring them up to what is given, and wait until that is what is served, and what everybody is told."""
    for item in definitions:
        api.apply(item)
    for item in definitions:
        name = item["metadata"]["name"]
        wait(lambda name=name: _established(api, name), f"{name} to be established")  # type: ignore[misc]
        for version in item["spec"]["versions"]:
            _await_version(api, item, version["name"], version["served"])
    api.forget()


def undefine(api: Api, *definitions: Object) -> None:
    """Delete them, and wait until nobody is told of them any more."""
    for item in definitions:
        api.delete(_DEFINITIONS, "CustomResourceDefinition", item["metadata"]["name"])
    for item in definitions:
        for version in item["spec"]["versions"]:
            _await_version(api, item, version["name"], served=False)
    api.forget()


def _await_version(api: Api, item: Object, version: str, served: bool) -> None:
    """The server tells of its kinds in three places, each brought up to date in its own time."""
    group, plural = item["spec"]["group"], item["spec"]["names"]["plural"]
    path = f"/apis/{group}/{version}/{plural}"

    def as_wanted() -> bool:
        told = (_served(api, path), _listed(api, group, version, plural), _aggregated(api, group, version, plural))
        return told == (served,) * 3

    wait(as_wanted, f"{path} {'to be served' if served else 'to be forgotten'}")


def _established(api: Api, name: str) -> bool:
    status = api.get(_DEFINITIONS, "CustomResourceDefinition", name).get("status", {})
    conditions = status.get("conditions") or []
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


def _served(api: Api, path: str) -> bool:
    try:
        return bool(t.cast(Object, api.request("GET", path, limit=1)))
    except ApiFault as fault:
        # 500: a conversion whose webhook is down, of a version that is served.
        if fault.status not in (404, 500, 503):
            raise
        return fault.status == 500


def _listed(api: Api, group: str, version: str, plural: str) -> bool:
    try:
        return any(entry["name"] == plural for entry in api.request("GET", f"/apis/{group}/{version}")["resources"])
    except ApiFault as fault:
        if fault.status not in (404, 503):
            raise
        return False


def _aggregated(api: Api, group: str, version: str, plural: str) -> bool:
    groups = api.request("GET", "/apis", accept=_AGGREGATED)["items"]
    return any(
        entry["resource"] == plural
        for item in groups
        if item["metadata"]["name"] == group
        for told in item["versions"]
        if told["version"] == version
        for entry in told.get("resources") or []
    )
