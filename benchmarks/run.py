# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make bench``: measures against the field's tools, prints a table and writes ``build/bench.json``.

Every figure is the median of at least five pairs, measured in turn on this machine; docs/benchmarks.md explains each.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import tempfile
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / ".local" / "collections")]

from benchmarks.measure import Result  # noqa: E402  (the path comes first)

_SECTIONS = ("pipeline", "memory", "postgresql", "expire", "evidence", "s3", "restic", "kubernetes", "probes")


def measure(section: str, directory: pathlib.Path, mib: int, runs: int) -> list[Result]:
    """One section's results; imported late, so that one can be measured where another's needs are missing."""
    if section == "pipeline":
        from benchmarks.pipeline import PipelineBench

        return PipelineBench(directory, mib, runs).results()
    if section == "memory":
        from benchmarks.pipeline import memory_results

        return memory_results(directory, (64, 4 * mib), runs)
    if section == "expire":
        from benchmarks.expire import ExpireBench

        return ExpireBench(directory, runs).results()
    if section == "evidence":
        from benchmarks.evidence import EvidenceBench

        return EvidenceBench(directory, mib, runs).results()
    if section == "s3":
        from benchmarks.s3 import S3Bench

        return S3Bench(directory, mib, runs).results()
    if section == "restic":
        from benchmarks.restic import ResticBench

        return ResticBench(directory, mib, runs).results()
    if section == "kubernetes":
        from benchmarks.kubernetes import KubernetesBench

        return KubernetesBench(directory, runs).results()
    if section == "probes":
        from benchmarks.probes import ProbesBench

        return ProbesBench(directory, runs).results()
    from benchmarks.postgresql import results

    return results(directory, mib, runs)


def table(results: list[Result]) -> str:
    """For people."""
    head = f"{'what':<32}{'ours':>10}{'theirs':>10}{'ratio':>9}  {'unit':<24}against"
    lines = [
        f"{found.name:<32}{found.ours:>10.2f}{found.theirs:>10.2f}{found.ratio:>9.3f}  {found.unit:<24}{found.against}"
        for found in results
    ]
    return "\n".join([head, "-" * len(head), *lines])


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="pairs per figure (default: 5)")
    parser.add_argument("--mib", type=int, default=256, help="size of the data in MiB (default: 256)")
    parser.add_argument("--only", choices=_SECTIONS, action="append", help="measure this section only; repeatable")
    parser.add_argument("--output", type=pathlib.Path, default=_ROOT / "build" / "bench.json")
    options = parser.parse_args()
    results: list[Result] = []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for section in options.only or _SECTIONS:
        began = time.monotonic()
        print(f"measuring {section} …", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="srb-bench-") as name:
            results += measure(section, pathlib.Path(name), options.mib, options.runs)
        print(f"measured {section} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        # After each section: what was measured is not lost when a later one breaks.
        options.output.write_text(json.dumps([dataclasses.asdict(found) for found in results], indent=2) + "\n")
    print(table(results))
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
