# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exclusive right to operate on a component.

A lease is an epoch: whoever creates ``control/leases/<component>/<epoch>/held.json`` for the next number holds it. It
ends by ``released.json``, or when nothing was renewed for its time to live by the *store's* clock, plus a margin that
keeps the holder's own reckoning (which starts before each renewal is asked for) ahead of everybody else's. What has ended
so does not begin again, whatever comes late.

Only the highest epoch counts, so that an old holder that wakes up finds a higher number and stops.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import secrets
import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    LeaseHeld,
    LeaseLost,
    ObjectExists,
    Refused,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    FORMAT,
    canonical_json,
    check_component,
    sealed_json,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import (
    LONGEST_TTL_S,
    MARGIN,
    SHORTEST_TTL_S,
    LeaseState,
    current_lease,
    epoch_prefix,
    epochs,
    highest_epoch,
    release_command,
)

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

#: Seconds that this host's clock and the store's may differ.
SKEW_LIMIT_S = 30.0
_LONGEST_POLL_S = 5.0
_RENEWED = re.compile(r"renewed-\d{6}\.json")

#: Called while waiting, with the holder and the seconds waited so far.
OnWait = t.Callable[[t.Mapping[str, t.Any], float], None]


@dataclass(frozen=True)
class Clocks:
    """What time it is here, and how to wait; tests bring their own."""

    now: t.Callable[[], datetime.datetime] = _clock.now
    monotonic: t.Callable[[], float] = time.monotonic
    sleep: t.Callable[[float], None] = time.sleep


@dataclass
class Lease:
    """A lease that this process acts under."""

    repository: Repository
    component: str
    epoch: int
    ttl_s: float
    #: By ``clocks.monotonic``; after it others may take over.
    deadline: float
    #: Whether this call took it, as opposed to acting under the one that the run holds already.
    acquired: bool
    #: ``run``: kept until the run releases it. ``step``: until the step that took it ends.
    scope: str
    clocks: Clocks = field(default_factory=Clocks)

    def check(self) -> None:
        """Raise :class:`LeaseLost` unless the lease is certainly still held. Call it right before each step that counts."""
        found = highest_epoch(self.repository, self.component)
        if found != self.epoch:
            raise _lost(self, f"epoch {found}")
        if "released.json" in self.repository.store.children(epoch_prefix(self.component, self.epoch)):
            raise _lost(self, f"epoch {self.epoch}, released by the run or by an operator")
        if self.clocks.monotonic() > self.deadline:
            raise _lost(self, f"epoch {self.epoch}, not renewed for more than {self.ttl_s:g} s")

    def renew(self) -> None:
        """Start the time to live anew. Raises :class:`LeaseLost`, or :class:`RepositoryError` when that can't be told."""
        began = self.clocks.monotonic()
        prefix = epoch_prefix(self.component, self.epoch)
        store = self.repository.store
        names = sorted(name for name in store.children(prefix) if _RENEWED.fullmatch(name))
        number = int(names[-1][8:14]) + 1 if names else 1
        self._check_deadline()
        with contextlib.suppress(ObjectExists):  # another step of the same run renewed it at this moment
            store.create(f"{prefix}renewed-{number:06d}.json", canonical_json({"format": FORMAT}))
        # Against the old deadline: a renewal that became visible after it may have been overlooked by a new holder.
        self.check()
        self.deadline = began + self.ttl_s
        with contextlib.suppress(RepositoryError):
            for name in names[:-1]:
                store.delete(prefix + name)

    def _check_deadline(self) -> None:
        if self.clocks.monotonic() > self.deadline:
            raise _lost(self, f"epoch {self.epoch}, not renewed for more than {self.ttl_s:g} s")

    def release(self) -> None:
        """Let others have it now. Does nothing when it is lost; never raises for the repository's sake: it expires."""
        with contextlib.suppress(RepositoryError):
            _mark_released(self.repository, self.component, self.epoch)


def acquire(
    repository: Repository,
    component: str,
    run_id: str | None,
    holder: dict[str, t.Any],
    ttl_s: float,
    wait_s: float = 0.0,
    on_wait: OnWait | None = None,
    scope: str = "run",
    clocks: Clocks | None = None,
) -> Lease:
    """Take the lease, or act under the one that the same run holds.

    :arg wait_s: how long to wait for another holder, in seconds.
    :raises LeaseHeld: somebody else holds it still.
    :raises Refused: this host's clock is not the store's.
    """
    check_component(component)
    clocks = clocks or Clocks()
    if not SHORTEST_TTL_S <= ttl_s <= LONGEST_TTL_S:
        raise InvalidInput(
            "not a lease's time to live", component, expected="between 1 s and 7 d", found=f"{ttl_s:g} s"
        )
    began = clocks.monotonic()
    while True:
        # The time first: a state that is looked up later than it cannot have been renewed in between unseen.
        now = _store_time(repository, component, clocks)
        found = current_lease(repository, component)
        if found is None or not found.held(now):
            lease = _take(
                repository, component, run_id, holder, ttl_s, _scope_after(found, run_id, scope), found, clocks
            )
            if lease is not None:
                return lease
            continue
        if run_id is not None and found.run_id == run_id:
            entered = _enter(repository, component, found, clocks)
            if entered is not None:
                return entered
            continue
        waited = clocks.monotonic() - began
        if waited >= wait_s:
            raise _held_by(component, found)
        if on_wait is not None:
            on_wait(found.holder, waited)
        clocks.sleep(max(0.05, min(wait_s - waited, found.ttl_s / 10, _LONGEST_POLL_S)))


def shown_in(progress: Progress, wait_s: float) -> OnWait:
    """Say in ``progress`` for whom is waited, so that nobody takes it for a hanging task."""

    def on_wait(holder: t.Mapping[str, t.Any], _waited_s: float) -> None:
        who = f"run {holder.get('run_id') or 'without a record'} on {holder.get('host') or 'an unknown host'}"
        text = f"waiting for {who} to end, at most {_clock.format_duration(wait_s)}"
        if progress.what != text:
            progress.step(text)

    return on_wait


def refuse_held(repository: Repository, component: str, run_id: str | None) -> None:
    """Raise :class:`LeaseHeld` when somebody other than the run holds the lease; takes and writes nothing."""
    found = current_lease(repository, component)
    if found is not None and found.held(_clock.now()) and (run_id is None or found.run_id != run_id):
        raise _held_by(component, found)


def release(repository: Repository, component: str, run_id: str | None) -> bool:
    """Release what the run holds; returns whether it held anything. Somebody else's lease is left alone."""
    found = current_lease(repository, component)
    if found is None or found.released or run_id is None or found.run_id != run_id:
        return False
    _mark_released(repository, component, found.epoch)
    return True


def break_lease(repository: Repository, component: str, epoch: int | None = None) -> int | None:
    """Release whoever's lease it is, even a damaged one; returns its epoch. For an operator who knows why.

    :arg epoch: the one that was looked at, so that nobody loses the next one; None means whichever is the highest.
    """
    epoch = highest_epoch(repository, component) if epoch is None else epoch
    if epoch is not None:
        _mark_released(repository, component, epoch)
    return epoch


@contextlib.contextmanager
def holding(
    repository: Repository,
    component: str,
    run_id: str | None,
    holder: dict[str, t.Any],
    ttl_s: float,
    wait_s: float = 0.0,
    on_wait: OnWait | None = None,
) -> t.Iterator[Lease]:
    """Hold the lease while the context lasts, renewed by a thread; see :func:`acquire`.

    Inside a run that holds it already (module ``lease``) it is only renewed, and stays held afterwards.
    """
    lease = acquire(repository, component, run_id, holder, ttl_s, wait_s, on_wait, scope="step")
    ended = threading.Event()
    renewing = threading.Thread(target=_keep_renewed, args=(lease, ended), daemon=True, name=f"lease of {component}")
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join(timeout=30)
        if lease.acquired and lease.scope == "step":
            lease.release()


def _keep_renewed(lease: Lease, ended: threading.Event) -> None:
    """What fails is tried again until the deadline; whether that was too late is for :meth:`Lease.check` to say."""
    while not ended.wait(lease.ttl_s / 4):
        try:
            lease.renew()
        except LeaseLost:
            return
        except (RepositoryError, IntegrityError, OSError):
            continue


def _store_time(repository: Repository, component: str, clocks: Clocks) -> datetime.datetime:
    before = clocks.now()
    store_time = repository.store.now()
    # A slow answer is no skew: only what lies outside of the time that asking took.
    skew = max((before - store_time).total_seconds(), (store_time - clocks.now()).total_seconds())
    if skew > SKEW_LIMIT_S:
        raise Refused(
            "this host's clock differs from the repository's",
            component,
            expected=f"at most {SKEW_LIMIT_S:g} s",
            found=f"{skew:.0f} s",
            next_command="set the clock (chronyc tracking, timedatectl)",
        )
    return store_time


def _scope_after(found: LeaseState | None, run_id: str | None, scope: str) -> str:
    """A run whose lease expired between two of its steps goes on with a new one that is the run's again."""
    mine = found is not None and not found.released and run_id is not None and found.run_id == run_id
    return "run" if mine and found is not None and found.scope == "run" else scope


def _take(
    repository: Repository,
    component: str,
    run_id: str | None,
    holder: dict[str, t.Any],
    ttl_s: float,
    scope: str,
    found: LeaseState | None,
    clocks: Clocks,
) -> Lease | None:
    """Try for the next epoch; None when somebody else was faster."""
    epoch = 1 if found is None else found.epoch + 1
    began = clocks.monotonic()
    prefix = epoch_prefix(component, epoch)
    document = {
        "component": component,
        "epoch": epoch,
        "run_id": run_id,
        "holder": holder,
        "ttl_s": ttl_s,
        "scope": scope,
        # Tells two holders without a run apart.
        "token": secrets.token_hex(8),
    }
    try:
        repository.store.create(f"{prefix}held.json", sealed_json(document))
    except ObjectExists:
        return None
    if highest_epoch(repository, component) != epoch:
        # We were so slow that this number had come and gone; it counts for nothing.
        repository.store.delete(f"{prefix}held.json")
        return None
    _forget_earlier(repository, component, epoch)
    return Lease(repository, component, epoch, ttl_s, began + ttl_s, True, scope, clocks)


def _enter(repository: Repository, component: str, found: LeaseState, clocks: Clocks) -> Lease | None:
    """Act under the lease that the run holds; None when it is lost at this very moment."""
    # The run's deadline, as far as it can be known here: from its last renewal, by the store's clock. Our own clock is
    # read first, so that a slow answer makes the deadline earlier, never later.
    asked = clocks.monotonic()
    passed = max(0.0, (_store_time(repository, component, clocks) - found.renewed).total_seconds())
    deadline = asked + found.ttl_s - passed
    lease = Lease(repository, component, found.epoch, found.ttl_s, deadline, False, found.scope, clocks)
    try:
        lease.renew()
    except LeaseLost:
        # Between its time to live and the margin nobody may act on it; soon it is free for the run to take again.
        clocks.sleep(max(0.05, found.ttl_s * MARGIN / 4))
        return None
    return lease


def _forget_earlier(repository: Repository, component: str, epoch: int) -> None:
    """Epochs that are over are only in the way; where deleting is not allowed they stay and do no harm."""
    store = repository.store
    with contextlib.suppress(RepositoryError):
        for earlier in epochs(repository, component):
            if earlier < epoch:
                for found in list(store.list(epoch_prefix(component, earlier))):
                    store.delete(found.key)


def _mark_released(repository: Repository, component: str, epoch: int) -> None:
    with contextlib.suppress(ObjectExists):
        repository.store.create(f"{epoch_prefix(component, epoch)}released.json", canonical_json({"format": FORMAT}))


def _lost(lease: Lease, found: str) -> LeaseLost:
    return LeaseLost(
        "the lease was lost while this step ran; it stops",
        lease.component,
        expected=f"epoch {lease.epoch}, renewed",
        found=found,
        next_command="once the other run has ended: the same command",
    )


def _held_by(component: str, found: LeaseState) -> LeaseHeld:
    return LeaseHeld(
        "somebody else operates on it",
        component,
        expected="a free lease",
        found=found.described(),
        next_command=(
            "wait for it (component_lease_wait); if that run is certainly dead: " + release_command(component)
        ),
    )
