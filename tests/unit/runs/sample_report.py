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
        "probes_disabled": {},
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
    "service_objectives": [],
    "checklist": None,
    "hardware": {
        "host": "control-1",
        "cpus": 2,
        "cpu_model": "Neoverse-N1",
        "memory_bytes": 8_300_000_000,
        "system": "Linux 6.1.0 x86_64",
    },
    "left_out": [],
    "previous_problem": "",
    "previous": {
        "run_id": "20261114T051000Z-rebuild_environment-77aa",
        "finished": "2026-11-14T05:11:40.000000Z",
        "verdict": "met",
        "left_out": [],
        "components": {"flights_db": {"verdict": "met", "rpo_measured_s": 30.0, "rto_measured_s": 81.0}},
        "changes": ["flights_db: restore 1 m 21 s → 1 m 08 s (-16%)"],
        "probes": [],
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


def _service_objective(name: str, outcome: str, **changes: t.Any) -> dict[str, t.Any]:
    item: dict[str, t.Any] = {
        "name": name,
        "service": "flights",
        "component": "flights_api",
        "description": "Requests that are answered",
        "kind": "availability",
        "outcome": outcome,
        "target": 0.9995,
        "window_s": 2_592_000.0,
        "sli": 0.99987,
        "coverage": 0.998,
        "message": "as expected",
        "measured": "99.987 % over 30 d",
        "expected": "at least 99.95 %",
        "hint": "",
        "budget": {"total": 0.0005, "used": 0.26, "left": 0.74},
        "burn_rates": [
            {"long_s": 3600.0, "short_s": 300.0, "factor": 14.4, "long": 0.4, "short": 0.1, "firing": False},
            {"long_s": 21600.0, "short_s": 1800.0, "factor": 6.0, "long": 0.8, "short": 0.2, "firing": False},
            {"long_s": 86400.0, "short_s": 7200.0, "factor": 3.0, "long": 1.1, "short": 0.9, "firing": False},
            {"long_s": 259200.0, "short_s": 21600.0, "factor": 1.0, "long": 0.7, "short": None, "firing": False},
        ],
        "exhausts_at": None,
        "trend": {"former_sli": 0.9998, "change": 0.00007},
    }
    return {**item, **changes}


def health_report() -> dict[str, t.Any]:
    """A morning checklist with every outcome, something that changed, and text from an enemy."""
    report = rebuild_report()
    report.update(
        runbook="check_health-morning",
        kind="health",
        verdict="failed",
        verdict_reason="flights_api: probe failed: health page",
    )
    report["run_id"] = report["audit"]["test_id"] = "20261121T051000Z-check_health-morning-0c0d"
    database, service = report["components"]
    good = [_probe("flights_db answers", "postgresql", "1", 0.02), _probe("flights_db has space", "disk", "61 %", 0.0)]
    database.update(probes=good, rows_lost=None, lost_rows=[], probes_disabled={"flights_db has a replica": HOSTILE})
    changes: list[dict[str, t.Any]] = [
        {"outcome": "failed", "message": "connection refused", "measured": "nothing", "hint": "the same command"},
        {"outcome": "warning", "message": "slower than 1 s", "measured": "1.3 s"},
        {"outcome": "unknown", "message": HOSTILE, "critical": False},
        {"name": HOSTILE},
    ]
    probes = [{**_probe(f"probe {number}", "http", "200", 0.01), **change} for number, change in enumerate(changes)]
    service.update(probes=probes, verdict="failed", outcome="failed", reason="probe failed: probe 0", rows_lost=None)
    report["probes"] = [
        {"component": item["name"], **probe} for item in (database, service) for probe in item["probes"]
    ]
    report["checklist"] = {"name": "morning", "description": HOSTILE, "review": ["Tickets of the night", HOSTILE]}
    report["service_objectives"] = [
        _service_objective(
            "latency",
            "missed",
            kind="latency",
            message=HOSTILE,
            hint=HOSTILE,
            budget={"total": 0.05, "used": 1.7, "left": -0.7},
            exhausts_at=_at(86400),
        ),
        _service_objective(
            HOSTILE, "unknown", sli=None, coverage=0.4, budget=None, burn_rates=[], trend=None, measured=""
        ),
        _service_objective("availability", "met"),
    ]
    report["previous"].update(
        run_id="20261120T051000Z-check_health-morning-77aa",
        changes=["flights_api: met → failed"],
        probes=[
            {"component": "flights_api", "probe": "probe 0", "was": "ok", "now": "failed", "message": HOSTILE},
            {
                "component": "flights_db",
                "probe": "flights_db has a replica",
                "was": "warning",
                "now": "disabled",
                "message": HOSTILE,
            },
            {"component": "flights_api", "probe": HOSTILE, "was": "absent", "now": "ok", "message": ""},
            {"component": "flights_api", "probe": "old page", "was": "ok", "now": "absent", "message": ""},
        ],
    )
    report["findings"] = [
        {
            "severity": "failure",
            "component": "flights_api",
            "text": "probe \u201cprobe 0\u201d: connection refused; found: nothing",
        },
        {"severity": "failure", "component": None, "text": HOSTILE},
    ]
    return report
