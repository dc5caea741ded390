# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect of a backup of Kubernetes objects: the rerun converges, then nothing changes."""

from __future__ import annotations

import pathlib
import random
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.module_process import Kill, ModuleProcess, Outcome, survivors
from tests.robustness.scale import SEED, SOAK, counted, worth_killing
from tests.servers.kubernetes.api import Object
from tests.servers.kubernetes.server import KubernetesServer
from tests.servers.kubernetes.site import COMPONENT, Site, config_map, secret

#: Cases in ``make test``; with ``make soak`` it is every one.
SAMPLE = 6


class Killed:
    """A namespace whose backups run in processes that can be killed."""

    def __init__(self, site: Site, modules: ModuleProcess) -> None:
        self.site, self.modules = site, modules
        self.expected: dict[str, dict[str, Object]] = site.live()

    def back_up(self, kill: Kill | None = None, **params: t.Any) -> Outcome:
        given = self.site.params(**{"force": True, "lease_wait": "1m", **params})
        return self.modules.call("kubernetes_backup", given, kill)

    def problems(self, outcome: Outcome) -> list[str]:
        """What does not hold after a kill, the plain rerun, and the run after it."""
        problems = [f"still running: {process}" for process in survivors(outcome.mark)]
        again = self.back_up()
        if again.failed:
            return [*problems, f"the rerun failed: {again}"]
        quiet = self.back_up(force=False)
        if quiet.failed or quiet.result["changed"]:
            problems.append(f"changed again: {quiet}")
        repository = self.site.repository
        listing = list_points(repository, COMPONENT)
        problems += [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
        problems += [f"never finished: {point_id}" for point_id in listing.incomplete]
        problems += layout_failures(repository)
        for point in listing.points:
            if not verify_point(repository, point, self.site.identities(), None).ok:
                problems.append(f"does not verify: {point.point_id}")
        if self.site.stored(listing.points[0]) != self.expected:
            problems.append("the newest point holds something else")
        lease = current_lease(repository, COMPONENT)
        if lease is not None and lease.held(repository.store.now()):
            problems.append(f"the lease is held still: {lease}")
        return problems


@pytest.fixture
def killed(
    kubernetes_cluster: KubernetesServer, kubernetes_namespace: str, tmp_path: pathlib.Path
) -> t.Iterator[Killed]:
    site = Site(kubernetes_cluster, kubernetes_namespace, tmp_path)
    api, namespace = kubernetes_cluster.api, kubernetes_namespace
    for number in range(30):
        api.create(config_map(f"map-{number}", namespace, text="x" * 1000))
    api.create(secret("credentials", namespace, password="p" * 30))
    with ModuleProcess() as modules:
        yield Killed(site, modules)


def test_killed_at_every_side_effect_converges(killed: Killed, results: t.Callable[..., None]) -> None:
    whole = killed.back_up()
    assert not whole.failed, str(whole)
    count = len(whole.effects)
    assert count >= 10, whole.effects
    cases = [(number, after) for number in worth_killing(whole.effects) for after in (False, True)]
    if not SOAK:
        cases = random.Random(f"{SEED}-kubernetes").sample(cases, SAMPLE)
    failures: list[str] = []
    stopped = 0
    for number, after in counted("kill inside: back up (Kubernetes)", cases):
        outcome = killed.back_up(Kill(number, after))
        stopped += outcome.killed
        case = f"{'after' if after else 'before'} effect {number} of {count} ({outcome})"
        failures += [f"{case}: {problem}" for problem in killed.problems(outcome)]
    results("kill inside: back up (Kubernetes)", len(cases), len(failures), effects=count, killed=stopped)
    assert not failures, "\n".join(failures[:20])
    assert stopped >= len(cases) * 0.6
