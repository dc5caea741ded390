# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module gives back: the lease that was looked at, and not one that was taken since."""

from __future__ import annotations

import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import Refused
from ansible_collections.sre.runbooks.plugins.module_utils._repository import leases
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.modules import lease as module

DEAD = {**describe_holder("run-1"), "pid": 4_000_000}


def released(repository: Repository, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    given = {"component": "db", "run_id": None, "lease_confirm": None, **params}
    return module._released(t.cast(t.Any, types.SimpleNamespace(params=given, check_mode=check)), repository)


@pytest.mark.parametrize("confirm", ["db", None])
def test_who_took_the_next_one_meanwhile_keeps_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, confirm: str | None
) -> None:
    leases.acquire(repository, "db", "run-1", DEAD, 3600)
    give_back = leases.break_lease

    def late(*arguments: t.Any) -> int | None:
        leases.acquire(repository, "db", "run-2", describe_holder("run-2"), 3600)
        return give_back(*arguments)

    monkeypatch.setattr(leases, "break_lease", late)
    assert released(repository, lease_confirm=confirm)["released"]
    found = current_lease(repository, "db")
    assert found is not None and (found.epoch, found.run_id, found.released) == (2, "run-2", False)


def test_what_somebody_holds_and_what_nobody_does(repository: Repository) -> None:
    assert not released(repository)["released"] and not released(repository, lease_confirm="db")["released"]
    leases.acquire(repository, "db", "run-1", describe_holder("run-1"), 3600)
    with pytest.raises(Refused, match="run-1"):
        released(repository)
    assert not released(repository, run_id="run-2")["released"]
    assert released(repository, check=True, lease_confirm="db")["released"]
    assert released(repository, run_id="run-1")["released"]
    assert not released(repository, lease_confirm="db")["released"]


def test_a_damaged_one_is_given_back_by_its_name(repository: Repository) -> None:
    taken = leases.acquire(repository, "db", "run-1", describe_holder("run-1"), 3600)
    key = f"control/leases/db/{taken.epoch:012d}/held.json"
    repository.store.purge(key)
    repository.store.create(key, b"{")
    assert released(repository, lease_confirm="db")["released"]
    assert not released(repository, lease_confirm="db")["released"]
