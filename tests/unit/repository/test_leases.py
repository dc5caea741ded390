# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leases on a real directory: held, renewed, expired, taken over from the dead, broken on purpose."""

from __future__ import annotations

import datetime
import os
import pathlib
import subprocess
import sys
import threading
import time
import types
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    IntegrityError,
    InvalidInput,
    LeaseHeld,
    LeaseLost,
    Refused,
    RepositoryError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository import leases
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder, provably_dead
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import (
    Clocks,
    acquire,
    break_lease,
    holding,
    refuse_held,
    release,
)
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from tests.servers.deadline import wait_for

ELSEWHERE = {"run_id": "x", "host": "elsewhere", "boot_id": "b", "pid_namespace": "p", "pid": 1, "pid_started": "1"}


def epochs(repository: Repository) -> list[str]:
    return [name.rstrip("/") for name in repository.store.children("control/leases/db/")]


def age(repository: Repository, seconds: float) -> None:
    """Let the lease's last renewal be that long ago, by the store's clock."""
    moment = time.time() - seconds
    for found in repository.store.list("control/leases/db/"):
        os.utime(os.path.join(repository.store.path, found.key), (moment, moment))


def test_one_holds_and_another_is_told_who(repository: Repository) -> None:
    with holding(repository, "db", "run-1", describe_holder("run-1"), 60) as lease:
        lease.check()
        with pytest.raises(LeaseHeld) as raised:
            acquire(repository, "db", "run-2", ELSEWHERE, 60)
        assert "run-1" in str(raised.value) and raised.value.component == "db"
        assert str(os.getpid()) in str(raised.value)
        with holding(repository, "other", "run-2", ELSEWHERE, 60):
            pass
    with holding(repository, "db", "run-2", ELSEWHERE, 60) as after:
        assert after.epoch == lease.epoch + 1
    assert epochs(repository) == ["000000000002"]


def test_it_is_released_when_the_work_fails(repository: Repository) -> None:
    with pytest.raises(ValueError), holding(repository, "db", None, ELSEWHERE, 60):
        raise ValueError
    with holding(repository, "db", None, ELSEWHERE, 60):
        pass


def test_without_a_run_nobody_shares(repository: Repository) -> None:
    with holding(repository, "db", None, ELSEWHERE, 60), pytest.raises(LeaseHeld):
        acquire(repository, "db", None, ELSEWHERE, 60)


def test_steps_of_a_run_act_under_its_lease_and_leave_it_held(repository: Repository) -> None:
    taken = acquire(repository, "db", "run-1", ELSEWHERE, 60)
    with holding(repository, "db", "run-1", describe_holder("run-1"), 5) as lease:
        assert (lease.epoch, lease.acquired, lease.ttl_s) == (taken.epoch, False, 60)
        with holding(repository, "db", "run-1", describe_holder("run-1"), 5) as inner:
            assert inner.epoch == taken.epoch
    with pytest.raises(LeaseHeld):
        acquire(repository, "db", "run-2", ELSEWHERE, 60)
    assert release(repository, "db", "run-2") is False
    assert release(repository, "db", "run-1") is True
    assert release(repository, "db", "run-1") is False
    acquire(repository, "db", "run-2", ELSEWHERE, 60)


def test_a_run_whose_lease_expired_between_steps_goes_on_and_keeps_it(repository: Repository) -> None:
    acquire(repository, "db", "run-1", ELSEWHERE, 60)
    age(repository, 100)
    with holding(repository, "db", "run-1", ELSEWHERE, 60) as lease:
        assert (lease.epoch, lease.acquired, lease.scope) == (2, True, "run")
    with pytest.raises(LeaseHeld):
        acquire(repository, "db", "run-2", ELSEWHERE, 60)


def test_it_expires_by_the_store_s_clock_after_a_margin(repository: Repository) -> None:
    old = acquire(repository, "db", "run-1", ELSEWHERE, 60)
    age(repository, 63)
    with pytest.raises(LeaseHeld):
        acquire(repository, "db", "run-2", ELSEWHERE, 60)
    age(repository, 67)
    new = acquire(repository, "db", "run-2", ELSEWHERE, 60)
    assert new.epoch == old.epoch + 1
    for call in (old.check, old.renew):
        with pytest.raises(LeaseLost) as raised:
            call()
        assert "epoch 2" in str(raised.value)
    new.check()
    old.release()  # of an epoch that is over; nobody else's
    new.check()
    with pytest.raises(LeaseHeld):
        acquire(repository, "db", "run-3", ELSEWHERE, 60)


def test_who_looks_slowly_oversees_no_renewal(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the names of a directory and the look at each, the holder replaced them all."""
    lease = acquire(repository, "db", "run-1", ELSEWHERE, 60)
    age(repository, 1000)
    directory = pathlib.Path(repository.store.path, f"control/leases/db/{lease.epoch:012d}")
    (directory / "renewed-000005.json").write_bytes((directory / "held.json").read_bytes())
    entries, slow = repository.store._entries, [True]

    def slowly(of: str) -> t.Any:
        found = entries(of)
        if of.endswith(directory.name) and slow and slow.pop():
            (directory / "renewed-000005.json").rename(directory / "renewed-000007.json")
        return found

    monkeypatch.setattr(repository.store, "_entries", slowly)
    with pytest.raises(LeaseHeld):
        acquire(repository, "db", "run-2", ELSEWHERE, 60)
    assert not slow


def test_a_holder_that_could_not_renew_stops_by_itself(repository: Repository) -> None:
    clock = [0.0]
    lease = acquire(repository, "db", "run-1", ELSEWHERE, 60, clocks=Clocks(monotonic=lambda: clock[0]))
    clock[0] = 59
    lease.check()
    clock[0] = 61
    for call in (lease.check, lease.renew):
        with pytest.raises(LeaseLost, match="not renewed"):
            call()


def test_a_slow_answer_does_not_make_an_entered_lease_last_longer(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire(repository, "db", "run-1", ELSEWHERE, 60)
    clock, real, retried = [0.0], repository.store.now, []

    def slow() -> datetime.datetime:
        moment = real()
        clock[0] += 61
        return moment

    def sleep(seconds: float) -> None:
        retried.append(seconds)
        monkeypatch.setattr(repository.store, "now", real)

    monkeypatch.setattr(repository.store, "now", slow)
    acquire(repository, "db", "run-1", ELSEWHERE, 60, clocks=Clocks(monotonic=lambda: clock[0], sleep=sleep))
    assert len(retried) == 1


def test_a_released_or_broken_lease_stops_its_holder(repository: Repository) -> None:
    lease = acquire(repository, "db", "run-1", ELSEWHERE, 60)
    break_lease(repository, "db")
    with pytest.raises(LeaseLost, match="released"):
        lease.check()


class Hurried(threading.Event):
    """A minute's waiting takes less than half a second."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / 150)


def test_it_is_renewed_while_work_goes_on(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    # So that a machine that stands still for some seconds loses no lease.
    monkeypatch.setattr(leases, "threading", types.SimpleNamespace(Event=Hurried, Thread=threading.Thread))
    with holding(repository, "db", "run-1", ELSEWHERE, 60) as lease:

        def renewed() -> list[str]:
            names = repository.store.children("control/leases/db/000000000001/")
            return sorted(name for name in names if name.startswith("renewed-"))

        wait_for(lambda: bool(renewed()) and renewed()[0] > "renewed-000001.json", "the second renewal")
        held, deadline = lease_file(repository, "held.json"), lease.deadline
        os.utime(held, (time.time() - 3600, time.time() - 3600))
        for _renewal in range(5):
            last = renewed()[-1]
            wait_for(lambda last=last: renewed()[-1] > last, "the next renewal")
            lease.check()
            with pytest.raises(LeaseHeld):
                acquire(repository, "db", "run-2", ELSEWHERE, 60)
        assert lease.deadline > deadline
        # One more while the one before the last is being removed.
        wait_for(lambda: len(renewed()) <= 2, "earlier renewals to be removed")


def lease_file(repository: Repository, name: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / "control/leases/db/000000000001" / name


def test_waiting_for_another_to_end(repository: Repository) -> None:
    held, seen, waited = threading.Event(), threading.Event(), []

    def first() -> None:
        with holding(repository, "db", "run-1", ELSEWHERE, 20):
            held.set()
            seen.wait(60)

    def wait(holder: t.Mapping[str, t.Any], _seconds: float) -> None:
        waited.append(holder["host"])
        seen.set()

    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with holding(repository, "db", "run-2", ELSEWHERE, 60, 120, wait):
        assert waited and set(waited) == {"elsewhere"}
    thread.join()


def child() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_the_dead_are_known_and_the_living_are_not_robbed(repository: Repository) -> None:
    process = child()
    try:
        holder = describe_holder("run-1", process.pid)
        assert provably_dead(holder) is False
        acquire(repository, "db", "run-1", holder, 3600)
        with pytest.raises(LeaseHeld):
            acquire(repository, "db", "run-2", ELSEWHERE, 60)
    finally:
        process.kill()
    while not provably_dead(holder):  # not yet reaped: a zombie is dead
        time.sleep(0.01)
    process.wait()
    assert provably_dead(holder) is True
    assert acquire(repository, "db", "run-2", ELSEWHERE, 60).epoch == 2


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"pid_started": "1"}, True),
        ({"pid": 2**22 + 1}, True),
        ({"boot_id": "another"}, False),
        ({"pid_namespace": "another"}, False),
        ({"pid": None}, False),
        ({"pid_started": None}, False),
        ({"pid": "1; rm"}, False),
    ],
)
def test_what_proves_a_death(change: dict[str, object], dead: bool) -> None:
    assert provably_dead({**describe_holder("run"), **change}) is dead


def test_a_wrong_clock_is_refused(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = _clock.now()
    monkeypatch.setattr(repository.store, "now", lambda: moment)
    fast = Clocks(now=lambda: moment + datetime.timedelta(seconds=31))
    with pytest.raises(Refused, match="clock"):
        acquire(repository, "db", "run-1", ELSEWHERE, 60, clocks=fast)
    assert current_lease(repository, "db") is None
    acquire(
        repository,
        "db",
        "run-1",
        ELSEWHERE,
        60,
        clocks=Clocks(now=lambda: moment + datetime.timedelta(seconds=30)),
    )


def test_breaking_it(repository: Repository) -> None:
    assert break_lease(repository, "db") is None
    acquire(repository, "db", "run-1", ELSEWHERE, 3600)
    assert break_lease(repository, "db") == 1
    assert acquire(repository, "db", "run-2", ELSEWHERE, 60).epoch == 2


def test_a_damaged_lease_is_nobody_s_to_take_until_it_is_broken(repository: Repository) -> None:
    acquire(repository, "db", "run-1", ELSEWHERE, 60)
    held = pathlib.Path(repository.store.path) / "control/leases/db/000000000001/held.json"
    held.write_bytes(b"\0\0")
    with pytest.raises(IntegrityError) as raised:
        acquire(repository, "db", "run-2", ELSEWHERE, 60)
    assert "lease_confirm=db" in (raised.value.next_command or "")
    break_lease(repository, "db")
    assert acquire(repository, "db", "run-2", ELSEWHERE, 60).epoch == 2


def test_looking_takes_nothing(repository: Repository) -> None:
    refuse_held(repository, "db", "run-1")
    assert epochs(repository) == []
    acquire(repository, "db", "run-1", ELSEWHERE, 60)
    refuse_held(repository, "db", "run-1")
    with pytest.raises(LeaseHeld):
        refuse_held(repository, "db", "run-2")


@pytest.mark.parametrize("ttl", [0, 0.5, 8 * 86400])
def test_bad_times_to_live(repository: Repository, ttl: float) -> None:
    with pytest.raises(InvalidInput):
        acquire(repository, "db", "run-1", ELSEWHERE, ttl)


def test_a_repository_that_fails_on_release_does_not_hide_the_work_s_own_error(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(key: str, data: bytes) -> None:
        raise RepositoryError("full")

    with pytest.raises(ValueError), holding(repository, "db", "run-1", ELSEWHERE, 60):
        monkeypatch.setattr(repository.store, "create", full)
        raise ValueError


def test_many_at_once_have_one_winner(repository: Repository) -> None:
    won, ready = [], threading.Barrier(8)

    def work(number: int) -> None:
        ready.wait()
        try:
            won.append(acquire(repository, "db", f"run-{number}", ELSEWHERE, 60))
        except LeaseHeld:
            pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].check()
