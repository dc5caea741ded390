# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The events of a run, written by modules as they act so that a killed run leaves its timeline behind.

An event is a small write-once object ``runs/<run_id>/events/<time>-<8 hex>.json``. A step writes one when it starts
and one when it ends; both carry the same ``step_id``, so a start without an end is a step that was cut off.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import secrets
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time, now, parse_time
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import parse_sealed, sealed_json

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: How a step can end. "changed" is an "ok" that changed the target.
OUTCOMES = ("ok", "changed", "skipped", "failed")
#: What a timeline may show: a step that started and never ended is "interrupted" once its run is over.
TIMELINE_OUTCOMES = (*OUTCOMES, "started", "interrupted")

_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[a-z0-9_-]{1,63}-[0-9a-f]{4}")
_EVENT_LIMIT = 256 * 1024
_TEXT_LIMIT = 2000


@dataclasses.dataclass
class Event:
    """One object of the record.

    :ivar at: when the step started. :ivar written: when this event was written (the end, for an ended step).
    :ivar duration_s: seconds that the step took; None while it has not ended, or for a moment without length.
    """

    at: datetime.datetime
    written: datetime.datetime
    component: str | None
    step: str
    step_id: str
    outcome: str
    duration_s: float | None
    facts: dict[str, t.Any]


class Step:
    """What ``with recorder.step(...) as step`` gives: add to ``facts``, set ``outcome`` to "changed" or "skipped"."""

    def __init__(self, facts: dict[str, t.Any]) -> None:
        self.facts = facts
        self.outcome = "ok"


class Recorder:
    """Writes events of one component to a run's record. Without a repository or a run id it does nothing.

    Recording never stops nor masks the work: a restore from a repository that has become read-only must go on.
    What could not be written is counted in ``lost`` and explained in ``problem``; modules may return them.

    :arg run_id: the run, or None / empty (a module used on its own, or check mode) for no record.
    """

    def __init__(self, repository: Repository | None, run_id: str | None, component: str | None = None) -> None:
        self.run_id = checked_run_id(run_id) if run_id else None
        self.component = component
        self.lost = 0
        self.problem: str | None = None
        self._repository = repository

    @contextlib.contextmanager
    def step(self, name: str, /, **facts: t.Any) -> t.Iterator[Step]:
        """Record the enclosed work as a step: a "started" event, then one with its outcome and duration.

        An exception makes the outcome "failed" and goes on its way; ``exit_json`` inside a step is not a failure.
        Never pass a secret in ``facts``.
        """
        step, step_id, at, clock = Step(dict(facts)), secrets.token_hex(4), now(), time.monotonic()
        self._write(at, name, step_id, "started", None, step.facts)
        try:
            yield step
        except BaseException as error:
            if not isinstance(error, SystemExit) or error.code not in (None, 0):
                step.outcome = "failed"
                step.facts.update(_failure(error))
            raise
        finally:
            self._write(at, name, step_id, step.outcome, time.monotonic() - clock, step.facts)

    def event(
        self,
        name: str,
        /,
        outcome: str = "ok",
        duration_s: float | None = None,
        at: datetime.datetime | None = None,
        **facts: t.Any,
    ) -> None:
        """Record something that is already over. ``at`` is its start; by default ``duration_s`` ago."""
        if outcome not in OUTCOMES:
            raise InvalidInput("not an outcome of a step", expected=" or ".join(OUTCOMES), found=repr(outcome))
        start = at or now() - datetime.timedelta(seconds=duration_s or 0)
        self._write(start, name, secrets.token_hex(4), outcome, duration_s, facts)

    def _write(
        self,
        at: datetime.datetime,
        step: str,
        step_id: str,
        outcome: str,
        duration_s: float | None,
        facts: dict[str, t.Any],
    ) -> None:
        if self._repository is None or self.run_id is None:
            return
        written = now()
        key = f"runs/{self.run_id}/events/{written.strftime('%Y%m%dT%H%M%S.%fZ')}-{secrets.token_hex(4)}.json"
        event = {
            # With its own key no copy of it passes for another event.
            "key": key,
            "at": format_time(at),
            "written": format_time(written),
            "component": self.component,
            "step": step[:_TEXT_LIMIT],
            "step_id": step_id,
            "outcome": outcome,
            "duration_s": None if duration_s is None else round(duration_s, 6),
            "facts": facts,
        }
        try:
            self._repository.store.create(key, sealed_json(plain(event)))
        except (RunbookError, OSError, ValueError, RecursionError) as error:
            self.lost += 1
            self.problem = str(error)


def read_events(repository: Repository, run_id: str) -> list[Event]:
    """Every event of a run in the order of writing.

    One that can't be read appears as a failed step "unreadable event", so that nothing disappears in silence.
    """
    prefix = f"runs/{checked_run_id(run_id)}/events/"
    events = []
    for found in repository.store.list(prefix):
        try:
            events.append(parse_event(repository.store.read(found.key, limit=_EVENT_LIMIT), found.key))
        except RunbookError as error:
            facts = {"key": found.key, "error": str(error)[:_TEXT_LIMIT]}
            events.append(Event(found.modified, found.modified, None, "unreadable event", "", "failed", None, facts))
    return sorted(events, key=lambda event: event.written)


def parse_event(data: bytes, what: str) -> Event:
    """Validate what was read. Raises :class:`InvalidInput`, :class:`IntegrityError`."""
    raw = parse_sealed(data, what).data
    component, duration, facts = raw.get("component"), raw.get("duration_s"), raw.get("facts", {})
    valid = (
        isinstance(raw.get("step"), str)
        and isinstance(raw.get("step_id"), str)
        and raw.get("outcome") in TIMELINE_OUTCOMES
        and isinstance(raw.get("at"), str)
        and isinstance(raw.get("written"), str)
        and (component is None or isinstance(component, str))
        and (duration is None or (isinstance(duration, (int, float)) and 0 <= duration < 1e12))
        and isinstance(facts, dict)
    )
    if not valid:
        raise InvalidInput("an event has not the expected form", found=repr(raw)[:200])
    return Event(
        at=parse_time(raw["at"]),
        written=parse_time(raw["written"]),
        component=component,
        step=raw["step"][:_TEXT_LIMIT],
        step_id=raw["step_id"][:64],
        outcome=raw["outcome"],
        duration_s=None if duration is None else float(duration),
        facts=facts,
    )


def checked_run_id(run_id: str) -> str:
    """The run id itself, when it has the form of one. Raises :class:`InvalidInput`."""
    if not _RUN_ID.fullmatch(run_id):
        raise InvalidInput("not a run id", expected="such as 20261121T051000Z-backup-1a2b", found=repr(run_id))
    return run_id


def plain(value: t.Any) -> t.Any:
    """The value as JSON can hold it: times and paths as text, characters that UTF-8 cannot carry replaced."""
    if isinstance(value, t.Mapping):
        return {plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, datetime.datetime):
        return format_time(value)
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _failure(error: BaseException) -> dict[str, t.Any]:
    """What may be kept of an error: ours are made to be read; others could quote a secret, so only their type."""
    if isinstance(error, RunbookError):
        return {"error": error.facts()}
    return {"error": {"kind": type(error).__name__, "message": f"{type(error).__name__} (see the module's output)"}}
