# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report with everything in it, hostile names included, for the renderers and the schema."""

from __future__ import annotations

import copy
import datetime
import typing as t

START = datetime.datetime(2026, 11, 21, 5, 10, tzinfo=datetime.UTC)


def _at(seconds: float) -> str:
    return (START + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _objective(
    target: float | None, measured: float | None, basis: str = "", at_most: float | None = None
) -> dict[str, t.Any]:
    verdict = None
    if target is not None:
        value = measured if measured is not None else at_most
        verdict = "unknown" if value is None else "met" if value <= target else "missed"
    return {"target_s": target, "measured_s": measured, "at_most_s": at_most, "basis": basis, "verdict": verdict}


def _component(name: str, **changes: t.Any) -> dict[str, t.Any]:
    component: dict[str, t.Any] = {
        "name": name,
        "engine": "postgresql",
        "engine_version": "15.14",
        "outcome": "changed",
        "verdict": "met",
        "reason": "RPO and RTO met",
        "message": "",
        "rpo": _objective(300, 41.2, "observed: what was lost against the recovery point"),
        "rto": _objective(600, 68.4, "measured in this run"),
        "proof": "asserted",
        "proof_at": _at(-120),
        "recovery_point": "20261121T050800Z-9c1e",
        "consistency_time": _at(-120),
        "size_bytes": 9_437_184,
        "interval_s": None,
        "points": 3,
        "damaged_points": [],
        "incomplete_points": [],
        "points_problem": None,
        "rows_lost": 3,
        "lost_rows": ["118", "119", "120"],
        "depends_on": [],
        "probes": [],
        "hardware": None,
    }
    return {**component, **changes}


def _step(
    at: float, took: float | None, component: str | None, step: str, outcome: str = "ok", **facts: t.Any
) -> dict[str, t.Any]:
    return {"at": _at(at), "duration_s": took, "component": component, "step": step, "outcome": outcome, "facts": facts}


def _probe(name: str, kind: str, measured: str, took: float) -> dict[str, t.Any]:
    passed = {"outcome": "ok", "critical": True, "message": "as expected", "expected": "an answer", "hint": ""}
    return {"name": name, "kind": kind, "measured": measured, "duration_s": took, **passed}


_PROBES = [
    _probe("health page", "http", "200", 0.012),
    _probe("metrics", "http", "200", 0.009),
    _probe("port", "tcp", "a connection", 0.001),
]

REBUILD: dict[str, t.Any] = {
    "format": 1,
    "run_id": "20261121T051000Z-rebuild_environment-4be0",
    "runbook": "rebuild_environment",
    "kind": "rebuild",
    "environment": "local",
    "repository": "file:///srv/repository",
    "recorded": True,
    "check_mode": False,
    "interrupted": False,
    "started": _at(0),
    "finished": _at(83.5),
    "duration_s": 83.5,
    "verdict": "met",
    "verdict_reason": "every objective that applies was met",
    "operator": "ada",
    "controller": {"host": "control-1", "pid": 4711, "ansible_version": "2.19.3"},
    "components": [
        _component("flights_db"),
        _component(
            "flights_api",
            engine="service",
            engine_version=None,
            reason="RTO met",
            rpo=_objective(None, None),
            rto=_objective(600, 74.9, "measured in this run"),
            proof=None,
            proof_at=None,
            recovery_point=None,
            consistency_time=None,
            size_bytes=None,
            points=0,
            rows_lost=None,
            lost_rows=[],
            depends_on=["flights_db"],
            probes=_PROBES,
        ),
    ],
    "timeline": [
        _step(0.3, 0.8, None, "check the break-glass kit"),
        _step(1.4, 0.2, "flights_db", "take the lease"),
        _step(1.8, 3.1, "flights_db", "start an empty server", "changed"),
        _step(5.1, 2.4, "flights_db", "verify the recovery point"),
        _step(7.6, 44.8, "flights_db", "load flights", "changed"),
        _step(52.5, 6.2, "flights_db", "analyze"),
        _step(58.8, 7.0, "flights_db", "compare counts, hashes and canary"),
        _step(65.9, 1.1, "flights_db", "assert"),
        _step(67.1, 0.3, "flights_db", "swap", "changed"),
        _step(70.0, 1.9, "flights_api", "start the service", "changed"),
        _step(72.0, 0.4, "flights_api", "wait for /health", "failed", error={"message": "connection refused"}),
        _step(73.0, 0.1, "flights_api", "wait for /health"),
        _step(73.2, 0.5, "flights_api", "probe"),
        _step(75.1, None, None, "traffic seen again"),
    ],
    "probes": [{"component": "flights_api", **probe} for probe in _PROBES],
    "hardware": {
        "host": "control-1",
        "cpus": 2,
        "cpu_model": "Neoverse-N1",
        "memory_bytes": 8_300_000_000,
        "system": "Linux 6.1.0 x86_64",
    },
    "previous": {
        "run_id": "20261114T051000Z-rebuild_environment-77aa",
        "finished": "2026-11-14T05:11:40.000000Z",
        "verdict": "met",
        "components": {"flights_db": {"verdict": "met", "rpo_measured_s": 30.0, "rto_measured_s": 81.0}},
        "changes": ["flights_db: restore 1 m 21 s → 1 m 08 s (-16%)"],
    },
    "findings": [{"severity": "warning", "component": "flights_db", "text": "3 acknowledged rows lost"}],
    "audit": {
        "test_id": "20261121T051000Z-rebuild_environment-4be0",
        "scenario": "Loss of the environment: rebuilt from inventory and repository alone",
        "participants": ["ada", "grace"],
        "systems": ["flights_db postgresql 15.14", "flights_api service"],
        "targets_and_actuals": [
            {
                "component": "flights_db",
                "objective": name,
                "target_s": target,
                "actual_s": actual,
                "actual_at_most_s": None,
                "basis": "measured in this run",
                "result": "met",
            }
            for name, target, actual in (("RPO", 300, 41.2), ("RTO", 600, 68.4))
        ],
        "integrity": {"result": "intact", "proofs": {"flights_db": "asserted"}, "damaged": []},
        "findings": ["flights_db: 3 acknowledged rows lost"],
        "sign_offs": [],
        "retest_date": "2027-02-19",
    },
}

HOSTILE = "<script>alert('x')</script>\"& | `code` [link](http://evil.example) @all \x1b[31m"


def rebuild_report() -> dict[str, t.Any]:
    """A rebuild that met everything and names the lost rows."""
    return copy.deepcopy(REBUILD)


def troubled_report() -> dict[str, t.Any]:
    """A drill with every verdict, a damaged point, a step that was cut off, and text from an enemy."""
    report = rebuild_report()
    report.update(runbook="drill_restores", kind="drill", verdict="failed", environment="production", previous=None)
    report["run_id"] = report["audit"]["test_id"] = "20261121T051000Z-drill_restores-0a0b"
    report["verdict_reason"] = "orders_db: the runbook failed on this component"
    met, service = report["components"]
    report["components"] = [
        met,
        _component(
            "orders_db",
            outcome="failed",
            verdict="failed",
            reason="the runbook failed on this component",
            message="orders_db: the recovery point does not hold what was recorded; expected: 120044 rows in public.orders; "
            "found: 119871; next: ansible-playbook sre.runbooks.restore_components --check",
            rpo=_objective(900, 512.0, "age of the newest undamaged recovery point"),
            rto=_objective(1800, None, "no restore of this component was ever timed"),
            proof="verified",
            rows_lost=None,
            lost_rows=[],
            damaged_points=[
                {"point_id": "20261120T050000Z-1111", "reason": "objects/db-0001/3051.dat.zst: sha256 differs"}
            ],
        ),
        _component(
            "billing_db",
            verdict="missed",
            reason="RTO missed",
            rpo=_objective(3600, None, "not observed; at most the age of the point when the run started", 1900.0),
            rto=_objective(600, 1311.0, "measured in this run"),
            proof="restored",
            rows_lost=None,
            lost_rows=[],
        ),
        _component(
            HOSTILE,
            engine="service",
            outcome=None,
            verdict="unknown",
            reason=HOSTILE,
            message=HOSTILE,
            rpo=_objective(86400, None, ""),
            rto=_objective(None, None),
            proof=None,
            recovery_point=None,
            rows_lost=None,
            lost_rows=[HOSTILE],
            depends_on=[HOSTILE],
            probes=[
                {
                    "name": HOSTILE,
                    "kind": HOSTILE,
                    "outcome": "failed",
                    "critical": True,
                    "message": HOSTILE,
                    "expected": HOSTILE,
                    "measured": HOSTILE,
                    "hint": HOSTILE,
                    "duration_s": None,
                }
            ],
        ),
        service,
    ]
    report["timeline"] += [
        _step(60.0, None, "orders_db", "load orders", "interrupted"),
        _step(20.0, 30.0, "orders_db", HOSTILE, "failed", error=HOSTILE),
        _step(81.0, 0.0, "billing_db", "assert", "skipped"),
    ]
    report["findings"] = [
        {"severity": "failure", "component": "orders_db", "text": "the recovery point does not hold what was recorded"},
        {
            "severity": "failure",
            "component": "orders_db",
            "text": "recovery point 20261120T050000Z-1111 is damaged: sha256 differs",
        },
        {"severity": "warning", "component": "billing_db", "text": "RTO missed: 21 m 51 s measured, 10 m 00 s allowed"},
        {"severity": "note", "component": HOSTILE, "text": HOSTILE},
    ]
    report["audit"]["sign_offs"] = [{"name": "Grace H.", "role": "Approver", "date": "2026-11-21"}]
    report["audit"]["integrity"] = {
        "result": "damaged",
        "proofs": {"orders_db": "verified"},
        "damaged": ["orders_db 1"],
    }
    return report
