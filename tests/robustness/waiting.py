# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module that finds the component taken: what it shows while it waits, and what it says in the end."""

from __future__ import annotations

import contextlib
import json
import pathlib
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from tests.servers.module_call import finish_module, start_module

HOLDER = "20261121T051000Z-a-long-one-1a2b"


def problems_while_waiting(
    repository: Repository, component: str, module: str, params: dict[str, t.Any], progress: pathlib.Path
) -> list[str]:
    """Let it wait for a second in vain; for longer where that was too short for us to see what it shows meanwhile."""
    problems: list[str] = []
    for wait_s in (1, 20):
        shown, more = _waited(repository, component, module, params, progress, wait_s)
        problems += more
        if shown:
            return problems
    return [*problems, f"{module} shows nobody for whom it waits"]


def _waited(
    repository: Repository,
    component: str,
    module: str,
    params: dict[str, t.Any],
    progress: pathlib.Path,
    wait_s: int,
) -> tuple[bool, list[str]]:
    """Whether it showed for whom it waits, and what is wrong otherwise."""
    given = {
        "repository": repository.url,
        "environment_name": repository.environment,
        "component": component,
        "progress_path": str(progress),
        **params,
        "lease_wait": f"{wait_s}s",
    }
    shown = set()
    with holding(repository, component, HOLDER, describe_holder(HOLDER), 600.0):
        process = start_module(module, given)
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                shown.add(json.loads(progress.read_text(encoding="utf-8"))["what"])
            time.sleep(0.02)
        result = finish_module(process)
    problems = []
    if not result.get("failed") or HOLDER not in result.get("msg", ""):
        problems.append(f"{module} does not say who holds the lease: {result.get('msg', result)}")
    if progress.exists():
        problems.append(f"{module} leaves {progress.name}")
    told = f"at most {_clock.format_duration(wait_s)}"
    return any(text.startswith(f"waiting for run {HOLDER} ") and told in text for text in shown), problems
