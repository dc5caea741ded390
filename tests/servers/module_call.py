# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls one of the collection's modules as Ansible would, in a process of its own, without the rest of Ansible."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
_RUNNER = """
import importlib, json, sys
from ansible.module_utils.testing import patch_module_args
call = json.load(sys.stdin)
module = importlib.import_module("ansible_collections.sre.runbooks.plugins.modules." + call["module"])
with patch_module_args(call["params"]):
    module.main()
"""


def start_module(
    module: str, params: dict[str, t.Any], check: bool = False, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """The module as a process that has its parameters; its result will be on standard output."""
    process = subprocess.Popen(
        [sys.executable, "-c", _RUNNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".local" / "collections"), **(environment or {})},
    )
    assert process.stdin is not None
    call = {"module": module, "params": {**params, "_ansible_check_mode": check, "_ansible_diff": True}}
    process.stdin.write(json.dumps(call).encode())
    process.stdin.close()
    process.stdin = None
    return process


def finish_module(process: subprocess.Popen[bytes], timeout: float = 300) -> dict[str, t.Any]:
    output, errors = process.communicate(timeout=timeout)
    lines = [line for line in output.decode().splitlines() if line.startswith("{")]
    assert lines, f"no result: {output.decode()}{errors.decode()}"
    return t.cast("dict[str, t.Any]", json.loads(lines[-1]))


def call_module(
    module: str, params: dict[str, t.Any], check: bool = False, environment: dict[str, str] | None = None
) -> dict[str, t.Any]:
    """The module's result, failed or not."""
    return finish_module(start_module(module, params, check, environment))
