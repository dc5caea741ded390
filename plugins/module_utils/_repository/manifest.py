# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A recovery point: its manifest, and what the rest of the collection asks about it."""

from __future__ import annotations

import datetime
import hashlib
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    SHA256,
    Fields,
    check_component,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import Proof, level_of
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import check_key

#: The most bytes that a manifest may have.
MANIFEST_LIMIT = 64 * 1024 * 1024
POINT_ID = r"\d{8}T\d{6}Z-[0-9a-f]{4}"
_KINDS = "data|globals|document"
_ENCODINGS = ("zstd", "age")


def points_prefix(component: str) -> str:
    return f"components/{check_component(component)}/points/"


def point_prefix(component: str, point_id: str) -> str:
    """Where everything of a point lies; ends in ``/``. Raises :class:`InvalidInput` for what is not a point's id."""
    if not re.fullmatch(POINT_ID, point_id):
        raise InvalidInput(
            "not a recovery point's id", component, expected="such as 20261121T051000Z-a1b2", found=repr(point_id[:100])
        )
    return f"{points_prefix(component)}{point_id}/"


@dataclass(frozen=True)
class StoredObject:
    """One object of a point. Lengths in bytes; ``raw_*`` is the content before ``encoding`` was applied in its order."""

    name: str
    key: str
    length: int
    sha256: str
    raw_length: int
    raw_sha256: str
    encoding: list[str]
    kind: str = "data"
    #: The version that the store gave it; None on a store without versions.
    version_id: str | None = None

    def to_dict(self) -> dict[str, t.Any]:
        return dict(vars(self))

    @classmethod
    def from_fields(cls, fields: Fields) -> StoredObject:
        encoding = fields.texts("encoding")
        if any(step not in _ENCODINGS for step in encoding):
            raise IntegrityError(
                f"{fields.what} is damaged", expected=f"encodings of {', '.join(_ENCODINGS)}", found=str(encoding)[:100]
            )
        return cls(
            name=fields.text("name", limit=900),
            key=fields.text("key", limit=900),
            length=fields.integer("length"),
            sha256=fields.text("sha256", SHA256),
            raw_length=fields.integer("raw_length"),
            raw_sha256=fields.text("raw_sha256", SHA256),
            encoding=encoding,
            kind=fields.text("kind", _KINDS),
            version_id=fields.optional_text("version_id"),
        )


@dataclass(frozen=True)
class _Totals:
    objects: int
    size: int
    raw_size: int
    encrypted: bool

    @classmethod
    def of(cls, objects: t.Sequence[StoredObject], content: t.Mapping[str, t.Any]) -> _Totals:
        return cls(
            len(objects),
            sum(stored.length for stored in objects) + _elsewhere(content, "bytes"),
            sum(stored.raw_length for stored in objects) + _elsewhere(content, "raw_bytes"),
            any("age" in stored.encoding for stored in objects),
        )


def _elsewhere(content: t.Mapping[str, t.Any], name: str) -> int:
    """What the engine noted of what it keeps outside of the point's objects, such as in pgBackRest's own directory."""
    noted = content.get("elsewhere")
    found = noted.get(name) if isinstance(noted, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else 0


def _needs(content: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    needs = content.get("needs")
    return tuple(need for need in needs if isinstance(need, str)) if isinstance(needs, list) else ()


#: The attributes of a point that grow with its component.
_DETAILS = ("objects", "content", "encryption", "tool_versions")


@dataclass
class RecoveryPoint:
    """One consistent copy of one component. Times are aware and in UTC, durations in seconds."""

    component: str
    environment: str
    repository_id: str
    point_id: str
    engine: str
    engine_version: str
    run_id: str | None
    started: datetime.datetime
    consistency_time: datetime.datetime
    finished: datetime.datetime
    duration_s: float
    objects: list[StoredObject]
    content: dict[str, t.Any]
    encryption: dict[str, t.Any]
    tool_versions: dict[str, t.Any]
    #: Its number in the component's history, from 1 and without a gap.
    sequence: int = 1
    #: The id of the one before it, and the sha256 of that one's manifest.
    previous: str | None = None
    previous_sha256: str | None = None
    #: When the manifest was written, by the clock of the host that took it.
    recorded: datetime.datetime | None = None
    #: The sha256 of the manifest's bytes; not in it.
    manifest_sha256: str | None = field(default=None, compare=False)
    #: Kept beside the manifest, oldest first; not in it.
    proofs: list[Proof] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return point_prefix(self.component, self.point_id)

    @property
    def manifest_key(self) -> str:
        return self.prefix + "manifest.json"

    @property
    def size(self) -> int:
        """Bytes in the repository that are this point's alone, without the manifest and the proofs."""
        return self._totals().size

    @property
    def raw_size(self) -> int:
        """Bytes before compression and encryption."""
        return self._totals().raw_size

    def _totals(self) -> _Totals:
        totals = self.__dict__.get("_kept_totals")
        return totals if totals is not None else _Totals.of(self.objects, self.content)

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids of the points without which this one cannot be restored, as its engine noted them in ``content``."""
        kept = self.__dict__.get("_kept_needs")
        return kept if kept is not None else _needs(self.content)

    def forget_details(self, reload: t.Callable[[], RecoveryPoint]) -> None:
        """Let go of what makes a listing of ten thousand points large; ``reload`` brings it back on first use."""
        self.__dict__["_kept_totals"] = _Totals.of(self.objects, self.content)
        self.__dict__["_kept_needs"] = self.needs
        self.__dict__["_reload"] = reload
        for name in _DETAILS:
            del self.__dict__[name]

    def __getattr__(self, name: str) -> t.Any:
        # Only asked for attributes that are not there.
        if name not in _DETAILS or "_reload" not in self.__dict__:
            raise AttributeError(name)
        whole = self.__dict__["_reload"]()
        for detail in _DETAILS:
            self.__dict__[detail] = whole.__dict__[detail]
        return self.__dict__[name]

    @property
    def level(self) -> str:
        """``damaged``, ``taken``, ``verified``, ``restored`` or ``asserted``."""
        return level_of(self.proofs)

    def age_s(self, now: datetime.datetime) -> float:
        """Seconds since the moment that the point shows, which is what an RPO is about."""
        return (now - self.consistency_time).total_seconds()

    def object(self, name: str) -> StoredObject:
        """The object of that name. Raises :class:`IntegrityError`."""
        for stored in self.objects:
            if stored.name == name:
                return stored
        raise IntegrityError(
            f"{self.point_id} lists no {name}", self.component, expected=name, found="a manifest without it"
        )

    def facts(self) -> dict[str, t.Any]:
        """What modules return: small, however many objects and tables there are."""
        return {
            "point_id": self.point_id,
            "component": self.component,
            "environment": self.environment,
            "repository_id": self.repository_id,
            "engine": self.engine,
            "engine_version": self.engine_version,
            "run_id": self.run_id,
            "started": format_time(self.started),
            "consistency_time": format_time(self.consistency_time),
            "finished": format_time(self.finished),
            "duration_s": self.duration_s,
            "objects_count": self._totals().objects,
            "size": self.size,
            "raw_size": self.raw_size,
            "encrypted": self._totals().encrypted,
            "sequence": self.sequence,
            "previous": self.previous,
            "manifest_sha256": self.manifest_sha256,
            "level": self.level,
            "proofs": [
                {"level": proof.level, "at": format_time(proof.at), "outcome": proof.outcome}
                for proof in self.proofs[-20:]
            ],
        }

    def to_manifest(self) -> bytes:
        """The manifest's bytes. ``digest`` is their sha256 with itself written as 64 zeros, so no flipped bit passes."""
        document = {
            "component": self.component,
            "environment": self.environment,
            "repository_id": self.repository_id,
            "point_id": self.point_id,
            "engine": self.engine,
            "engine_version": self.engine_version,
            "run_id": self.run_id,
            "started": format_time(self.started),
            "consistency_time": format_time(self.consistency_time),
            "finished": format_time(self.finished),
            "duration_s": self.duration_s,
            "objects": [stored.to_dict() for stored in self.objects],
            "content": self.content,
            "encryption": self.encryption,
            "tool_versions": self.tool_versions,
            "sequence": self.sequence,
            "previous": self.previous,
            "previous_sha256": self.previous_sha256,
            "recorded": format_time(self.recorded or self.finished),
        }
        return sealed_json(document)

    @classmethod
    def from_manifest(cls, content: bytes, what: str = "manifest.json") -> RecoveryPoint:
        """Read and check a manifest. Raises :class:`IntegrityError` naming ``what``."""
        fields = parse_sealed(content, what)
        point = cls(
            component=fields.text("component", r"[a-z0-9_-]{1,63}"),
            environment=fields.text("environment"),
            repository_id=fields.text("repository_id"),
            point_id=fields.text("point_id", POINT_ID),
            engine=fields.text("engine", limit=63),
            engine_version=fields.text("engine_version"),
            run_id=fields.optional_text("run_id"),
            started=fields.time("started"),
            consistency_time=fields.time("consistency_time"),
            finished=fields.time("finished"),
            duration_s=fields.number("duration_s"),
            objects=[StoredObject.from_fields(item) for item in fields.items("objects")],
            content=fields.mapping("content"),
            encryption=fields.mapping("encryption"),
            tool_versions=fields.mapping("tool_versions"),
            sequence=fields.integer("sequence"),
            previous=fields.optional_text("previous", POINT_ID),
            previous_sha256=fields.optional_text("previous_sha256", SHA256),
            recorded=fields.time("recorded"),
            manifest_sha256=hashlib.sha256(content).hexdigest(),
        )
        if point.sequence < 1 or (point.previous is None) != (point.previous_sha256 is None):
            raise IntegrityError(
                f"{what} is damaged",
                expected="a sequence from 1, and previous together with previous_sha256",
                found=f"sequence {point.sequence}, previous {point.previous}",
            )
        _check_objects(point, what)
        return point


def _check_objects(point: RecoveryPoint, what: str) -> None:
    """Keys stay inside the point's own prefix, and every name is there once."""
    names = set()
    prefix = point.prefix
    for stored in point.objects:
        try:
            check_key(stored.key)
            inside = stored.key.startswith(prefix)
        except InvalidInput:
            inside = False
        if not inside or stored.name in names:
            raise IntegrityError(
                f"{what} is damaged",
                expected=f"distinct objects below {prefix}",
                found=f"{stored.name!r} at {stored.key!r}"[:300],
            )
        names.add(stored.name)
