# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same run as an auditor asks for it: what was tested, by whom, on what, against which targets, with what result."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import parse_time

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._runs.run import RunRecord

_SCENARIOS = {
    "backup": "Scheduled backup: a recovery point within the RPO exists and was read back",
    "drill": "Restore drill: the newest recovery point restored into a scratch target, asserted and timed",
    "restore": "Restore of components from a recovery point",
    "rebuild": "Loss of the environment: rebuilt from inventory and repository alone",
    "health": "Health check of every component",
    "objectives": "Evaluation of the service level objectives over their windows",
    "verify": "Verification of every retained recovery point and of the chain of evidence",
    "other": "Run of a runbook",
}


def build_audit(
    report: t.Mapping[str, t.Any],
    record: RunRecord,
    sign_offs: t.Sequence[t.Mapping[str, t.Any]],
    retest_date: str | None,
) -> dict[str, t.Any]:
    """The auditor's view on a report that is otherwise complete."""
    components = report["components"]
    return {
        "test_id": report["run_id"],
        "scenario": record.scenario or _SCENARIOS[report["kind"]],
        "participants": list(dict.fromkeys([record.operator, *record.participants])),
        "systems": [
            " ".join(part for part in (item["name"], item["engine"], item["engine_version"] or "") if part)
            for item in components
        ],
        "targets_and_actuals": [
            {
                "component": item["name"],
                "objective": name.upper(),
                "target_s": item[name]["target_s"],
                "actual_s": item[name]["measured_s"],
                "actual_at_most_s": item[name]["at_most_s"],
                "basis": item[name]["basis"],
                "result": item[name]["verdict"],
            }
            for item in components
            for name in ("rpo", "rto")
            if item[name]["target_s"] is not None
        ],
        "integrity": _integrity(components),
        "findings": [
            f"{finding['component']}: {finding['text']}" if finding["component"] else finding["text"]
            for finding in report["findings"]
        ],
        "sign_offs": [
            {name: str(sign_off.get(name) or "") for name in ("name", "role", "date")} for sign_off in sign_offs
        ],
        "retest_date": retest_date or _next_date(report),
    }


def _integrity(components: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """intact: every point in question was read back; damaged: one is not what it was; unknown: not all were read."""
    proofs = {item["name"]: item["proof"] for item in components if item["recovery_point"]}
    damaged = [f"{item['name']} {point['point_id']}" for item in components for point in item["damaged_points"]]
    if damaged or "damaged" in proofs.values():
        result = "damaged"
    elif proofs and all(level in ("verified", "restored", "asserted") for level in proofs.values()):
        result = "intact"
    else:
        result = "unknown"
    return {"result": result, "proofs": proofs, "damaged": damaged}


def _next_date(report: t.Mapping[str, t.Any]) -> str | None:
    """The day by which the first component is due again, as YYYY-MM-DD."""
    intervals = [item["interval_s"] for item in report["components"] if item["interval_s"]]
    if not intervals:
        return None
    return (parse_time(report["finished"]) + datetime.timedelta(seconds=min(intervals))).strftime("%Y-%m-%d")
