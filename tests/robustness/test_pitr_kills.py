# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect of point-in-time recovery: archiving, backups, drills, expiry, and recovery itself.

The plain rerun converges, the run after it changes nothing, nothing is left, and at every moment there are data to go on with.
"""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.access import opened as opened_archive
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import generations
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from tests.robustness.module_process import Kill, ModuleProcess, Outcome
from tests.robustness.sweeping import Sweep, sweep_through
from tests.robustness.waiting import problems_while_waiting
from tests.servers.archived import NAME
from tests.servers.bank import Bank, Entry, bank


class Protected:
    """A bank with base backups, its modules in processes that can be killed, and two moments to go back to."""

    def __init__(self, opened: Bank, modules: ModuleProcess) -> None:
        self.bank = opened
        self.component = opened.component
        self.modules = modules
        opened.back_up()
        self.targets: list[Entry] = [opened.pay(3), opened.pay(2)]
        opened.end_segment()
        opened.pay()
        opened.end_segment()
        self.scratch = self.component.path / "scratch"
        self.scratch.mkdir(mode=0o755)
        self.turn = 0
        self.former: list[str] = []

    def run(self, module: str, kill: Kill | None, **params: t.Any) -> Outcome:
        own = {"repository": self.component.url, "environment_name": "local", "component": NAME, **params}
        return self.modules.call(module, own, kill)

    @property
    def data_dir(self) -> str:
        return str(self.bank.server.instance.data_dir)

    # -- what is disturbed -------------------------------------------------------------------------------------------

    def archive(self, kill: Kill | None = None) -> Outcome:
        given = {
            "cipher_pass_file": str(self.component.passphrase),
            "previous_cipher_pass_files": self.former,
            "config_dir": str(self.component.config_dir),
            "restart": "allowed",
            **self.bank.server.params(),
        }
        return self.run("postgresql_archiving", kill, **given)

    def stop_archiving(self) -> None:
        """And a new passphrase, so that the next set-up begins a new generation."""
        config_dir = str(self.component.config_dir)
        done = self.run(
            "postgresql_archiving", None, state="absent", config_dir=config_dir, **self.bank.server.params()
        )
        assert not done.failed, str(done)
        self.former.append(str(self.component.passphrase))
        self.component.passphrase = self.component.write_passphrase(
            self.component.path / f"passphrase-{len(self.former)}"
        )

    def back_up(self, kill: Kill | None = None, **params: t.Any) -> Outcome:
        given = {"config_dir": str(self.component.config_dir), "lease_wait": "1m", "force": True, "type": "incremental"}
        return self.run("postgresql_pitr_backup", kill, **{**given, **self.bank.server.params(), **params})

    def drill(self, kill: Kill | None = None, **params: t.Any) -> Outcome:
        given = {
            "cipher_pass_file": str(self.component.passphrase),
            "target": "newest",
            "scratch_dir": str(self.scratch),
            "drill_interval": "0",
        }
        return self.run("postgresql_pitr_drill", kill, **{**given, **params})

    def outdate(self) -> None:
        """A full backup that stays, and others whose points expire."""
        assert not self.back_up(type="full").failed
        none = dict.fromkeys(("hourly", "daily", "weekly", "monthly", "yearly"), 0)
        keep = {"keep_last": 1, "min_age": "0", "incomplete_after": "0"}
        done = self.run("recovery_point_expire", None, **none, **keep)
        assert not done.failed, str(done)

    def expire(self, kill: Kill | None = None) -> Outcome:
        given = {"cipher_pass_file": str(self.component.passphrase), "lease_wait": "1m"}
        return self.run("postgresql_pitr_expire", kill, **given)

    def recover(self, kill: Kill | None = None) -> Outcome:
        return self.run("postgresql_pitr_restore", kill, **self.target(self.targets[self.turn % 2].lsn))

    def target(self, lsn: str) -> dict[str, t.Any]:
        return {
            "confirm": NAME,
            "cipher_pass_file": str(self.component.passphrase),
            "target_lsn": lsn,
            "target_inclusive": False,
            "target_timeline": "1",
            "data_dir": self.data_dir,
            "lease_wait": "1m",
            **self.bank.server.params(),
        }

    # -- what must hold ----------------------------------------------------------------------------------------------

    def left(self) -> list[str]:
        """What must not be there when nothing runs."""
        component = self.component
        listing = component.listing()
        problems = layout_failures(component.repository)
        problems += [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
        problems += [f"never finished: {point_id}" for point_id in listing.incomplete]
        lease = current_lease(component.repository, NAME)
        if lease is not None and lease.held(component.repository.store.now()):
            problems.append(f"the lease is held still: {lease}")
        # An empty one, made and not yet signed, goes a minute later.
        problems += [f"left in scratch: {path.name}" for path in self.scratch.iterdir() if any(path.iterdir())]
        problems += [f"left beside the configuration: {path.name}" for path in self._strangers()]
        beside = os.listdir(os.path.dirname(self.data_dir))
        problems += [f"left beside the data: {name}" for name in beside if name.endswith((".new", "__restoring"))]
        return problems

    def _strangers(self) -> t.Iterator[pathlib.Path]:
        for path in self.component.config_dir.rglob("*"):
            if path.is_file() and path.name != "pgbackrest.conf" and "lock" not in path.parts:
                yield path

    def catalogued(self) -> list[str]:
        """pgBackRest has the backups of our points, and no other."""
        problems = []
        known = {point.content["pgbackrest"]["label"] for point in self.component.listing().points}
        there = set()
        passphrase = self.component.passphrase.read_text().strip()
        for generation in generations(self.component.repository, NAME):
            with opened_archive(self.component.url, NAME, generation, [passphrase]) as (_tool, info):
                there |= {backup.label for backup in info.backups}
        problems += [f"backup {label} has no point" for label in there - known]
        problems += [f"the point's backup {label} is gone" for label in known - there]
        return problems

    def bereft(self) -> list[str]:
        """Wrong at every moment: no whole data directory, neither in place nor beside it."""
        parent, name = os.path.split(self.data_dir)
        beside = [entry for entry in os.listdir(parent) if entry == name or entry.startswith(f"{name}__before_")]
        whole = any(os.path.exists(os.path.join(parent, entry, "PG_VERSION")) for entry in beside)
        return [] if whole else ["no data directory is left"]

    def turn_to_the_other(self) -> None:
        self.turn += 1

    def recovered(self) -> list[str]:
        rows, wanted = self.bank.rows(), list(range(self.targets[self.turn % 2].number + 1))
        return [] if rows == wanted else [f"holds {rows}"]

    def release(self) -> list[str]:
        released = self.run("postgresql_pitr_restore", None, **{**self.target(""), "release": True})
        return [f"nothing could be released: {released}"] if released.failed else []


#: In this order: going back in time needs the log whole, and setting archiving up anew begins another one.
SWEEPS: dict[str, Sweep[Protected]] = {
    "back up": Sweep(
        Protected.back_up, lambda own: own.back_up(force=False), Protected.catalogued, at_once=Protected.bereft
    ),
    "drill": Sweep(
        Protected.drill,
        lambda own: own.drill(drill_interval="1d"),
        Protected.catalogued,
        at_once=Protected.bereft,
        sample=1,
    ),
    "recover": Sweep(
        Protected.recover,
        Protected.recover,
        Protected.recovered,
        Protected.turn_to_the_other,
        at_once=Protected.bereft,
        after=Protected.release,
        sample=1,
    ),
    "expire": Sweep(
        Protected.expire,
        Protected.expire,
        Protected.catalogued,
        Protected.outdate,
        at_once=Protected.bereft,
        sample=1,
    ),
    "archive": Sweep(Protected.archive, Protected.archive, prepare=Protected.stop_archiving, at_once=Protected.bereft),
}


@pytest.fixture(scope="module")
def protected() -> t.Iterator[Protected]:
    with bank() as opened, ModuleProcess() as modules:
        yield Protected(opened, modules)


def test_whoever_waits_shows_for_whom(protected: Protected) -> None:
    component = protected.component
    modules = {
        "postgresql_pitr_backup": {
            "config_dir": str(component.config_dir),
            "force": True,
            **protected.bank.server.params(),
        },
        "postgresql_pitr_restore": protected.target(protected.targets[0].lsn),
        "postgresql_pitr_expire": {"cipher_pass_file": str(component.passphrase)},
    }
    progress = component.path / "progress-waiting"
    problems = [
        problem
        for module, params in modules.items()
        for problem in problems_while_waiting(component.repository, NAME, module, params, progress)
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", list(SWEEPS))
def test_killed_at_every_side_effect_converges(protected: Protected, results: t.Callable[..., None], name: str) -> None:
    sweep_through(protected, name, SWEEPS[name], "to a moment", results)
