# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has been shown about a recovery point: write-once proof objects beside its manifest.

Level, time and outcome are in a proof's name, so that a listing of names ranks ten thousand points without opening
anything; the rest is read when somebody asks for it.
"""

from __future__ import annotations

import datetime
import re
import secrets
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectMissing,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import SUFFIX, create_signed
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: The ladder, lowest first.
LEVELS = ("taken", "verified", "restored", "asserted")
DAMAGED = "damaged"
OUTCOMES = ("ok", "failed")
_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(rf"({'|'.join(LEVELS)})(-failed)?-(\d{{8}}T\d{{6}}\.\d{{6}}Z)-[0-9a-f]{{4}}\.json")


class Proof:
    """One proof. ``run_id``, ``duration_s`` and ``details`` of a stored one are read on first use."""

    def __init__(
        self,
        level: str,
        at: datetime.datetime,
        run_id: str | None = None,
        outcome: str = "ok",
        duration_s: float = 0.0,
        details: dict[str, t.Any] | None = None,
        read: t.Callable[[], dict[str, t.Any]] | None = None,
        name: str | None = None,
    ) -> None:
        #: The last part of its key; None for one that is not stored.
        self.name = name
        self.level = level
        self.at = at
        self.outcome = outcome
        self._read = read
        self._body: dict[str, t.Any] = {"run_id": run_id, "duration_s": duration_s, "details": details or {}}

    def _loaded(self) -> dict[str, t.Any]:
        if self._read is not None:
            self._body = self._read()
            self._read = None
        return self._body

    @property
    def run_id(self) -> str | None:
        return t.cast("str | None", self._loaded()["run_id"])

    @property
    def duration_s(self) -> float:
        """Seconds that proving took; for a restore, its measured time."""
        return t.cast(float, self._loaded()["duration_s"])

    @property
    def details(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", self._loaded()["details"])

    def facts(self) -> dict[str, t.Any]:
        return {
            "level": self.level,
            "at": _clock.format_time(self.at),
            "outcome": self.outcome,
            "run_id": self.run_id,
            "duration_s": self.duration_s,
            "details": self.details,
        }

    def __repr__(self) -> str:
        return f"Proof({self.level}, {_clock.format_time(self.at)}, {self.outcome})"


def level_of(proofs: t.Iterable[Proof]) -> str:
    """The level that the proofs, taken in the order of their times, leave a point with.

    A success raises to its level. A failed verification makes the point ``damaged`` until a later success; a failed
    restore or assertion takes that level away and leaves what is below it.
    """
    level = LEVELS[0]
    for proof in sorted(proofs, key=lambda item: (item.at, item.outcome == "failed", LEVELS.index(item.level))):
        rank = LEVELS.index(proof.level)
        if proof.outcome == "ok":
            level = proof.level if level == DAMAGED else LEVELS[max(rank, LEVELS.index(level))]
        elif proof.level in ("taken", "verified"):
            level = DAMAGED
        elif level != DAMAGED:
            level = LEVELS[min(rank - 1, LEVELS.index(level))]
    return level


def at_least(level: str, minimum: str) -> bool:
    """Whether a point's level reaches ``minimum``; a damaged one reaches nothing."""
    return level != DAMAGED and LEVELS.index(level) >= LEVELS.index(minimum)


def newest_proof(proofs: t.Iterable[Proof], minimum: str = "taken", outcome: str = "ok") -> Proof | None:
    """The latest proof of at least that level with that outcome."""
    fitting = [p for p in proofs if p.outcome == outcome and LEVELS.index(p.level) >= LEVELS.index(minimum)]
    return max(fitting, key=lambda proof: proof.at, default=None)


def write_proof(
    repository: Repository,
    point: RecoveryPoint,
    level: str,
    run_id: str | None,
    duration_s: float,
    details: dict[str, t.Any],
    outcome: str = "ok",
) -> Proof:
    """Store a proof for ``point`` and add it to ``point.proofs``."""
    if level not in LEVELS or outcome not in OUTCOMES:
        raise InvalidInput(
            "not a proof", point.component, expected=f"{LEVELS} with {OUTCOMES}", found=f"{level} {outcome}"
        )
    if level != LEVELS[0]:
        _refuse_expired(repository, point)
    at = _clock.now()
    failed = "-failed" if outcome == "failed" else ""
    name = f"{level}{failed}-{at.strftime(_TIME)}-{secrets.token_hex(2)}.json"
    document = {
        # With its own name nobody can pass a copy off as another proof; with its predecessor's a missing one shows.
        "name": name,
        "previous": point.proofs[-1].name if point.proofs else None,
        "level": level,
        "at": _clock.format_time(at),
        "outcome": outcome,
        "component": point.component,
        "point_id": point.point_id,
        "run_id": run_id,
        "duration_s": round(duration_s, 6),
        "details": details,
    }
    create_signed(repository, f"{point.prefix}proofs/{name}", sealed_json(document))
    proof = Proof(level, at, run_id, outcome, round(duration_s, 6), details, name=name)
    point.proofs.append(proof)
    return proof


def _refuse_expired(repository: Repository, point: RecoveryPoint) -> None:
    """What is missing of a point that retention removes is no damage, and nobody would remove the proof again."""
    try:
        repository.store.stat(f"components/{point.component}/tombstones/{point.point_id}.json")
    except ObjectMissing:
        return
    raise ObjectMissing(
        f"recovery point {point.point_id} has expired meanwhile",
        point.component,
        expected="a point that is kept",
        found="a tombstone",
        next_command="to choose among the points that are kept: the same command",
    )


def list_proofs(store: Store, prefix: str, signed_only: bool = False) -> list[Proof]:
    """The proofs of the point at ``prefix``, oldest first, from their names alone. Other names are no proofs.

    :arg signed_only: leave those out beside which there is no signature; whether it fits is for a verification to say.
    """
    return named_proofs(store, prefix, store.children(f"{prefix}proofs/"), signed_only)


def named_proofs(store: Store, prefix: str, listed: t.Iterable[str], signed_only: bool = False) -> list[Proof]:
    """As :func:`list_proofs`, for the names that somebody has listed already."""
    proofs = []
    names = set(listed)
    for name in names:
        parts = _NAME.fullmatch(name)
        if parts and (not signed_only or name + SUFFIX in names):
            try:
                at = datetime.datetime.strptime(parts[3], _TIME).replace(tzinfo=datetime.timezone.utc)
            except ValueError:  # such as the 45th of a month: nobody but us may name a proof
                continue
            outcome = "failed" if parts[2] else "ok"
            proofs.append(
                Proof(parts[1], at, outcome=outcome, read=_reader(store, f"{prefix}proofs/{name}"), name=name)
            )
    return sorted(proofs, key=lambda proof: proof.at)


def proof_failures(store: Store, prefix: str) -> list[str]:
    """What is wrong with the proofs of the point at ``prefix``: read, each one; in words that name the object.

    A proof whose name lies, a changed one, a copy, something that is no proof, and one that a later proof names and
    that is gone. The newest proof can disappear unseen: the point is then proven anew.
    """
    failures: list[str] = []
    names = set(store.children(f"{prefix}proofs/"))
    signatures = {name for name in names if name.endswith(SUFFIX)}
    for name in sorted(names - signatures):
        key = f"{prefix}proofs/{name}"
        try:
            previous = read_proof(store, key)["previous"]
        except RunbookError as error:
            failures.append(f"proofs/{name}: {error}")
        else:
            if previous is not None and previous not in names:
                failures.append(f"proofs/{previous}: missing, although {name} names it")
    return failures


def _reader(store: Store, key: str) -> t.Callable[[], dict[str, t.Any]]:
    return lambda: read_proof(store, key)


def read_proof(store: Store, key: str) -> dict[str, t.Any]:
    """A proof's run, duration, details and the proof before it. Raises :class:`IntegrityError` unless it is what its key says."""
    return parse_proof(store.read(key, DOCUMENT_LIMIT), key)


def parse_proof(content: bytes, key: str) -> dict[str, t.Any]:
    """As :func:`read_proof`, of what was read."""
    _components, component, _points, point_id, _proofs, name = key.split("/")
    parts = _NAME.fullmatch(name)
    if parts is None:
        raise IntegrityError(f"{key} is no proof", expected="a proof's name", found=name)
    fields = parse_sealed(content, key)
    outcome = "failed" if parts[2] else "ok"
    said = tuple(fields.text(item) for item in ("component", "point_id", "name", "level", "outcome"))
    if said != (component, point_id, name, parts[1], outcome):
        raise IntegrityError(f"{key} is damaged", expected="what its name says", found=" ".join(said))
    return {
        "run_id": fields.optional_text("run_id"),
        "duration_s": fields.number("duration_s"),
        "details": fields.mapping("details"),
        "previous": fields.optional_text("previous"),
    }
