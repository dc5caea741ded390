"""Shared by the robustness suites: how much to run, one environment with real data, and the results as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

import pytest

from tests.robustness.scale import SEED, SOAK
from tools.local_environment import ROOT, LocalEnvironment


@pytest.fixture(scope="session")
def results() -> t.Iterator[t.Callable[[str, int, int], None]]:
    """Call it with suite, cases and failed; everything lands in build/soak.json or build/robustness.json."""
    rows: list[dict[str, t.Any]] = []

    def record(suite: str, cases: int, failed: int) -> None:
        rows.append({"suite": suite, "seed": SEED, "cases": cases, "failed": failed})

    yield record
    target = ROOT / "build" / ("soak.json" if SOAK else "robustness.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[LocalEnvironment]:
    """A local environment of its own, started and loaded, removed at the end whatever happens."""
    series = os.environ.get("SRE_RUNBOOKS_SERIES", "2.19")
    environment = subprocess.run(
        [str(ROOT / "tools" / "environment"), series], stdout=subprocess.PIPE, check=True, text=True
    )
    local = LocalEnvironment(tmp_path_factory.mktemp("local"), environment.stdout.strip())
    try:
        done = local.play("start_local_environment", "-e", "local_environment_traffic=false", capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr
        yield local
    finally:
        local.remove()
        assert local.processes() == []
