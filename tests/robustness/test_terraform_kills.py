# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect on a Terraform state, and while its backend takes it: files, processes, locks.

The plain rerun converges, the run after it changes nothing, and nothing is left; the state's lock neither.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.kept import before_component
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.module_process import Kill, ModuleProcess, Outcome
from tests.robustness.sweeping import Sweep, sweep_through
from tests.servers.deadline import wait_for
from tests.servers.module_call import start_module
from tests.servers.terraform import NAME, Site, StateServer, state_server


class KilledState:
    """A state with a recovery point, whose modules run in processes that can be killed."""

    def __init__(self, site: Site, server: StateServer, modules: ModuleProcess) -> None:
        self.site, self.server, self.modules = site, server, modules
        self.turn = 0
        site.live.apply(a="recorded", b="gone since")
        first = site.back_up()
        assert first["changed"], first
        self.recorded = site.live.state()
        site.live.apply(a="live", c="made since")
        self.later = site.live.state()

    def params(self, **changes: t.Any) -> dict[str, t.Any]:
        own = {"repository": self.site.url, "environment_name": "local", "component": NAME, "lease_wait": "1m"}
        keys = {
            "encryption_identity_file": str(self.site.identity),
            "encryption_recipients": [self.site.recipient],
        }
        return {**own, **keys, **self.site.live.params(), **changes}

    def back_up(self, kill: Kill | None = None, force: bool = True) -> Outcome:
        return self.modules.call("terraform_state_backup", self.params(force=force), kill)

    def restore(self, kill: Kill | None = None) -> Outcome:
        return self.modules.call("terraform_state_restore", self.restoring(), kill)

    def restoring(self) -> dict[str, t.Any]:
        point = list_points(self.site.repository, NAME).points[-1]
        return self.params(confirm=NAME, force=True, recovery_point=point.point_id)

    def drill(self, kill: Kill | None = None, interval: str = "0") -> Outcome:
        given = self.params(drill_interval=interval, binary_path=self.site.live.binary)
        for name in ("project_path", "environment_file", "encryption_recipients", "lease_wait"):
            del given[name]
        return self.modules.call("terraform_state_drill", given, kill)

    def spoil(self) -> None:
        """What somebody has applied since; another serial each time."""
        self.turn += 1
        state = {**self.later, "serial": self.later["serial"] + 10 * self.turn}
        self.server.states[self.site.live.key] = json.dumps(state).encode()

    def lose(self) -> None:
        self.server.states.clear()

    def restored(self) -> list[str]:
        live = self.site.live.state()
        same = {**live, "serial": 0} == {**self.recorded, "serial": 0}
        return [] if same else ["the state is not the recorded one"]

    def kept(self) -> list[str]:
        """What was replaced is in a point that was kept."""
        serial = self.later["serial"] + 10 * self.turn
        points = list_points(self.site.repository, before_component(NAME)).points
        kept = any(point.content["terraform"]["serial"] == serial for point in points)
        return [] if kept else [f"serial {serial} is in no recovery point that was kept"]

    def left(self) -> list[str]:
        repository = self.site.repository
        problems = layout_failures(repository)
        for component in (NAME, before_component(NAME)):
            listing = list_points(repository, component)
            problems += [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
            problems += [f"never finished: {point_id}" for point_id in listing.incomplete]
            for point in listing.points:
                if not verify_point(repository, point, Identities(file=str(self.site.identity)), None).ok:
                    problems.append(f"does not verify: {point.point_id}")
        lease = current_lease(repository, NAME)
        if lease is not None and lease.held(repository.store.now()):
            problems.append(f"the lease is held still: {lease}")
        strangers = [path for path in self.site.live.path.iterdir() if path.name not in self._own()]
        problems += [f"left: {path.name}" for path in strangers]
        return [*problems, *(f"the state is locked still: {path}" for path in self.server.locks)]

    def _own(self) -> tuple[str, ...]:
        return ("backend.tf", "main.tf", ".terraform", ".terraform.lock.hcl")


SWEEPS: dict[str, Sweep[KilledState]] = {
    "back up": Sweep(KilledState.back_up, lambda own: own.back_up(force=False), sample=3),
    "restore": Sweep(
        KilledState.restore, KilledState.restore, lambda own: [*own.restored(), *own.kept()], KilledState.spoil
    ),
    "restore what is lost": Sweep(KilledState.restore, KilledState.restore, KilledState.restored, KilledState.lose),
    "drill": Sweep(KilledState.drill, lambda own: own.drill(interval="1d"), lambda _own: []),
}


@pytest.fixture(scope="module")
def modules() -> t.Iterator[ModuleProcess]:
    with ModuleProcess() as found:
        yield found


@pytest.fixture
def own(tmp_path: pathlib.Path, modules: ModuleProcess) -> t.Iterator[KilledState]:
    with state_server() as server:
        yield KilledState(Site(tmp_path, server), server, modules)


@pytest.mark.parametrize("name", list(SWEEPS))
def test_killed_at_every_side_effect_converges(own: KilledState, results: t.Callable[..., None], name: str) -> None:
    sweep_through(own, name, SWEEPS[name], "Terraform", results)


@pytest.mark.parametrize("method", ["LOCK", "POST", "UNLOCK"])
def test_killed_while_the_backend_answers_it_leaves_no_lock(own: KilledState, method: str) -> None:
    """A lock that a dead program holds would stop everybody until somebody breaks it."""
    own.spoil()
    answer, server = own.server.serve, own.server
    process = start_module("terraform_state_restore", own.restoring())
    killed = []

    def serve(asked: str, path: str, body: bytes) -> tuple[int, bytes]:
        if asked == method and not killed:
            killed.append(asked)
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30)
        return answer(asked, path, body)

    server.serve = serve  # type: ignore[method-assign]
    process.communicate(timeout=300)
    assert killed
    wait_for(lambda: not server.locks, "the state's lock to be given back", 120)
    sweep = SWEEPS["restore"]
    again = sweep.act(own, None)
    assert not again.failed, str(again)
    assert not [*own.restored(), *own.kept(), *own.left()]
