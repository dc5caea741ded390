# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every call to the repository fails once, in every way: the module says so or its result is whole, and a rerun converges."""

from __future__ import annotations

import random
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.fault_store import FAULTS
from tests.robustness.module_process import Outcome, StoreFault
from tests.robustness.runbooks import RUNBOOKS, Disturbed, Runbook, problems_after
from tests.robustness.runbooks_beside import BESIDE, IN_REPOSITORY
from tests.robustness.scale import SEED, SOAK, counted

#: Cases of each runbook in ``make test``; with ``make soak`` it is every one.
SAMPLE = {"back up": 5, "restore": 4, "expire": 4, "rewrap": 4}
ENOUGH = 6
ALL = {**RUNBOOKS, **{name: BESIDE[name] for name in IN_REPOSITORY}}


@pytest.mark.parametrize("name", list(ALL))
def test_a_failing_repository_is_survived(disturbed: Disturbed, results: t.Callable[..., None], name: str) -> None:
    runbook = ALL[name]
    runbook.prepare(disturbed)
    whole = runbook.act(disturbed, StoreFault(None))
    assert not whole.failed, str(whole)
    runbook.quiet(disturbed)
    cases = [(at, kind) for at in range(len(whole.effects)) for kind in FAULTS]
    assert cases
    if not SOAK:
        cases = random.Random(f"{SEED}-{name}").sample(cases, min(SAMPLE.get(name, ENOUGH), len(cases)))
    failures: list[str] = []
    loud = 0
    for at, kind in counted(f"faults: {name}", cases):
        runbook.prepare(disturbed)
        outcome = runbook.act(disturbed, StoreFault(at, kind))
        loud += outcome.failed
        call = outcome.effects[at] if at < len(outcome.effects) else "nothing"
        case = f"{name}, {kind} at call {at} ({call}): {outcome}"
        failures += [f"{case}: {problem}" for problem in _dishonest(disturbed, runbook, outcome)]
        failures += [f"{case}: {problem}" for problem in problems_after(disturbed, runbook, outcome)]
    results(f"faults: {name}", len(cases), len(failures), calls=len(whole.effects), failed_loudly=loud)
    assert not failures, "\n".join(failures[:20])


def _dishonest(component: Disturbed, runbook: Runbook, outcome: Outcome) -> list[str]:
    """A success whose result is not whole or not there; a failure that says nothing; anything but the two."""
    if outcome.killed or not outcome.result:
        return [f"no result: {outcome.output[-2000:]}"]
    if outcome.failed:
        if "Traceback" in outcome.output or not outcome.result.get("error", {}).get("message"):
            return [f"an unexplained failure: {outcome.output[-2000:]}"]
        return []
    quiet = runbook.quiet(component)
    if quiet.failed or quiet.result.get("changed"):
        return [f"it was said to be done: {quiet}"]
    told = outcome.result.get("recovery_point")
    if told is None:
        return []
    point_id = told if isinstance(told, str) else told["point_id"]
    points = {point.point_id: point for point in component.listing().points}
    if point_id not in points:
        return [f"{point_id} is not there"]
    return verify_point(component.repository, points[point_id], Identities()).failures
