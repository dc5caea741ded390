# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a run: opened before the first step, closed with the verdict, found again when its run was killed.

``runs/<run_id>/run.json`` says what was started, ``closed.json`` how it ended. ``control/runs/<run_id>.json`` exists
only while a run is open, so that the open ones are found without walking through all runs there ever were.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import re
import secrets
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, now
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    ObjectExists,
    ObjectMissing,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    parse_sealed,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import provably_alive, provably_dead
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._runs.objectives import VERDICTS
from ansible_collections.sre.runbooks.plugins.module_utils._runs.record import checked_run_id, plain

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: A run whose controller can't be asked is taken for dead when its record has not grown for so long (seconds).
SILENCE_S = 3600.0
#: The most bytes of a report.
REPORT_LIMIT = 64 * 1024 * 1024
_OPEN_PREFIX = "control/runs/"
_RUNBOOK = re.compile(r"[a-z0-9_-]{1,63}")


@dataclasses.dataclass
class RunRecord:
    """What ``run.json`` says.

    :ivar controller: who runs it: host, boot_id, pid_namespace, pid, pid_started (see ``_repository.holders``).
    """

    run_id: str
    runbook: str
    environment: str
    started: datetime.datetime
    components: list[str]
    controller: dict[str, t.Any]
    ansible_version: str
    operator: str
    scenario: str = ""
    participants: list[str] = dataclasses.field(default_factory=list)

    def to_document(self) -> bytes:
        return sealed_json({**plain(dataclasses.asdict(self)), "started": format_time(self.started)})

    @classmethod
    def from_document(cls, content: bytes, what: str) -> RunRecord:
        """Raises :class:`IntegrityError` naming ``what``."""
        fields = parse_sealed(content, what)
        return cls(
            run_id=fields.text("run_id"),
            runbook=fields.text("runbook", _RUNBOOK.pattern),
            environment=fields.text("environment"),
            started=fields.time("started"),
            components=fields.texts("components"),
            controller=fields.mapping("controller"),
            ansible_version=fields.text("ansible_version"),
            operator=fields.text("operator"),
            scenario=fields.text("scenario"),
            participants=fields.texts("participants"),
        )


def new_run_id(runbook: str, at: datetime.datetime) -> str:
    """``20261121T051000Z-backup-1a2b``: sorts by time. Raises :class:`InvalidInput`."""
    if not _RUNBOOK.fullmatch(runbook):
        raise InvalidInput("not a runbook's name", expected="1 to 63 of a-z 0-9 _ -", found=repr(runbook[:100]))
    return f"{at.strftime('%Y%m%dT%H%M%SZ')}-{runbook}-{secrets.token_hex(2)}"


def start_run(
    repository: Repository,
    runbook: str,
    components: t.Sequence[str],
    controller: t.Mapping[str, t.Any],
    ansible_version: str,
    operator: str,
    scenario: str = "",
    participants: t.Sequence[str] = (),
) -> RunRecord:
    """Open the record of a new run."""
    started = now()
    run = RunRecord(
        run_id=new_run_id(runbook, started),
        runbook=runbook,
        environment=repository.environment,
        started=started,
        components=sorted(set(components)),
        controller=dict(controller),
        ansible_version=ansible_version,
        operator=operator,
        scenario=scenario,
        participants=list(participants),
    )
    document = run.to_document()
    # The mark comes first: killed between the two, a mark without a run is cleared away; the other way round an open
    # run would never be found.
    repository.store.create(f"{_OPEN_PREFIX}{run.run_id}.json", document)
    repository.store.create(f"runs/{run.run_id}/run.json", document)
    return run


def load_run(repository: Repository, run_id: str) -> RunRecord:
    """Raises :class:`ObjectMissing` for a run that was never started."""
    key = f"runs/{checked_run_id(run_id)}/run.json"
    return RunRecord.from_document(repository.store.read(key, DOCUMENT_LIMIT), key)


def close_run(repository: Repository, run_id: str, verdict: str, reason: str = "") -> dict[str, t.Any]:
    """Close the record; the first closing counts. Returns ``{verdict, reason, closed}`` as recorded."""
    if verdict not in VERDICTS:
        raise InvalidInput("not a verdict", expected=" or ".join(VERDICTS), found=repr(verdict))
    key = f"runs/{checked_run_id(run_id)}/closed.json"
    closing = {"run_id": run_id, "verdict": verdict, "reason": reason, "closed": format_time(now())}
    try:
        # Damage since then to anything that is closed with the run, its absence included, shows.
        repository.store.create(key, sealed_json(plain({**closing, **_contents(repository, run_id)})))
    except ObjectExists:
        fields = parse_sealed(repository.store.read(key, DOCUMENT_LIMIT), key)
        closing = {name: fields.text(name) for name in ("verdict", "reason", "closed")}
    repository.store.delete(f"{_OPEN_PREFIX}{run_id}.json")
    return {name: closing[name] for name in ("verdict", "reason", "closed")}


def _contents(repository: Repository, run_id: str) -> dict[str, t.Any]:
    """``objects``: name → sha256 of what lies directly in the run's record; ``events``: names, as each is sealed."""
    prefix = f"runs/{run_id}/"
    objects = {}
    for name in repository.store.children(prefix):
        if not name.endswith("/") and name != "closed.json":
            content = repository.store.read(prefix + name, REPORT_LIMIT)
            stored = repository.store.stat(prefix + name).length
            if len(content) != stored:
                # Written down for good, the hash of a read that was cut short would be a false alarm for ever.
                raise IntegrityError(
                    f"{prefix}{name} was not read whole", expected=f"{stored} bytes", found=f"{len(content)} bytes"
                )
            objects[name] = hashlib.sha256(content).hexdigest()
    return {"objects": objects, "events": list(repository.store.children(f"{prefix}events/"))}


def interrupted_runs(repository: Repository) -> list[RunRecord]:
    """The runs whose record is open although nobody works on it any more."""
    found = []
    for name in list(repository.store.children(_OPEN_PREFIX)):
        run_id = name[: -len(".json")] if name.endswith(".json") else name
        try:
            run = load_run(repository, run_id)
        except ObjectMissing:
            _clear_mark_without_run(repository, f"{_OPEN_PREFIX}{name}")
            continue
        except RunbookError:  # a foreign or damaged object: not ours to close
            continue
        if _is_closed(repository, run_id):
            # Killed between closed.json and the end of the mark.
            repository.store.delete(f"{_OPEN_PREFIX}{name}")
        elif _is_abandoned(repository, run):
            found.append(run)
    return found


def earlier_runs(repository: Repository, runbook: str, before: str) -> t.Iterator[str]:
    """Ids of the runs of the same runbook that started before the run ``before``, newest first."""
    pattern = re.compile(rf"\d{{8}}T\d{{6}}Z-{re.escape(runbook)}-[0-9a-f]{{4}}")
    names = [name.rstrip("/") for name in repository.store.children("runs/")]
    for name in sorted(names, reverse=True):
        if name < before and pattern.fullmatch(name):
            yield name


def left_out(every: t.Iterable[str], components: t.Iterable[str]) -> list[str]:
    """Which of every component a run was not about (``--limit``). One that left any out says nothing of the whole."""
    return sorted(set(every) - set(components))


def _is_closed(repository: Repository, run_id: str) -> bool:
    try:
        repository.store.stat(f"runs/{run_id}/closed.json")
    except ObjectMissing:
        return False
    return True


def _is_abandoned(repository: Repository, run: RunRecord) -> bool:
    if provably_dead(run.controller):
        return True
    if provably_alive(run.controller):
        return False
    # Another machine's run: only its silence speaks, by the store's own clock.
    moment = repository.store.now()
    last = repository.store.stat(f"runs/{run.run_id}/run.json").modified
    for event in repository.store.list(f"runs/{run.run_id}/events/"):
        last = max(last, event.modified)
    return (moment - last).total_seconds() > SILENCE_S and not _holds_a_lease(repository, run, moment)


def _holds_a_lease(repository: Repository, run: RunRecord, moment: datetime.datetime) -> bool:
    """Whether it renews a lease: a dump of many hours writes no event in between."""
    for component in run.components:
        try:
            lease = current_lease(repository, component)
        except RunbookError:  # not a component's name, or a damaged lease
            continue
        if lease is not None and lease.held(moment) and lease.run_id == run.run_id:
            return True
    return False


def _clear_mark_without_run(repository: Repository, key: str) -> None:
    try:
        age_s = (repository.store.now() - repository.store.stat(key).modified).total_seconds()
    except ObjectMissing:
        return
    if age_s > SILENCE_S:
        repository.store.delete(key)
