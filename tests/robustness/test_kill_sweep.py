# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of a backup at task boundaries and inside of tasks: the rerun converges, and the run after it changes nothing."""

from __future__ import annotations

import json
import pathlib
import typing as t

from tests.robustness.playbook_sweep import killed_anywhere_it_converges, run
from tools.local_environment import LocalEnvironment


def test_killed_anywhere_converges(
    local: LocalEnvironment, results: t.Callable[[str, int, int], None], tmp_path: pathlib.Path
) -> None:
    killed_anywhere_it_converges(local, results, tmp_path, "back_up_components")


def test_the_record_of_a_killed_run_is_closed_by_the_next(local: LocalEnvironment) -> None:
    # The tasks before open the record, those after close it.
    killed = run(local, "check_health", [], KILL_AT_TASK="Run every probe of the component")
    assert killed.returncode != 0
    # Whatever it finds, alone with an environment that has no backup yet too.
    following = local.play("check_health", capture_output=True)
    assert "until it was cut off is in" in " ".join(following.stdout.split()), following.stdout
    runs = local.root / "repository" / "runs"
    closed = [json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/closed.json")]
    assert any("interrupted" in json.dumps(record) for record in closed)
    assert all((path / "closed.json").exists() for path in runs.iterdir() if path.is_dir())
