# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect of a module, whatever it acts on.

The plain rerun converges, the run after it changes nothing, what must hold holds, and nothing is left.
"""

from __future__ import annotations

import dataclasses
import random
import typing as t

from tests.robustness.module_process import Kill, Outcome, survivors
from tests.robustness.scale import SEED, SOAK, counted, worth_killing


class Disturbed(t.Protocol):
    """What the modules act on."""

    def left(self) -> list[str]:
        """What is there and must not be when nothing runs, in words."""


#: So many cases of a sample may end before the effect at which they were to be killed.
_SPARE = 2

Own = t.TypeVar("Own", bound=Disturbed)
Problems = t.Callable[[Own], list[str]]


def _none(_own: t.Any) -> list[str]:
    return []


@dataclasses.dataclass(frozen=True)
class Sweep(t.Generic[Own]):
    """One act that is killed.

    :ivar act: what is disturbed and has to converge when it is run again. :ivar quiet: what then changes nothing.
    :ivar holds: what is wrong in the end. :ivar prepare: gives the act its work to do.
    :ivar at_once: what is wrong right after the kill. :ivar after: clears for the next case.
    :ivar sample: cases in ``make test``; with ``make soak`` it is every one.
    :ivar effects: so many side effects an undisturbed act has at least.
    """

    act: t.Callable[[Own, Kill | None], Outcome]
    quiet: t.Callable[[Own], Outcome]
    holds: Problems[Own] = _none
    prepare: t.Callable[[Own], object] = _none
    at_once: Problems[Own] = _none
    after: Problems[Own] = _none
    sample: int = 2
    effects: int = 3


def sweep_through(own: Own, name: str, sweep: Sweep[Own], on: str, results: t.Callable[..., None]) -> None:
    """Play ``sweep`` once undisturbed and then killed everywhere; fails with every case that did not converge."""
    suite = f"kill inside: {name} ({on})"
    sweep.prepare(own)
    whole = sweep.act(own, None)
    assert not whole.failed, str(whole)
    wrong = [*_problems_of_rest(own, sweep), *sweep.after(own)]
    assert not wrong, wrong
    count = len(whole.effects)
    assert count >= sweep.effects, whole.effects
    cases = [(number, after) for number in worth_killing(whole.effects) for after in (False, True)]
    if not SOAK:
        # Some more than wanted, as the last effects of one act may be missing in another.
        cases = random.Random(f"{SEED}-{suite}").sample(cases, min(sweep.sample + _SPARE, len(cases)))
    failures: list[str] = []
    played = killed = 0
    for number, after in counted(suite, cases):
        if not SOAK and killed == sweep.sample:
            break
        played += 1
        sweep.prepare(own)
        outcome = sweep.act(own, Kill(number, after))
        killed += outcome.killed
        case = f"{name}, {'after' if after else 'before'} effect {number} of {count} ({outcome})"
        failures += [f"{case}: {problem}" for problem in problems_after(own, sweep, outcome)]
    results(suite, played, len(failures), effects=count, killed=killed)
    assert not failures, "\n".join(failures[:20])
    # A few more or fewer side effects than the first time are in the nature of threads.
    assert killed >= (len(cases) * 0.5 if SOAK else 1)


def problems_after(own: Own, sweep: Sweep[Own], outcome: Outcome) -> list[str]:
    """What does not hold after that outcome, one rerun and one more."""
    problems = [*sweep.at_once(own), *(f"still running: {process}" for process in survivors(outcome.mark))]
    again = sweep.act(own, None)
    if again.failed:
        return [*problems, f"the rerun failed: {again}"]
    problems += [f"left by the rerun: {process}" for process in survivors(again.mark)]
    return [*problems, *_problems_of_rest(own, sweep), *sweep.after(own)]


def _problems_of_rest(own: Own, sweep: Sweep[Own]) -> list[str]:
    quiet = sweep.quiet(own)
    problems = [f"left by the run after: {process}" for process in survivors(quiet.mark)]
    if quiet.failed or quiet.result["changed"]:
        problems.append(f"changed again: {quiet}")
    return [*problems, *sweep.holds(own), *own.left()]
