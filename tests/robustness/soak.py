# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs every case of the robustness suites, one suite after the other, and prints build/soak.json as a table.

Run by ``make soak``. Arguments choose suites by the name of their file, such as ``corruption kill_inside``; the rows of the
others stay in build/soak.json. SRE_RUNBOOKS_SEED chooses the seed. A suite that fails does not stop the others.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "soak.json"
#: What goes first takes minutes; the sweeps over whole playbooks take hours.
LAST = ("test_kill_sweep.py", "test_kill_sweep_rebuild.py", "test_kill_sweep_restore.py", "test_leaks.py")


def suites(chosen: list[str]) -> list[pathlib.Path]:
    """The files of the suites that are asked for, or all of them. Ends the program for a name that there is not."""
    found = sorted((ROOT / "tests" / "robustness").glob("test_*.py"), key=lambda path: (path.name in LAST, path.name))
    unknown = set(chosen) - {path.stem[len("test_") :] for path in found}
    if unknown:
        sys.exit(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(path.stem[5:] for path in found)}")
    return [path for path in found if not chosen or path.stem[len("test_") :] in chosen]


def rows() -> list[dict[str, t.Any]]:
    found: list[dict[str, t.Any]] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    return found


def table(results: list[dict[str, t.Any]]) -> list[str]:
    """For docs/benchmarks.md."""
    lines = ["| suite | cases | failed | seed | time |", "|---|---|---|---|---|"]
    for row in results:
        seconds = row.get("duration_s")
        took = "–" if seconds is None else f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"
        lines.append(f"| {row['suite']} | {row['cases']:,} | {row['failed']} | {row['seed']} | {took} |")
    return lines


def main() -> int:
    chosen = suites(sys.argv[1:])
    RESULTS.parent.mkdir(exist_ok=True)
    if not sys.argv[1:]:
        RESULTS.unlink(missing_ok=True)
    broken: list[str] = []
    began = time.monotonic()
    print(f"{len(chosen)} suites on {platform.machine()}, {os.cpu_count()} processors", flush=True)
    for number, path in enumerate(chosen, 1):
        clock = datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S")
        print(f"\n{clock} UTC: suite {number} of {len(chosen)}, {path.stem}", flush=True)
        command = [sys.executable, "-m", "pytest", "-v", "-s", "-p", "no:cacheprovider", str(path)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "SRE_RUNBOOKS_SOAK": "1"}, check=False)
        if done.returncode:
            broken.append(path.stem)
    results = rows()
    cases = sum(row["cases"] for row in results)
    failed = sum(row["failed"] for row in results)
    print("\n" + "\n".join(table(results)))
    print(f"\n{cases:,} cases, {failed} failed, in {(time.monotonic() - began) / 60:.0f} min; build/soak.json")
    if broken:
        print(f"suites with failures: {', '.join(broken)}")
    return 1 if broken or failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
