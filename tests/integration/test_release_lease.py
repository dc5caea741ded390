# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook release_lease: what nobody holds goes at once, what somebody may hold only by its name; check mode tells."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.lease_state import current_lease
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import acquire
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import (
    Repository,
    initialise_repository,
)
from tests.servers.playbook import ROOT

NAME = "flights_db"
CONFIRMED = ("-e", f"lease_confirm={NAME}")


class Site:
    """A repository and an inventory of one component, whose server nobody asks for anything."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.url = f"file://{directory}/repository"
        made, _created = initialise_repository(self.url, "local", check_mode=False)
        assert made is not None
        self.repository: Repository = made
        self.inventory = directory / "hosts.yml"
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        variables.update(environment_name="local", repository_url=self.url)
        groups = {"components": {"children": {"postgresql": {"hosts": {NAME: {}}}}}}
        self.inventory.write_text(json.dumps({"all": {"vars": variables, "children": groups}}), encoding="utf-8")

    def release(self, *arguments: str) -> tuple[int, str]:
        """The exit code and the screen in one line; nothing is ever changed, a lease being bookkeeping."""
        done = subprocess.run(
            [
                os.path.join(os.path.dirname(sys.executable), "ansible-playbook"),
                *("-i", str(self.inventory), "sre.runbooks.release_lease", *arguments),
            ],
            cwd=self.inventory.parent,
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".local/collections"), "ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        screen = " ".join(done.stdout.split())
        assert "changed=0" in screen and "changed=1" not in screen, screen
        return done.returncode, screen

    def held(self) -> bool:
        lease = current_lease(self.repository, NAME)
        return lease is not None and not lease.released

    def files(self) -> list[tuple[str, bytes]]:
        top = pathlib.Path(self.repository.store.path)
        return sorted((str(path), path.read_bytes()) for path in top.rglob("*") if path.is_file())


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)


def test_a_living_run_keeps_its_lease_until_it_is_named(site: Site) -> None:
    assert "nobody held the lease" in site.release()[1]
    acquire(site.repository, NAME, "run-1", describe_holder("run-1"), 3600)
    before = site.files()
    for arguments in ([], ["--check"], ["-e", "lease_confirm=other_db"]):
        code, screen = site.release(*arguments)
        assert code != 0 and f"-e lease_confirm={NAME}" in screen
        assert "run-1" in screen or "other_db" in screen
        assert site.files() == before
    # What it says is what gets further.
    code, screen = site.release()
    command = re.search(r"; next: if it is: ansible-playbook (.*?-e lease_confirm=\w+)", screen)
    assert command and str(site.inventory) in command[1] and f"--limit {NAME}" in command[1]
    code, screen = site.release(*CONFIRMED, "--check")
    assert code == 0 and "the lease would be free" in screen and site.files() == before
    code, screen = site.release(*CONFIRMED)
    assert code == 0 and "the lease is free now" in screen and not site.held()
    after = site.files()
    for arguments in (CONFIRMED, ()):
        code, screen = site.release(*arguments)
        assert code == 0 and "nobody held the lease" in screen and site.files() == after
    assert acquire(site.repository, NAME, "run-2", describe_holder("run-2"), 60).epoch == 2


def test_what_nobody_holds_any_more_needs_no_confirmation(site: Site) -> None:
    ended = subprocess.Popen(["sleep", "60"])
    dead = describe_holder("run-1", ended.pid)
    ended.kill()
    ended.wait()
    acquire(site.repository, NAME, "run-1", dead, 3600)
    # And one of another host that was not renewed for its time.
    for holder in (dead, {**describe_holder("run-2"), "boot_id": "another"}):
        lease = current_lease(site.repository, NAME)
        assert lease is not None
        if holder is not dead:
            acquire(site.repository, NAME, "run-2", holder, 1)
            _clock_passes(site, 3)
        assert site.held()
        code, screen = site.release("--check")
        assert code == 0 and "the lease would be free" in screen and site.held()
        code, screen = site.release()
        assert code == 0 and "the lease is free now" in screen and not site.held()


def test_a_damaged_lease_goes_by_its_name(site: Site) -> None:
    acquire(site.repository, NAME, "run-1", describe_holder("run-1"), 3600)
    (path,) = pathlib.Path(site.repository.store.path).glob(f"control/leases/{NAME}/*/held.json")
    path.chmod(0o600)
    path.write_bytes(b"{")
    code, screen = site.release()
    assert code != 0 and "is damaged" in screen and f"lease_confirm={NAME}" in screen
    assert site.release(*CONFIRMED, "--check")[0] == 0
    code, screen = site.release(*CONFIRMED)
    assert code == 0 and "the lease is free now" in screen
    assert "nobody held the lease" in site.release(*CONFIRMED)[1]


def _clock_passes(site: Site, seconds: float) -> None:
    """The lease's files become older, by which the store judges."""
    for path in pathlib.Path(site.repository.store.path).glob(f"control/leases/{NAME}/*/*.json"):
        then = _clock.now().timestamp() - seconds
        os.utime(path, (then, then))
