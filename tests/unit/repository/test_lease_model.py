# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""However slow anybody is anywhere, at no time do two runs believe that they hold a component's lease."""

from __future__ import annotations

import collections
import dataclasses

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import LeaseHeld, LeaseLost
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Clocks, Lease, acquire
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

from .simulation import MemoryStore, Simulation

TTL = 10.0
counts: collections.Counter[str] = collections.Counter()


@dataclasses.dataclass
class Operator:
    """Takes the lease again and again, renews it, forgets it (a kill), or gives it back."""

    simulation: Simulation
    repository: Repository
    run_id: str
    scope: str
    #: A run gives its lease back when all of its steps are over, so one with several here does not.
    gives_back: bool
    lease: Lease | None = None

    def work(self) -> None:
        clocks = Clocks(self.simulation.now, lambda: self.simulation.time, self.simulation.sleep)
        choose = self.simulation.random
        while True:
            try:
                self.lease = acquire(
                    self.repository,
                    "db",
                    self.run_id,
                    {},
                    TTL,
                    wait_s=choose.choice([0, 30]),
                    scope=self.scope,
                    clocks=clocks,
                )
                counts["acquired" if self.lease.acquired else "entered"] += 1
                for _action in range(choose.randrange(6)):
                    choose.choice([self.lease.check, self.lease.renew])()
                    counts["went on"] += 1
                if self.gives_back and choose.random() < 0.5:
                    lease, self.lease = self.lease, None  # it stops acting before it says so
                    lease.release()
                    counts["released"] += 1
                else:
                    self.simulation.sleep(choose.uniform(0, 1.5 * TTL))  # it dawdles, and never says that it ends
                    counts["killed"] += 1
                    self.lease = None
            except LeaseHeld:
                counts["held"] += 1
            except LeaseLost:
                counts["lost"] += 1
                self.lease = None

    def believes(self) -> bool:
        return self.lease is not None and self.simulation.time <= self.lease.deadline


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    pace=st.sampled_from([0.02, 0.1, 0.5, 2.0]),
    stalls=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    runs=st.lists(st.sampled_from(["first", "second", "third"]), min_size=2, max_size=4),
)
# A renewal that came when the lease had long ended, and whose run went on under it while another took the next.
@example(seed=758549773, pace=0.1, stalls=0.02, runs=["first", "first", "second"])
def test_at_most_one_run_holds_the_lease(seed: int, pace: float, stalls: float, runs: list[str]) -> None:
    simulation = Simulation(seed, pace, stalls, 1.5 * TTL)
    repository = Repository(MemoryStore(simulation), "id", "testing")  # type: ignore[arg-type]
    operators = [Operator(simulation, repository, run, "run", runs.count(run) == 1) for run in runs]
    epochs: list[int] = [0]

    def invariant() -> None:
        holding = [operator for operator in operators if operator.believes()]
        # Steps of one run share the run's lease; a step that has not looked since may still know an older epoch of it.
        assert len({operator.run_id for operator in holding}) <= 1, holding
        highest = max((int(key.split("/")[3]) for key in repository.store.objects), default=0)  # type: ignore[attr-defined]
        assert highest >= epochs[-1]
        epochs.append(highest)

    for operator in operators:
        simulation.add(operator.work)
    simulation.run(300, invariant)


def test_the_simulation_meets_every_case() -> None:
    """Runs after the property: a simulation in which nobody ever loses a lease would prove nothing."""
    assert all(
        counts[what] > 10 for what in ("acquired", "entered", "went on", "released", "killed", "held", "lost")
    ), counts
