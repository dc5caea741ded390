# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of a repository with their reports, as tests of reports begin."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import typing as t

import jsonschema

from ansible_collections.sre.runbooks.plugins.module_utils._clock import now
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import begin_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._runs.publish import publish
from ansible_collections.sre.runbooks.plugins.module_utils._runs.report import (
    ComponentOutcome,
    ReportContext,
    build_report,
)
from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord, start_run

SCHEMA = json.loads((pathlib.Path(__file__).parents[3] / "docs/schemas/report.schema.json").read_text())


def point_of_age(repository: Repository, age_s: float, *levels: str, took_s: float = 30) -> RecoveryPoint:
    writer = begin_point(repository, "flights_db", "postgresql", None)
    moment = now() - datetime.timedelta(seconds=age_s)
    point = writer.commit(engine_version="15.14", consistency_time=moment, content={}, restore_guide="by hand")
    for level in levels:
        write_proof(repository, point, level.replace("!", ""), None, took_s, {}, "failed" if "!" in level else "ok")
    return point


def begun(repository: Repository, runbook: str, *names: str) -> RunRecord:
    return start_run(repository, runbook, names or ["flights_db"], {"host": "here"}, "2.19.0", "ada")


def reported(
    repository: Repository | None, run: RunRecord, *outcomes: ComponentOutcome, **context: t.Any
) -> dict[str, t.Any]:
    report = build_report(repository, ReportContext(run, now(), **context), outcomes)
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(report)))
    return report


def database(**changes: t.Any) -> ComponentOutcome:
    return ComponentOutcome(
        **{"name": "flights_db", "engine": "postgresql", "rpo_s": 300, "rto_s": 600, "outcome": "ok", **changes}
    )


def probe(name: str, outcome: str = "ok", **more: t.Any) -> dict[str, t.Any]:
    return {"name": name, "kind": "tcp", "outcome": outcome, "message": f"{name} is {outcome}", **more}


def checked(repository: Repository, number: int, *components: ComponentOutcome, **context: t.Any) -> dict[str, t.Any]:
    """A health check as one of a row, reported and kept."""
    run = begun(repository, "check_health", *(component.name for component in components))
    run = dataclasses.replace(run, run_id=f"2020010{number}T000000Z-check_health-000{number}")
    report = reported(repository, run, *components, **context)
    publish(report, repository, None)
    return report


def service(name: str, *probes: dict[str, t.Any], **more: t.Any) -> ComponentOutcome:
    return ComponentOutcome(name, engine="service", outcome="ok", probes=list(probes), **more)


EVERY = {"environment_components": ["api", "db"]}


OBJECTIVE = {"name": "availability", "kind": "availability", "outcome": "met", "sli": 0.9999, "target": 0.9995}
