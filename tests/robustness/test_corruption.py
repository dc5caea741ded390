# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thousands of mutations of a repository: each is found, and named, by what an operator would run; a whole one is quiet."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import pathlib
import random
import shutil
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline import age
from ansible_collections.sre.runbooks.plugins.module_utils._repository.examine import Question, examine
from ansible_collections.sre.runbooks.plugins.module_utils._repository.layout import layout_failures
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_components, list_points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import open_repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.verify import verify_point
from tests.robustness.corruption import MUTATIONS, Damage, Files, Vandal
from tests.robustness.scale import SEED, SOAK, counted
from tests.robustness.small_repository import ENVIRONMENT, Keys, build, in_this_process, new_keys, signed

MUTATED = 10_080 if SOAK else 204
CLEAN = 1000 if SOAK else 20
#: Each has a repository of its own, every second one with signatures.
WORKERS = 2
#: One in so many cases decrypts with the ``age`` program, as most installations do.
BY_PROGRAM = 25


def findings(url: str, keys: Keys, with_signatures: bool, only: t.Collection[str] | None = None) -> list[str]:
    """What an operator is told who checks everything, or all but the bytes of points below other prefixes than ``only``."""
    try:
        repository = open_repository(url, ENVIRONMENT)
    except RunbookError as error:
        return [str(error)]
    if with_signatures:
        repository = signed(repository, keys)
    told = layout_failures(repository)
    for component in list_components(repository):
        examined = examine(repository, component, Question())
        told += [f"history of {component}: {finding.subject}: {finding}" for finding in examined.findings]
        listing = list_points(repository, component)
        told += [f"{component} {damaged.point_id}: {damaged.reason}" for damaged in listing.damaged]
        told += [f"{component} {point_id}: was never finished" for point_id in listing.incomplete]
        for point in listing.points:
            if only is None or point.prefix in only:
                try:
                    failures = verify_point(repository, point, keys.identities).failures
                except RunbookError as error:  # a wrong identity is told, though it is no damage
                    failures = [str(error)]
                told += [f"{point.prefix}: {failure}" for failure in failures]
    return told


def names(finding: str, key: str) -> bool:
    """Whether the finding leads to the object: by its key, or by its point and its name there."""
    if key in finding or (key == "repository.json" and "belongs to another environment" in finding):
        return True
    parts = key.split("/")
    if parts[0] == "runs" and finding == f"runs/{parts[1]}/run.json: missing":  # all of that run is somebody's making
        return True
    if parts[0] != "components" or parts[3].split(".")[0] not in finding:
        return False
    if "was never finished" in finding or finding.startswith("history of"):  # all of that point
        return True
    name = "/".join(parts[4:])
    if parts[4:5] == ["rewraps"]:  # a rewrap is judged as a whole
        return "/".join(parts[4:6]) in finding
    return name == "manifest.json" or name.split("/", 1)[-1] in finding


def unnamed(damage: Damage, told: t.Sequence[str]) -> list[str]:
    return [
        " or ".join(keys) for keys in damage.named if not any(names(finding, key) for key in keys for finding in told)
    ]


def _worker(number: int, cases: int, clean: int) -> tuple[collections.Counter[str], list[str], list[str]]:
    """Mutation → cases; the failures; the false alarms."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="srb-corrupt-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    counts: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    alarms: list[str] = []
    try:
        keys, with_signatures = new_keys(), number % 2 == 1
        url = f"file://{root}/repository"
        with in_this_process():
            build(url, keys, f"{SEED}-{number}", with_signatures)
        vandal = Vandal(Files(root / "repository"), keys)
        kinds = list(MUTATIONS)
        for case in counted("corruption", range(cases)):
            choice = random.Random(f"{SEED}-{number}-{case}")
            mutation = kinds[case % len(kinds)]
            with _age(case):
                damage = vandal.damage(mutation, choice)
                touched = {"/".join(key.split("/")[:4]) + "/" for key in vandal.files.touched()}
                told = findings(url, keys, with_signatures, touched)
            for missed in unnamed(damage, told):
                failures.append(f"case {number}-{case}: {damage}: nothing names {missed}; told: {told[:3]}")
            vandal.files.undo()
            counts[f"{mutation}, {damage.kind}"] += 1
        for case in counted("corruption: clean runs", range(clean)):
            with _age(case):
                alarms += findings(url, keys, with_signatures)
    finally:
        shutil.rmtree(root)
    return counts, failures, alarms


def _age(case: int) -> contextlib.AbstractContextManager[t.Any]:
    return contextlib.nullcontext() if case % BY_PROGRAM == 0 and age.age_program() else in_this_process()


def test_every_mutation_is_found_and_named(results: t.Callable[..., None]) -> None:
    counts: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    alarms: list[str] = []
    share = [(number, MUTATED // WORKERS, CLEAN // WORKERS) for number in range(WORKERS)]
    with concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(_worker, *zip(*share, strict=True)))
    for by_kind, failed, alarmed in done:
        counts += by_kind
        failures += failed
        alarms += alarmed
    results(
        "corruption: mutations found and named",
        sum(counts.values()),
        len(failures),
        by_kind=dict(sorted(counts.items())),
    )
    results("corruption: clean runs without an alarm", CLEAN, len(alarms))
    assert not failures, f"{len(failures)} of {sum(counts.values())}\n" + "\n".join(failures[:40])
    assert not alarms, alarms[:10]
    assert len({entry.split(", ")[0] for entry in counts}) == len(MUTATIONS)
