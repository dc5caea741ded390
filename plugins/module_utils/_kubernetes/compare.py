# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two forms of one object compared field by field.

No difference is found exactly when both say the same. Items of lists are paired by what names them (a container's name, a
port's number), so that one changed item is one difference and not the whole rest of the list; their order counts.
"""

from __future__ import annotations

import dataclasses
import typing as t

Object = t.Mapping[str, t.Any]

#: What names an item of a list, the first that all items of both lists have and that tells them apart.
_ITEM_KEYS: tuple[tuple[str, ...], ...] = (
    ("name",),
    ("mountPath",),
    ("devicePath",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("uid",),
    ("key",),
    ("type",),
    ("host",),
    ("path",),
    ("ip",),
    ("topologyKey", "whenUnsatisfiable"),
)
#: Lists in which order means nothing.
_SETS = ("metadata.finalizers",)
#: Where nothing and an empty map or list are the same.
_NOTHING_IS_EMPTY = ("metadata.labels", "metadata.annotations", "metadata.finalizers", "metadata.ownerReferences")
#: Maps with keys of people's choosing: the server never puts anything there by default.
FREE_FORM = ("metadata", "data", "binaryData", "stringData")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HIDDEN = "(hidden)"
_SHOWN = 200


class Absent:
    """The value of a field that is not there."""

    def __repr__(self) -> str:
        return "(absent)"

    def __bool__(self) -> bool:
        return False


ABSENT = Absent()


@dataclasses.dataclass(frozen=True)
class FieldDifference:
    """One field that is not as it should be. ``keys`` leads to it: names of maps, and indices into the live lists."""

    path: str
    desired: t.Any
    live: t.Any
    keys: tuple[str | int, ...] = dataclasses.field(default=(), compare=False)

    @property
    def added(self) -> bool:
        """Whether only the live object has the field."""
        return self.desired is ABSENT

    def facts(self, hidden: bool = False) -> dict[str, t.Any]:
        """For results, diffs and proofs. Nothing that is, or may hold, a secret value comes out.

        :arg hidden: the object is a Secret.
        """
        secret = (hidden and self.path.split(".")[0].split("[")[0] not in ("type", "immutable")) or (
            _LAST_APPLIED in self.path
        )
        if secret and self.path.startswith(("metadata.labels", "metadata.finalizers", "metadata.ownerReferences")):
            secret = False
        return {
            "path": self.path,
            "desired": _shown(self.desired, secret),
            "live": _shown(self.live, secret),
        }


def differences(desired: Object, live: Object) -> list[FieldDifference]:
    """Every field in which the two differ, with its path such as ``spec.template.spec.containers[name=web].image``.

    Both are forms as :func:`fields.desired` returns them. A field that is null counts as absent.
    """
    found: list[FieldDifference] = []
    _compare("", (), desired, live, found)
    return found


def is_free_form(difference: FieldDifference) -> bool:
    """Whether the field is of a map that holds what people chose, so that its presence is never a server's default."""
    return bool(difference.keys) and difference.keys[0] in FREE_FORM


def _compare(path: str, keys: tuple[str | int, ...], desired: t.Any, live: t.Any, found: list[FieldDifference]) -> None:
    if isinstance(desired, dict) and isinstance(live, dict):
        for key in sorted({*desired, *live}):
            below = _below(path, key)
            _compare(below, (*keys, key), _value(desired, key, below), _value(live, key, below), found)
    elif isinstance(desired, list) and isinstance(live, list):
        _compare_lists(path, keys, desired, live, found)
    elif not _same(desired, live):
        found.append(FieldDifference(path, desired, live, keys))


def _value(mapping: Object, key: str, path: str) -> t.Any:
    value = mapping.get(key)
    if value is None or (not value and path in _NOTHING_IS_EMPTY):
        return ABSENT
    return value


def _same(one: t.Any, other: t.Any) -> bool:
    # True == 1 in Python, but not in an object.
    return type(one) is type(other) and bool(one == other)


def _compare_lists(
    path: str, keys: tuple[str | int, ...], desired: list[t.Any], live: list[t.Any], found: list[FieldDifference]
) -> None:
    if path in _SETS:
        if sorted(map(repr, desired)) != sorted(map(repr, live)):
            found.append(FieldDifference(path, desired, live, keys))
        return
    key_names = _key_names(desired, live)
    if key_names is None:
        for index in range(max(len(desired), len(live))):
            ours = desired[index] if index < len(desired) else ABSENT
            theirs = live[index] if index < len(live) else ABSENT
            _compare(f"{path}[{index}]", (*keys, index), ours, theirs, found)
        return
    ours_by_key = {_identity(item, key_names): item for item in desired}
    places = {_identity(item, key_names): index for index, item in enumerate(live)}
    for identity in [*ours_by_key, *(each for each in places if each not in ours_by_key)]:
        place = places.get(identity)
        described = ",".join(f"{name}={value}" for name, value in zip(key_names, identity))
        theirs = ABSENT if place is None else live[place]
        ours = ours_by_key.get(identity, ABSENT)
        _compare(f"{path}[{described}]", (*keys, len(live) if place is None else place), ours, theirs, found)
    common = [identity for identity in ours_by_key if identity in places]
    if common != [identity for identity in places if identity in ours_by_key]:
        names = [",".join(map(str, identity)) for identity in ours_by_key]
        found.append(FieldDifference(f"{path} (order)", names, [",".join(map(str, each)) for each in places], keys))


def item_key(*lists: list[t.Any]) -> t.Callable[[Object], tuple[t.Any, ...]] | None:
    """What names an item in each of the lists; None where nothing does."""
    names = _key_names(*lists)
    return None if names is None else lambda item: _identity(item, names)


def _key_names(*lists: list[t.Any]) -> tuple[str, ...] | None:
    """The names of the fields that tell the items of every list apart."""
    if not all(isinstance(item, dict) for items in lists for item in items):
        return None
    for names in _ITEM_KEYS:
        if all(_names_all(items, names) for items in lists):
            return names
    return None


def _names_all(items: list[t.Any], names: tuple[str, ...]) -> bool:
    identities = [_identity(item, names) for item in items]
    scalar = all(type(value) in (str, int) for identity in identities for value in identity)
    return scalar and len(set(map(repr, identities))) == len(identities)


def _identity(item: Object, names: tuple[str, ...]) -> tuple[t.Any, ...]:
    # Ports are TCP unless they say otherwise.
    return tuple(item.get(name, "TCP" if name == "protocol" else None) for name in names)


def _below(path: str, key: str) -> str:
    if "." in key or "/" in key or not key:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _shown(value: t.Any, secret: bool) -> t.Any:
    if value is ABSENT:
        return None
    if secret:
        return _HIDDEN
    if isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"
