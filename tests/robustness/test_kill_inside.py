# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect inside the modules: the plain rerun converges, and the run after it changes nothing.

The sweep over task boundaries is in test_kill_sweep.py; here it is each link, rename, statement and process of a module.
"""

from __future__ import annotations

import random
import typing as t

import pytest

from tests.robustness.module_process import Kill
from tests.robustness.runbooks import RUNBOOKS, Disturbed, problems_after
from tests.robustness.runbooks_beside import BESIDE
from tests.robustness.scale import SEED, SOAK, counted

#: Cases of each runbook in ``make test``; with ``make soak`` it is every one.
SAMPLE = {
    "back up": 6,
    "restore": 5,
    "expire": 4,
    "rewrap": 4,
    "evidence": 3,
    "copy": 1,
    "reindex": 3,
    "run": 3,
    "report": 3,
}

ENOUGH = 6
#: Evidence last: points with more beside them take more steps to expire.
ALL = {**RUNBOOKS, **BESIDE}


@pytest.mark.parametrize("name", list(ALL))
def test_killed_at_every_side_effect_converges(disturbed: Disturbed, results: t.Callable[..., None], name: str) -> None:
    runbook = ALL[name]
    for _ in range(2 if name in BESIDE else 1):  # the first one there makes directories and meets what others left
        runbook.prepare(disturbed)
        whole = runbook.act(disturbed, None)
        assert not whole.failed, str(whole)
        runbook.quiet(disturbed)
    count = len(whole.effects)
    assert count >= 3, whole.effects
    cases = [(number, after) for number in range(count) for after in (False, True)]
    if not SOAK:
        cases = random.Random(f"{SEED}-{name}").sample(cases, min(SAMPLE.get(name, ENOUGH), len(cases)))
    failures: list[str] = []
    killed = 0
    for number, after in counted(f"kill inside: {name}", cases):
        runbook.prepare(disturbed)
        outcome = runbook.act(disturbed, Kill(number, after))
        killed += outcome.killed
        case = f"{name}, {'after' if after else 'before'} effect {number} of {count} ({outcome})"
        if not outcome.killed and outcome.failed:
            failures.append(f"{case}: failed without having been killed")
        failures += [f"{case}: {problem}" for problem in problems_after(disturbed, runbook, outcome)]
    results(f"kill inside: {name}", len(cases), len(failures), effects=count, killed=killed)
    assert not failures, "\n".join(failures[:20])
    # A few more or fewer side effects than the first time are in the nature of threads.
    assert killed >= len(cases) * 0.6
