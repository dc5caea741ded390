# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of a recovery point, read back and proven whole before anybody acts on one of them."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.scope import SCOPES
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities, open_decoded

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

ENGINE = "kubernetes"
#: The longest line: etcd holds no object of a tenth of it.
_LONGEST = 32 << 20


@dataclasses.dataclass(frozen=True, order=True)
class Name:
    """Which object of a kind. ``namespace``: empty for what is cluster-scoped."""

    __slots__ = ("name", "namespace")
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclasses.dataclass(frozen=True)
class Item:
    """One recorded object, kept as its JSON: as a tree it would take ten times the memory."""

    __slots__ = ("kind", "name", "raw")
    kind: Kind
    name: Name
    raw: bytes

    @classmethod
    def of(cls, kind: Kind, name: Name, document: t.Mapping[str, t.Any]) -> Item:
        """An object in another form than it was recorded."""
        return cls(kind, name, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())

    def document(self) -> dict[str, t.Any]:
        """The object as recorded; the caller's own copy."""
        return t.cast("dict[str, t.Any]", json.loads(self.raw))

    @property
    def label(self) -> str:
        """For people: ``Deployment shop/web``."""
        return f"{self.kind.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a point's manifest says of its content. ``objects``: kind → the stored object's name, and the count."""

    scope: str
    namespace: str | None
    selector: str | None
    server_version: str
    objects: dict[Kind, tuple[str | None, int]]
    volumes: list[dict[str, t.Any]]

    @property
    def count(self) -> int:
        """Objects in all."""
        return sum(count for _name, count in self.objects.values())

    @property
    def is_all(self) -> bool:
        """Whether who has read :attr:`objects` has read all that is stored: files of claims are stored beside them."""
        return all(volume.get("mode") != "files" for volume in self.volumes)


def recorded(point: RecoveryPoint) -> Recorded:
    """Read the manifest. Raises :class:`InvalidInput` for another engine's, :class:`IntegrityError` for what we don't write."""
    if point.engine != ENGINE:
        raise InvalidInput(
            f"recovery point {point.point_id} is of another engine", point.component, ENGINE, point.engine
        )
    content = point.content.get("kubernetes")
    if not isinstance(content, dict) or not isinstance(content.get("kinds"), list):
        raise IntegrityError(f"{point.manifest_key} lists no kinds", point.component)
    objects: dict[Kind, tuple[str | None, int]] = {}
    for entry in content["kinds"]:
        kind, stored, count = _recorded_kind(entry, point)
        if kind in objects:
            raise IntegrityError(f"{point.manifest_key} lists {kind.label} twice", point.component)
        objects[kind] = (stored, count)
    scope, namespace = content.get("scope"), content.get("namespace")
    if scope not in SCOPES or not isinstance(namespace, (str, type(None))) or (scope == "namespace" and not namespace):
        raise IntegrityError(f"{point.manifest_key} says of no namespace that it was backed up", point.component)
    volumes = content.get("volumes") or []
    return Recorded(
        scope,
        namespace or None,
        content.get("selector") or None,
        point.engine_version,
        objects,
        [volume for volume in volumes if isinstance(volume, dict)],
    )


def _recorded_kind(entry: t.Any, point: RecoveryPoint) -> tuple[Kind, str | None, int]:
    try:
        texts = [entry[name] for name in ("group", "version", "resource", "kind")]
        namespaced, count, stored = entry["namespaced"], entry["count"], entry.get("object")
    except (KeyError, TypeError):
        raise IntegrityError(f"{point.manifest_key} has a kind that is none", point.component) from None
    valid = all(isinstance(text, str) for text in texts) and isinstance(namespaced, bool) and type(count) is int
    if not valid or count < 0 or not (stored is None or isinstance(stored, str)) or (count and not stored):
        raise IntegrityError(f"{point.manifest_key} has a kind that is none", point.component, found=str(texts)[:200])
    return Kind(texts[0], texts[1], texts[2], texts[3], namespaced), stored, count


def read_content(
    repository: Repository,
    point: RecoveryPoint,
    identities: Identities,
    progress: Progress | None = None,
    wanted: t.Callable[[Kind], bool] = lambda kind: True,
) -> dict[Kind, dict[Name, Item]]:
    """Every recorded object of the kinds that are wanted, none of them before all are proven.

    :raises IntegrityError, ObjectMissing: the point is damaged. :raises WrongIdentity: it cannot be decrypted.
    """
    of_point = recorded(point)
    by_name = {stored.name: stored for stored in point.objects}
    if progress is not None:
        progress.step(f"reading {point.point_id}", sum(stored.raw_length for stored in point.objects))
    found: dict[Kind, dict[Name, Item]] = {}
    for kind, (name, count) in of_point.objects.items():
        if not wanted(kind):
            continue
        found[kind] = {}
        if name is None:
            continue
        stored = by_name.get(name)
        if stored is None:
            raise IntegrityError(f"recovery point {point.point_id} has no {name}", point.component)
        found[kind] = _read_kind(repository, point, kind, stored, identities, progress)
        if len(found[kind]) != count:
            raise IntegrityError(
                f"{stored.key} does not hold what its manifest counts",
                point.component,
                expected=f"{count} {kind.label}",
                found=str(len(found[kind])),
            )
    return found


def _read_kind(
    repository: Repository,
    point: RecoveryPoint,
    kind: Kind,
    stored: StoredObject,
    identities: Identities,
    progress: Progress | None,
) -> dict[Name, Item]:
    items: dict[Name, Item] = {}
    rest = b""
    with open_decoded(repository.store, stored, identities, progress) as decoded:
        for chunk in decoded:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _add(items, kind, line, stored, point)
            if len(rest) > _LONGEST:
                raise IntegrityError(f"{stored.key} has a line that is too long", point.component)
    if rest:
        _add(items, kind, rest, stored, point)
    return items


def _add(items: dict[Name, Item], kind: Kind, line: bytes, stored: StoredObject, point: RecoveryPoint) -> None:
    try:
        document = json.loads(line)
        metadata = document["metadata"]
        name = Name(metadata.get("namespace") or "", metadata["name"])
        valid = (document["apiVersion"], document["kind"]) == (kind.api_version, kind.kind)
        valid = valid and isinstance(name.name, str) and isinstance(name.namespace, str) and bool(name.name)
    except (ValueError, KeyError, TypeError, AttributeError):
        valid = False
    if not valid or name in items or bool(name.namespace) != kind.namespaced:
        raise IntegrityError(
            f"{stored.key} has a line that is no {kind.kind}",
            point.component,
            expected=f"one JSON object of {kind.api_version} {kind.kind} a line, each once",
            next_command="restore from another recovery point; recovery_point_info lists them",
        )
    items[name] = Item(kind, name, line)
