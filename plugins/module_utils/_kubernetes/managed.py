# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who set which field of an object, by its ``managedFields``: the server's own parts, or somebody who meant it."""

from __future__ import annotations

import json
import typing as t

#: Managers of the control plane itself. What only they set, they set again.
SERVER_MANAGERS = frozenset(
    (
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "cloud-controller-manager",
        "api-priority-and-fairness-config-producer-v1",
        "clusterrole-aggregation-controller",
        # Distributions whose control plane is one program: k3s, MicroK8s.
        "k3s",
        "kubelite",
    )
)
Path = tuple[str, ...]


def _is_server(entry: t.Mapping[str, t.Any]) -> bool:
    return entry.get("manager") in SERVER_MANAGERS


def _counts(entry: t.Mapping[str, t.Any]) -> bool:
    """Whether it tells of the object itself: ``scale`` writes the very field of the object, other subresources do not."""
    return entry.get("subresource") in (None, "", "scale")


def entries_of(obj: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    managed = (obj.get("metadata") or {}).get("managedFields")
    return [entry for entry in managed if isinstance(entry, dict)] if isinstance(managed, list) else []


def made_by_server(obj: t.Mapping[str, t.Any]) -> str | None:
    """The part of the control plane that made the object, when nobody else touched it; None otherwise."""
    entries = entries_of(obj)
    if not entries or not all(_is_server(entry) for entry in entries):
        return None
    return str(next((entry for entry in entries if _counts(entry)), entries[0])["manager"])


class Ownership:
    """Which fields of one object were meant, and which only the server set.

    Of what is no live object (it has no uid: a manifest, or what :func:`fields.desired` made) everything was meant.
    """

    def __init__(self, obj: t.Mapping[str, t.Any]) -> None:
        entries = entries_of(obj)
        # Replicas that an autoscaler wrote are the count that was running, which is what should run again.
        self._meant = _union(
            entry for entry in entries if _counts(entry) and (not _is_server(entry) or entry.get("subresource"))
        )
        self._server = _union(
            entry for entry in entries if _is_server(entry) and entry.get("subresource") not in ("scale", "status")
        )
        self._live = bool((obj.get("metadata") or {}).get("uid"))

    def meant(self, path: Path) -> bool:
        """Whether somebody other than the server set the field at ``path``, or anything below it."""
        if not self._live:
            return True
        tree: t.Any = self._meant
        for step in path:
            tree = tree.get(f"f:{step}")
            if tree is None:
                return False
        return True

    def meant_of_item(self, path: Path, keys: t.Mapping[str, t.Any], name: str) -> bool:
        """Whether somebody other than the server set the field ``name`` of the item with those keys in the list at ``path``."""
        if not self._live:
            return True
        tree: t.Any = self._meant
        for step in path:
            tree = tree.get(f"f:{step}")
            if tree is None:
                return False
        if not tree:
            return True  # the list as a whole
        for key, below in tree.items():
            if key.startswith("k:") and _loaded(key) == keys:
                return f"f:{name}" in below
        return False

    def without_server_fields(self, obj: dict[str, t.Any]) -> dict[str, t.Any]:
        """A copy without what only the server set; all of it where nobody else set anything."""
        if not self._meant:
            return dict(obj)
        kept = _stripped(obj, self._server, self._meant)
        return kept if isinstance(kept, dict) else {}


def _union(entries: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    merged: dict[str, t.Any] = {}
    for entry in entries:
        fields = entry.get("fieldsV1")
        if isinstance(fields, dict):
            _merge(merged, fields)
    return merged


def _merge(target: dict[str, t.Any], tree: t.Mapping[str, t.Any]) -> None:
    for key, below in tree.items():
        _merge(target.setdefault(key, {}), below if isinstance(below, dict) else {})


_GONE = object()


def _stripped(value: t.Any, server: t.Mapping[str, t.Any], meant: t.Mapping[str, t.Any] | None) -> t.Any:
    """``value`` without the leaves that are in ``server`` and not in ``meant``; :data:`_GONE` when nothing is left."""
    if meant is not None and not meant:
        return value  # meant as a whole
    if not any(key != "." for key in server):
        return _GONE if meant is None else value
    if isinstance(value, dict):
        return _map_stripped(value, server, meant or {}, meant is None)
    if isinstance(value, list):
        return _list_stripped(value, server, meant or {}, meant is None)
    return value


def _map_stripped(
    value: dict[str, t.Any], server: t.Mapping[str, t.Any], meant: t.Mapping[str, t.Any], foreign: bool
) -> t.Any:
    kept: dict[str, t.Any] = {}
    for name, item in value.items():
        tree = server.get(f"f:{name}")
        found = item if tree is None else _stripped(item, tree, meant.get(f"f:{name}"))
        if found is not _GONE:
            kept[name] = found
    return _GONE if not kept and value and foreign else kept


def _list_stripped(
    value: list[t.Any], server: t.Mapping[str, t.Any], meant: t.Mapping[str, t.Any], foreign: bool
) -> t.Any:
    kept = []
    for item in value:
        key = _key_of(item, server)
        found = item if key is None else _stripped(item, server[key], meant.get(key))
        if found is not _GONE:
            kept.append(found)
    return _GONE if not kept and value and foreign else kept


def _key_of(item: t.Any, tree: t.Mapping[str, t.Any]) -> str | None:
    """The entry of ``tree`` that is about this item of a list: by its keys (``k:``) or its value (``v:``)."""
    for key in tree:
        if key[:2] not in ("k:", "v:"):
            continue
        wanted = _loaded(key)
        if key.startswith("v:"):
            if wanted == item:
                return key
        elif (
            isinstance(item, dict)
            and isinstance(wanted, dict)
            and all(item.get(name) == content for name, content in wanted.items())
        ):
            return key
    return None


def _loaded(key: str) -> t.Any:
    """What follows ``k:`` or ``v:``; None for what is no JSON."""
    try:
        return json.loads(key[2:])
    except ValueError:
        return None
