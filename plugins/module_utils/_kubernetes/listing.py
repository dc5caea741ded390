# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All objects of a kind as they were at one moment, a page at a time, so that memory does not grow with their number."""

from __future__ import annotations

import datetime
import json
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.discovery import Kind
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.errors import ApiFailure, Expired

#: Objects of the first page, when nothing is known of their size (one may have 1.5 MiB), and of the longest one.
FIRST_PAGE = 20
LONGEST_PAGE = 500
#: Bytes that a page should have: several kinds are read at once, and more bytes make it no faster.
PAGE_BYTES = 1 << 19
#: How often a list that was compacted away begins anew before it is asked for in one piece.
RESTARTS = 3

Result = t.TypeVar("Result")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Listing:
    """One pass over a kind's objects, with ``apiVersion`` and ``kind`` filled in; iterate it once.

    ``resource_version``: the moment that every page shows; known at the end. ``began``: the API server's clock at the
    first page. ``count``: of objects so far.

    :raises Expired: from iterating: the moment was compacted away while its pages were read.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        namespace: str | None = None,
        selector: str | None = None,
        paged: bool = True,
    ) -> None:
        self._cluster, self._kind = cluster, kind
        self._path = kind.path(namespace)
        self._selector = selector
        self._paged = paged
        self.resource_version: str | None = None
        self.began: datetime.datetime | None = None
        self.count = 0

    def __iter__(self) -> t.Iterator[dict[str, t.Any]]:
        limit, token = FIRST_PAGE, None
        while True:
            query = {
                "limit": limit if self._paged else None,
                "continue": token,
                "labelSelector": self._selector or None,
            }
            body = self._cluster.request("GET", self._path, query).body
            if self.began is None:
                self.began = self._cluster.now()
            length, page = len(body), Page(body)
            del body  # the page has a copy of it, and is worked on for a while
            try:
                for item in page:
                    item.setdefault("apiVersion", self._kind.api_version)
                    item.setdefault("kind", self._kind.kind)
                    self.count += 1
                    yield item
            except ValueError:
                raise cut_short(self._cluster, f"the list of {self._kind.label}", self._path, length) from None
            self._same_moment(page.metadata)
            token = page.metadata.get("continue") or None
            if token is None:
                return
            limit = page_of(page.count, length)

    def _same_moment(self, metadata: t.Mapping[str, t.Any]) -> None:
        version = str(metadata.get("resourceVersion") or "")
        if self.resource_version is None:
            self.resource_version = version
        elif version != self.resource_version:
            raise Expired(
                f"the list of {self._kind.label} moved on while it was read",
                status=410,
                reason="Expired",
                expected=f"every page at resource version {self.resource_version}",
                found=f"one at {version}",
            )


def page_of(count: int, length: int) -> int:
    """How many objects make a page, where ``count`` of them took ``length`` bytes."""
    return max(1, min(LONGEST_PAGE, PAGE_BYTES * count // max(1, length)))


def cut_short(cluster: Cluster, what: str, path: str, length: int) -> ApiFailure:
    """The failure of an answer of ``length`` bytes that is no list, or only the beginning of one."""
    return ApiFailure(
        f"{what} is not whole",
        expected=f"a JSON list of {cluster.place}",
        found=f"{length} bytes that are none",
        next_command=f"see what answers (kubectl get --raw {path}), then: the same command",
    )


class Page:
    """The objects of one answer, each decoded when its turn comes; ``metadata`` is whole at the end.

    :raises ValueError: from iterating: it is not a list's JSON to its very end.
    """

    def __init__(self, body: bytes) -> None:
        self._text = body.decode("utf-8")
        self.metadata: dict[str, t.Any] = {}
        self.count = 0

    def __iter__(self) -> t.Iterator[dict[str, t.Any]]:
        at = self._expect("{", 0)
        listed = False
        while True:
            key, at = self._value(at)
            at = self._expect(":", at)
            if key == "items" and self._text.startswith("[", at):
                listed = True
                at = self._skip(at + 1)
                while not self._text.startswith("]", at):
                    item, at = self._value(at)
                    if not isinstance(item, dict):
                        raise ValueError("an item that is no object")
                    self.count += 1
                    yield item
                    if not self._text.startswith("]", at):
                        at = self._expect(",", at)
                at = self._skip(at + 1)
            else:
                value, at = self._value(at)
                listed = listed or key == "items"
                if key == "metadata" and isinstance(value, dict):
                    self.metadata = value
            if self._text.startswith("}", at):
                break
            at = self._expect(",", at)
        if self._skip(at + 1) != len(self._text) or not listed:
            raise ValueError("no list, or more than one")

    def _value(self, at: int) -> tuple[t.Any, int]:
        value, end = _DECODER.raw_decode(self._text, at)
        return value, self._skip(end)

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _expect(self, character: str, at: int) -> int:
        at = self._skip(at)
        if not self._text.startswith(character, at):
            raise ValueError(f"no {character} at {at}")
        return self._skip(at + 1)


def read_consistently(
    cluster: Cluster,
    kind: Kind,
    namespace: str | None,
    selector: str | None,
    consume: t.Callable[[Listing], Result],
) -> Result:
    """What ``consume`` makes of one whole pass. It is called anew, with another pass, whenever the server let go of the moment.

    After :data:`RESTARTS` of them the list is asked for in one piece, which cannot expire.
    """
    for _attempt in range(RESTARTS):
        try:
            return consume(Listing(cluster, kind, namespace, selector))
        except Expired:
            continue
    return consume(Listing(cluster, kind, namespace, selector, paged=False))


def list_objects(
    cluster: Cluster, kind: Kind, namespace: str | None = None, selector: str | None = None
) -> list[dict[str, t.Any]]:
    """All objects of a kind at one moment, in memory."""
    return read_consistently(cluster, kind, namespace, selector, list)
