# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every case of the robustness suites and prints build/soak.json as a table. Run by ``make soak``."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main() -> int:
    results = ROOT / "build" / "soak.json"
    results.parent.mkdir(exist_ok=True)
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests/robustness", *sys.argv[1:]]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "SRE_RUNBOOKS_SOAK": "1"}, check=False)
    rows = json.loads(results.read_text(encoding="utf-8")) if results.exists() else []
    print(f"\n{'suite':<40} {'seed':>10} {'cases':>8} {'failed':>8}")
    for row in rows:
        print(f"{row['suite']:<40} {row['seed']:>10} {row['cases']:>8} {row['failed']:>8}")
    return done.returncode or (0 if rows and not any(row["failed"] for row in rows) else 1)


if __name__ == "__main__":
    sys.exit(main())
