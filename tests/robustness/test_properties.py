# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The properties of the unit tests with other examples in every round; `make unit` tries the same ones each time."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import typing as t

from tests.robustness.scale import SEED, counted
from tools.local_environment import ROOT

ROUNDS = 30


def test_properties_hold_for_other_examples(results: t.Callable[..., None]) -> None:
    cases = 0
    failed: list[str] = []
    for seed in counted("properties", random.Random(SEED).sample(range(10**6), ROUNDS)):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--numprocesses=2",
            "-m",
            "hypothesis",
        ]
        done = subprocess.run(
            [*command, f"--hypothesis-seed={seed}", "tests/unit"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        passed = re.search(r"(\d+) passed", done.stdout)
        cases += int(passed[1]) if passed else 0
        named = re.findall(r"^FAILED (\S+)", done.stdout, re.M)
        if done.returncode:
            print(done.stdout[-20_000:], flush=True)
            failed += [f"--hypothesis-seed={seed}: {name}" for name in named or ["did not run"]]
    results("properties: every one with other examples", cases + len(failed), len(failed), failures=failed)
    assert not failed, failed
