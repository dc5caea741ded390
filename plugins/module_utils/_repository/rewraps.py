# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rewrap: new age headers, for other recipients, of everything in a recovery point that is encrypted.

``<point>/rewraps/<time>-<4 hex>/`` holds ``headers.txt`` (the headers, one after the other; an age header is text),
``REWRAP.md``, which says how to use them by hand, and ``rewrap.json``, written last: without it there is no rewrap. The
objects themselves stay as they are, and so do their own headers.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
import threading
import typing as t
from collections import OrderedDict
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_header import HEADER_LIMIT
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    SHA256,
    Fields,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

#: The most bytes that ``headers.txt`` or ``rewrap.json`` of one rewrap may have.
_LIMIT = 64 * 1024 * 1024
_TIME = "%Y%m%dT%H%M%S.%fZ"
_REWRAP_ID = r"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{4}"
_POINT_OF_KEY = re.compile(r"components/[^/]+/points/[^/]+/")
_FILES = ("headers.txt", "REWRAP.md", "rewrap.json")
#: How much of a point was decrypted through the new headers before they became a rewrap.
DEPTHS = ("headers", "sample", "full")


@dataclass(frozen=True)
class NewHeader:
    """Stands for the first ``replaces`` bytes of the object at ``key``, its own header."""

    key: str
    header: bytes = field(repr=False)
    replaces: int


@dataclass(frozen=True)
class Rewrap:
    """A whole rewrap.

    :ivar recipients: for whom its headers are. :ivar proven: those of them whose identity opened every header.
    :ivar depth: one of :data:`DEPTHS`.
    """

    prefix: str
    rewrap_id: str
    at: datetime.datetime
    run_id: str | None
    recipients: list[str]
    proven: list[str]
    depth: str
    headers: dict[str, NewHeader] = field(repr=False)
    #: Of ``REWRAP.md``, once it is stored.
    guide_sha256: str = ""

    def facts(self) -> dict[str, t.Any]:
        return {
            "rewrap_id": self.rewrap_id,
            "at": _clock.format_time(self.at),
            "run_id": self.run_id,
            "recipients": self.recipients,
            "proven": self.proven,
            "depth": self.depth,
            "objects_count": len(self.headers),
        }


@dataclass
class Rewraps:
    """The rewraps of a point: the whole ones, newest first; the remains of killed runs; and those not to be trusted."""

    whole: list[Rewrap] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)


def new_rewrap_id(at: datetime.datetime) -> str:
    return f"{at.strftime(_TIME)}-{secrets.token_hex(2)}"


def list_rewraps(store: Store, prefix: str) -> Rewraps:
    """The rewraps of the point at ``prefix``."""
    return _rewraps(store, prefix, _written(store, f"{prefix}rewraps/"))


def _written(store: Store, place: str) -> dict[str, str | None]:
    """The keys below ``place`` with the version that was written first: no delete marker and no overwriting hides it."""
    try:
        listed = list(store.versions(place))
    except RepositoryError:  # an identity that may not list versions
        return {found.key: None for found in store.list(place)}
    # The newest come first, so the last one that is no marker stays.
    return {item.key: item.version_id for item in listed if not item.deleted}


def _rewraps(store: Store, prefix: str, written: t.Mapping[str, str | None]) -> Rewraps:
    found = Rewraps()
    places = {key[len(prefix) :].split("/")[1] for key in written if key[len(prefix) :].count("/") == 2}
    # Nobody but us names a rewrap.
    for rewrap_id in sorted((place for place in places if re.fullmatch(_REWRAP_ID, place)), reverse=True):
        if f"{prefix}rewraps/{rewrap_id}/rewrap.json" not in written:
            found.incomplete.append(rewrap_id)
            continue
        try:
            found.whole.append(_load(store, prefix, rewrap_id, written))
        except (IntegrityError, InvalidInput, ObjectMissing) as error:
            found.damaged.append((rewrap_id, str(error)))
    return found


def _load(store: Store, prefix: str, rewrap_id: str, written: t.Mapping[str, str | None]) -> Rewrap:
    place = f"{prefix}rewraps/{rewrap_id}/"
    what = f"{place}rewrap.json"
    fields = parse_sealed(store.read(what, _LIMIT, version=written[what]), what)
    if (prefix.split("/")[1], prefix.split("/")[3], rewrap_id) != (
        fields.text("component"),
        fields.text("point_id"),
        fields.text("rewrap_id"),
    ):
        raise IntegrityError(f"{what} is damaged", expected="what its place says", found="another rewrap")
    name = f"{place}headers.txt"
    if name not in written:
        # rewrap.json is written last: this is not what a killed run leaves.
        raise IntegrityError(f"{what} has lost its headers", expected=name, found="no such object")
    headers = store.read(name, _LIMIT, version=written[name])
    _check_sum(fields, headers, name)
    return Rewrap(
        prefix=prefix,
        rewrap_id=rewrap_id,
        at=fields.time("at"),
        run_id=fields.optional_text("run_id"),
        recipients=fields.texts("recipients"),
        proven=fields.texts("proven"),
        depth=fields.text("depth", "|".join(DEPTHS)),
        headers={found.key: found for found in _cut(fields.items("objects"), headers, prefix)},
        guide_sha256=fields.text("guide_sha256", SHA256),
    )


def _check_sum(fields: Fields, headers: bytes, what: str) -> None:
    expected = fields.text("headers_sha256", SHA256)
    found = hashlib.sha256(headers).hexdigest()
    if found != expected:
        raise IntegrityError(f"{what} is damaged", expected=f"sha256 {expected}", found=f"sha256 {found}")


def _cut(items: list[Fields], headers: bytes, prefix: str) -> t.Iterator[NewHeader]:
    position = 0
    for item in items:
        key, length, replaces = item.text("key", limit=900), item.integer("length"), item.integer("replaces")
        if not key.startswith(prefix) or length > HEADER_LIMIT or replaces > HEADER_LIMIT:
            raise IntegrityError(
                f"{item.what} is damaged", expected=f"a header of an object below {prefix}", found=f"{key}"[:300]
            )
        yield NewHeader(key, headers[position : position + length], replaces)
        position += length
    if position != len(headers):
        raise IntegrityError(
            f"{prefix}: a rewrap is damaged", expected=f"{position} bytes of headers", found=f"{len(headers)}"
        )


def store_rewrap(store: Store, rewrap: Rewrap, guide: str) -> None:
    """Make the rewrap exist: its headers, the guide, and last what makes it one."""
    place = f"{rewrap.prefix}rewraps/{rewrap.rewrap_id}/"
    headers = b"".join(new.header for new in rewrap.headers.values())
    _component, component, _points, point_id = rewrap.prefix.rstrip("/").split("/")
    document = {
        "component": component,
        "point_id": point_id,
        "rewrap_id": rewrap.rewrap_id,
        "at": _clock.format_time(rewrap.at),
        "run_id": rewrap.run_id,
        "recipients": rewrap.recipients,
        "proven": rewrap.proven,
        "depth": rewrap.depth,
        "headers_sha256": hashlib.sha256(headers).hexdigest(),
        "guide_sha256": hashlib.sha256(guide.encode()).hexdigest(),
        "objects": [
            {"key": new.key, "length": len(new.header), "replaces": new.replaces} for new in rewrap.headers.values()
        ],
    }
    store.create(f"{place}headers.txt", headers)
    store.create(f"{place}REWRAP.md", guide.encode())
    store.create(f"{place}rewrap.json", sealed_json(document))
    _CHOICES.forget(store.url, rewrap.prefix)


class _Choices:
    """What opened the last object of each point that was read lately, so that the next one is not tried in vain first."""

    _POINTS = 4  # kept at a time; whoever reads a point reads all of it

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], tuple[Rewraps, str | None]] = OrderedDict()

    def get(self, url: str, prefix: str) -> tuple[Rewraps, str | None] | None:
        with self._lock:
            return self._known.get((url, prefix))

    def put(self, url: str, prefix: str, rewraps: Rewraps, opened: str | None) -> None:
        with self._lock:
            self._known[url, prefix] = rewraps, opened
            self._known.move_to_end((url, prefix))
            while len(self._known) > self._POINTS:
                self._known.popitem(last=False)

    def forget(self, url: str, prefix: str) -> None:
        with self._lock:
            self._known.pop((url, prefix), None)


_CHOICES = _Choices()


def header_choices(store: Store, key: str) -> t.Iterator[tuple[NewHeader | None, t.Callable[[], None]]]:
    """The headers with which the object at ``key`` may open, in the order to try them: None is its own.

    Each comes with what to call when it opened. Rewraps are only looked for when the object's own header was in vain.
    """
    place = _POINT_OF_KEY.match(key)
    if place is None:
        yield None, lambda: None
        return
    prefix = place.group()
    known = store.url, prefix
    kept = _CHOICES.get(*known)
    preferred = kept[1] if kept is not None else None
    if kept is not None and preferred is not None:
        for rewrap in kept[0].whole:
            if rewrap.rewrap_id == preferred and key in rewrap.headers:
                yield rewrap.headers[key], lambda: None
    yield None, lambda: None
    rewraps = list_rewraps(store, prefix)
    for rewrap in rewraps.whole:
        if rewrap.rewrap_id != preferred and key in rewrap.headers:
            yield rewrap.headers[key], _noting(*known, rewraps, rewrap.rewrap_id)


def _noting(url: str, prefix: str, rewraps: Rewraps, rewrap_id: str) -> t.Callable[[], None]:
    return lambda: _CHOICES.put(url, prefix, rewraps, rewrap_id)


def rewrap_failures(store: Store, prefix: str) -> list[str]:
    """What is wrong below ``rewraps/`` of a point, in words: nothing that a whole newer rewrap has superseded counts."""
    written = _written(store, f"{prefix}rewraps/")
    found = _rewraps(store, prefix, written)
    newest = found.whole[0] if found.whole else None
    failures = [
        f"rewraps/{rewrap_id}: {reason}"
        for rewrap_id, reason in found.damaged
        if newest is None or rewrap_id > newest.rewrap_id
    ]
    if newest is not None:
        guide = f"{prefix}rewraps/{newest.rewrap_id}/REWRAP.md"
        text = store.read(guide, _LIMIT, version=written[guide]) if guide in written else b""
        if hashlib.sha256(text).hexdigest() != newest.guide_sha256:
            failures.append(f"{guide[len(prefix) :]}: missing, or not as it was written")
    ours = re.compile(rf"{re.escape(prefix)}rewraps/{_REWRAP_ID}/({'|'.join(map(re.escape, _FILES))})")
    failures += [f"{key[len(prefix) :]}: not of a rewrap" for key in written if not ours.fullmatch(key)]
    return failures
