# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of a rebuild at task boundaries and inside of tasks: the rerun converges, and the run after it changes nothing."""

from __future__ import annotations

import pathlib
import typing as t

from tests.robustness.playbook_sweep import killed_anywhere_it_converges
from tools.local_environment import LocalEnvironment


def test_killed_anywhere_converges(
    local: LocalEnvironment, results: t.Callable[[str, int, int], None], tmp_path: pathlib.Path
) -> None:
    killed_anywhere_it_converges(local, results, tmp_path, "rebuild_environment")
