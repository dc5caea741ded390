# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the repository shows about a component's lease: its highest epoch, whose it is, and whether it still counts."""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._repository.documents import (
    DOCUMENT_LIMIT,
    check_component,
    parse_sealed,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import provably_dead

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectStat, Store

SHORTEST_TTL_S, LONGEST_TTL_S = 1.0, 7 * 86400.0
#: The part of the time to live that others wait longer than the holder dares to act.
MARGIN = 0.1
_FIRST_RENEWAL = "renewed-000001.json"


@dataclass(frozen=True)
class LeaseState:
    """The highest epoch as the repository shows it."""

    epoch: int
    holder: dict[str, t.Any]
    run_id: str | None
    scope: str
    ttl_s: float
    #: When it was taken or last renewed, by the store's clock.
    renewed: datetime.datetime
    renewals: int
    released: bool
    #: Whether it once ended by its time, and a renewal that had been under way all along only came afterwards. Whoever
    #: looked before that may take the next epoch at any time, so it never counts again.
    lapsed: bool = False

    def held(self, now: datetime.datetime) -> bool:
        """Whether somebody may still act on it; ``now`` is the store's time, from before the state was looked up."""
        expired = (now - self.renewed).total_seconds() > self.ttl_s * (1 + MARGIN)
        return not (self.released or self.lapsed or expired or provably_dead(self.holder))

    def described(self) -> str:
        """Whose it is, for an error; short, whatever the document says."""
        host, pid = str(self.holder.get("host"))[:255], self.holder.get("pid")
        return (
            f"held by run {self.run_id or 'without a record'} on {host} (process {pid}), "
            f"renewed {_clock.format_time(self.renewed)}, for {self.ttl_s:g} s"
        )[:600]

    def facts(self, now: datetime.datetime) -> dict[str, t.Any]:
        return {
            "epoch": self.epoch,
            "held": self.held(now),
            "holder": self.holder,
            "renewed": _clock.format_time(self.renewed),
            "ttl_s": self.ttl_s,
        }


def current_lease(repository: Repository, component: str) -> LeaseState | None:
    """The component's highest epoch, held or not; None when there never was one. Raises :class:`IntegrityError`."""
    while True:
        epoch = highest_epoch(repository, component)
        if epoch is None:
            return None
        try:
            return _read_state(repository, component, epoch)
        except ObjectMissing:  # removed, because a higher one was taken since
            if highest_epoch(repository, component) == epoch:
                raise _damaged(component, epoch, "no held.json") from None


def _read_state(repository: Repository, component: str, epoch: int) -> LeaseState:
    store = repository.store
    prefix = epoch_prefix(component, epoch)
    stats = _stats(store, prefix)
    if "held.json" not in stats:
        raise ObjectMissing(f"{prefix}held.json is not there", component)
    try:
        fields = parse_sealed(store.read(f"{prefix}held.json", DOCUMENT_LIMIT), f"{prefix}held.json")
        ttl_s = min(max(fields.number("ttl_s"), SHORTEST_TTL_S), LONGEST_TTL_S)
        return LeaseState(
            epoch=epoch,
            holder=fields.mapping("holder"),
            run_id=fields.optional_text("run_id"),
            scope=fields.text("scope", "run|step"),
            ttl_s=ttl_s,
            renewed=max(found.modified for name, found in stats.items() if name != "released.json"),
            renewals=sum(name.startswith("renewed-") for name in stats),
            released="released.json" in stats,
            lapsed=_lapsed(stats, ttl_s),
        )
    except IntegrityError as error:
        if "released.json" not in stats:
            raise _damaged(component, epoch, error.found or str(error)) from None
        return LeaseState(epoch, {}, None, "step", SHORTEST_TTL_S, stats["held.json"].modified, 0, True)


def _stats(store: Store, prefix: str) -> dict[str, ObjectStat]:
    """What an epoch has left, by name.

    The list of a directory is not one moment: all renewals of it may have been replaced between the name and the look, and a
    living holder's lease look as old as ``held.json``. So two looks have to agree that there is none.
    """
    former: set[str] | None = None
    while True:
        stats = {found.key[len(prefix) :]: found for found in store.list(prefix)}
        if stats.keys() == former or any(name.startswith(("renewed-", "released")) for name in stats):
            return stats
        former = set(stats)


def _lapsed(stats: t.Mapping[str, ObjectStat], ttl_s: float) -> bool:
    """Whether more time lies between two renewals than the others wait.

    Who renews in time removes renewals before the last: those that are left follow each other, and the first of all
    follows ``held.json``.
    """
    renewals = sorted((found.modified, name) for name, found in stats.items() if name.startswith("renewed-"))
    moments = [modified for modified, _name in renewals]
    if renewals and renewals[0][1] == _FIRST_RENEWAL:
        moments.insert(0, stats["held.json"].modified)
    return any((after - before).total_seconds() > ttl_s * (1 + MARGIN) for before, after in zip(moments, moments[1:]))


def epochs(repository: Repository, component: str) -> list[int]:
    """The numbers of the epochs that have left anything, lowest first."""
    names = repository.store.children(f"control/leases/{check_component(component)}/")
    return sorted(int(name[:-1]) for name in names if re.fullmatch(r"\d{12}/", name))


def highest_epoch(repository: Repository, component: str) -> int | None:
    """The only epoch that counts."""
    return max(epochs(repository, component), default=None)


def epoch_prefix(component: str, epoch: int) -> str:
    return f"control/leases/{check_component(component)}/{epoch:012d}/"


def _damaged(component: str, epoch: int, found: str) -> IntegrityError:
    return IntegrityError(
        f"the lease of epoch {epoch} is damaged",
        component,
        expected="a readable held.json",
        found=found,
        next_command=f"make sure that nobody operates on the component, then: {release_command(component)}",
    )


def release_command(component: str) -> str:
    """How somebody who is certain that a run is dead gives its lease back."""
    return f"ansible-playbook sre.runbooks.release_lease --limit {component} -e lease_confirm={component}"
