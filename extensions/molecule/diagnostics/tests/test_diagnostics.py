# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a collection while everything ran, and the loss of the service."""

from __future__ import annotations

import tarfile
import threading
import time

import psycopg
import pytest

testinfra_hosts = ["local://"]  # not molecule's instances: it has none


@pytest.fixture
def archived(local):
    """Call it: the files of the newest run's archive, by name."""

    def read():
        with tarfile.open(local.root / "reports" / "latest" / "diagnostics.tar.gz") as files:
            return {entry.name.partition("/")[2]: files.extractfile(entry).read().decode() for entry in files}

    return read


@pytest.fixture
def blocked(local):
    """A session of the database that waits for another."""
    password = (local.root / "kit" / "postgres.password").read_text(encoding="utf-8").strip()
    port = local.variables()["SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT"]
    login = {"host": "127.0.0.1", "port": port, "user": "postgres", "password": password, "dbname": "flights"}
    holder, waiter, looker = (psycopg.connect(**login) for _ in range(3))
    looker.autocommit = True
    statement = "LOCK TABLE flights IN EXCLUSIVE MODE /* token=Zq9hidden */"
    thread = threading.Thread(target=waiter.execute, args=(statement,))
    try:
        holder.execute("LOCK TABLE flights IN EXCLUSIVE MODE")
        thread.start()
        deadline = time.monotonic() + 60
        waits = f"SELECT cardinality(pg_blocking_pids({waiter.info.backend_pid}))"
        while looker.execute(waits).fetchone() == (0,) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield holder.info.backend_pid
    finally:
        holder.close()  # which ends its transaction
        thread.join(60)
        waiter.close()
        looker.close()


def test_everything_was_collected_while_everything_ran(local, archived, component):
    assert local.latest_report()["runbook"] == "collect_diagnostics"
    files = archived()
    for expected in (
        "flights_db/postgresql_activity/activity.txt",
        "flights_db/recent_changes/runs_newest_first.txt",
        "flights_db/health_probes/results.json",
        "flights_api/host_processes/by_cpu.txt",
        "flights_api/host_logs/",
    ):
        assert any(name.startswith(expected) for name in files), expected
    assert "diagnostics.tar.gz" in str(component("flights_db"))


def test_what_is_wrong_stands_out(local, archived, blocked):
    done = local.play("collect_diagnostics", "-e", "alert=database_slow", capture_output=True)
    assert done.returncode == 0, done.stdout
    sentence = f"1 blocked session of PostgreSQL, held up by process {blocked}"
    assert sentence in done.stdout
    # The service is gone, and its probes say so.
    assert "flights API is healthy is failed" in done.stdout
    files = archived()
    assert sentence in files["index.md"]
    assert sentence in files["index.html"]
    assert "Zq9hidden" not in "".join(files.values())
    for path in (local.root / "kit").glob("*.password"):
        assert path.read_text(encoding="utf-8").strip() not in "".join(files.values()), path.name


def test_check_mode_shows_the_plan_and_writes_nothing(local):
    before = sorted(path.name for path in (local.root / "reports").iterdir())
    done = local.play("collect_diagnostics", "-e", "alert=disk_full", "--check", capture_output=True)
    assert done.returncode == 0, done.stdout
    assert "would ask host_disks" in done.stdout
    assert sorted(path.name for path in (local.root / "reports").iterdir()) == before
