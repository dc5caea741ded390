# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runbooks as the robustness suites disturb them: what to do, what to do again, what then changes nothing, what must hold."""

from __future__ import annotations

import os
import pathlib
import shutil
import time
import typing as t

import pyrage
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._repository.file_store import FileStore
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from tests.robustness.module_process import Disturbance, ModuleProcess, Outcome, survivors
from tests.servers.component import NAME, Component
from tests.servers.postgresql import Server, running_server

ROWS = 2000


class Disturbed(Component):
    """A component whose modules run in processes that can be disturbed."""

    def __init__(self, server: Server, path: pathlib.Path, process: ModuleProcess) -> None:
        super().__init__(server, path)
        self.process = process
        keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
        self.recipients = [str(key.to_public()) for key in keys]
        self.identities = "\n".join(map(str, keys))

    def run(self, module: str, disturbance: Disturbance | None = None, **params: t.Any) -> Outcome:
        own = {"repository": self.url, "environment_name": "local", "component": NAME, **params}
        return self.process.call(module, own, disturbance)


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Disturbed]:
    path = tmp_path_factory.mktemp("disturbed")
    path.chmod(0o755)
    with running_server("system") as server, ModuleProcess() as process:
        component = Disturbed(server, path, process)
        server.execute("CREATE ROLE app LOGIN")
        component.create(
            "flights",
            "CREATE TABLE flights (id int PRIMARY KEY, dest text);"
            f"INSERT INTO flights SELECT n, 'to ' || n FROM generate_series(1, {ROWS}) n;"
            "CREATE INDEX ON flights (dest); CREATE TABLE airports (code text); GRANT SELECT ON flights TO app",
        )
        assert not component.mark().get("failed")
        assert not component.back_up().get("failed")
        yield component


class Runbook(t.NamedTuple):
    """What is disturbed (with work to do), what is run afterwards, and what then changes nothing."""

    act: t.Callable[[Disturbed, Disturbance | None], Outcome]
    again: t.Callable[[Disturbed], Outcome]
    quiet: t.Callable[[Disturbed], Outcome]
    prepare: t.Callable[[Disturbed], object] = lambda _component: None
    #: What is left behind of its own, in words.
    left: t.Callable[[Disturbed], list[str]] = lambda _component: []


def back_up(component: Disturbed, disturbance: Disturbance | None = None, **params: t.Any) -> Outcome:
    given = {**component.server.params(), "scratch_dir": str(component.scratch), "force": True, "jobs": 2, **params}
    return component.run("postgresql_backup", disturbance, **given)


def _restore(component: Disturbed, disturbance: Disturbance | None = None, **params: t.Any) -> Outcome:
    own = {
        "confirm": NAME,
        "scratch_dir": str(component.scratch),
        "encryption_identity": component.identities,
        "jobs": 2,
    }
    return component.run("postgresql_restore", disturbance, **{**component.server.params(), **own, **params})


def _verify(component: Disturbed, disturbance: Disturbance | None = None, **params: t.Any) -> Outcome:
    return component.run("recovery_point_verify", disturbance, **params)


def _unverified(component: Disturbed) -> None:
    """The repository as it was before the first verification: each of them writes proofs, which the next one reads."""
    repository, kept = component.path / "repository", component.path / "unverified"
    if kept.exists():
        shutil.rmtree(repository)
        shutil.copytree(kept, repository)
    else:
        fill(component)
        shutil.copytree(repository, kept)


def _lease(component: Disturbed, disturbance: Disturbance | None = None, **params: t.Any) -> Outcome:
    given = {"run_id": "20261121T051000Z-backup-1a2b", "lease_wait": "10s", **params}
    return component.run("lease", disturbance, **given)


def _expire(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    """All but the newest three."""
    none = dict.fromkeys(("hourly", "daily", "weekly", "monthly", "yearly"), 0)
    return component.run("recovery_point_expire", disturbance, **none, keep_last=3, min_age="0", incomplete_after="0")


def fill(component: Disturbed) -> None:
    """Exactly so many points that two of them expire."""
    if len(component.listing().points) > 5:
        assert not _expire(component).failed
    while len(component.listing().points) < 5:
        assert not back_up(component).failed


def _pin(component: Disturbed, disturbance: Disturbance | None = None, **params: t.Any) -> Outcome:
    return component.run("recovery_point_pin", disturbance, reason="a test", by="a tester", **params)


def _rewrap(component: Disturbed, disturbance: Disturbance | None = None) -> Outcome:
    given = {
        "encryption_recipients": component.recipients[1:],
        "encryption_identity": component.identities,
        "depth": "headers",
    }
    return component.run("recovery_point_rewrap", disturbance, **given)


def _encrypt(component: Disturbed) -> None:
    """A new point that only the old key opens."""
    assert not back_up(component, encryption_recipients=component.recipients[:1]).failed


RUNBOOKS = {
    "expire": Runbook(_expire, _expire, _expire, prepare=fill),
    "pin": Runbook(_pin, _pin, _pin, prepare=lambda component: _pin(component, state="absent")),
    "rewrap": Runbook(_rewrap, _rewrap, _rewrap, prepare=_encrypt),
    "back up": Runbook(back_up, back_up, lambda component: back_up(component, force=False)),
    "restore": Runbook(
        lambda component, disturbance: _restore(component, disturbance, force=True),
        lambda component: _restore(component, force=True),
        _restore,
        prepare=lambda component: _restore(component, release=True),
    ),
    "verify": Runbook(
        lambda component, disturbance: _verify(component, disturbance, force=True),
        lambda component: _verify(component, force=True),
        _verify,
        prepare=_unverified,
    ),
    "lease": Runbook(_lease, _lease, lambda component: _lease(component, state="released")),
}


def problems_after(component: Disturbed, runbook: Runbook, outcome: Outcome) -> list[str]:
    problems = [f"still runs: {process}" for process in survivors(outcome.mark)]
    _a_minute_passes(component)
    again = runbook.again(component)
    if again.failed:
        problems.append(f"the rerun failed: {again}")
    quiet = runbook.quiet(component)
    if quiet.failed or quiet.result.get("changed"):
        problems.append(f"the run after the rerun: {quiet}")
    for run in (again, quiet):
        problems += [f"left by the rerun: {process}" for process in survivors(run.mark)]
    return problems + runbook.left(component) + _left(component)


def _a_minute_passes(component: Disturbed) -> None:
    """So long an unsigned directory may be about to be signed by whoever made it."""
    for place in component.scratch.iterdir():
        if not (place / "owner.json").exists():
            os.utime(place, (time.time() - 61, time.time() - 61))


def _left(component: Disturbed) -> list[str]:
    """What must not be there when nothing runs."""
    problems = [f"left in scratch: {path.name}" for path in component.scratch.iterdir()]
    root = component.path / "repository"
    FileStore(str(root)).check_writable()  # whoever writes next removes what killed writers left
    hidden = root / ".incoming"
    problems += [f"left in the repository: {path.name}" for path in hidden.iterdir()]
    problems += layout_failures(component.repository)
    listing = component.listing()
    problems += [f"damaged: {point.point_id}: {point.reason}" for point in listing.damaged]
    problems += [f"never finished: {point_id}" for point_id in listing.incomplete]
    lease = current_lease(component.repository, NAME)
    if lease is not None and lease.held(component.repository.store.now()):
        problems.append(f"the lease is held still: {lease}")
    rows = component.server.execute("SELECT count(*), sum(id) FROM flights", "flights")
    if rows != [(ROWS, ROWS * (ROWS + 1) // 2)]:
        problems.append(f"rows and their sum: {rows}")
    databases = component.databases()
    problems += [
        f"database {name}" for name in databases if not name.startswith("flights__before_") and name != "flights"
    ]
    return problems + [f"a session is open still: {session}" for session in _sessions(component)]


def _sessions(component: Disturbed) -> list[t.Any]:
    """Other sessions in the server, once those of killed processes have had their time to end."""
    until = time.monotonic() + 60
    while True:
        rows = component.server.execute(
            "SELECT application_name, state, query FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        if not rows or time.monotonic() > until:
            return rows
        time.sleep(0.05)
