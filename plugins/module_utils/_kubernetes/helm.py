# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helm's releases, which are objects like any other: what of them may be told, read out of their Secrets and ConfigMaps.

Helm keeps each revision of a release in an object of its own, as base64 of gzip of JSON (in a Secret, once more in base64
as all that Secrets hold). What brings the objects back as they were brings the releases back: ``helm list`` sees them.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
import json
import typing as t
import zlib

#: The type of Helm's Secrets; ConfigMaps have no type and are known by their label.
_TYPE = "helm.sh/release.v1"
_OWNER = "helm"
_GZIP = b"\x1f\x8b\x08"
#: A release in an object of at most 1 MiB; one that grows beyond this is none of Helm's.
_LIMIT = 64 << 20


@dataclasses.dataclass(frozen=True)
class Release:
    """One revision of a release. Nothing of it is secret: values and manifests are left out.

    :ivar problem: why nothing more is known than its name and revision; None for a whole one.
    """

    namespace: str
    name: str
    revision: int
    status: str
    chart: str
    chart_version: str
    app_version: str
    problem: str | None = None

    def facts(self) -> dict[str, t.Any]:
        return dataclasses.asdict(self)


def release_of(obj: t.Mapping[str, t.Any]) -> Release | None:
    """The release that the object holds; None for an object that is none of Helm's."""
    metadata = obj.get("metadata") or {}
    labels = metadata.get("labels") or {}
    ours = obj.get("type") == _TYPE or (obj.get("kind") == "ConfigMap" and labels.get("owner") == _OWNER)
    if not ours:
        return None
    known: dict[str, t.Any] = {
        "namespace": str(metadata.get("namespace") or ""),
        "name": str(labels.get("name") or metadata.get("name") or ""),
        "revision": _number(labels.get("version")),
        "status": str(labels.get("status") or ""),
    }
    try:
        held = decode_release(obj)
        chart = held["chart"]["metadata"]
        told: dict[str, t.Any] = {
            "name": str(held["name"]),
            "namespace": str(held.get("namespace") or known["namespace"]),
            "revision": int(held["version"]),
            "status": str(held["info"]["status"]),
        }
        return Release(
            **{**known, **told},
            chart=str(chart["name"]),
            chart_version=str(chart["version"]),
            app_version=str(chart.get("appVersion") or ""),
        )
    except (ValueError, KeyError, TypeError, binascii.Error, zlib.error):
        return Release(**known, chart="", chart_version="", app_version="", problem="it cannot be decoded")


def decode_release(obj: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """All that Helm wrote, values included, which may be secrets.

    :raises ValueError, KeyError, TypeError, zlib.error: it is not what Helm writes.
    """
    text = obj["data"]["release"]
    if obj.get("kind") == "Secret" or obj.get("type") == _TYPE:
        text = base64.b64decode(text, validate=True)
    content = base64.b64decode(text, validate=True)
    if content[:3] == _GZIP:
        content = _unpacked(content)
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("no document")
    return found


def _unpacked(content: bytes) -> bytes:
    """At most so much: a small object may decompress to anything."""
    unpacking, parts, source = zlib.decompressobj(wbits=31), io.BytesIO(), content
    while source and not unpacking.eof:
        parts.write(unpacking.decompress(source, 1 << 20))
        source = unpacking.unconsumed_tail
        if parts.tell() > _LIMIT:
            raise ValueError("too long")
    if not unpacking.eof:
        raise ValueError("cut off")
    return parts.getvalue()


def _number(text: t.Any) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() else 0


class Releases:
    """The newest revision of each release among the objects that pass by."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Release] = {}

    def note(self, obj: t.Mapping[str, t.Any]) -> None:
        """Look at an object; one that is none of Helm's changes nothing."""
        found = release_of(obj)
        if found is None:
            return
        key = (found.namespace, found.name)
        if key not in self._newest or found.revision > self._newest[key].revision:
            self._newest[key] = found

    def facts(self) -> list[dict[str, t.Any]]:
        """For the manifest: ``helm list --all-namespaces``, as it was."""
        return [self._newest[key].facts() for key in sorted(self._newest)]
