# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of whole playbooks at task boundaries, and inside the tasks between them."""

from __future__ import annotations

import pathlib
import random
import re
import subprocess
import time
import typing as t

from tests.robustness.scale import SEED, SOAK
from tools.local_environment import LocalEnvironment

#: Seconds between a boundary and the kill, in turn: inside the modules, not only between tasks.
DELAYS = (0.0, 0.35, 0.9, 2.0)

RUNBOOKS: dict[str, list[str]] = {
    "back_up_components": ["-e", "backup_force=true"],
    "restore_components": ["-e", "restore_confirm=flights_db", "-e", "restore_force=true"],
    "rebuild_environment": ["-e", "rebuild_confirm=local"],
}
#: The same statement of truth without the "even if nothing is to do".
CONVERGED: dict[str, list[str]] = {
    "back_up_components": [],
    "restore_components": ["-e", "restore_confirm=flights_db"],
    "rebuild_environment": ["-e", "rebuild_confirm=local"],
}


def run(local: LocalEnvironment, playbook: str, arguments: list[str], **kill: str) -> subprocess.CompletedProcess[str]:
    env = {
        "ANSIBLE_CALLBACK_PLUGINS": str(pathlib.Path(__file__).parent / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "kill_at",
        **kill,
    }
    return local.play(playbook, *arguments, env=env, capture_output=True, start_new_session=True, timeout=300)


def changed(done: subprocess.CompletedProcess[str]) -> int:
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", done.stdout))


def prepare(local: LocalEnvironment, playbook: str) -> None:
    """The state from which the runbook has all of its work to do."""
    if playbook == "rebuild_environment":
        done = local.play("destroy_local_environment", "-e", "local_environment_confirm=local", capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr


def flights(local: LocalEnvironment) -> int:
    """Rows of the largest table, asked of the API's database by psql-free means: the API itself."""
    import urllib.request

    port = local.variables()["SRE_RUNBOOKS_LOCAL_API_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=120) as answer:
        assert answer.status == 200
    probe = (
        "import psycopg,sys;print(psycopg.connect(host='127.0.0.1',port=sys.argv[1],user='postgres',dbname='flights',"
        "password=open(sys.argv[2]).read().strip()).execute('SELECT count(*) FROM flights').fetchone()[0])"
    )
    arguments = [local.variables()["SRE_RUNBOOKS_LOCAL_POSTGRESQL_PORT"], str(local.root / "kit" / "postgres.password")]
    done = subprocess.run(
        [f"{local.bin_dir}/python", "-c", probe, *arguments], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def killed_anywhere_it_converges(
    local: LocalEnvironment, results: t.Callable[[str, int, int], None], tmp_path: pathlib.Path, playbook: str
) -> None:
    """The rerun converges, and the run after it changes nothing."""
    done = local.play("back_up_components", capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    prepare(local, playbook)
    counter = tmp_path / "boundaries"
    whole = run(local, playbook, RUNBOOKS[playbook], KILL_AT_COUNT=str(counter))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    boundaries = int(counter.read_text(encoding="utf-8"))
    assert boundaries > 5
    # Every boundary; the kill comes there, or a while into what follows it.
    cases = [(boundary, DELAYS[boundary % len(DELAYS)]) for boundary in range(1, boundaries + 1)]
    if not SOAK:
        cases = random.Random(f"{SEED}-{playbook}").sample(cases, 3)
    failures: list[str] = []
    for boundary, delay in cases:
        prepare(local, playbook)
        killed = run(local, playbook, RUNBOOKS[playbook], KILL_AT=str(boundary), KILL_AT_DELAY=str(delay))
        time.sleep(0.2)
        rerun = run(local, playbook, CONVERGED[playbook])
        again = run(local, playbook, CONVERGED[playbook])
        told = f"{playbook} killed at boundary {boundary} + {delay} s (exit {killed.returncode})"
        if rerun.returncode != 0:
            failures.append(f"{told}: the rerun failed\n{rerun.stdout[-3000:]}{rerun.stderr[-1000:]}")
        elif again.returncode != 0 or changed(again) != 0:
            failures.append(f"{told}: the run after the rerun changed {changed(again)}\n{again.stdout[-3000:]}")
        elif flights(local) != 336776:
            failures.append(f"{told}: {flights(local)} flights")
    results(f"kill sweep {playbook}", len(cases), len(failures))
    assert not failures, "\n".join(failures)
