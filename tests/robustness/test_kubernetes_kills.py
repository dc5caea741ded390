# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect of what acts on Kubernetes: files, objects of the API, processes.

The plain rerun converges, the run after it changes nothing, and nothing is left.
"""

from __future__ import annotations

import pathlib
import random
import typing as t

import pytest

from tests.robustness.killed_namespace import KilledNamespace
from tests.robustness.module_process import Kill, ModuleProcess, Outcome, survivors
from tests.robustness.scale import SEED, SOAK, counted, worth_killing
from tests.servers.kubernetes.server import KubernetesServer


class Sweep(t.NamedTuple):
    """What is disturbed; what is run again and has to converge; what then changes nothing; what holds in the end."""

    act: t.Callable[[KilledNamespace, Kill | None], Outcome]
    quiet: t.Callable[[KilledNamespace], Outcome]
    holds: t.Callable[[KilledNamespace], list[str]]
    prepare: t.Callable[[KilledNamespace], object] = lambda _own: None
    #: Cases in ``make test``; with ``make soak`` it is every one.
    sample: int = 2
    volume: bool = False


SWEEPS = {
    "back up": Sweep(
        KilledNamespace.back_up,
        lambda own: own.back_up(force=False),
        KilledNamespace.taken,
        sample=3,
        volume=True,
    ),
    "restore": Sweep(
        KilledNamespace.restore,
        KilledNamespace.restore,
        KilledNamespace.restored_and_kept,
        KilledNamespace.spoil,
        sample=3,
        volume=True,
    ),
    "restore a deleted namespace": Sweep(
        KilledNamespace.restore, KilledNamespace.restore, KilledNamespace.restored, KilledNamespace.delete
    ),
    "roll back": Sweep(
        KilledNamespace.roll_back,
        KilledNamespace.roll_back,
        lambda own: [*own.rolled_back(), *own.kept()],
        KilledNamespace.spoil_configuration,
        sample=3,
    ),
    "drill": Sweep(KilledNamespace.drill, lambda own: own.drill(interval="1d"), KilledNamespace.nothing_changed),
    "stop consumers": Sweep(
        lambda own, kill: own.consume("stopped", kill),
        lambda own: own.consume("stopped"),
        KilledNamespace.stopped,
        lambda own: own.consume("started"),
    ),
    "start consumers": Sweep(
        lambda own, kill: own.consume("started", kill),
        lambda own: own.consume("started"),
        KilledNamespace.started,
        lambda own: own.consume("stopped"),
    ),
}


@pytest.fixture(scope="module")
def modules() -> t.Iterator[ModuleProcess]:
    with ModuleProcess() as found:
        yield found


@pytest.mark.parametrize("name", list(SWEEPS))
def test_killed_at_every_side_effect_converges(
    kubernetes_cluster: KubernetesServer,
    kubernetes_namespace: str,
    tmp_path: pathlib.Path,
    modules: ModuleProcess,
    results: t.Callable[..., None],
    name: str,
) -> None:
    sweep = SWEEPS[name]
    own = KilledNamespace(kubernetes_cluster, kubernetes_namespace, tmp_path, modules, sweep.volume)
    sweep.prepare(own)
    whole = sweep.act(own, None)
    assert not whole.failed, str(whole)
    wrong = problems_after(own, sweep, whole, rerun=False)
    assert not wrong, wrong
    count = len(whole.effects)
    assert count >= 1, whole.effects
    cases = [(number, after) for number in worth_killing(whole.effects) for after in (False, True)]
    if not SOAK:
        cases = random.Random(f"{SEED}-kubernetes-{name}").sample(cases, min(sweep.sample, len(cases)))
    failures: list[str] = []
    killed = 0
    for number, after in counted(f"kill inside: {name} (Kubernetes)", cases):
        sweep.prepare(own)
        outcome = sweep.act(own, Kill(number, after))
        killed += outcome.killed
        case = f"{name}, {'after' if after else 'before'} effect {number} of {count} ({outcome})"
        failures += [f"{case}: {problem}" for problem in problems_after(own, sweep, outcome)]
    results(f"kill inside: {name} (Kubernetes)", len(cases), len(failures), effects=count, killed=killed)
    assert not failures, "\n".join(failures[:20])
    # A few more or fewer side effects than the first time are in the nature of threads.
    assert killed >= len(cases) * 0.5


def problems_after(own: KilledNamespace, sweep: Sweep, outcome: Outcome, rerun: bool = True) -> list[str]:
    problems = [f"still running: {process}" for process in survivors(outcome.mark)]
    if rerun:
        again = sweep.act(own, None)
        if again.failed:
            return [*problems, f"the rerun failed: {again}"]
    quiet = sweep.quiet(own)
    if quiet.failed or quiet.result["changed"]:
        problems.append(f"changed again: {quiet}")
    problems += [f"left by the rerun: {process}" for process in survivors(quiet.mark)]
    return [*problems, *sweep.holds(own), *own.left()]
