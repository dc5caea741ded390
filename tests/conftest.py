# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the collection importable as ansible_collections.sre.runbooks, as Ansible itself sees it; an environment with real data."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import subprocess
import sys
import typing as t

import hypothesis
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".local" / "collections"))
sys.path.insert(0, str(ROOT))

from tests.robustness.scale import SOAK  # noqa: E402
from tests.servers.faulty_network import faulty_network, s3_way  # noqa: E402, F401
from tests.servers.health_environment import health, health_servers  # noqa: E402, F401
from tests.servers.kubernetes.fixtures import faulty_api, kubernetes_cluster, kubernetes_namespace  # noqa: E402, F401
from tests.servers.postgresql import postgresql_server, postgresql_system, postgresql_wheel  # noqa: E402, F401
from tests.servers.s3 import s3_bucket, s3_gateway, s3_gateway_tls  # noqa: E402, F401
from tools.local_environment import LocalEnvironment  # noqa: E402  (found through the line above)

# How long an example takes says nothing on a machine whose cores are shared. A change is judged by the same examples each
# time; `make soak` looks for others.
hypothesis.settings.register_profile("shared", deadline=None, derandomize=not SOAK)
hypothesis.settings.load_profile("shared")


#: The files that take minutes, the longest first: a worker that began with one at the end would let the others wait.
_LONG = (
    "test_examples.py",
    "test_bad_input.py",
    "test_kill_sweep_rebuild.py",
    "test_leaks.py",
    "test_kill_sweep_restore.py",
    "test_kill_sweep.py",
    "test_kubernetes_leaks.py",
    "test_pitr_leaks.py",
    "test_corruption.py",
    "test_check_health.py",
    "test_health_checklists.py",
    "test_health_refusals.py",
    "test_kubernetes_consumers_playbook.py",
    "test_kubernetes_restore_difficult.py",
    "test_background_process.py",
    "test_terraform_state.py",
    "test_postgresql_restore.py",
    "test_expire.py",
    "test_run_modules.py",
    "test_kubernetes_restore_volumes.py",
    "test_objectives_playbooks.py",
    "test_postgresql_pitr_restore.py",
    "test_postgresql_pitr_backup.py",
    "test_kubernetes_documentation.py",
    "test_collect_diagnostics.py",
    "test_kubernetes_database.py",
    "test_release_lease.py",
    "test_preparation.py",
    "test_kubernetes_drill.py",
    "test_verify_backups.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole files in this order: the long ones, then those of many tests."""
    sizes = collections.Counter(item.path for item in items)

    def place(item: pytest.Item) -> tuple[int, int, str]:
        rank = _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG)
        return rank, -sizes[item.path], str(item.path)

    items.sort(key=place)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[LocalEnvironment]:
    """A local environment of its own, started and loaded, removed at the end whatever happens."""
    with running_environment(tmp_path_factory.mktemp("local"), "file") as local:
        yield local


@pytest.fixture(scope="module")
def local_in_bucket(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[LocalEnvironment]:
    """As ``local``, its repository in a bucket of its own S3 gateway."""
    with running_environment(tmp_path_factory.mktemp("local"), "s3") as local:
        yield local


@contextlib.contextmanager
def running_environment(root: pathlib.Path, repository: t.Literal["file", "s3"]) -> t.Iterator[LocalEnvironment]:
    series = os.environ.get("SRE_RUNBOOKS_SERIES", "2.19")
    environment = subprocess.run(
        [str(ROOT / "tools" / "environment"), series], stdout=subprocess.PIPE, check=True, text=True
    )
    local = LocalEnvironment(root, environment.stdout.strip(), repository)
    try:
        done = local.play("start_local_environment", "-e", "local_environment_traffic=false", capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        yield local
    finally:
        local.remove()
        assert local.processes() == []


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Continuous integration has everything that a test may need: there, a skipped test is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if skipped and os.environ.get("SRE_RUNBOOKS_SKIPS") == "fail" and session.exitstatus == pytest.ExitCode.OK:
        reporter.section(f"{len(skipped)} skipped, which SRE_RUNBOOKS_SKIPS=fail forbids", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
