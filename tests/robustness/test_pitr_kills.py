# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect of a recovery to a moment: the plain rerun converges, the run after it
changes nothing, and at every moment there are data to go on with."""

from __future__ import annotations

import os
import random
import typing as t

from tests.robustness.module_process import Kill, ModuleProcess, survivors
from tests.robustness.scale import SEED, SOAK, counted
from tests.servers.archived import NAME
from tests.servers.bank import Bank, bank

#: Cases in ``make test``; with ``make soak`` it is every one.
SAMPLE = 2


def parameters(opened: Bank, lsn: str) -> dict[str, t.Any]:
    return {
        "repository": opened.component.url,
        "environment_name": "local",
        "component": NAME,
        "confirm": NAME,
        "cipher_pass_file": str(opened.component.passphrase),
        "target_lsn": lsn,
        "target_inclusive": False,
        "target_timeline": "1",
        "data_dir": opened.server.instance.data_dir,
        "lease_wait": "1m",
        **opened.server.params(),
    }


def somewhere(data_dir: str) -> bool:
    """Whether a whole data directory is in place or beside it."""
    parent, name = os.path.split(data_dir)
    beside = [entry for entry in os.listdir(parent) if entry == name or entry.startswith(f"{name}__before_")]
    return any(os.path.exists(os.path.join(parent, entry, "PG_VERSION")) for entry in beside)


def test_killed_at_every_side_effect_converges(results: t.Callable[..., None]) -> None:
    failures: list[str] = []
    with bank() as opened, ModuleProcess() as modules:
        opened.back_up()
        targets = [opened.pay(3), opened.pay(2)]
        opened.end_segment()
        opened.pay()
        opened.end_segment()
        data_dir = opened.server.instance.data_dir

        def act(number: int, kill: Kill | None) -> t.Any:
            wanted = targets[number % 2]
            return modules.call("postgresql_pitr_restore", parameters(opened, wanted.lsn), kill)

        whole = act(1, None)
        assert not whole.failed, str(whole)
        count = len(whole.effects)
        assert count > 20, whole.effects
        cases = [(number, after) for number in range(count) for after in (False, True)]
        if not SOAK:
            cases = random.Random(SEED).sample(cases, SAMPLE)
        killed = 0
        for turn, (number, after) in enumerate(counted("kill inside: recover", cases)):
            outcome = act(turn, Kill(number, after))
            killed += outcome.killed
            case = f"{'after' if after else 'before'} effect {number} of {count} ({outcome})"
            if not somewhere(data_dir):
                failures.append(f"{case}: no data directory is left")
            if left := survivors(outcome.mark):
                failures.append(f"{case}: still running: {left}")
            again = act(turn, None)
            if again.failed:
                failures.append(f"{case}: the rerun failed: {again}")
                continue
            if (rows := opened.rows()) != list(range(targets[turn % 2].number + 1)):
                failures.append(f"{case}: holds {rows}")
            third = act(turn, None)
            if third.failed or third.result["changed"]:
                failures.append(f"{case}: changed again: {third}")
            if os.path.exists(f"{data_dir}__restoring"):
                failures.append(f"{case}: a copy is left")
            released = modules.call("postgresql_pitr_restore", {**parameters(opened, ""), "release": True})
            if released.failed:
                failures.append(f"{case}: nothing could be released: {released}")
    results("kill inside: recover", len(cases), len(failures), effects=count, killed=killed)
    assert not failures, "\n".join(failures[:20])
    assert killed >= len(cases) * 0.8
